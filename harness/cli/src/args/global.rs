//! Flags that every subcommand takes, as in kola.

use std::path::PathBuf;

use clap::Args;

use super::{Jobs, ProvisionArgs, QemuArgs, SelectArgs};

/// Flags that every subcommand takes.
#[derive(Debug, Clone, Args)]
pub struct GlobalArgs {
    /// What is tested.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Which tests.
    #[command(flatten)]
    pub select: SelectArgs,
    /// What all machines have in common.
    #[command(flatten)]
    pub machines: MachineArgs,
    /// How they learn to let us in.
    #[command(flatten)]
    pub provision: ProvisionArgs,
    /// Machines in QEMU.
    #[command(flatten)]
    pub qemu: QemuArgs,
    /// Where results go.
    #[command(flatten)]
    pub output: OutputArgs,
    /// What kolea says about itself.
    #[command(flatten)]
    pub log: LogArgs,
}

/// What is tested.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Image")]
pub struct TargetArgs {
    /// The disk image (qcow2 or raw) [default: the build's, in a working directory]
    #[arg(long, value_name = "FILE")]
    pub qemu_image: Option<PathBuf>,
    /// The live ISO: what machines boot from, or with `-p qemu` those of tests that ask for it [default: the build's]
    #[arg(long, value_name = "FILE")]
    pub qemu_iso: Option<PathBuf>,
    /// The disk image that live systems install from a server, as their installer takes it [default: the build's for metal]
    #[arg(long, value_name = "FILE")]
    pub metal_image: Option<PathBuf>,
    /// Machines boot from the live ISO as a disk
    #[arg(long)]
    pub qemu_iso_as_disk: bool,
    /// The distribution: fcos, rhcos, scos, nestos, flatcar, generic, or the file of a profile of your own [default: as the
    /// build or the booted machine says]
    #[arg(short = 'b', long, value_name = "NAME|FILE.toml")]
    pub distro: Option<String>,
    /// The architecture, by its RPM name [default: the host's]
    #[arg(long)]
    pub arch: Option<String>,
    /// The platform; only qemu is built in [default: qemu]
    #[arg(short = 'p', long)]
    pub platform: Option<String>,
    /// The working directory of cosa or nosa; `none` for none [default: `.` if it has a directory `builds`]
    #[arg(long, value_name = "DIR")]
    pub workdir: Option<PathBuf>,
    /// The build: its id, or -1 for the one before the latest, -2, … [default: the latest]
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub build: Option<String>,
}

/// What all machines have in common.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Machines")]
pub struct MachineArgs {
    /// How many machines may run at once: a number, or `auto` for the number of CPUs
    #[arg(
        short = 'j',
        long = "parallel",
        default_value = "auto",
        value_name = "N"
    )]
    pub jobs: Jobs,
    /// An Ignition config that every machine's own is merged with
    #[arg(long, value_name = "FILE")]
    pub append_ignition: Vec<PathBuf>,
    /// A Butane config that every machine's own is merged with
    #[arg(long, value_name = "FILE")]
    pub append_butane: Vec<PathBuf>,
    /// Translate with this program rather than with what is built in
    #[arg(long, value_name = "FILE")]
    pub butane_program: Option<PathBuf>,
    /// Rebase every machine to this ostree container before its tests
    #[arg(long, value_name = "PULLSPEC|FILE.ociarchive")]
    pub oscontainer: Option<String>,
    /// Set SYSTEMD_LOG_LEVEL=debug for this unit
    #[arg(long, value_name = "UNIT", value_delimiter = ',')]
    pub debug_systemd_unit: Vec<String>,
    /// Open a shell on the machine of a test that failed
    #[arg(long)]
    pub ssh_on_test_failure: bool,
    /// Lengthen every time limit by this percentage
    #[arg(long, default_value_t = 0, value_name = "PERCENT")]
    pub extend_timeout_percentage: u32,
    /// A name for the run, kept in its reports
    #[arg(long, value_name = "NAME")]
    pub basename: Option<String>,
}

/// Where results go.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Directory for logs and reports; must be new, empty, or of an earlier run [default: <workdir>/tmp/kola/… or
    /// _kola_temp/…]
    #[arg(long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,
    /// Copy the TAP report here as well
    #[arg(long, value_name = "FILE")]
    pub tapfile: Option<PathBuf>,
    /// Exit with 77 if only tests that may fail have failed
    #[arg(long)]
    pub on_warn_failure_exit_77: bool,
}

/// What kolea says about itself, and what it reads for it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "General")]
pub struct LogArgs {
    /// Settings are read from here [default: kolea.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Say more of what is done (-vv: still more)
    #[arg(short, long)]
    pub verbose: Vec<bool>,
    /// Say all of what is done
    #[arg(short, long)]
    pub debug: bool,
    /// How much to say: CRITICAL, ERROR, WARNING, NOTICE, INFO, DEBUG or TRACE
    #[arg(long, value_name = "LEVEL", value_parser = log_level, hide_default_value = true, default_value = "NOTICE")]
    pub log_level: &'static str,
}

impl LogArgs {
    /// How often `-v` was given.
    pub fn verbosity(&self) -> usize {
        self.verbose.iter().filter(|yes| **yes).count()
    }

    /// The level, by the names that filters of tracing have: the one that says most of those that were given.
    pub fn level(&self) -> &'static str {
        const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
        let rank = |level: &str| LEVELS.iter().position(|known| *known == level);
        let verbose = match self.verbosity() {
            0 => "error",
            1 => "info",
            2 => "debug",
            _ => "trace",
        };
        let debug = if self.debug { "debug" } else { "error" };
        [self.log_level, verbose, debug]
            .into_iter()
            .max_by_key(|level| rank(level))
            .unwrap_or("warn")
    }
}

fn log_level(text: &str) -> Result<&'static str, String> {
    Ok(match text.to_ascii_uppercase().as_str() {
        "CRITICAL" | "ERROR" => "error",
        "WARNING" | "WARN" | "NOTICE" => "warn",
        "INFO" => "info",
        "DEBUG" => "debug",
        "TRACE" => "trace",
        _ => {
            return Err(
                "must be CRITICAL, ERROR, WARNING, NOTICE, INFO, DEBUG or TRACE".to_owned(),
            );
        }
    })
}
