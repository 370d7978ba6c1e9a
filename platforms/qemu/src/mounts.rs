//! Directories of the host that guests may read (`bindMountHostRO`, `--qemu-bind-ro`): whether they can be mounted, and
//! what the guest needs for it.
//!
//! Two mechanisms serve a directory. virtiofs has a process for each, virtiofsd, that answers the guest; kernels of all
//! distributions that boot with Ignition have it. Where there is no virtiofsd, QEMU itself answers by 9p, for which the
//! guest's kernel needs the modules `9p` and `9pnet_virtio` (Fedora's and Debian's have them, RHEL's does not). Both refuse
//! every change on the host's side, whatever the guest mounts or remounts.
//!
//! A guest sees the host's owners and permissions by their numbers. It reads what whoever runs kolea may read: root in the
//! guest gets no further than that. Symbolic links are followed in the guest, so those that lead out of the directory
//! are dangling there, or something else.
//!
//! The host's SELinux labels are not passed on: the guest's policy gives all files the label that it has for the file system
//! (`virtiofs_t`, or that of 9p), which confined services of the guest may not be allowed to read. What runs as a test or
//! over SSH is not confined. On an SELinux host, a QEMU that is not run by libvirt is not confined either.

use std::path::Path;

use kolea_machine::{MachineError, Unit};
use kolea_model::{HostMount, MachineNeeds};

use crate::hardware::{Hardware, Places};
use crate::launch::Common;
use crate::unit_name::mount_unit;
use crate::virtiofsd::Virtiofsd;

/// The longest name of a device that both mechanisms take, in bytes (9p's; virtiofs has 36).
const LONGEST_TAG: usize = 31;
/// The longest name of a unit, in bytes (systemd's `UNIT_NAME_MAX`, which counts a final NUL).
const LONGEST_UNIT: usize = 255;

/// How a directory of the host gets into the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A process of its own answers the guest.
    Virtiofs,
    /// QEMU answers the guest.
    NineP,
}

/// Starts what serves a machine's directories of the host, if it has any.
pub async fn share(
    common: &Common,
    mounts: &[HostMount],
    places: Places<'_>,
    hardware: &mut Hardware,
) -> Result<(), MachineError> {
    if mounts.is_empty() {
        return Ok(());
    }
    check_mounts(mounts).map_err(MachineError::Launch)?;
    let find = async || Virtiofsd::find(places.work).await;
    let Some(virtiofsd) = common.virtiofsd.get_or_init(find).await else {
        hardware.devices.transport = Some(Transport::NineP);
        return Ok(());
    };
    hardware.devices.transport = Some(Transport::Virtiofs);
    for (index, mount) in mounts.iter().enumerate() {
        let log = places.artefacts.join(format!("virtiofsd-{index}.txt"));
        let (helper, socket) = virtiofsd.start(mount, places.files, log).await?;
        hardware.helpers.push(helper);
        let number = hardware.inherited.add(socket);
        hardware.devices.mounts.push(number);
    }
    Ok(())
}

/// Whether what a test asks for can be given to it by this host, as far as that can be told before anything boots. The error
/// is one line for people, without the test's name.
///
/// That is something else than [`unmet`](crate::unmet), which tells what no machine of the platform has.
pub fn check(needs: &MachineNeeds) -> Result<(), String> {
    check_mounts(&needs.mounts).map_err(|error| format!("bindMountHostRO: {error}"))
}

/// Whether all these directories can be mounted in one machine.
pub fn check_mounts(mounts: &[HostMount]) -> Result<(), String> {
    for (index, mount) in mounts.iter().enumerate() {
        let fault = |what: String| {
            let host = mount.host.display();
            format!(
                "cannot mount {host} at {} in the guest: {what}",
                mount.guest
            )
        };
        check_host(&mount.host).map_err(fault)?;
        check_guest(&mount.guest).map_err(fault)?;
        let twice = |other: &&HostMount| normal(&other.guest) == normal(&mount.guest);
        if let Some(other) = mounts[..index].iter().find(twice) {
            return Err(fault(format!(
                "{} is to be mounted there as well; give one of them another place",
                other.host.display()
            )));
        }
    }
    Ok(())
}

