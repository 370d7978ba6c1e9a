//! Small images for tests: an ISO 9660 file system of a few files, and the layout of a live ISO of CoreOS's kind.

use std::collections::{BTreeMap, BTreeSet};

const SECTOR: usize = 2048;

/// The kernel arguments that [`Sample::live`] has.
pub const KARGS: &str = "quiet coreos.liveiso=sample ignition.firstboot ignition.platform.id=metal";
/// The size of its areas for kernel arguments, in bytes.
pub const KARGS_SIZE: usize = 512;
/// The size of its area for an Ignition config, in bytes.
pub const IGNITION_SIZE: usize = 8192;

/// An image in the making.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The files by absolute path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The label of the volume.
    pub label: String,
    /// Whether names are kept by Rock Ridge, or cut to 8.3 capitals.
    pub rock_ridge: bool,
    /// El Torito's platform (0: BIOS, 0xef: UEFI) and the file that is booted.
    pub boot: Vec<(u8, String)>,
}

impl Default for Sample {
    fn default() -> Self {
        Sample {
            files: BTreeMap::new(),
            label: "sample".to_owned(),
            rock_ridge: true,
            boot: Vec::new(),
        }
    }
}

impl Sample {
    /// A live ISO with embed areas, described in that directory of its root: `coreos` or another.
    pub fn live(directory: &str) -> Sample {
        let mut sample = Sample {
            label: "fedora-coreos-0.sample".to_owned(),
            boot: vec![
                (0, "/isolinux/isolinux.bin".to_owned()),
                (0xef, "/images/efiboot.img".to_owned()),
            ],
            ..Sample::default()
        };
        let fill = "#".repeat(KARGS_SIZE - KARGS.len() - 1);
        let area = format!("{KARGS}\n{fill} COREOS_KARG_EMBED_AREA\n");
        let grub = format!(
            "set timeout=1\nmenuentry 'Sample (Live)' {{\n\tlinux /images/pxeboot/vmlinuz {area}\
             \tinitrd /images/pxeboot/initrd.img /images/ignition.img\n}}\n"
        );
        let isolinux = format!(
            "label linux\n  menu label ^Sample (Live)\n  kernel /images/pxeboot/vmlinuz\n  \
             append initrd=/images/pxeboot/initrd.img,/images/ignition.img {area}"
        );
        let offset = |text: &str| text.find(KARGS).unwrap_or_default();
        let kargs = serde_json::json!({
            "default": KARGS,
            "files": [
                {"path": "EFI/sample/grub.cfg", "offset": offset(&grub), "pad": "#", "end": "\n"},
                {"path": "isolinux/isolinux.cfg", "offset": offset(&isolinux)},
            ],
            "size": KARGS_SIZE,
        });
        let mut kernel = vec![0; 1024];
        kernel[0x202..0x206].copy_from_slice(b"HdrS");
        for (path, contents) in [
            ("EFI/sample/grub.cfg", grub.into_bytes()),
            ("images/efiboot.img", b"a FAT file system".to_vec()),
            ("images/ignition.img", vec![0; IGNITION_SIZE]),
            ("images/pxeboot/initrd.img", b"an initramfs".to_vec()),
            ("images/pxeboot/rootfs.img", b"a squashfs".to_vec()),
            ("images/pxeboot/vmlinuz", kernel),
            ("isolinux/isolinux.bin", b"a boot loader".to_vec()),
            ("isolinux/isolinux.cfg", isolinux.into_bytes()),
        ] {
            sample.file(&format!("/{path}"), contents);
        }
        for (name, contents) in [
            (
                "features.json",
                r#"{"installer-config": true, "live-initrd-network": true}"#.to_owned(),
            ),
            (
                "igninfo.json",
                r#"{"file": "images/ignition.img"}"#.to_owned(),
            ),
            ("kargs.json", format!("{kargs:#}")),
        ] {
            sample.file(&format!("/{directory}/{name}"), contents);
        }
        sample
    }

    /// Adds a file, or replaces it.
    pub fn file(&mut self, path: &str, contents: impl Into<Vec<u8>>) -> &mut Sample {
        self.files.insert(path.to_owned(), contents.into());
        self
    }

