//! What an OpenShift config may and may not say when it is made into plain Ignition (`butane --raw`).
//!
//! The rules are those of OpenShift's machine config operator, which Butane holds every such config to.

use crate::notes::Notes;
use crate::spec::{Spec, Variant};
use crate::tree::{Data, Place, Tree};

const ROLE_LABEL: &str = "machineconfiguration.openshift.io/role";
const CEX_ARGUMENT: &str = "rd.luks.key=/etc/luks/cex.key";
const CIPHER_OPTION: &str = "--cipher";
/// FIPS 140-2 does not allow the default cipher.
const FIPS_CIPHER: &str = "aes-cbc-essiv:sha256";

/// Checks the parts that are OpenShift's own.
pub(crate) fn check(config: &Tree, spec: Spec, notes: &mut Notes) {
    let root = &config.place;
    let metadata = config.get("metadata");
    let place = metadata.map_or_else(|| root.below("metadata"), |found| found.place.clone());
    if metadata
        .and_then(|metadata| metadata.filled("name"))
        .is_none()
    {
        notes.error(&place.below("name"), "`metadata.name` is required");
    }
    let labels = metadata.and_then(|metadata| metadata.get("labels"));
    let role = match labels.map(|labels| &labels.data) {
        Some(Data::Labels(labels)) => labels
            .iter()
            .find(|(name, _)| name == ROLE_LABEL)
            .and_then(|(_, role)| role.as_text()),
        _ => None,
    };
    if role.unwrap_or_default().is_empty() {
        let place = labels.map_or_else(|| place.below("labels"), |labels| labels.place.clone());
        notes.error(&place, format!("the label `{ROLE_LABEL}` is required"));
    }
    let openshift = config.get("openshift");
    if let Some(openshift) = openshift {
        let kernel = openshift.text("kernel_type").unwrap_or_default();
        if !["", "default", "realtime"].contains(&kernel) {
            notes.error(
                &openshift.place_of("kernel_type"),
                format!("kernel type `{kernel}` is not known: there are `default` and `realtime`"),
            );
        }
    }
    if let Some(grub) = config.get("grub").filter(|grub| !grub.is_empty()) {
        // it would be appended to a file, which the operator does not do
        unsupported(&grub.place, "grub", spec, notes);
    }
    let cex = |tree: &Tree| tree.at(&["cex", "enabled"]).is_some_and(is_true);
    let uses_cex = config.at(&["boot_device", "luks"]).is_some_and(cex)
        || config
            .list_at(&["storage", "luks"])
            .iter()
            .any(|volume| volume.text("name") == Some("root") && cex(volume));
    let says_argument = openshift
        .map_or(&[][..], |openshift| openshift.list("kernel_arguments"))
        .iter()
        .any(|argument| argument.as_text() == Some(CEX_ARGUMENT));
    if uses_cex && !says_argument {
        let place = openshift.map_or_else(|| root.below("openshift"), |found| found.place.clone());
        notes.error(
            &place.below("kernel_arguments"),
            format!("a root volume with `cex` needs the kernel argument `{CEX_ARGUMENT}`"),
        );
    }
}

fn is_true(tree: &Tree) -> bool {
    matches!(tree.data, Data::Bool(true))
}

/// Applies the `openshift` section as far as Ignition can express it and warns about the rest, as Butane does.
pub(crate) fn apply(openshift: &Tree, config: &mut Tree, spec: Spec, notes: &mut Notes) {
    if openshift.is_true("fips") && !spec.is_since(4, 20) {
        use_fips_cipher(config, &openshift.place_of("fips"));
    }
    for key in ["extensions", "fips", "kernel_arguments", "kernel_type"] {
        let Some(value) = openshift.get(key) else {
            continue;
        };
        if !value.is_empty() {
            notes.warn(
                &value.place,
                format!("`openshift.{key}` goes into a MachineConfig, not into Ignition: here it does nothing"),
            );
        }
    }
}

