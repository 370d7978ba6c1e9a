//! Machines that boot over the network: iPXE, which QEMU's network cards have in their ROM for BIOS and UEFI alike, runs a script from
//! QEMU's own TFTP server, and gets kernel and initramfs of the live ISO from there. Config and root file system come from the
//! machine's own HTTP server. kola does the same with pxelinux and GRUB.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use kolea_iso::Pxeboot;
use kolea_machine::MachineError;
use kolea_model::{BootFrom, Firmware, MachineSpec, ServerNeeds};
use kolea_serve::{CONFIG_PATH, Content, Site};

use crate::by_hand::Netboot;
use crate::disk::{check_room, file_error};
use crate::iso::LiveIso;
use crate::launch::Common;
use crate::steps::Steps;

/// The directory of the ISO's files, in that of the run.
pub const DIR: &str = "pxe";
/// The directory that TFTP serves, in that of a machine's files.
const TFTP: &str = "tftp";
/// The script's name there.
const SCRIPT: &str = "boot.ipxe";
/// What distributions' own arguments begin with if the profile does not say.
const PREFIX: &str = "coreos";
/// What every live system gets that is booted over a network (kola's).
const KARGS: &str =
    "rd.neednet=1 ip=dhcp ignition.firstboot ignition.platform.id=metal console=ttyS0,115200n8";
/// What would be something else than an argument to iPXE.
const OPERATORS: [&str; 3] = ["&&", "||", ";"];

/// What is booted over the network, if anything is.
fn of(spec: &MachineSpec) -> Option<BootFrom> {
    spec.boot_from.filter(|boot_from| boot_from.is_pxe())
}

/// Whether a machine can boot so from the ISO. The error is one line for people.
pub fn check(spec: &MachineSpec, iso: &LiveIso) -> Result<(), String> {
    let Some(boot_from) = of(spec) else {
        return Ok(());
    };
    let name = boot_from.name();
    if spec.firmware == Firmware::UefiSecure {
        return Err(format!(
            "`bootFrom: {name}` is by QEMU's iPXE, which nobody has signed for Secure Boot; use another firmware"
        ));
    }
    iso.pxeboot.as_ref().map_err(|why| {
        format!(
            "{} cannot be booted over the network: {why}",
            iso.path.display()
        )
    })?;
    match words(spec).find(|word| !is_plain(word)) {
        None => Ok(()),
        Some(word) => Err(format!(
            "the kernel argument {word:?} cannot be given by iPXE, to which it means something else"
        )),
    }
}

fn words(spec: &MachineSpec) -> impl Iterator<Item = &str> {
    let all = [&spec.kernel_args, &spec.firstboot_kernel_args];
    all.into_iter()
        .flatten()
        .flat_map(|args| args.split_whitespace())
}

fn is_plain(word: &str) -> bool {
    !word.starts_with('#') && !word.contains("${") && !OPERATORS.contains(&word)
}

/// The script that boots the live system. `prefix`: what the distribution's own arguments begin with.
fn script(spec: &MachineSpec, boot_from: BootFrom, prefix: &str) -> String {
    let url = |path| format!("http://{}{path}", ServerNeeds::ADDRESS);
    let appended = boot_from == BootFrom::PxeRootfsAppended;
    // With UEFI it is the kernel that loads what iPXE has fetched, by these names.
    let mut args = vec![format!("initrd={}", Pxeboot::INITRAMFS)];
    if appended {
        args.push(format!("initrd={}", Pxeboot::ROOTFS));
    }
    args.push(KARGS.to_owned());
    if !appended {
        args.push(format!("{prefix}.live.rootfs_url={}", rootfs_url()));
    }
    if !spec.console_only {
        args.push(format!("ignition.config.url={}", url(CONFIG_PATH)));
    }
    args.extend(words(spec).map(str::to_owned));
    let mut lines = vec![
        "#!ipxe".to_owned(),
        format!("kernel {} {}", Pxeboot::KERNEL, args.join(" ")),
        format!("initrd {}", Pxeboot::INITRAMFS),
    ];
    if appended {
        lines.push(format!(
            "initrd --name {} {}",
            Pxeboot::ROOTFS,
            rootfs_url()
        ));
    }
    lines.push("boot\n".to_owned());
    lines.join("\n")
}

/// Prepares the network boot of a machine, if it is to have one: what the firmware gets, and what the machine's server has besides.
/// `work`: the run's directory.
pub async fn serve(
    common: &Common,
    spec: &MachineSpec,
    work: &Path,
    files: &Path,
    site: Option<&Site>,
    steps: &Steps,
) -> Result<Option<Netboot>, MachineError> {
    let Some(boot_from) = of(spec) else {
        return Ok(None);
    };
    let extracted = serve_rootfs(common, work, site, steps).await?;
    let prefix = common.profile.karg_prefix.as_deref().unwrap_or(PREFIX);
    let dir = files.join(TFTP);
    fs::create_dir(&dir).map_err(|error| file_error("create", &dir, &error))?;
    let path = dir.join(SCRIPT);
    fs::write(&path, script(spec, boot_from, prefix))
        .map_err(|error| file_error("write", &path, &error))?;
    for name in [Pxeboot::KERNEL, Pxeboot::INITRAMFS] {
        let path = dir.join(name);
        symlink(extracted.join(name), &path)
            .map_err(|error| file_error("create", &path, &error))?;
    }
    Ok(Some(Netboot {
        dir,
        file: SCRIPT.to_owned(),
    }))
}

