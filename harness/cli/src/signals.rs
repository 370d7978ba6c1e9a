//! What SIGINT and SIGTERM do: the first lets what runs come to its end, the second stops it, the third ends kolea itself.

use kolea_engine::Control;
use kolea_model::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens until the run is over (the task is aborted then).
pub fn spawn(control: Control) -> std::io::Result<tokio::task::JoinHandle<()>> {
    let interrupt = signal(SignalKind::interrupt())?;
    let terminate = signal(SignalKind::terminate())?;
    Ok(tokio::spawn(listen(interrupt, terminate, control)))
}

async fn listen(mut interrupt: Signal, mut terminate: Signal, control: Control) {
    for count in 1.. {
        let name = tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        };
        match count {
            1 => control.interrupt_by(name),
            2 => control.kill(),
            _ => std::process::exit(ExitCode::Interrupted as i32),
        }
    }
}