fn use_fips_cipher(config: &mut Tree, place: &Place) {
    let Some(Tree {
        data: Data::List(volumes),
        ..
    }) = config
        .get_mut("storage")
        .and_then(|storage| storage.get_mut("luks"))
    else {
        return;
    };
    for volume in volumes {
        let says_cipher = volume
            .list("options")
            .iter()
            .filter_map(Tree::as_text)
            .any(|option| {
                option == "-c" || option == CIPHER_OPTION || option.starts_with("--cipher=")
            });
        if says_cipher {
            continue;
        }
        if let Some(Tree {
            data: Data::List(options),
            ..
        }) = volume.get_or("options", || Data::List(Vec::new()))
        {
            options.push(Tree::text_of(CIPHER_OPTION, place));
            options.push(Tree::text_of(FIPS_CIPHER, place));
        }
    }
}

/// Refuses what a variant does not support, in the finished config.
pub(crate) fn check_support(config: &Tree, spec: Spec, notes: &mut Notes) {
    match spec.variant {
        Variant::Fcos | Variant::Nestos => {}
        Variant::Flatcar => {
            for volume in config.list_at(&["storage", "luks"]) {
                refuse(volume, "clevis", spec, notes);
            }
        }
        Variant::R4e | Variant::Fiot => {
            refuse(config, "kernelArguments", spec, notes);
            if let Some(storage) = config.get("storage") {
                for key in ["disks", "filesystems", "luks", "raid"] {
                    refuse(storage, key, spec, notes);
                }
            }
        }
        Variant::Openshift => check_operator(config, spec, notes),
    }
}

fn refuse(holder: &Tree, key: &str, spec: Spec, notes: &mut Notes) {
    if let Some(value) = holder.get(key).filter(|value| !value.is_empty()) {
        unsupported(&value.place, key, spec, notes);
    }
}

fn unsupported(place: &Place, what: &str, spec: Spec, notes: &mut Notes) {
    notes.error(
        place,
        format!(
            "`{}` is not supported by {} {}",
            crate::tree::snake(what),
            spec.variant.name(),
            spec.version()
        ),
    );
}

/// What the machine config operator would not take.
fn check_operator(config: &Tree, spec: Spec, notes: &mut Notes) {
    refuse(config, "kernelArguments", spec, notes);
    if let Some(passwd) = config.get("passwd") {
        refuse(passwd, "groups", spec, notes);
    }
    for user in config.list_at(&["passwd", "users"]) {
        if user.text("name") != Some("core") {
            notes.error(
                &user.place_of("name"),
                "an OpenShift config can only change the user `core`",
            );
        }
        let Data::Map(pairs) = &user.data else {
            continue;
        };
        for (key, value) in pairs {
            let known = match *key {
                "name" | "sshAuthorizedKeys" => true,
                "passwordHash" => spec.is_since(4, 13),
                _ => value.is_empty(),
            };
            if !known {
                unsupported(&value.place, key, spec, notes);
            }
        }
    }
    let Some(storage) = config.get("storage") else {
        return;
    };
    refuse(storage, "directories", spec, notes);
    refuse(storage, "links", spec, notes);
    for filesystem in storage.list("filesystems") {
        let format = filesystem.text("format").unwrap_or_default();
        if format == "btrfs" || format == "none" {
            notes.error(
                &filesystem.place_of("format"),
                format!(
                    "format `{format}` is not supported by openshift {}",
                    spec.version()
                ),
            );
        }
    }
    for file in storage.list("files") {
        refuse(file, "append", spec, notes);
        if let Some(contents) = file.get("contents") {
            refuse(contents, "httpHeaders", spec, notes);
            if !spec.compresses() && contents.filled("compression").is_some() {
                unsupported(
                    &contents.place_of("compression"),
                    "compression",
                    spec,
                    notes,
                );
            }
            if let Some(source) = contents.text("source")
                && crate::url::scheme(source).as_deref() != Some("data")
            {
                notes.error(
                    &contents.place_of("source"),
                    "an OpenShift config can only have `data:` URLs here: use `inline` or `local`",
                );
            }
        }
        if file.int("mode").is_some_and(|mode| mode & !0o777 != 0) && spec.is_since(4, 10) {
            notes.error(
                &file.place_of("mode"),
                "setuid, setgid and sticky bits are not supported by OpenShift",
            );
        }
    }
}