/// Has the machine's server serve the ISO's root file system; returns the directory of what was taken out of the ISO.
pub async fn serve_rootfs<'a>(
    common: &'a Common,
    work: &Path,
    site: Option<&Site>,
    steps: &Steps,
) -> Result<&'a Path, MachineError> {
    let site = site.ok_or_else(|| {
        MachineError::Harness(
            "a machine fetches its root file system, and has no server".to_owned(),
        )
    })?;
    let extracted = common.pxe.get_or_try_init(|| extract(common, work));
    let extracted = steps.time("pxe", extracted).await?;
    let rootfs = extracted.join(Pxeboot::ROOTFS);
    site.put(ServerNeeds::ROOTFS_PATH, Content::File(rootfs));
    Ok(extracted)
}

/// Where the guest finds the root file system.
pub fn rootfs_url() -> String {
    format!(
        "http://{}{}",
        ServerNeeds::ADDRESS,
        ServerNeeds::ROOTFS_PATH
    )
}

/// Takes the files out of the ISO, once a run, to a new directory: an attempt that nobody waits for any more may still be at work.
async fn extract(common: &Common, work: &Path) -> Result<PathBuf, MachineError> {
    let iso = common.iso.clone().ok_or_else(crate::iso::no_iso)?;
    let shared = work.join(DIR);
    let extracting = tokio::task::spawn_blocking(move || {
        let fault = |why: String| {
            MachineError::Launch(format!(
                "cannot take what is booted over the network out of {}: {why}",
                iso.path.display()
            ))
        };
        let pxeboot = iso.pxeboot.clone().map_err(fault)?;
        let out = fs::create_dir_all(&shared)
            .and_then(|()| tempfile::tempdir_in(&shared))
            .map_err(|error| file_error("create", &shared, &error))?;
        check_room(&shared, pxeboot.size().div_ceil(1 << 20))?;
        kolea_iso::Iso::open(&iso.path)
            .and_then(|opened| pxeboot.extract(&opened, out.path()))
            .map_err(|error| fault(error.to_string()))?;
        Ok(out.keep())
    });
    extracting
        .await
        .map_err(|error| MachineError::Harness(error.to_string()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(boot_from: BootFrom) -> MachineSpec {
        MachineSpec {
            boot_from: Some(boot_from),
            kernel_args: Some("a=1  b".to_owned()),
            ..MachineSpec::default()
        }
    }

    #[test]
    fn the_initramfs_fetches_the_root_file_system() {
        let script = script(&spec(BootFrom::Pxe), BootFrom::Pxe, "nestos");
        assert_eq!(
            script,
            "#!ipxe\n\
             kernel vmlinuz initrd=initrd.img rd.neednet=1 ip=dhcp ignition.firstboot ignition.platform.id=metal \
             console=ttyS0,115200n8 nestos.live.rootfs_url=http://10.0.2.10/kolea/rootfs.img \
             ignition.config.url=http://10.0.2.10/kolea/config.ign a=1 b\n\
             initrd initrd.img\n\
             boot\n"
        );
    }

    #[test]
    fn an_appended_root_file_system_is_an_initramfs() {
        let mut spec = spec(BootFrom::PxeRootfsAppended);
        spec.console_only = true;
        let script = script(&spec, BootFrom::PxeRootfsAppended, "coreos");
        assert_eq!(
            script,
            "#!ipxe\n\
             kernel vmlinuz initrd=initrd.img initrd=rootfs.img rd.neednet=1 ip=dhcp ignition.firstboot \
             ignition.platform.id=metal console=ttyS0,115200n8 a=1 b\n\
             initrd initrd.img\n\
             initrd --name rootfs.img http://10.0.2.10/kolea/rootfs.img\n\
             boot\n"
        );
    }

    #[test]
    fn what_cannot_be_booted_is_told_before() {
        let iso = |pxeboot: Result<Pxeboot, String>| LiveIso::sample(pxeboot);
        let image = kolea_iso::sample::Sample::live("coreos").build();
        let found = Pxeboot::find(&kolea_iso::Iso::new(image).unwrap()).unwrap();
        let good = iso(Ok(found));
        let mut spec = spec(BootFrom::Pxe);
        assert_eq!(check(&spec, &good), Ok(()));
        let told = |spec: &MachineSpec, iso: &LiveIso| check(spec, iso).unwrap_err();
        let lacking = iso(Err("there is no file X in the image".to_owned()));
        assert_eq!(
            told(&spec, &lacking),
            "/l.iso cannot be booted over the network: there is no file X in the image"
        );
        for word in ["||", "#a", "a=${net0/ip}"] {
            spec.kernel_args = Some(format!("quiet {word}"));
            let error = told(&spec, &good);
            assert!(
                error.contains(&format!("{word:?} cannot be given")),
                "{error}"
            );
        }
        spec.kernel_args = None;
        spec.firmware = Firmware::UefiSecure;
        let error = told(&spec, &good);
        assert!(error.contains("signed for Secure Boot"), "{error}");
        spec.boot_from = Some(BootFrom::Iso);
        assert_eq!(check(&spec, &lacking), Ok(()));
    }
}
