use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::firmware::FlashFormat;

/// A descriptor: its file's name, code, variables, machine types, features.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const Q35: &[&str] = &["pc-q35-*"];
const PCS: &[&str] = &["pc-i440fx-*", "pc-q35-*"];
const VIRT: &[&str] = &["virt-*"];
const SECURE: &[&str] = &["acpi-s3", "requires-smm", "secure-boot", "verbose-dynamic"];
const ENROLLED: &[&str] = &[
    "acpi-s3",
    "enrolled-keys",
    "requires-smm",
    "secure-boot",
    "verbose-dynamic",
];
const PLAIN: &[&str] = &["acpi-s3", "amd-sev", "verbose-dynamic"];

/// Debian 12: packages ovmf and qemu-efi-aarch64 2022.11-6+deb12u2, as installed. Of the secure variants for aarch64 the code
/// of the second is missing.
const DEBIAN: &[Row] = &[
    (
        "40-edk2-aarch64-secure-enrolled.json",
        "/usr/share/AAVMF/AAVMF_CODE.ms.fd",
        "/usr/share/AAVMF/AAVMF_VARS.ms.fd",
        VIRT,
        &["enrolled-keys", "secure-boot", "verbose-static"],
    ),
    (
        "40-edk2-x86_64-secure-enrolled.json",
        "/usr/share/OVMF/OVMF_CODE_4M.ms.fd",
        "/usr/share/OVMF/OVMF_VARS_4M.ms.fd",
        Q35,
        ENROLLED,
    ),
    (
        "50-edk2-aarch64-secure.json",
        "!/usr/share/AAVMF/AAVMF_CODE.secboot.fd",
        "/usr/share/AAVMF/AAVMF_VARS.fd",
        VIRT,
        &["secure-boot", "verbose-static"],
    ),
    (
        "50-edk2-x86_64-secure.json",
        "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
        Q35,
        SECURE,
    ),
    (
        "60-edk2-aarch64.json",
        "/usr/share/AAVMF/AAVMF_CODE.fd",
        "/usr/share/AAVMF/AAVMF_VARS.fd",
        VIRT,
        &["verbose-static"],
    ),
    (
        "60-edk2-x86_64.json",
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
        PCS,
        PLAIN,
    ),
];

/// Fedora 43: packages edk2-ovmf and edk2-aarch64, by their spec file (file lists) and the descriptors in its sources.
const FEDORA: &[Row] = &[
    (
        "30-edk2-ovmf-4m-qcow2-x64-sb-enrolled.json",
        "/usr/share/edk2/ovmf/OVMF_CODE_4M.secboot.qcow2",
        "/usr/share/edk2/ovmf/OVMF_VARS_4M.secboot.qcow2",
        Q35,
        ENROLLED,
    ),
    (
        "31-edk2-ovmf-2m-raw-x64-sb-enrolled.json",
        "/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd",
        "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd",
        Q35,
        ENROLLED,
    ),
    (
        "40-edk2-ovmf-4m-qcow2-x64-sb.json",
        "/usr/share/edk2/ovmf/OVMF_CODE_4M.secboot.qcow2",
        "/usr/share/edk2/ovmf/OVMF_VARS_4M.qcow2",
        Q35,
        SECURE,
    ),
    (
        "50-edk2-aarch64-qcow2.json",
        "/usr/share/edk2/aarch64/QEMU_EFI-silent-pflash.qcow2",
        "/usr/share/edk2/aarch64/vars-template-pflash.qcow2",
        VIRT,
        &[],
    ),
    (
        "50-edk2-ovmf-4m-qcow2-x64-nosb.json",
        "/usr/share/edk2/ovmf/OVMF_CODE_4M.qcow2",
        "/usr/share/edk2/ovmf/OVMF_VARS_4M.qcow2",
        PCS,
        &["acpi-s3", "amd-sev", "amd-sev-es", "verbose-dynamic"],
    ),
    (
        "51-edk2-aarch64-raw.json",
        "/usr/share/edk2/aarch64/QEMU_EFI-silent-pflash.raw",
        "/usr/share/edk2/aarch64/vars-template-pflash.raw",
        VIRT,
        &[],
    ),
    // Stateless, for confidential machines.
    (
        "61-edk2-ovmf-x64-amdsev.json",
        "/usr/share/edk2/ovmf/OVMF.amdsev.fd",
        "",
        Q35,
        &["amd-sev", "amd-sev-es", "amd-sev-snp", "verbose-dynamic"],
    ),
];

/// A distribution that builds OVMF with Secure Boot only, and has machine types of its own.
const ONLY_SECURE: &[Row] = &[
    (
        "40-edk2-ovmf-sb.json",
        "/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd",
        "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd",
        &["pc-q35-rhel*"],
        ENROLLED,
    ),
    (
        "50-edk2-ovmf.json",
        "/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd",
        "/usr/share/edk2/ovmf/OVMF_VARS.fd",
        &["pc-q35-rhel*"],
        SECURE,
    ),
];

