//! Ignition's rules for the `storage` section.

use std::collections::HashSet;

use crate::ignition::resource;
use crate::notes::Notes;
use crate::tree::Tree;
use crate::url;

/// The lengths that labels may have: of a partition (36 UTF-16 units), of a LUKS volume.
const LONGEST_PARTITION_LABEL: usize = 36;
const LONGEST_LUKS_LABEL: usize = 47;

/// Checks the section for the spec 3.`minor`.
pub(crate) fn check(storage: &Tree, minor: u8, notes: &mut Notes) {
    nodes(storage, minor, notes);
    links(storage, minor, notes);
    for disk in storage.list("disks") {
        check_disk(disk, notes);
    }
    for raid in storage.list("raid") {
        check_raid(raid, notes);
    }
    for filesystem in storage.list("filesystems") {
        check_filesystem(filesystem, minor, notes);
        overwrites(filesystem, storage, notes);
    }
    for volume in storage.list("luks") {
        check_luks(volume, minor, notes);
    }
}

/// An absolute path in its simplest form.
fn check_path(path: &str) -> Result<(), String> {
    if path.is_empty() {
        return Err("a path is needed here".to_owned());
    }
    if !path.starts_with('/') {
        return Err(format!("`{path}` is not an absolute path"));
    }
    let simple = path == "/"
        || path
            .split('/')
            .skip(1)
            .all(|part| !part.is_empty() && part != "." && part != "..");
    if simple {
        Ok(())
    } else {
        Err(format!("path `{path}` is not in its simplest form"))
    }
}

