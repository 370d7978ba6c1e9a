//! What the flags come to: the platform's options, what the machine needs, and what its first boot brings about.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use kolea_machine::Provision;
use kolea_model::{HostMount, MachineNeeds};
use kolea_qemu::{ByHand, Ends, Netboot, QemuOptions};

use super::super::{Failure, run};
use super::config;
use crate::args::{Invocation, QemuexecArgs};
use crate::program::Program;
use crate::settings::{self, Settings};

/// kola's most for `--auto-cpus`.
const MOST_CPUS: usize = 16;
/// The host name that kola gives to what is behind `--devshell`.
const DEVSHELL_HOSTNAME: &str = "cosa-devsh";

/// Everything that is decided before the image is looked at.
#[derive(Debug)]
pub struct Plan {
    /// Of the platform.
    pub options: QemuOptions,
    /// Of the machine.
    pub needs: MachineNeeds,
    /// Its CPUs, if not the platform's number.
    pub cpus: Option<u32>,
    /// Of its first boot.
    pub provision: Provision,
    /// Whether it is for a shell, or a command, over SSH.
    pub shell: bool,
}

impl Plan {
    /// Decides, and reads what the flags name.
    pub fn new(
        invocation: &Invocation,
        settings: &Settings,
        args: &QemuexecArgs,
    ) -> Result<Plan, Failure> {
        contradictions(invocation, settings, args)?;
        let devshell = args.devshell || args.devshell_console;
        let shell = (args.devshell && !args.devshell_console) || args.ssh_command.is_some();
        let image = settings.image()?.ok_or_else(|| {
            Failure::usage(anyhow!(
                "no image: name one, as in `{} qemuexec IMAGE.qcow2`",
                Program::current().name()
            ))
        })?;
        let configs = config::read(invocation, settings, args, devshell)?;
        let direct = match configs.as_slice() {
            [config] if args.ignition_direct => Some(config.text.to_string()),
            _ => None,
        };
        let run = run::qemu(settings, &image, None);
        let mut mounts = run.mounts.clone();
        mounts.extend(binds(args));
        if devshell {
            mounts.extend(workdir(settings)?);
        }
        let cpus = (args.auto_cpus || devshell)
            .then(|| kolea_engine::host_cpus().min(MOST_CPUS))
            // Nodes have as many each.
            .map(|cpus| {
                if args.numa_nodes {
                    (cpus & !1).max(2)
                } else {
                    cpus
                }
            });
        Ok(Plan {
            options: QemuOptions {
                memory_mib: args.memory.or(run.memory_mib),
                usernet: settings::text(&args.usernet_addr).or(run.usernet.clone()),
                mounts,
                by_hand: ByHand {
                    ends: match &args.console_to_file {
                        Some(file) => Ends::File(writable(file)?),
                        None if shell => Ends::Here,
                        None => Ends::Terminal,
                    },
                    config: direct,
                    inject: args.inject_ignition,
                    drive_options: settings::text(&invocation.cli.global.qemu.qemu_drive_opts),
                    netboot: netboot(args)?,
                    args: args.qemu.clone(),
                },
                ..run
            },
            needs: MachineNeeds {
                additional_disks: args.add_disk.clone(),
                additional_nics: args.additional_nics,
                numa: args.numa_nodes,
                kernel_args: (!args.kargs.is_empty()).then(|| args.kargs.join(" ")),
                firstboot_kernel_args: settings::text(&args.firstbootkargs),
                internet: args.usernet || args.usernet_addr.is_some() || devshell,
                ..MachineNeeds::default()
            },
            cpus: cpus.and_then(|cpus| u32::try_from(cpus).ok()),
            provision: Provision {
                configs,
                ..Provision::default()
            },
            shell,
        })
    }
}