    /// Its bytes.
    pub fn build(&self) -> Vec<u8> {
        let mut directories = BTreeSet::from([String::new()]);
        for path in self.files.keys() {
            directories.extend(path.match_indices('/').map(|(at, _)| path[..at].to_owned()));
        }
        // System area, three descriptors, boot catalog; then directories of a sector each, then files.
        let first = 20;
        let mut next = first + directories.len();
        let mut places: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for (number, directory) in directories.iter().enumerate() {
            places.insert(directory, (first + number, SECTOR));
        }
        for (path, contents) in &self.files {
            places.insert(path, (next, contents.len()));
            next += contents.len().div_ceil(SECTOR);
        }
        let mut image = vec![0; next * SECTOR];
        for directory in &directories {
            let mut records = record(&[0], places[directory.as_str()], true, "");
            records.extend(record(&[1], places[""], true, ""));
            for (path, place) in &places {
                if let Some((parent, name)) = path.rsplit_once('/')
                    && parent == directory
                {
                    let is_dir = directories.contains(*path);
                    let mut short = short(name);
                    if !is_dir {
                        short.push_str(";1");
                    }
                    let long = if self.rock_ridge { name } else { "" };
                    records.extend(record(short.as_bytes(), *place, is_dir, long));
                }
            }
            put(&mut image, places[directory.as_str()].0 * SECTOR, &records);
        }
        for (path, contents) in &self.files {
            put(&mut image, places[path.as_str()].0 * SECTOR, contents);
        }
        self.descriptors(&mut image, places[""], next);
        if !self.boot.is_empty() {
            let lba = |path: &str| places[path].0 as u32;
            put(&mut image, 19 * SECTOR, &self.catalog(lba));
        }
        image
    }

    fn descriptors(&self, image: &mut [u8], root: (usize, usize), sectors: usize) {
        for (sector, kind) in [(16, 1), (17, 0), (18, 255)] {
            put(image, sector * SECTOR, &[kind]);
            put(image, sector * SECTOR + 1, b"CD001\x01");
        }
        let primary = 16 * SECTOR;
        put(image, primary + 40, format!("{:32}", self.label).as_bytes());
        put(image, primary + 80, &both(sectors));
        put(image, primary + 128, &[0, 8, 8, 0]);
        put(image, primary + 156, &record(&[0], root, true, ""));
        if self.boot.is_empty() {
            put(image, 17 * SECTOR, &[255]);
        } else {
            put(image, 17 * SECTOR + 7, b"EL TORITO SPECIFICATION");
            put(image, 17 * SECTOR + 0x47, &19_u32.to_le_bytes());
        }
    }

    fn catalog(&self, lba: impl Fn(&str) -> u32) -> Vec<u8> {
        let mut catalog = vec![1, self.boot[0].0];
        catalog.resize(30, 0);
        catalog.extend([0x55, 0xaa]);
        // All words add up to zero.
        let sum = 0_u16
            .wrapping_sub(1 | u16::from(self.boot[0].0) << 8)
            .wrapping_sub(0xaa55);
        put(&mut catalog, 28, &sum.to_le_bytes());
        for (number, (platform, path)) in self.boot.iter().enumerate() {
            if number > 0 {
                let last = number + 1 == self.boot.len();
                let mut header = vec![if last { 0x91 } else { 0x90 }, *platform, 1, 0];
                header.resize(32, 0);
                catalog.extend(header);
            }
            let mut entry = vec![0x88, 0, 0, 0, 0, 0, 4, 0];
            entry.extend(lba(path).to_le_bytes());
            entry.resize(32, 0);
            catalog.extend(entry);
        }
        catalog
    }
}

fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A number in both byte orders.
fn both(number: usize) -> Vec<u8> {
    let number = number as u32;
    [number.to_le_bytes(), number.to_be_bytes()].concat()
}

fn record(name: &[u8], (lba, size): (usize, usize), is_dir: bool, long: &str) -> Vec<u8> {
    let mut record = vec![0, 0];
    record.extend(both(lba));
    record.extend(both(size));
    record.resize(25, 0);
    record.push(if is_dir { 2 } else { 0 });
    record.resize(32, 0);
    record.push(name.len() as u8);
    record.extend(name);
    record.resize(record.len().next_multiple_of(2), 0);
    if !long.is_empty() {
        record.extend(b"NM");
        record.extend([5 + long.len() as u8, 1, 0]);
        record.extend(long.as_bytes());
        record.resize(record.len().next_multiple_of(2), 0);
    }
    record[0] = record.len() as u8;
    record
}

/// 8.3 capitals.
fn short(name: &str) -> String {
    let (base, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let take = |text: &str, most: usize| -> String {
        text.to_ascii_uppercase()
            .replace('-', "_")
            .chars()
            .take(most)
            .collect()
    };
    format!("{}.{}", take(base, 8), take(extension, 3))
        .trim_end_matches('.')
        .to_owned()
}
