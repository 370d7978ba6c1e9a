//! Names that mean nothing: platforms, architectures, distributions, tags.

use kolea_model::{Restriction, TestCase};

use crate::closest::{closest, distance};
use crate::metadata::foreign_architecture;
use crate::schema::{KEYS, SPECIAL_TAGS, Scope};

const PLATFORMS: [&str; 9] = [
    "aws",
    "azure",
    "do",
    "esx",
    "gcp",
    "openstack",
    "packet",
    "qemu",
    "qemu-iso",
];
const ARCHITECTURES: [&str; 6] = [
    "aarch64",
    "loongarch64",
    "ppc64le",
    "riscv64",
    "s390x",
    "x86_64",
];
const DISTROS: [&str; 6] = ["fcos", "flatcar", "generic", "nestos", "rhcos", "scos"];

/// The first line that has `word` in it, counted from 1.
pub(super) fn line_of(text: &str, word: &str) -> Option<usize> {
    let index = text.lines().position(|line| line.contains(word))?;
    Some(index + 1)
}

/// Lines and warnings.
pub(super) fn check(test: &TestCase, text: &str) -> Vec<(Option<usize>, String)> {
    let mut found = Vec::new();
    for (key, restriction, known) in [
        ("platforms", &test.platforms, PLATFORMS.as_slice()),
        ("architectures", &test.architectures, &ARCHITECTURES),
        ("distros", &test.distros, &DISTROS),
    ] {
        // that has its own words already
        if key == "architectures" && foreign_architecture(restriction).is_some() {
            continue;
        }
        for name in restriction.include.iter().chain(&restriction.exclude) {
            if !known.contains(&name.as_str()) {
                found.push((line_of(text, key), unknown(key, name, known)));
            }
        }
    }
    for tag in &test.tags {
        let spelled = tag.replace('_', "-").to_lowercase();
        let special = SPECIAL_TAGS.iter().find(|special| {
            **special != tag && (distance(special, &spelled) <= 2 || **special == spelled)
        });
        if let Some(special) = special {
            let message = format!("the tag `{tag}` has no effect: did you mean `{special}`?");
            found.push((line_of(text, tag), message));
        }
    }
    found.extend(qemu_only(test, text));
    found
}

fn unknown(key: &str, name: &str, known: &[&str]) -> String {
    match closest(name, known.iter().copied(), 1).first() {
        Some(close) => format!("`{key}`: `{name}` is not known: did you mean `{close}`?"),
        None => format!("`{key}`: `{name}` is not known: {} are", known.join(", ")),
    }
}

/// In a cloud, kola fails a test that asks for what only QEMU has, instead of leaving it out.
fn qemu_only(test: &TestCase, text: &str) -> Option<(Option<usize>, String)> {
    let elsewhere = |restriction: &Restriction| {
        PLATFORMS
            .iter()
            .any(|name| !name.starts_with("qemu") && restriction.allows(name))
    };
    if !elsewhere(&test.platforms) {
        return None;
    }
    let needs = &test.needs;
    let asked = |name: &str| match name {
        // Google's cloud has local disks
        "additionalDisks" => false,
        "additionalNics" => needs.additional_nics > 0,
        "appendFirstbootKernelArgs" => needs.firstboot_kernel_args.is_some(),
        "appendKernelArgs" => needs.kernel_args.is_some(),
        "bindMountHostRO" => !needs.mounts.is_empty(),
        "bootFrom" => needs.boot_from.is_some(),
        "numaNodes" => needs.numa,
        "primaryDisk" => needs.primary_disk.is_some(),
        _ => false,
    };
    let mut keys = KEYS.iter().filter(|key| key.scope == Scope::Qemu);
    let key = keys.find(|key| asked(key.name))?.name;
    let message =
        format!("only QEMU has `{key}`, and in a cloud kola fails the test: add `platforms: qemu`");
    Some((line_of(text, key), message))
}