fn check_host(host: &Path) -> Result<(), String> {
    if host.to_str().is_none() {
        return Err("the host's path is not UTF-8; give it another name".to_owned());
    }
    match host.metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err("the host has no such directory; make it, or correct its path".to_owned());
        }
        Err(error) => return Err(format!("the host's directory cannot be used: {error}")),
        Ok(data) if !data.is_dir() => {
            return Err(
                "on the host that is not a directory; name the directory that it is in".to_owned(),
            );
        }
        Ok(_) => {}
    }
    std::fs::read_dir(host)
        .map(drop)
        .map_err(|error| format!("the host's directory cannot be read: {error}"))
}

fn check_guest(guest: &str) -> Result<(), String> {
    let Some(names) = guest.strip_prefix('/') else {
        return Err("the guest's path has to be absolute, such as /srv/data".to_owned());
    };
    if names.trim_matches('/').is_empty() {
        return Err("a guest's root cannot be covered; name a directory".to_owned());
    }
    if names.split('/').any(|name| [".", ".."].contains(&name)) {
        return Err("the guest's path has . or .. in it; write it without".to_owned());
    }
    // A unit file has one line for it, and nothing to quote with.
    if guest.chars().any(char::is_control) || guest.ends_with([' ', '\\']) {
        return Err(
            "the guest's path has a control character in it, or ends in a space or a backslash; use another"
                .to_owned(),
        );
    }
    if mount_unit(guest).len() > LONGEST_UNIT {
        return Err("the guest's path is too long for the name of a mount unit".to_owned());
    }
    Ok(())
}

/// A path without repeated slashes and without one at its end.
fn normal(path: &str) -> String {
    path.split('/')
        .filter(|name| !name.is_empty())
        .flat_map(|name| ["/", name])
        .collect()
}

/// The name that the guest knows the device by: its own path, as with kola, if it is not too long for that.
pub fn tag(index: usize, mount: &HostMount) -> String {
    let path = normal(&mount.guest);
    if path.len() <= LONGEST_TAG {
        path
    } else {
        format!("kolea-mount-{index}")
    }
}

/// The directories that the guest needs to mount on.
pub fn mount_points(mounts: &[HostMount]) -> Vec<String> {
    mounts.iter().map(|mount| normal(&mount.guest)).collect()
}

/// The units that mount all of it, early in every boot of the guest (kola's order).
pub fn units(mounts: &[HostMount], transport: Transport) -> Vec<Unit> {
    mounts
        .iter()
        .enumerate()
        .map(|(index, mount)| Unit {
            name: mount_unit(&mount.guest),
            enabled: true,
            contents: unit(&tag(index, mount), mount, transport),
        })
        .collect()
}

fn unit(what: &str, mount: &HostMount, transport: Transport) -> String {
    let (access, kind_of) = if mount.writable {
        ("rw", "")
    } else {
        ("ro", ", read-only")
    };
    let (kind, options, more) = match transport {
        Transport::Virtiofs => ("virtiofs", "", ""),
        // Kernels before 5.17 do not load the transport's module by themselves, and before 5.15 messages are small.
        Transport::NineP => (
            "9p",
            ",trans=virtio,version=9p2000.L,msize=262144",
            "Wants=modprobe@9pnet_virtio.service\nAfter=modprobe@9pnet_virtio.service\n",
        ),
    };
    // `%` begins one of systemd's specifiers.
    let (what, path) = (
        what.replace('%', "%%"),
        normal(&mount.guest).replace('%', "%%"),
    );
    format!(
        "[Unit]\nDescription=Directory of the host{kind_of}\nDefaultDependencies=no\n\
         After=systemd-tmpfiles-setup.service\nBefore=basic.target\n{more}\
         [Mount]\nWhat={what}\nWhere={path}\nType={kind}\nOptions={access}{options}\n\
         [Install]\nWantedBy=multi-user.target\n"
    )
}

#[cfg(test)]
#[path = "mounts_tests.rs"]
mod tests;
