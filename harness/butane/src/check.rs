//! Butane's own rules, which come before the translation (`Validate` of `base/v*` and `config/*`).

use crate::embedded;
use crate::field::{Kind, Struct};
use crate::mode;
use crate::notes::Notes;
use crate::openshift;
use crate::schema::{CONFIG_RESOURCE, DIRECTORY, DROPIN, FILE, FILESYSTEM, RESOURCE, TREE, UNIT};
use crate::spec::{Spec, Variant};
use crate::tree::{Data, Tree};

/// The boot disk, whatever its name in `/dev` is.
const BOOT_DISK: &str = "/dev/disk/by-id/coreos-boot-disk";

/// Checks a config that has been read.
pub(crate) fn check(config: &Tree, spec: Spec, notes: &mut Notes) {
    walk(config, spec.root(), spec, notes);
    if spec.is_coreos() {
        if let Some(device) = config.get("boot_device") {
            boot_device(device, spec, notes);
        }
        for user in config.list_at(&["grub", "users"]) {
            for key in ["name", "password_hash"] {
                if user.filled(key).is_none() {
                    notes.error(&user.place_of(key), format!("`{key}` is required"));
                }
            }
        }
        let strict = match spec.variant {
            Variant::Openshift => spec.is_since(4, 14),
            _ => spec.level >= 6,
        };
        if strict {
            disks_and_mounts(config, notes);
        }
    }
    if spec.variant == Variant::Openshift {
        openshift::check(config, spec, notes);
    }
    embedded_configs(config, spec, notes);
}

fn walk(tree: &Tree, kind: &'static Struct, spec: Spec, notes: &mut Notes) {
    if kind.is(&RESOURCE) || kind.is(&CONFIG_RESOURCE) {
        one_source(tree, notes);
    } else if kind.is(&FILESYSTEM) {
        mount_unit(tree, spec, notes);
    } else if kind.is(&FILE) || kind.is(&DIRECTORY) {
        decimal_mode(tree, kind.is(&DIRECTORY), notes);
    } else if kind.is(&TREE) {
        if tree.filled("local").is_none() {
            notes.error(
                &tree.place,
                "a tree needs `local`, the directory it comes from",
            );
        }
    } else if (kind.is(&UNIT) || kind.is(&DROPIN))
        && tree.get("contents").is_some()
        && let Some(local) = tree.get("contents_local")
    {
        notes.error(
            &local.place,
            "either `contents` or `contents_local`, not both",
        );
    }
    for field in kind.fields {
        let key = if field.json.is_empty() {
            field.yaml
        } else {
            field.json
        };
        let Some(value) = tree.get(key) else {
            continue;
        };
        match (field.kind, &value.data) {
            (Kind::One(kind), _) => walk(value, kind, spec, notes),
            (Kind::Many(kind), Data::List(items)) => {
                for item in items {
                    walk(item, kind, spec, notes);
                }
            }
            _ => {}
        }
    }
}

fn one_source(resource: &Tree, notes: &mut Notes) {
    let said: Vec<_> = ["local", "inline", "source"]
        .into_iter()
        .filter_map(|key| resource.get(key))
        .collect();
    if let [_, .., last] = said[..] {
        notes.error(
            &last.place,
            "only one of `inline`, `local` and `source` can say what the contents are",
        );
    }
}

fn mount_unit(filesystem: &Tree, spec: Spec, notes: &mut Notes) {
    if !filesystem.is_true("with_mount_unit") {
        return;
    }
    let format = filesystem.filled("format");
    let path = filesystem.filled("path");
    if format.is_none() {
        notes.error(
            &filesystem.place_of("format"),
            "`with_mount_unit` needs `format`",
        );
    }
    let swaps = spec.level >= 4 && format == Some("swap");
    if path.is_none() && !swaps && (format.is_some() || spec.level < 4) {
        notes.error(
            &filesystem.place_of("path"),
            "`with_mount_unit` needs `path`, where to mount the filesystem",
        );
    }
}

fn decimal_mode(node: &Tree, directory: bool, notes: &mut Notes) {
    if let Some(mode) = node.int("mode")
        && let Some(octal) = mode::meant_as_octal(mode, directory)
    {
        notes.warn(
            &node.place_of("mode"),
            format!(
                "mode {mode} is decimal, which is 0{mode:o}: did you mean octal, 0{octal:o}? It needs a leading zero"
            ),
        );
    }
}

