//! `kolea qemuexec`: one machine, run by a person, on the same platform as those of tests.

mod config;
mod devshell;
mod fatal;
mod plan;
mod terminal;

use std::path::Path;

use anyhow::{Context, anyhow};
use kolea_machine::{DownKind, LaunchRequest, Machine, MachineError, Platform, Provisioning};
use kolea_model::ExitCode;
use kolea_qemu::{Ends, QemuPlatform};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::plan::Plan;
use self::terminal::Terminal;
use super::{Failure, Outcome};
use crate::args::{Invocation, QemuexecArgs, SuiteArgs};
use crate::output_dir::OutputDir;
use crate::program::{Program, say};
use crate::settings::Settings;

/// Runs the subcommand.
pub fn main(invocation: &Invocation, args: &QemuexecArgs) -> Outcome {
    let words: Vec<String> = args
        .image
        .iter()
        .map(|image| image.display().to_string())
        .collect();
    let settings = Settings::resolve(invocation, &words, &SuiteArgs::default())?;
    if let Some(word) = settings.selection.patterns.first() {
        return Err(Failure::usage(anyhow!(
            "{word} is no image: it does not exist, or another one is named by --qemu-image"
        )));
    }
    let plan = Plan::new(invocation, &settings, args)?;
    // A QEMU that is killed leaves the terminal as it was using it. Dropped when all is over.
    let _terminal =
        (plan.shell || plan.options.by_hand.ends == Ends::Terminal).then(Terminal::save);
    let runtime =
        tokio::runtime::Runtime::new().context("cannot start the asynchronous runtime")?;
    let outcome = runtime.block_on(async {
        let platform = QemuPlatform::new(plan.options.clone())
            .await
            .map_err(Failure::usage)?;
        platform
            .check(&plan.needs)
            .map_err(|error| Failure::usage(anyhow!(error)))?;
        platform
            .check_image([&plan.needs])
            .await
            .map_err(Failure::usage)?;
        let output_path = match &settings.output.dir {
            Some(path) => path.clone(),
            None => OutputDir::default_path(&settings.output.parent, "qemuexec")
                .map_err(Failure::usage)?,
        };
        let output = OutputDir::prepare(&output_path).map_err(Failure::usage)?;
        let outcome = machine(&platform, &plan, &output.path, args).await;
        platform.close().await;
        outcome
    });
    // What still hangs about (a look at standard input, say) must not delay the end.
    runtime.shutdown_background();
    outcome
}

async fn machine(platform: &QemuPlatform, plan: &Plan, dir: &Path, args: &QemuexecArgs) -> Outcome {
    let mut spec = platform.resolve(&plan.needs);
    spec.cpus = plan.cpus.unwrap_or(spec.cpus);
    let mut request = LaunchRequest {
        owner: "qemuexec".to_owned(),
        dir: dir.to_path_buf(),
        spec,
        provision: plan.provision.clone(),
        freezable: false,
        network: None,
    };
    if args.print_command {
        // What serves a TPM is a process beside QEMU.
        request.spec.tpm = false;
        let command = platform
            .command(&request)
            .await
            .map_err(|error| launch_failure(&error))?;
        say(command);
        return Ok(ExitCode::Pass);
    }
    let mut signals = Signals::new().context("cannot catch signals")?;
    let ends = &plan.options.by_hand.ends;
    if *ends == Ends::Terminal {
        tell("the guest's console follows; Ctrl-A X ends the machine, Ctrl-A H shows more");
    }
    let machine = tokio::select! {
        machine = platform.launch(request) => machine.map_err(|error| launch_failure(&error))?,
        () = signals.next() => return Ok(ExitCode::Interrupted),
    };
    let outcome = tokio::select! {
        outcome = attend(machine.as_ref(), plan, args) => outcome,
        () = signals.next() => Ok(ExitCode::Interrupted),
    };
    machine.stop().await;
    outcome
}

/// Until the machine, or what is done with it, has come to its end.
async fn attend(machine: &dyn Machine, plan: &Plan, args: &QemuexecArgs) -> Outcome {
    let watch = args.propagate_initramfs_failure || plan.shell;
    let work = async {
        if plan.shell {
            let console = match &plan.options.by_hand.ends {
                Ends::File(path) => path.clone(),
                _ => machine.dir().join("console.txt"),
            };
            devshell::run(machine, &console, args.ssh_command.as_deref()).await
        } else {
            ended(machine, plan).await
        }
    };
    tokio::select! {
        outcome = work => outcome,
        what = fatal::watch(machine, watch) => Err(Failure::from(anyhow!(
            "the machine cannot go on: {what}; what it said is in {}",
            machine.dir().display()
        ))),
    }
}

/// Waits for the machine's end.
async fn ended(machine: &dyn Machine, plan: &Plan) -> Outcome {
    let rest = async {
        // What Ignition does not bring comes over SSH, when that is there.
        if plan.options.provisioning != Provisioning::Ignition
            && let Err(error) = machine.wait_ready(None).await
        {
            tell(error);
        }
        std::future::pending::<()>().await;
    };
    let down = tokio::select! {
        down = machine.down() => down,
        () = rest => return Ok(ExitCode::Pass),
    };
    match down.kind {
        DownKind::PoweredOff => Ok(ExitCode::Pass),
        // By its monitor, where whoever asks for that knows what they do.
        DownKind::Died
            if down
                .message
                .starts_with("QEMU ended by itself with status 0") =>
        {
            Ok(ExitCode::Pass)
        }
        _ => Err(Failure::from(anyhow!("{}", down.message))),
    }
}

fn launch_failure(error: &MachineError) -> Failure {
    Failure::from(anyhow!("{error}"))
}

/// One line to the person, apart from what the guest says.
fn tell(text: impl std::fmt::Display) {
    eprintln!("{}: {text}", Program::current().name());
}

/// What asks us to end.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