/// openEuler 20.03 to 24.03: packages edk2-ovmf and edk2-aarch64 as its virtualisation guide and StratoVirt's describe them. They
/// name these files, and no descriptors.
const OPENEULER: &[&str] = &[
    "/usr/share/edk2/ovmf/OVMF_CODE.fd",
    "/usr/share/edk2/ovmf/OVMF_VARS.fd",
    "/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw",
    "/usr/share/edk2/aarch64/vars-template-pflash.raw",
];

fn format(path: &str) -> &'static str {
    if path.ends_with(".qcow2") {
        "qcow2"
    } else {
        "raw"
    }
}

fn descriptor((name, code, vars, machines, features): Row) -> Value {
    let code = code.trim_start_matches('!');
    let mut mapping = json!({
        "device": "flash",
        "executable": { "filename": code, "format": format(code) },
    });
    if vars.is_empty() {
        mapping["mode"] = "stateless".into();
    } else {
        mapping["nvram-template"] = json!({ "filename": vars, "format": format(vars) });
    }
    let arch = if name.contains("aarch64") {
        "aarch64"
    } else {
        "x86_64"
    };
    json!({
        "description": name,
        "interface-types": ["uefi"],
        "mapping": mapping,
        "targets": [{ "architecture": arch, "machines": machines }],
        "features": features,
        "tags": [],
    })
}

/// A host with other files than this one.
struct Host(TempDir);

impl Host {
    fn new(rows: &[Row]) -> Host {
        let host = Host(tempfile::tempdir().unwrap());
        for row in rows {
            host.write("usr/share", row.0, &descriptor(*row).to_string());
            for file in [row.1, row.2] {
                // Those with a mark are not there.
                if file.starts_with('/') {
                    host.touch(file);
                }
            }
        }
        host
    }

    fn dir(&self, parent: &str) -> PathBuf {
        self.0.path().join(parent).join("qemu/firmware")
    }

    /// A descriptor in `usr/share`, `etc` or `home`.
    fn write(&self, parent: &str, name: &str, text: &str) {
        fs::create_dir_all(self.dir(parent)).unwrap();
        fs::write(self.dir(parent).join(name), text).unwrap();
    }

    fn touch(&self, file: &str) {
        let path = self.0.path().join(&file[1..]);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    fn search(&self, arch: Arch, machine: &str) -> Search {
        let directories = ["usr/share", "etc", "home"].map(|parent| self.dir(parent));
        Search::within(arch, machine, directories.into(), self.0.path().into())
    }

    /// What is found without and with Secure Boot: `CODE + VARS`, and whether it needs system management mode.
    fn finds(&self, arch: Arch, machine: &str) -> [Option<(String, bool)>; 2] {
        let search = self.search(arch, machine);
        [false, true].map(|secure| {
            let uefi = search.find(secure).ok()?;
            let name = |flash: &crate::firmware::Flash| {
                let name = flash.path.file_name().unwrap().to_string_lossy();
                let as_named = format(&name) == flash.format.name();
                assert!(as_named, "{flash:?}");
                name.into_owned()
            };
            let code = uefi.code.as_ref().map(name).unwrap_or_default();
            Some((format!("{code} + {}", name(&uefi.vars)), uefi.smm))
        })
    }
}

fn found(files: &str, smm: bool) -> Option<(String, bool)> {
    Some((files.to_owned(), smm))
}

#[test]
fn debian_has_all_of_it() {
    let host = Host::new(DEBIAN);
    assert_eq!(
        host.finds(Arch::X86_64, "pc-q35-10.0"),
        [
            found("OVMF_CODE_4M.fd + OVMF_VARS_4M.fd", false),
            found("OVMF_CODE_4M.ms.fd + OVMF_VARS_4M.ms.fd", true),
        ]
    );
    assert_eq!(
        host.finds(Arch::Aarch64, "virt-10.0"),
        [
            found("AAVMF_CODE.fd + AAVMF_VARS.fd", false),
            found("AAVMF_CODE.ms.fd + AAVMF_VARS.ms.fd", false),
        ]
    );
}

#[test]
fn fedora_has_it_as_qcow2() {
    let host = Host::new(FEDORA);
    assert_eq!(
        host.finds(Arch::X86_64, "pc-q35-10.1"),
        [
            found("OVMF_CODE_4M.qcow2 + OVMF_VARS_4M.qcow2", false),
            found(
                "OVMF_CODE_4M.secboot.qcow2 + OVMF_VARS_4M.secboot.qcow2",
                true
            ),
        ]
    );
    assert_eq!(
        host.finds(Arch::Aarch64, "virt-10.1"),
        [
            found(
                "QEMU_EFI-silent-pflash.qcow2 + vars-template-pflash.qcow2",
                false
            ),
            None
        ]
    );
}

#[test]
fn a_build_with_secure_boot_does_without_keys() {
    let host = Host::new(ONLY_SECURE);
    let both = [
        found("OVMF_CODE.secboot.fd + OVMF_VARS.fd", true),
        found("OVMF_CODE.secboot.fd + OVMF_VARS.secboot.fd", true),
    ];
    assert_eq!(host.finds(Arch::X86_64, "pc-q35-rhel9.0.0"), both);
    // When QEMU has not been asked for its types.
    assert_eq!(host.finds(Arch::X86_64, "pc-q35-"), both);
    assert_eq!(host.finds(Arch::X86_64, "pc-q35-10.0"), [None, None]);
}

#[test]
fn openeuler_has_no_descriptors() {
    let host = Host::new(&[]);
    for file in OPENEULER {
        host.touch(file);
    }
    assert_eq!(
        host.finds(Arch::X86_64, "pc-q35-8.2"),
        [found("OVMF_CODE.fd + OVMF_VARS.fd", false), None]
    );
    assert_eq!(
        host.finds(Arch::Aarch64, "virt-8.2"),
        [
            found("QEMU_EFI-pflash.raw + vars-template-pflash.raw", false),
            None
        ]
    );
    // An administrator who adds one, as Kata Containers' guide tells to on aarch64.
    let own = (
        "edk2-aarch64.json",
        OPENEULER[2],
        OPENEULER[3],
        VIRT,
        &[][..],
    );
    host.write("etc", own.0, &descriptor(own).to_string());
    let [plain, secure] = host.finds(Arch::Aarch64, "virt-8.2");
    assert!(plain.is_some() && secure.is_none());
}

#[test]
fn files_of_the_user_and_the_administrator_hide_the_distributions() {
    let host = Host::new(DEBIAN);
    let name = "60-edk2-x86_64.json";
    let variant = |code: &'static str| {
        host.touch(code);
        let row: Row = (name, code, "/usr/share/OVMF/OVMF_VARS_4M.fd", PCS, PLAIN);
        descriptor(row).to_string()
    };
    let code = |host: &Host| {
        let uefi = host.search(Arch::X86_64, "pc-q35-10.0").find(false);
        uefi.unwrap().code.unwrap().path
    };
    host.write("etc", name, &variant("/opt/administrators.fd"));
    assert_eq!(code(&host), Path::new("/opt/administrators.fd"));
    host.write("home", name, &variant("/opt/users.fd"));
    assert_eq!(code(&host), Path::new("/opt/users.fd"));
    // An empty one hides what is there; then the build without keys has to do.
    host.write("home", name, "");
    let [plain, _] = host.finds(Arch::X86_64, "pc-q35-10.0");
    assert_eq!(
        plain,
        found("OVMF_CODE_4M.secboot.fd + OVMF_VARS_4M.fd", true)
    );
    // Order is by name, whatever the directory; other files, and what cannot be read, do not count.
    host.write("etc", "10-first.json", &variant("/opt/first.fd"));
    host.write("etc", "00-broken.json", "{");
    host.write("etc", "00-readme.txt", "{");
    assert_eq!(code(&host), Path::new("/opt/first.fd"));
    // Descriptors of one architecture say nothing about another.
    fs::remove_dir_all(host.dir("usr/share")).unwrap();
    assert!(host.search(Arch::Aarch64, "virt-10.0").find(false).is_ok());
}