fn boot_device(device: &Tree, spec: Spec, notes: &mut Notes) {
    let s390x = ["s390x-eckd", "s390x-virt", "s390x-zfcp"];
    let layout = device.text("layout");
    let mirrors = device.list_at(&["mirror", "devices"]);
    let luks = device.get("luks");
    let own_device = luks.and_then(|luks| luks.filled("device"));
    let place = device.place_of("layout");
    let mut layouts = vec!["aarch64", "ppc64le"];
    if spec.level >= 6 {
        layouts.extend(s390x);
    }
    layouts.push("x86_64");
    if layout.is_none() && !mirrors.is_empty() && spec.has_later_rules() {
        let place = device.place_of("mirror");
        let message = "a mirror needs `layout`, the architecture of the machine";
        if spec.level >= 7 {
            notes.error(&place, message);
        } else {
            notes.warn(&place, format!("{message}: without it that is x86_64"));
        }
    }
    if spec.level >= 7
        && own_device.is_some()
        && let Some(luks) = luks
        && !opens(luks)
    {
        notes.error(
            &luks.place,
            "`luks.device` is encrypted by nothing: say `tpm2`, `tang` or `cex`",
        );
    }
    if let Some(layout) = layout {
        if !layouts.contains(&layout) {
            let message = format!(
                "layout `{layout}` is not known: there are {}",
                layouts.join(", ")
            );
            notes.error(&place, message);
        }
        let prefix = match layout {
            "s390x-eckd" => Some("/dev/dasd"),
            "s390x-zfcp" => Some("/dev/sd"),
            _ => None,
        };
        if let Some(prefix) = prefix.filter(|_| spec.level >= 6) {
            match own_device {
                None => notes.error(
                    &place,
                    format!("layout `{layout}` needs `luks.device`, the disk"),
                ),
                Some(device) if !is_whole_disk(device, prefix) => notes.error(
                    &place,
                    format!(
                        "layout `{layout}` needs a `luks.device` such as {prefix}a, not {device}"
                    ),
                ),
                Some(_) => {}
            }
        }
        if s390x.contains(&layout) && !mirrors.is_empty() {
            notes.error(&place, format!("layout `{layout}` cannot be mirrored"));
        }
    }
    if let Some(luks) = luks
        && luks.get("cex").is_some_and(|cex| cex.is_true("enabled"))
    {
        if !layout.is_some_and(|layout| layout.starts_with("s390x")) {
            let place = match layout {
                Some(_) => place,
                None => luks.place_of("cex"),
            };
            notes.error(&place, "`cex` needs a layout of s390x");
        }
        if luks.is_true("tpm2") || !luks.list("tang").is_empty() {
            notes.error(
                &luks.place,
                "`cex` does not go together with `tang` or `tpm2`",
            );
        }
    }
    if let [_] = mirrors {
        let place = device
            .at(&["mirror", "devices"])
            .map_or(&device.place, |devices| &devices.place);
        notes.error(place, "a mirror needs at least two devices");
    }
}

/// Whether anything opens the encrypted root filesystem. An empty entry of `tang` does not.
fn opens(luks: &Tree) -> bool {
    let says = |tang: &Tree| {
        ["advertisement", "thumbprint"]
            .iter()
            .any(|key| tang.get(key).is_some())
            || tang.filled("url").is_some()
    };
    luks.is_true("tpm2")
        || luks.get("cex").is_some_and(|cex| cex.is_true("enabled"))
        || luks.list("tang").iter().any(says)
}

/// `/dev/sda`: the prefix at some place, one letter and the end.
fn is_whole_disk(device: &str, prefix: &str) -> bool {
    device.match_indices(prefix).any(|(at, _)| {
        let rest = &device[at + prefix.len()..];
        rest.len() == 1 && rest.bytes().all(|byte| byte.is_ascii_lowercase())
    })
}

/// Partitions that cannot be found again, and mount points below which a unit of their own would be too late.
fn disks_and_mounts(config: &Tree, notes: &mut Notes) {
    let mirrors = config.list_at(&["boot_device", "mirror", "devices"]);
    for disk in config.list_at(&["storage", "disks"]) {
        let device = disk.text("device");
        // the translation wipes the disks of the mirror
        let is_mirror = mirrors.iter().any(|mirror| mirror.as_text() == device);
        if device == Some(BOOT_DISK) || is_mirror || disk.is_true("wipeTable") {
            continue;
        }
        for partition in disk.list("partitions") {
            if partition.int("number").unwrap_or(0) == 0 && partition.get("label").is_some() {
                notes.warn(
                    &partition.place_of("number"),
                    format!(
                        "a partition is not found by its label: say its `number`, unless `wipe_table` is true or the disk is {BOOT_DISK}"
                    ),
                );
            }
        }
    }
    for filesystem in config.list_at(&["storage", "filesystems"]) {
        let path = filesystem.text("path");
        let allowed = |path: &str| {
            ["/etc", "/var"].iter().any(|top| {
                path.strip_prefix(top)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        };
        if filesystem.is_true("with_mount_unit") && path.is_some_and(|path| !allowed(path)) {
            notes.error(
                &filesystem.place_of("path"),
                "a filesystem with `with_mount_unit` can only be mounted below /etc or /var",
            );
        }
    }
}

/// Ignition configs inside of this one.
fn embedded_configs(config: &Tree, spec: Spec, notes: &mut Notes) {
    if !spec.has_later_rules() {
        return;
    }
    let Some(configs) = config.at(&["ignition", "config"]) else {
        return;
    };
    let resources = configs.list("merge").iter().chain(configs.get("replace"));
    for inline in resources.filter_map(|resource| resource.get("inline")) {
        let text = inline.as_text().unwrap_or_default();
        embedded::check(text, &inline.place, spec, notes);
    }
}
