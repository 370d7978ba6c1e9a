//! The boot disk of a CoreOS: mirrored and encrypted root filesystems (`boot_device`), and partitions that must not be mistaken.
//!
//! The layout is that of the disk image (coreos-assembler's `create_disk.sh`); sizes and GUIDs are Butane's.

use crate::notes::Notes;
use crate::spec::Spec;
use crate::tree::{Place, Tree};

const RESERVED_GUID: &str = "8DA63339-0007-60C0-C436-083AC8230908";
const BIOS_GUID: &str = "21686148-6449-6E6F-744E-656564454649";
const PREP_GUID: &str = "9E1A2D38-C612-4316-AA26-8B49521E5A8B";
const ESP_GUID: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";

const RESERVED_MIB: i64 = 1;
const BIOS_MIB: i64 = 1;
const PREP_MIB: i64 = 4;
const ESP_MIB: i64 = 127;
const BOOT_MIB: i64 = 384;

/// A root filesystem smaller than this fills up with updates.
const ROOT_LEAST_MIB: i64 = 8192;

/// The config that sets up the boot disk as asked, if anything is.
pub(crate) fn disks(device: &Tree) -> Option<Tree> {
    let luks = device.get("luks");
    let encrypts = luks.is_some_and(|luks| {
        luks.is_true("tpm2")
            || !luks.list("tang").is_empty()
            || luks.get("cex").is_some_and(|cex| cex.is_true("enabled"))
    });
    let mirrors = device.list_at(&["mirror", "devices"]);
    if !encrypts && mirrors.is_empty() {
        return None;
    }
    let layout = device.text("layout").unwrap_or("x86_64");
    let place = &device.place;
    let mut pairs = Vec::new();
    let mut filesystems = Vec::new();
    if let Some(mirror) = device.get("mirror").filter(|_| !mirrors.is_empty()) {
        let mut disks = Vec::new();
        for (number, disk) in (1..).zip(mirrors) {
            disks.push(mirrored_disk(disk, number, layout));
            if has_esp(layout) {
                let esp = format!("esp-{number}");
                let by_label = format!("/dev/disk/by-partlabel/{esp}");
                filesystems.push(filesystem(&by_label, "vfat", &esp, &disk.place));
            }
        }
        pairs.push(("disks", Tree::list_of(disks, &mirror.place)));
        let count = mirrors.len();
        let raids = vec![
            // the superblock at the end leaves BIOS GRUB a partition that it can read
            raid("boot", count, Some("--metadata=1.0"), &mirror.place),
            raid("root", count, None, &mirror.place),
        ];
        pairs.push(("raid", Tree::list_of(raids, &mirror.place)));
        filesystems.push(filesystem("/dev/md/md-boot", "ext4", "boot", &mirror.place));
    }
    let mut root = "/dev/md/md-root";
    if let Some(luks) = luks.filter(|_| encrypts) {
        root = "/dev/mapper/root";
        let volume = volume(luks, layout, !mirrors.is_empty());
        pairs.push(("luks", Tree::list_of(vec![volume], &luks.place)));
    }
    filesystems.push(filesystem(root, "xfs", "root", place));
    pairs.push(("filesystems", Tree::list_of(filesystems, place)));
    let storage = Tree::map_of(pairs, place);
    Some(Tree::map_of(vec![("storage", storage)], place))
}

fn has_esp(layout: &str) -> bool {
    matches!(layout, "x86_64" | "aarch64")
}

fn mirrored_disk(device: &Tree, number: usize, layout: &str) -> Tree {
    let place = &device.place;
    let (first, first_size, first_guid) = match layout {
        "x86_64" => ("bios", BIOS_MIB, BIOS_GUID),
        "ppc64le" => ("prep", PREP_MIB, PREP_GUID),
        _ => ("reserved", RESERVED_MIB, RESERVED_GUID),
    };
    let (second, second_size, second_guid) = if has_esp(layout) {
        ("esp", ESP_MIB, ESP_GUID)
    } else {
        ("reserved", RESERVED_MIB, RESERVED_GUID)
    };
    let partition = |name: &str, size: Option<i64>, guid: Option<&str>| {
        let label = format!("{name}-{number}");
        let mut pairs = vec![("label", Tree::text_of(&label, place))];
        pairs.extend(size.map(|size| ("sizeMiB", Tree::int_of(size, place))));
        pairs.extend(guid.map(|guid| ("typeGuid", Tree::text_of(guid, place))));
        Tree::map_of(pairs, place)
    };
    let partitions = vec![
        partition(first, Some(first_size), Some(first_guid)),
        partition(second, Some(second_size), Some(second_guid)),
        partition("boot", Some(BOOT_MIB), None),
        partition("root", None, None),
    ];
    Tree::map_of(
        vec![
            ("device", device.clone()),
            ("partitions", Tree::list_of(partitions, place)),
            ("wipeTable", Tree::bool_of(true, place)),
        ],
        place,
    )
}

