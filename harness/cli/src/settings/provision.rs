//! How machines are provisioned: `--provision`, or the distribution's profile.

use anyhow::anyhow;
use kolea_machine::Provisioning;

use super::Distro;
use super::platform::ChosenPlatform;
use crate::args::GlobalArgs;
use crate::cmd::Failure;

/// Decides. What only Ignition can do something with is an error without it.
pub fn resolve(
    global: &GlobalArgs,
    distro: &Distro,
    platform: &ChosenPlatform,
) -> Result<Provisioning, Failure> {
    let asked = global.provision.provision.map(Provisioning::from);
    let provisioning = asked.unwrap_or(distro.profile.provision);
    if provisioning == Provisioning::Ignition {
        return Ok(provisioning);
    }
    if platform.boot_from.is_some() {
        return Err(Failure::usage(anyhow!(
            "--provision {provisioning} is for disk images: a live ISO has Ignition, and its config is embedded in it"
        )));
    }
    let machines = &global.machines;
    let given =
        |files: &[std::path::PathBuf]| files.iter().any(|file| !file.as_os_str().is_empty());
    let flags = [
        ("--append-ignition", given(&machines.append_ignition)),
        ("--append-butane", given(&machines.append_butane)),
        (
            "--debug-systemd-unit",
            !machines.debug_systemd_unit.is_empty(),
        ),
    ];
    match flags.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(Failure::usage(anyhow!(
            "{flag} is for Ignition, and machines are provisioned otherwise (--provision {provisioning}); leave one of them out"
        ))),
        None => Ok(provisioning),
    }
}