/// Flags that ask for two things at once.
fn contradictions(
    invocation: &Invocation,
    settings: &Settings,
    args: &QemuexecArgs,
) -> Result<(), Failure> {
    let flags = &invocation.cli.global.qemu;
    let machines = &settings.machines;
    let shell = args.devshell || args.ssh_command.is_some();
    let rules = [
        (
            args.devshell_console && args.ssh_command.is_some(),
            "--devshell-console shows the console, and --ssh-command runs something over SSH",
        ),
        (
            args.devshell_console && args.console_to_file.is_some(),
            "--devshell-console shows the console, and --console-to-file hides it",
        ),
        (
            args.ignition_direct && shell,
            "with --ignition-direct nothing of kolea's is in the config, so there is no way in over SSH for --devshell or --ssh-command",
        ),
        (
            args.ignition_direct && args.ignition.is_none() && args.butane.is_none(),
            "--ignition-direct gives the machine a config as it is, and there is none: name one by --ignition or --butane",
        ),
        (
            args.ignition_direct && (args.devshell_console || !machines.append.is_empty()),
            "--ignition-direct gives the machine a config as it is, and --devshell-console, --append-ignition, --append-butane and --debug-systemd-unit add to it",
        ),
        (
            flags.qemu_nbd_socket,
            "--qemu-nbd-socket is not supported; a disk with :mpath is served by qemu-nbd",
        ),
        (
            settings::text(&flags.qemu_drive_opts).is_some()
                && (flags.qemu_multipath || settings.boot_from().is_some()),
            "--qemu-drive-opts is for a disk that QEMU itself opens, not for one on several paths or a live ISO",
        ),
        (
            args.inject_ignition && settings.boot_from().is_some(),
            "--inject-ignition writes to a disk image's boot file system; a live ISO has the config embedded in any case",
        ),
        (
            args.ignition_direct && (!args.add_ignition.is_empty() || args.hostname.is_some()),
            "--ignition-direct gives the machine a config as it is, and --add-ignition and --hostname add to it",
        ),
        (
            args.ignition_direct
                && !(args.bind_ro.is_empty()
                    && args.bind_rw.is_empty()
                    && machines.mounts.is_empty()),
            "--ignition-direct gives the machine a config as it is, and --bind-ro, --bind-rw and --qemu-bind-ro add what mounts the directories",
        ),
        (
            args.print_command
                && (shell || args.devshell_console || args.console_to_file.is_some()),
            "--print-command starts nothing, so there is no shell and no console",
        ),
    ];
    match rules.into_iter().find(|(broken, _)| *broken) {
        Some((_, message)) => Err(Failure::usage(anyhow!(message))),
        None => Ok(()),
    }
}

/// Directories of the host.
fn binds(args: &QemuexecArgs) -> impl Iterator<Item = HostMount> {
    let writable = args.bind_rw.iter().map(|mount| HostMount {
        writable: true,
        ..mount.clone()
    });
    args.bind_ro.iter().cloned().chain(writable)
}

/// Where kola's devshell has the working directory, and a place in it to write to.
fn workdir(settings: &Settings) -> Result<Vec<HostMount>, Failure> {
    let Some(workdir) = &settings.workdir else {
        return Ok(Vec::new());
    };
    let temp = workdir.path.join("tmp");
    fs::create_dir_all(&temp)
        .with_context(|| format!("cannot make {}", temp.display()))
        .map_err(Failure::usage)?;
    let mount = |host: PathBuf, guest: &str, writable| HostMount {
        host,
        guest: guest.to_owned(),
        writable,
    };
    Ok(vec![
        mount(workdir.path.clone(), "/var/mnt/workdir", false),
        mount(temp, "/var/mnt/workdir-tmp", true),
    ])
}

/// The absolute path of a file that can be written.
fn writable(file: &Path) -> Result<PathBuf, Failure> {
    settings::check_writable(Some(file), "--console-to-file")?;
    std::path::absolute(file)
        .with_context(|| format!("cannot use {}", file.display()))
        .map_err(Failure::usage)
}

/// `--netboot` and `--netboot-dir`; the file has to be there.
fn netboot(args: &QemuexecArgs) -> Result<Option<Netboot>, Failure> {
    let Some(file) = settings::path(&args.netboot) else {
        return Ok(None);
    };
    let fault = |what: String| Failure::usage(anyhow!("--netboot {}: {what}", file.display()));
    let (dir, name) = match settings::path(&args.netboot_dir) {
        Some(dir) => (dir, file.strip_prefix(dir).unwrap_or(file)),
        None => (
            match file.parent() {
                Some(dir) if !dir.as_os_str().is_empty() => dir,
                _ => Path::new("."),
            },
            Path::new(file.file_name().unwrap_or_default()),
        ),
    };
    if name.is_absolute() || !dir.join(name).is_file() {
        return Err(fault(format!("there is no such file in {}", dir.display())));
    }
    let dir = std::path::absolute(dir).map_err(|error| fault(error.to_string()))?;
    Ok(Some(Netboot {
        dir,
        file: name.display().to_string(),
    }))
}

/// The machine's name, if it is to have one.
pub fn hostname(args: &QemuexecArgs, devshell: bool) -> Option<String> {
    settings::text(&args.hostname).or_else(|| devshell.then(|| DEVSHELL_HOSTNAME.to_owned()))
}
