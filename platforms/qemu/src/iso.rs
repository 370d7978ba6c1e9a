//! Machines that boot from a live ISO: the image, and what is put into a machine's copy of it.
//!
//! kola embeds a config and kernel arguments with coreos-installer; here that is `kolea-iso`'s job.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use kolea_iso::{
    EmbedRequest, IgnitionArea, IgnitionChange, IsoError, KargsArea, KargsChange, KargsEdit,
    Minimal, NetworkChange, Pxeboot,
};
use kolea_machine::MachineError;
use kolea_machine::profile::Profile;
use kolea_model::{BootFrom, CdBus, MachineSpec};
use tokio::net::unix::pipe::Receiver;

use crate::disk::{check_room, file_error};
use crate::files::names;
use crate::hardware::{Hardware, Origin};
use crate::launch::Common;
use crate::pxe;
use crate::steps::Steps;

/// The live ISO in a machine's drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cd {
    /// The machine's copy, or its template's.
    pub file: PathBuf,
    /// How the guest reaches it; none for a disk.
    pub drive: Option<CdBus>,
}

/// A live ISO that can be booted from.
#[derive(Clone, Debug)]
pub struct LiveIso {
    /// Absolute path.
    pub path: PathBuf,
    /// Where its embed areas are described.
    directories: Vec<String>,
    /// What of it is booted over a network, or why nothing is.
    pub pxeboot: Result<Pxeboot, String>,
    /// Whether it has arguments for the kernel and none of them is a console (CoreOS's has none).
    is_mute: bool,
    /// Whether a minimal ISO can be made of it, or why not.
    pub minimal: Result<(), String>,
    /// Whether network keyfiles can be put into it, or why not.
    network: Result<(), String>,
}

impl LiveIso {
    /// Looks at an image. Blocks.
    ///
    /// # Errors
    /// It is no ISO that a config can be put into.
    pub fn open(path: &Path, profile: &Profile) -> Result<LiveIso, IsoError> {
        let iso = kolea_iso::Iso::open(path)?;
        let directories = match &profile.iso_directory {
            Some(directory) => vec![directory.clone()],
            None => Profile::iso_directories(),
        };
        IgnitionArea::find(&iso, &directories)?;
        let is_console = |word: &str| word.starts_with("console=");
        let is_mute = KargsArea::find(&iso, &directories)
            .is_ok_and(|area| !area.current.split_whitespace().any(is_console));
        let minimal = kolea_iso::check_minimal(&iso, &minimal_of(&directories));
        let network = kolea_iso::check_network(&iso, &directories);
        Ok(LiveIso {
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            directories,
            is_mute,
            minimal: minimal.map_err(|error| error.to_string()),
            network: network.map_err(|error| error.to_string()),
            pxeboot: Pxeboot::find(&iso).map_err(|error| error.to_string()),
        })
    }

    /// What the minimal ISO is to be that is made of it.
    pub fn minimal_request(&self) -> Minimal {
        minimal_of(&self.directories)
    }

    /// What is to be different in a machine's copy. `console`: the argument for the one that we read.
    fn request(&self, spec: &MachineSpec, config: &str, console: &str) -> EmbedRequest {
        let words = [&spec.kernel_args, &spec.firstboot_kernel_args];
        let words = words.into_iter().flatten();
        let append: Vec<String> = (self.is_mute.then_some(console).into_iter())
            .chain(words.flat_map(|args| args.split_whitespace()))
            .map(str::to_owned)
            .collect();
        EmbedRequest {
            directories: self.directories.clone(),
            ignition: (!spec.console_only).then(|| IgnitionChange::Embed {
                config: config.as_bytes().to_vec(),
                replace: true,
            }),
            network: (!spec.network_keyfiles.is_empty()).then(|| NetworkChange::Embed {
                keyfiles: (spec.network_keyfiles.iter())
                    .map(|(name, text)| (name.clone(), text.clone().into_bytes()))
                    .collect(),
                replace: true,
            }),
            kargs: (!append.is_empty()).then(|| {
                KargsChange::Edit(KargsEdit {
                    append,
                    ..KargsEdit::default()
                })
            }),
            hide_el_torito: spec.boot_from == Some(BootFrom::IsoAsDisk),
        }
    }
}

/// Whether the keyfiles that a machine is to have can be put into its copy. The error is one line for people.
pub fn check_keyfiles(spec: &MachineSpec, iso: Option<&LiveIso>) -> Result<(), String> {
    if spec.network_keyfiles.is_empty() {
        return Ok(());
    }
    for name in spec.network_keyfiles.keys() {
        kolea_iso::check_keyfile_name(name).map_err(|error| error.to_string())?;
    }
    match (spec.boot_from.filter(|boot_from| !boot_from.is_pxe()), iso) {
        (Some(_), Some(iso)) => {
            (iso.network.as_ref().copied()).map_err(|why| format!("{}: {why}", iso.path.display()))
        }
        _ => Err(
            "network keyfiles are embedded in a live ISO, and the machine boots from none"
                .to_owned(),
        ),
    }
}

/// A minimal ISO that fetches its root file system from the machine's own server.
fn minimal_of(directories: &[String]) -> Minimal {
    Minimal {
        directories: directories.to_vec(),
        rootfs_url: Some(pxe::rootfs_url()),
    }
}