fn filesystem(device: &str, format: &str, label: &str, place: &Place) -> Tree {
    Tree::map_of(
        vec![
            ("device", Tree::text_of(device, place)),
            ("format", Tree::text_of(format, place)),
            ("label", Tree::text_of(label, place)),
            ("wipeFilesystem", Tree::bool_of(true, place)),
        ],
        place,
    )
}

fn raid(name: &str, count: usize, option: Option<&str>, place: &Place) -> Tree {
    let devices = (1..=count)
        .map(|number| Tree::text_of(&format!("/dev/disk/by-partlabel/{name}-{number}"), place))
        .collect();
    let mut pairs = vec![
        ("devices", Tree::list_of(devices, place)),
        ("level", Tree::text_of("raid1", place)),
        ("name", Tree::text_of(&format!("md-{name}"), place)),
    ];
    if let Some(option) = option {
        let options = vec![Tree::text_of(option, place)];
        pairs.push(("options", Tree::list_of(options, place)));
    }
    Tree::map_of(pairs, place)
}

fn volume(luks: &Tree, layout: &str, mirrored: bool) -> Tree {
    let place = &luks.place;
    let own = luks.text("device").unwrap_or_default();
    let device = match layout {
        "s390x-eckd" => format!("{own}2"),
        "s390x-zfcp" => format!("{own}4"),
        _ if mirrored => "/dev/md/md-root".to_owned(),
        _ => "/dev/disk/by-partlabel/root".to_owned(),
    };
    let mut pairs = match luks.get("cex").filter(|cex| cex.is_true("enabled")) {
        Some(cex) => vec![("cex", cex.clone())],
        None => {
            let clevis = ["tang", "threshold", "tpm2"]
                .into_iter()
                .filter_map(|key| luks.get(key).map(|value| (key, value.clone())))
                .collect();
            vec![("clevis", Tree::map_of(clevis, place))]
        }
    };
    pairs.push(("device", Tree::text_of(&device, place)));
    pairs.extend(
        luks.get("discard")
            .map(|discard| ("discard", discard.clone())),
    );
    pairs.push(("label", Tree::text_of("luks-root", place)));
    pairs.push(("name", Tree::text_of("root", place)));
    pairs.push(("wipeVolume", Tree::bool_of(true, place)));
    Tree::map_of(pairs, place)
}

/// Warns of partitions that have a label of the image's but not its number, and of root partitions that are too small.
pub(crate) fn check_partitions(config: &Tree, spec: Spec, notes: &mut Notes) {
    for disk in config.list_at(&["storage", "disks"]) {
        let partitions = disk.list("partitions");
        for (index, partition) in partitions.iter().enumerate() {
            let Some(label) = partition.text("label") else {
                continue;
            };
            if spec.level >= 3 && spec.has_later_rules() && label == "root" {
                check_root(
                    partition,
                    partitions.get(index + 1..).unwrap_or_default(),
                    notes,
                );
            }
            let number = match label {
                "BIOS-BOOT" | "PowerPC-PReP-boot" => 1,
                "EFI-SYSTEM" => 2,
                "boot" => 3,
                "root" => 4,
                _ => continue,
            };
            if !disk.is_true("wipeTable") && partition.int("number").unwrap_or(0) != number {
                notes.warn(
                    &partition.place_of("label"),
                    format!(
                        "the partition `{label}` of the image is number {number}: without `number: {number}` this makes a new one"
                    ),
                );
            }
        }
    }
}

fn check_root(root: &Tree, after: &[Tree], notes: &mut Notes) {
    let size = root.int("sizeMiB").unwrap_or(0);
    let starts_anywhere = |partition: &Tree| partition.int("startMiB").unwrap_or(0) == 0;
    if size == 0 && after.iter().any(starts_anywhere) {
        notes.warn(
            &root.place_of("label"),
            "the root partition has no `size_mib` and one after it no `start_mib`: root may not be able to grow",
        );
    } else if size != 0 && size < ROOT_LEAST_MIB {
        notes.warn(
            &root.place_of("sizeMiB"),
            format!("a root partition of less than {ROOT_LEAST_MIB} MiB fills up with updates"),
        );
    }
}