#[test]
fn variables_may_be_in_one_image_with_the_code() {
    let host = Host::new(&[]);
    host.touch("/opt/all.fd");
    let mut value = descriptor(("x.json", "/opt/all.fd", "", Q35, PLAIN));
    // Not a mode that a machine's variables survive in.
    host.write("etc", "x.json", &value.to_string());
    let find = |host: &Host| host.search(Arch::X86_64, "pc-q35-10.0").find(false);
    assert!(find(&host).is_err());
    for mode in ["split", "of the future"] {
        value["mapping"]["mode"] = mode.into();
        host.write("etc", "x.json", &value.to_string());
        assert!(find(&host).is_err(), "{mode}");
    }
    value["mapping"]["mode"] = "combined".into();
    host.write("etc", "x.json", &value.to_string());
    let uefi = find(&host).unwrap();
    assert_eq!(uefi.code, None);
    assert_eq!(uefi.vars.path, Path::new("/opt/all.fd"));
    assert_eq!(uefi.vars.format, FlashFormat::Raw);
    // QEMU 10.1 keeps variables itself.
    value["mapping"] = json!({ "device": "memory", "filename": "/opt/all.fd" });
    host.write("etc", "x.json", &value.to_string());
    assert!(find(&host).is_err());
}

#[test]
fn what_was_looked_for_is_told() {
    let bare = Host::new(&[]);
    let why = bare
        .search(Arch::X86_64, "pc-q35-10.0")
        .find(false)
        .unwrap_err();
    let root = bare.0.path().display();
    assert_eq!(
        why,
        format!(
            "this host has no UEFI firmware for x86_64 machines of type pc-q35-10.0 (no descriptor of any in \
             {root}/usr/share/qemu/firmware, {root}/etc/qemu/firmware, {root}/home/qemu/firmware, nor files where \
             distributions put them); install the package ovmf (Debian) or edk2-ovmf (Fedora, openEuler)"
        )
    );
    let host = Host::new(&FEDORA[3..4]);
    let why = host.search(Arch::Aarch64, "virt-").find(true).unwrap_err();
    assert!(
        why.contains("no UEFI firmware that enforces Secure Boot for aarch64 machines of type virt-* (no descriptor of one with secure-boot and enrolled-keys in "),
        "{why}"
    );
}