/// Puts the ISO into the machine's drive, if it boots from one: a copy with the config in it, or the template's copy. All machines
/// that boot a live system have the port that it reports on.
pub async fn insert(
    common: &Common,
    spec: &MachineSpec,
    origin: Origin<'_>,
    files: &Path,
    config: &str,
    hardware: &mut Hardware,
    steps: &Steps,
) -> Result<(), MachineError> {
    let Some(boot_from) = spec.boot_from else {
        return Ok(());
    };
    let (ours, theirs) = completion()
        .map_err(|error| MachineError::Harness(format!("cannot make pipes for QEMU: {error}")))?;
    hardware.devices.completion = Some(hardware.inherited.add(theirs));
    hardware.completion = Some(ours);
    if boot_from.is_pxe() {
        return Ok(());
    }
    let file = match origin {
        Origin::Template(dir) => dir.join(names::ISO),
        Origin::Image => {
            let mut iso = common.iso.clone().ok_or_else(no_iso)?;
            if boot_from == BootFrom::MinimalIso {
                iso.path = common.minimal.get().cloned().ok_or_else(|| {
                    MachineError::Harness("no minimal ISO was made for the machine".to_owned())
                })?;
            }
            let size = std::fs::metadata(&iso.path)
                .map_err(|error| file_error("look at", &iso.path, &error))?
                .len();
            check_room(files, size.div_ceil(1 << 20))?;
            let (out, request) = (
                files.join(names::ISO),
                iso.request(spec, config, common.arch.console()),
            );
            let copy = out.clone();
            let embed = tokio::task::spawn_blocking(move || {
                kolea_iso::embed(&iso.path, &copy, &request).map_err(|error| {
                    format!("cannot prepare a copy of {}: {error}", iso.path.display())
                })
            });
            let embedded = steps.time("iso", embed).await;
            embedded
                .map_err(|error| MachineError::Harness(error.to_string()))?
                .map_err(MachineError::Launch)?;
            out
        }
    };
    hardware.devices.cd = Some(Cd {
        file,
        drive: (boot_from != BootFrom::IsoAsDisk).then_some(common.profile.cd_bus),
    });
    Ok(())
}

/// That a test needs an ISO, and there is none.
pub fn no_iso() -> MachineError {
    MachineError::Launch(
        "there is no live ISO to boot from; name one by --qemu-iso, or a build that has one"
            .to_owned(),
    )
}

fn completion() -> io::Result<(Receiver, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    Ok((
        Receiver::from_owned_fd(OwnedFd::from(reader))?,
        OwnedFd::from(writer),
    ))
}

#[cfg(test)]
impl LiveIso {
    /// One that is nowhere.
    pub fn sample(pxeboot: Result<Pxeboot, String>) -> LiveIso {
        LiveIso {
            path: "/l.iso".into(),
            directories: vec!["coreos".to_owned()],
            is_mute: false,
            pxeboot,
            minimal: Err("it has no miniso.dat".to_owned()),
            network: Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_config_and_the_arguments_that_the_machine_is_to_have() {
        let mut iso = LiveIso::sample(Err(String::new()));
        let mut spec = MachineSpec {
            boot_from: Some(BootFrom::IsoAsDisk),
            kernel_args: Some("a=1 b".to_owned()),
            firstboot_kernel_args: Some("c".to_owned()),
            ..MachineSpec::default()
        };
        let request = iso.request(&spec, "{}", "console=x");
        assert!(request.hide_el_torito && request.ignition.is_some());
        let Some(KargsChange::Edit(edit)) = request.kargs else {
            panic!("{:?}", request.kargs)
        };
        assert_eq!(edit.append, ["a=1", "b", "c"]);
        spec = MachineSpec {
            boot_from: Some(BootFrom::Iso),
            console_only: true,
            ..MachineSpec::default()
        };
        let request = iso.request(&spec, "{}", "console=x");
        assert!(!request.hide_el_torito && request.ignition.is_none() && request.kargs.is_none());
        assert_eq!(request.network, None);
        iso.is_mute = true;
        let Some(KargsChange::Edit(edit)) = iso.request(&spec, "{}", "console=x").kargs else {
            panic!("it stays mute")
        };
        assert_eq!(edit.append, ["console=x"]);
    }

    #[test]
    fn keyfiles_are_for_machines_that_boot_from_an_iso_which_takes_them() {
        let mut iso = LiveIso::sample(Err(String::new()));
        let mut spec = MachineSpec {
            boot_from: Some(BootFrom::MinimalIso),
            ..MachineSpec::default()
        };
        assert_eq!(check_keyfiles(&spec, None), Ok(()));
        let name = "eth0.nmconnection";
        spec.network_keyfiles = [(name.to_owned(), "id=a".to_owned())].into();
        assert_eq!(check_keyfiles(&spec, Some(&iso)), Ok(()));
        let request = iso.request(&spec, "{}", "console=x");
        assert!(request.ignition.is_some());
        let Some(NetworkChange::Embed { keyfiles, .. }) = request.network else {
            panic!("{:?}", request.network)
        };
        assert_eq!(keyfiles, [(name.to_owned(), b"id=a".to_vec())].into());

        let refused = |spec: &MachineSpec, iso: &LiveIso, expected: &str| {
            let error = check_keyfiles(spec, Some(iso)).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        for boot_from in [None, Some(BootFrom::Pxe)] {
            spec.boot_from = boot_from;
            refused(&spec, &iso, "the machine boots from none");
        }
        spec.boot_from = Some(BootFrom::IsoAsDisk);
        iso.network = Err("it has not".to_owned());
        refused(&spec, &iso, "/l.iso: it has not");
        spec.network_keyfiles = [("a/b".to_owned(), String::new())].into();
        refused(&spec, &iso, "no name for a keyfile");
    }
}
