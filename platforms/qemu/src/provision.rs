//! What a machine's first boot is told, in the way that was chosen, and what is brought to it afterwards.

use std::fs;
use std::path::{Path, PathBuf};

use kolea_machine::ignition::{HarnessConfig, render};
use kolea_machine::journal::stream_unit;
use kolea_machine::provisioning::cloud_init;
use kolea_machine::provisioning::credentials::credentials;
use kolea_machine::ssh::SshKey;
use kolea_machine::{Exec, MachineError, Provision, Provisioning, agent};
use kolea_model::{HostMount, MachineSpec};

use crate::QemuError;
use crate::arch::Arch;
use crate::command_line::Config;
use crate::disk::file_error;
use crate::files::names;
use crate::hardware::Places;
use crate::launch::Common;
use crate::mounts::{self, Transport};
use crate::seed;
use crate::templates::names as template_names;

/// The artefact that shows what cloud-init was told.
const USER_DATA: &str = "user-data";

/// Whether machines of that architecture can be provisioned so, and by which key they let us in.
pub fn key(
    provisioning: Provisioning,
    arch: Arch,
    user: &str,
    ssh_key: Option<&Path>,
) -> Result<SshKey, QemuError> {
    let fault = |message: String| QemuError::Provisioning {
        by: provisioning.name(),
        message,
    };
    if provisioning == Provisioning::Credentials && !arch.has_smbios() {
        return Err(fault(format!(
            "machines of {} have no SMBIOS to hand them over; use cloud-init or Ignition",
            arch.name()
        )));
    }
    match ssh_key {
        Some(path) => SshKey::load(path).map_err(|message| QemuError::SshKey {
            path: path.to_owned(),
            message,
        }),
        None if provisioning == Provisioning::None => Err(fault(format!(
            "the image has to let us in as it is; name the private key of its user `{user}` by --ssh-key FILE"
        ))),
        None => SshKey::generate().map_err(|error| QemuError::Key(error.to_string())),
    }
}

/// What a machine that boots is told.
pub struct Told {
    /// Where it finds that.
    pub config: Config,
    /// The Ignition config, if that is how.
    pub ignition: String,
    /// What brings the rest over the first connection, if that is needed.
    pub late: Option<Exec>,
}

/// Tells a machine.
pub fn machine(
    common: &Common,
    spec: &MachineSpec,
    provision: &Provision,
    transport: Option<Transport>,
    places: Places<'_>,
) -> Result<Told, MachineError> {
    let (user, key) = (&common.profile.user, common.key.public_line());
    let mounts = transport.map(|transport| (spec.mounts.as_slice(), transport));
    let write = |path: PathBuf, text: &str| {
        fs::write(&path, text).map_err(|error| file_error("write", &path, &error))?;
        Ok(path)
    };
    let config = match common.provisioning {
        Provisioning::Ignition => {
            let own = || with_harness(common, key, mounts, |harness| render(provision, harness));
            let ignition = common.by_hand.config.clone().unwrap_or_else(own);
            let path = write(places.artefacts.join(template_names::IGNITION), &ignition)?;
            return Ok(Told {
                config: Config::ignition(common.arch, spec, path),
                ignition,
                late: None,
            });
        }
        Provisioning::Credentials => Config::Smbios(credentials(user, key)),
        Provisioning::CloudInit => {
            let user_data = cloud_init::user_data(user, key);
            write(places.artefacts.join(USER_DATA), &user_data)?;
            let path = places.files.join(names::SEED);
            let texts = [cloud_init::meta_data(&spec.hostname), user_data];
            let files: Vec<_> = cloud_init::FILES.into_iter().zip(texts).collect();
            seed::write(&path, cloud_init::LABEL, &files)
                .map_err(|error| file_error("write", &path, &error))?;
            Config::Seed(path)
        }
        Provisioning::None => Config::Inside,
    };
    let late = with_harness(common, key, mounts, |harness| {
        agent::late(provision, harness)
    })?;
    Ok(Told {
        config,
        ignition: String::new(),
        late: Some(late),
    })
}

/// What a clone finds where its template found its config. `dir`: that of the clone's artefacts.
pub fn clone(
    common: &Common,
    spec: &MachineSpec,
    template: &Path,
    dir: &Path,
) -> Result<Config, MachineError> {
    Ok(match common.provisioning {
        // Read at the first boot only, as the template did.
        Provisioning::Ignition => {
            let path = dir.join(template_names::IGNITION);
            fs::copy(template.join(template_names::IGNITION), &path)
                .map_err(|error| file_error("write", &path, &error))?;
            Config::ignition(common.arch, spec, path)
        }
        // Read at every boot: the key is to be that of the run.
        Provisioning::Credentials => {
            Config::Smbios(credentials(&common.profile.user, common.key.public_line()))
        }
        Provisioning::CloudInit => Config::Seed(template.join(names::SEED)),
        Provisioning::None => Config::Inside,
    })
}

/// Everything that a template's provisioning depends on, but for a key that is made for the run.
pub fn fingerprint(common: &Common, provision: &Provision) -> (String, String) {
    let config = with_harness(common, "", None, |harness| render(provision, harness));
    let user = &common.profile.user;
    let way = match common.provisioning {
        Provisioning::Ignition => String::new(),
        Provisioning::Credentials => format!("{:?}", credentials(user, "")),
        Provisioning::CloudInit => cloud_init::user_data(user, ""),
        // Who else is let in is not known, so that nobody can be put in the place of another.
        Provisioning::None => common.key.public_line().to_owned(),
    };
    (config, format!("{} {way}", common.provisioning))
}

/// What the harness wants of a machine, with that key for SSH. `mounts`: its directories of the host, which no template has.
fn with_harness<T>(
    common: &Common,
    public_key: &str,
    mounts: Option<(&[HostMount], Transport)>,
    work: impl FnOnce(&HarnessConfig<'_>) -> T,
) -> T {
    let mut units = vec![stream_unit()];
    let mut directories = Vec::new();
    if let Some((mounts, transport)) = mounts {
        units.extend(mounts::units(mounts, transport));
        directories = mounts::mount_points(mounts);
    }
    work(&HarnessConfig {
        user: &common.profile.user,
        public_key,
        units,
        files: &common.profile.files,
        directories: &directories,
    })
}
