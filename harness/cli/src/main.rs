//! The `kolea` command.

mod args;
mod build;
mod cmd;
mod durations;
mod layers;
mod output_dir;
mod paths;
mod program;
mod properties;
mod settings;
mod shell;
mod signals;
mod sink;
mod tests;
mod workdir;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use args::{Command, Invocation};
use cmd::{Failure, Outcome};
use layers::Layers;
use program::Program;

fn main() -> ExitCode {
    // QEMU calls us so.
    if let Some(code) = kolea_serve::relay::run_if_asked(std::env::args_os().skip(1)) {
        return code;
    }
    let words: Vec<OsString> = std::env::args_os().collect();
    let program = Program::called_as(words.first().map(OsString::as_os_str));
    let outcome = match understand(program, words) {
        Ok(invocation) => {
            log(&invocation);
            run(&invocation)
        }
        Err(Misunderstood::Words(error)) => {
            // A closed pipe is no error.
            let _ = error.print();
            return ExitCode::from(match error.exit_code() {
                0 => 0,
                _ => program.status(kolea_model::ExitCode::Usage),
            });
        }
        Err(Misunderstood::Layers(error)) => Err(Failure::usage(error)),
    };
    let code = match outcome {
        Ok(code) => code,
        Err(Failure { code, error }) => {
            eprintln!("{}: {error:#}", program.name());
            code
        }
    };
    ExitCode::from(program.status(code))
}

/// Why there is nothing to run.
enum Misunderstood {
    /// By clap: a usage error, or help.
    Words(clap::Error),
    /// The settings file or a variable is wrong.
    Layers(anyhow::Error),
}

fn understand(program: Program, words: Vec<OsString>) -> Result<Invocation, Misunderstood> {
    let command = args::command(program);
    let layers =
        Layers::load(&command, &words, std::env::vars_os()).map_err(Misunderstood::Layers)?;
    args::parse(command, words, &layers).map_err(Misunderstood::Words)
}

fn log(invocation: &Invocation) {
    let level = invocation.cli.global.log.level();
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_env("KOLEA_LOG").unwrap_or_else(|_| EnvFilter::new(level)),
        )
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

fn run(invocation: &Invocation) -> Outcome {
    match &invocation.cli.command {
        Command::Run(args) => cmd::run::main(invocation, &args.positional, &args.flags),
        Command::Rerun(args) => cmd::rerun::main(invocation, args),
        Command::List(args) => cmd::list::main(invocation, args),
        Command::Lint(args) => cmd::lint::main(args),
        Command::Iso(args) => cmd::iso::main(invocation, args),
        Command::Report(args) => cmd::report::main(args),
        Command::Config(args) => cmd::config::main(invocation, args),
        Command::CheckConsole(args) => cmd::check_console::main(invocation, args),
        Command::HttpServer(args) => cmd::http_server::main(args),
        Command::Ncpu => {
            program::say(kolea_engine::host_cpus());
            Ok(kolea_model::ExitCode::Pass)
        }
        Command::Version => {
            let name = Program::current().name();
            program::say(format_args!("{name} version {}", env!("CARGO_PKG_VERSION")));
            Ok(kolea_model::ExitCode::Pass)
        }
        Command::ExitCodes => {
            program::say(args::EXIT_CODES);
            Ok(kolea_model::ExitCode::Pass)
        }
        Command::RunUpgrade(_) => Err(cmd::not_yet("run-upgrade")),
        Command::Spawn(_) => Err(cmd::not_yet("spawn")),
        Command::Qemuexec(args) => cmd::qemuexec::main(invocation, args),
        Command::Testiso(args) => cmd::testiso::main(invocation, args),
        Command::Bootchart(_) => Err(cmd::not_yet("bootchart")),
    }
}