/// An absolute path without `.`, `..`, double slashes and a slash at the end.
fn clean(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn path_of(tree: &Tree, key: &str, notes: &mut Notes) {
    let path = tree.text(key).unwrap_or_default();
    notes.check(&tree.place_of(key), check_path(path));
}

fn nodes(storage: &Tree, minor: u8, notes: &mut Notes) {
    for list in ["directories", "files", "links"] {
        for node in storage.list(list) {
            path_of(node, "path", notes);
            for key in ["user", "group"] {
                if let Some(owner) = node.get(key)
                    && owner.get("id").is_some()
                    && owner.filled("name").is_some()
                {
                    notes.error(&owner.place, "either `id` or `name`, not both");
                }
            }
            if let Some(mode) = node.int("mode") {
                let place = node.place_of("mode");
                if !(0..=0o7777).contains(&mode) {
                    notes.error(&place, format!("mode {mode} is not between 0 and 07777"));
                } else if mode > 0o777 && minor < 4 {
                    notes.warn(
                        &place,
                        "setuid, setgid and sticky bits are not set by Ignition before 3.4.0",
                    );
                }
            }
        }
    }
    for file in storage.list("files") {
        let contents = file.get("contents");
        if file.is_true("overwrite") && contents.and_then(|found| found.get("source")).is_none() {
            notes.error(
                &file.place_of("overwrite"),
                "`overwrite` needs `contents`, what to write instead",
            );
        }
        for part in contents.into_iter().chain(file.list("append")) {
            resource(part, minor, notes);
        }
    }
}

/// Links, and what is written below them.
fn links(storage: &Tree, minor: u8, notes: &mut Notes) {
    let paths: HashSet<&str> = storage
        .list("links")
        .iter()
        .filter_map(|link| link.filled("path"))
        .collect();
    for list in ["directories", "files", "links"] {
        for node in storage.list(list) {
            let path = node.text("path").unwrap_or_default();
            let mut above = path.match_indices('/').map(|(at, _)| &path[..at]);
            if let Some(link) = above.find(|above| paths.contains(above)) {
                notes.error(
                    &node.place,
                    format!("{path} is below {link}, which is a link"),
                );
            }
        }
    }
    for link in storage.list("links") {
        let target = link.text("target").unwrap_or_default();
        if target.is_empty() {
            if minor >= 3 {
                notes.error(&link.place_of("target"), "a link needs a target");
            }
            continue;
        }
        if !link.is_true("hard") {
            continue;
        }
        let pointed = if target.starts_with('/') {
            clean(target)
        } else {
            // below the link itself, which is how Ignition's check has it
            clean(&format!(
                "{}/{target}",
                link.text("path").unwrap_or_default()
            ))
        };
        let directories = storage.list("directories");
        if directories
            .iter()
            .any(|found| found.text("path") == Some(&pointed))
        {
            notes.error(
                &link.place,
                format!("a hard link cannot point to the directory {target}"),
            );
        }
        for key in ["user", "group"] {
            if let Some(owner) = link.get(key).filter(|owner| !owner.is_empty()) {
                notes.warn(
                    &owner.place,
                    "the owner of a hard link is that of its target",
                );
            }
        }
    }
}

fn check_disk(disk: &Tree, notes: &mut Notes) {
    if disk.filled("device").is_none() {
        notes.error(&disk.place_of("device"), "the device of a disk is required");
    } else {
        path_of(disk, "device", notes);
    }
    let partitions = disk.list("partitions");
    let place = disk.place_of("partitions");
    let number = |partition: &Tree| partition.int("number").unwrap_or(0);
    let mut labels = HashSet::new();
    for partition in partitions {
        check_partition(partition, notes);
        if let Some(label) = partition.text("label")
            && !labels.insert(label)
        {
            notes.error(&place, format!("two partitions have the label `{label}`"));
        }
    }
    let removed = partitions
        .iter()
        .any(|partition| partition.bool("shouldExist") == Some(false));
    if removed && partitions.iter().any(|partition| number(partition) == 0) {
        notes.error(
            &place,
            "if one partition is to be removed, all need a `number`",
        );
    }
    // (start, last MiB) of those with a place of their own
    let mut spans: Vec<(i64, i64)> = Vec::new();
    for partition in partitions {
        if let (Some(start), Some(size)) = (partition.int("startMiB"), partition.int("sizeMiB"))
            && start != 0
        {
            let end = if size == 0 {
                start
            } else {
                start.saturating_add(size).saturating_sub(1)
            };
            spans.push((start, end));
        }
    }
    spans.sort_unstable();
    if spans.windows(2).any(|pair| pair[1].0 <= pair[0].1) {
        notes.error(&place, "partitions overlap");
    }
}

fn check_partition(partition: &Tree, notes: &mut Notes) {
    let label = partition.text("label");
    let says = |key: &str| partition.get(key).is_some();
    if partition.bool("shouldExist") == Some(false)
        && (label.is_some()
            || partition.filled("typeGuid").is_some()
            || partition.filled("guid").is_some()
            || says("startMiB")
            || says("sizeMiB"))
    {
        notes.error(
            &partition.place,
            "a partition that should not exist can have nothing but a `number`",
        );
    }
    if partition.int("number").unwrap_or(0) == 0 && label.is_none() {
        notes.error(
            &partition.place,
            "a partition needs a `number` or a `label`",
        );
    }
    if let Some(label) = label {
        let place = partition.place_of("label");
        if label.len() > LONGEST_PARTITION_LABEL {
            notes.error(
                &place,
                format!(
                    "the label of a partition has at most {LONGEST_PARTITION_LABEL} characters"
                ),
            );
        }
        if label.contains(':') {
            notes.error(&place, "the label of a partition cannot have a colon");
        }
    }
    for key in ["guid", "typeGuid"] {
        if let Some(guid) = partition.filled(key)
            && !is_guid(guid)
        {
            notes.error(
                &partition.place_of(key),
                format!("`{guid}` is not a GUID such as 01234567-89AB-CDEF-EDCB-A98765432101"),
            );
        }
    }
}

fn is_guid(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.concat().bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn check_raid(raid: &Tree, notes: &mut Notes) {
    let place = raid.place_of("level");
    match raid.text("level").unwrap_or_default() {
        "" => notes.error(&place, "the level of a RAID array is required"),
        "linear" | "raid0" | "0" | "stripe" => {
            if raid.int("spares").unwrap_or(0) != 0 {
                notes.error(&place, "linear and raid0 arrays have no spares");
            }
        }
        "raid1" | "1" | "mirror" | "raid4" | "4" | "raid5" | "5" | "raid6" | "6" | "raid10"
        | "10" => {}
        other => notes.error(&place, format!("RAID level `{other}` is not known")),
    }
    if raid.list("devices").is_empty() {
        notes.error(&raid.place_of("devices"), "a RAID array needs devices");
    }
    for device in raid.list("devices") {
        notes.check(
            &device.place,
            check_path(device.as_text().unwrap_or_default()),
        );
    }
}

fn check_filesystem(filesystem: &Tree, minor: u8, notes: &mut Notes) {
    if filesystem.filled("path").is_some() {
        path_of(filesystem, "path", notes);
    }
    path_of(filesystem, "device", notes);
    let place = filesystem.place_of("format");
    let label = filesystem.filled("label");
    let Some(format) = filesystem.filled("format") else {
        let says_more = ["path", "label", "uuid"]
            .iter()
            .any(|key| filesystem.filled(key).is_some())
            || filesystem.is_true("wipeFilesystem")
            || ["mountOptions", "options"]
                .iter()
                .any(|key| !filesystem.list(key).is_empty());
        if says_more {
            notes.error(&place, "a filesystem needs a `format`");
        }
        return;
    };
    match format {
        "ext4" | "btrfs" | "xfs" | "swap" | "vfat" => {}
        "none" if minor >= 3 => {}
        _ => notes.error(
            &place,
            format!("filesystem format `{format}` is not known in Ignition 3.{minor}.0"),
        ),
    }
    let longest = match format {
        "ext4" => 16,
        "btrfs" => 256,
        "xfs" => 12,
        "swap" => 15,
        "vfat" => 11,
        _ => return,
    };
    if label.is_some_and(|label| label.len() > longest) {
        notes.error(
            &filesystem.place_of("label"),
            format!("a label of {format} has at most {longest} characters"),
        );
    }
}

/// Filesystems on a disk that the same config partitions or wipes.
fn overwrites(filesystem: &Tree, storage: &Tree, notes: &mut Notes) {
    let device = filesystem.text("device");
    let mut disks = storage.list("disks").iter().rev();
    let Some(disk) = disks.find(|disk| disk.text("device") == device) else {
        return;
    };
    let place = filesystem.place_of("device");
    if !disk.list("partitions").is_empty() {
        notes.warn(
            &place,
            "this filesystem overwrites a disk that the config partitions",
        );
    } else if disk.is_true("wipeTable") && !filesystem.is_true("wipeFilesystem") {
        notes.warn(
            &place,
            "`wipe_table` of this disk wipes the filesystem: say `wipe_filesystem: true`",
        );
    }
}

fn check_luks(volume: &Tree, minor: u8, notes: &mut Notes) {
    let name = volume.text("name").unwrap_or_default();
    if name.contains('/') {
        notes.error(
            &volume.place_of("name"),
            "the name of a LUKS volume cannot have a slash",
        );
    }
    if volume
        .filled("label")
        .is_some_and(|label| label.len() > LONGEST_LUKS_LABEL)
    {
        notes.error(
            &volume.place_of("label"),
            format!("the label of a LUKS volume has at most {LONGEST_LUKS_LABEL} characters"),
        );
    }
    if volume.filled("device").is_none() {
        notes.error(
            &volume.place_of("device"),
            "the device of a LUKS volume is required",
        );
    } else {
        path_of(volume, "device", notes);
    }
    let key_file = volume.get("keyFile");
    if let Some(key_file) = key_file {
        resource(key_file, minor, notes);
    }
    if let Some(clevis) = volume.get("clevis") {
        check_clevis(clevis, minor, notes);
    }
    if volume.get("cex").is_some_and(|cex| cex.is_true("enabled")) {
        let clevis = volume.get("clevis").is_some_and(|clevis| {
            clevis.at(&["custom", "pin"]).is_some()
                || !clevis.list("tang").is_empty()
                || clevis.is_true("tpm2")
                || clevis.int("threshold").unwrap_or(0) != 0
        });
        if clevis {
            notes.error(
                &volume.place_of("cex"),
                "`cex` does not go together with `clevis`",
            );
        }
        if key_file.is_some_and(|file| file.filled("source").is_some()) {
            notes.error(
                &volume.place_of("cex"),
                "`cex` does not go together with `key_file`",
            );
        }
    }
}

fn check_clevis(clevis: &Tree, minor: u8, notes: &mut Notes) {
    if let Some(custom) = clevis.get("custom") {
        let (pin, config) = (custom.filled("pin"), custom.filled("config"));
        let says_anything = pin.is_some() || config.is_some() || custom.is_true("needsNetwork");
        let others = !clevis.list("tang").is_empty()
            || clevis.is_true("tpm2")
            || clevis.int("threshold").unwrap_or(0) != 0;
        if says_anything && others {
            notes.error(
                &clevis.place,
                "`custom` does not go together with `tang`, `tpm2` or `threshold`",
            );
        }
        match pin {
            Some("tpm2" | "tang" | "sss") => {}
            Some("trustee") if minor >= 6 => {}
            Some(pin) => notes.error(
                &custom.place_of("pin"),
                format!("clevis pin `{pin}` is not known in Ignition 3.{minor}.0"),
            ),
            None if says_anything => {
                notes.error(
                    &custom.place_of("pin"),
                    "a custom clevis config needs a `pin`",
                );
            }
            None => {}
        }
        if says_anything && config.is_none() {
            notes.error(
                &custom.place_of("config"),
                "a custom clevis pin needs a `config`",
            );
        }
    }
    for tang in clevis.list("tang") {
        let url = tang.text("url").unwrap_or_default();
        if !matches!(url::scheme(url).as_deref(), Some("http" | "https")) {
            notes.error(
                &tang.place_of("url"),
                "a Tang server is an `http` or `https` URL",
            );
        }
        if tang.filled("thumbprint").is_none() {
            notes.error(
                &tang.place_of("thumbprint"),
                "a Tang server needs a `thumbprint`",
            );
        }
        if let Some(advertisement) = tang.filled("advertisement")
            && serde_json::from_str::<serde::de::IgnoredAny>(advertisement).is_err()
        {
            notes.error(
                &tang.place_of("advertisement"),
                "the advertisement is not JSON",
            );
        }
    }
}
