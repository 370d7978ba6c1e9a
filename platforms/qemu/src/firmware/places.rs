//! Where distributions put UEFI firmware, for hosts without descriptors of it.

use std::path::PathBuf;

use super::{Flash, FlashFormat, Uefi};
use crate::arch::Arch;

/// Code, and the template of variables.
type Place = (&'static str, &'static str);

/// OVMF: Debian and Ubuntu; Fedora and openEuler; openSUSE; Arch.
const OVMF: [Place; 4] = [
    (
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
    ),
    (
        "/usr/share/edk2/ovmf/OVMF_CODE.fd",
        "/usr/share/edk2/ovmf/OVMF_VARS.fd",
    ),
    (
        "/usr/share/qemu/ovmf-x86_64-code.bin",
        "/usr/share/qemu/ovmf-x86_64-vars.bin",
    ),
    (
        "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
        "/usr/share/edk2/x64/OVMF_VARS.4m.fd",
    ),
];

/// OVMF with Secure Boot, which needs system management mode, and Microsoft's keys: Debian and Ubuntu; Fedora (kola's).
const OVMF_SECURE: [Place; 2] = [
    (
        "/usr/share/OVMF/OVMF_CODE_4M.ms.fd",
        "/usr/share/OVMF/OVMF_VARS_4M.ms.fd",
    ),
    (
        "/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd",
        "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd",
    ),
];

/// AAVMF: Debian and Ubuntu; Fedora; openEuler; openSUSE.
const AAVMF: [Place; 4] = [
    (
        "/usr/share/AAVMF/AAVMF_CODE.fd",
        "/usr/share/AAVMF/AAVMF_VARS.fd",
    ),
    (
        "/usr/share/edk2/aarch64/QEMU_EFI-silent-pflash.raw",
        "/usr/share/edk2/aarch64/vars-template-pflash.raw",
    ),
    (
        "/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw",
        "/usr/share/edk2/aarch64/vars-template-pflash.raw",
    ),
    (
        "/usr/share/qemu/aavmf-aarch64-code.bin",
        "/usr/share/qemu/aavmf-aarch64-vars.bin",
    ),
];

/// What may be there, best first.
pub fn candidates(arch: Arch, secure: bool) -> impl Iterator<Item = Uefi> {
    let places: &[Place] = match (arch, secure) {
        (Arch::X86_64, false) => &OVMF,
        (Arch::X86_64, true) => &OVMF_SECURE,
        (Arch::Aarch64, false) => &AAVMF,
        (Arch::Aarch64 | Arch::Ppc64le | Arch::S390x, _) => &[],
    };
    let flash = |path| Flash {
        path: PathBuf::from(path),
        format: FlashFormat::Raw,
    };
    places.iter().map(move |&(code, vars)| Uefi {
        code: Some(flash(code)),
        vars: flash(vars),
        smm: secure,
    })
}

/// The packages that bring it, by distributions. Those of openEuler have no keys for Secure Boot.
pub fn packages(arch: Arch, secure: bool) -> &'static str {
    match (arch, secure) {
        (Arch::X86_64, false) => "ovmf (Debian) or edk2-ovmf (Fedora, openEuler)",
        (Arch::X86_64, true) => "ovmf (Debian) or edk2-ovmf (Fedora)",
        (Arch::Aarch64, false) => "qemu-efi-aarch64 (Debian) or edk2-aarch64 (Fedora, openEuler)",
        (Arch::Aarch64, true) => "qemu-efi-aarch64 (Debian)",
        (Arch::Ppc64le | Arch::S390x, _) => "of a UEFI firmware, if there is any",
    }
}
