//! The boot file system of a run's image: where it is and what is in it, found out once.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::debugfs::{self, Debugfs, Entry, GuestFile};
use super::error::{BootError, Fault};
use super::loader::Loader;
use crate::command_line::with_path;
use crate::gpt::{self, Partition};
use crate::image::Image;
use crate::tools;

/// The name of the partition, or the label of its file system.
const BOOT: &str = "boot";
/// The stamp that makes GRUB ask for Ignition, at the root of the file system.
pub const STAMP: &str = "ignition.firstboot";
/// Where a config is that Ignition finds without any device.
pub const IGNITION_DIR: &str = "ignition";
/// How much of a partition tells its file system, in bytes.
const START: u64 = 128 << 10;

/// The boot file system of an image.
#[derive(Debug)]
pub struct BootPartition {
    /// The image, for messages.
    pub image: PathBuf,
    pub debugfs: PathBuf,
    pub qemu_io: PathBuf,
    /// Where it begins on the disk, in bytes.
    pub start: u64,
    /// Its contents. The file has no name, and holes where nothing is.
    pub contents: File,
    /// What kind of file `config` is.
    pub loader: Loader,
    /// The file with the kernel arguments of every boot.
    pub config: GuestFile,
    /// The stamp of the first boot, unless the image has been booted, or has no Ignition.
    pub stamp: Option<GuestFile>,
    /// Whether there is a directory for Ignition's config.
    pub has_ignition_dir: bool,
}

impl BootPartition {
    /// Finds it and reads it. `temp`: a directory with room for what is in it.
    pub async fn open(
        image: &Image,
        qemu_img: &Path,
        temp: &Path,
    ) -> Result<BootPartition, BootError> {
        open(image, qemu_img, temp)
            .await
            .map_err(|fault| fault.on(&image.path))
    }
}

async fn open(image: &Image, qemu_img: &Path, temp: &Path) -> Result<BootPartition, Fault> {
    let program = debugfs::find().map_err(Fault::Program)?;
    let qemu_io =
        tools::find("qemu-io", "qemu-utils").map_err(|error| Fault::Program(error.to_string()))?;
    let partition = find(image, qemu_img).await?;
    let dir = tempfile::Builder::new()
        .prefix("boot-")
        .tempdir_in(temp)
        .map_err(Fault::file("make a temporary directory"))?;
    let file = dir.path().join(Debugfs::FILE);
    extract(image, &partition, &file, qemu_img).await?;
    let system = Debugfs {
        program,
        dir: dir.path().to_owned(),
    };
    let (loader, config, stamp, has_ignition_dir) = look(&system).await?;
    Ok(BootPartition {
        image: image.path.clone(),
        debugfs: system.program,
        qemu_io,
        start: partition.start,
        // It loses its name with the directory.
        contents: File::open(&file).map_err(Fault::file("open a temporary file"))?,
        loader,
        config,
        stamp,
        has_ignition_dir,
    })
}

/// The partition called `boot`, or else the one whose ext4 file system has that label.
async fn find(image: &Image, qemu_img: &Path) -> Result<Partition, Fault> {
    let layout = |message: String| Fault::Layout(message);
    let Some(partitions) = gpt::partitions(image, qemu_img).await else {
        return Err(layout(format!(
            "it has no GPT; expected is one with an ext4 partition called {BOOT}"
        )));
    };
    let named = partitions.iter().find(|found| found.name == BOOT);
    for partition in named.into_iter().chain(&partitions) {
        let is_named = partition.name == BOOT;
        let length = START.min(partition.size / 512 * 512);
        let Some(start) = gpt::read(image, partition.start, length, qemu_img).await else {
            return Err(layout(format!("partition {partition} cannot be read")));
        };
        match file_system(&start) {
            FileSystem::Ext4 { label, unclean } if is_named || label == BOOT => {
                if unclean {
                    return Err(layout(format!(
                        "the file system in partition {partition} was not unmounted cleanly; boot the image once, or run e2fsck on it"
                    )));
                }
                return Ok(partition.clone());
            }
            FileSystem::Other(name) if is_named => {
                return Err(layout(format!(
                    "partition {partition} is {name}; only ext4 can be changed"
                )));
            }
            _ => {}
        }
    }
    let found: Vec<String> = partitions.iter().map(Partition::to_string).collect();
    Err(layout(format!(
        "no partition is called {BOOT}, and no ext4 file system has that label; partitions found: {}",
        if found.is_empty() {
            "none".to_owned()
        } else {
            found.join(", ")
        }
    )))
}

/// What is in a partition.
#[derive(Debug, PartialEq, Eq)]
enum FileSystem {
    /// ext2, ext3 or ext4.
    Ext4 {
        label: String,
        /// Whether the journal has something that is not in its place yet.
        unclean: bool,
    },
    Other(&'static str),
}

fn file_system(start: &[u8]) -> FileSystem {
    /// Where the superblock is, in bytes.
    const SUPER: usize = 1024;
    const NEEDS_RECOVERY: u8 = 4;
    let at = |offset: usize, magic: &[u8]| start.get(offset..offset + magic.len()) == Some(magic);
    if at(SUPER + 0x38, &[0x53, 0xef]) {
        let label = start.get(SUPER + 0x78..SUPER + 0x88).unwrap_or_default();
        let end = label.iter().position(|byte| *byte == 0).unwrap_or(16);
        return FileSystem::Ext4 {
            label: String::from_utf8_lossy(&label[..end]).into_owned(),
            unclean: start
                .get(SUPER + 0x60)
                .is_some_and(|flags| flags & NEEDS_RECOVERY != 0),
        };
    }
    FileSystem::Other(if at(0, b"XFSB") {
        "XFS"
    } else if at((64 << 10) + 64, b"_BHRfS_M") {
        "Btrfs"
    } else if at(0, b"LUKS") {
        "encrypted (LUKS)"
    } else if at(54, b"FAT") || at(82, b"FAT") {
        "FAT"
    } else {
        "no file system that is known"
    })
}

/// Copies a partition to a file of its own, with holes where the image has nothing.
async fn extract(
    image: &Image,
    partition: &Partition,
    file: &Path,
    qemu_img: &Path,
) -> Result<(), Fault> {
    let options = format!(
        "driver=raw,offset={},size={},file.driver={},file.file.driver=file,file.file.filename=",
        partition.start, partition.size, image.format
    );
    let mut args = ["convert", "--image-opts", "-O", "raw"]
        .map(OsString::from)
        .to_vec();
    args.push(with_path(&options, image.path.as_os_str()));
    args.push(file.into());
    let output = tools::output(qemu_img, args)
        .await
        .map_err(|error| Fault::Program(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Fault::Program(format!(
        "cannot copy partition {partition}: {}",
        tools::last_words(&output.stderr)
    )))
}

const ENTRIES: &str = "/loader/entries";
const GRUB_DIRS: [&str; 2] = ["/grub2", "/grub"];
const GRUB_CONFIG: &str = "grub.cfg";

/// Finds the files that matter. Directories may be symbolic links (`/loader` to `loader.1`), which are followed.
async fn look(system: &Debugfs) -> Result<(Loader, GuestFile, Option<GuestFile>, bool), Fault> {
    let dirs = ["/", ENTRIES, GRUB_DIRS[0], GRUB_DIRS[1]];
    let lists = system.list(&dirs).await?;
    let [root, entries, grub2, grub] = &lists[..] else {
        return Err(Fault::Program(format!(
            "{} listed too little",
            system.program.display()
        )));
    };
    if root.is_empty() {
        return Err(Fault::Layout("its boot file system is damaged".to_owned()));
    }
    let config = |list: &[Entry]| list.iter().find(|entry| entry.name == GRUB_CONFIG).cloned();
    let (loader, dir, entry) = match one_ostree(entries)? {
        Some(entry) => (Loader::Bls, ENTRIES, entry),
        None => match (config(grub2), config(grub)) {
            (Some(entry), _) => (Loader::Grub, GRUB_DIRS[0], entry),
            (None, Some(entry)) => (Loader::Grub, GRUB_DIRS[1], entry),
            (None, None) => {
                return Err(Fault::Layout(format!(
                    "its boot file system has neither {ENTRIES}/ostree*.conf nor {}/{GRUB_CONFIG}; it has: {}",
                    GRUB_DIRS[0],
                    names(root)
                )));
            }
        },
    };
    let file = system.read(dir, &entry).await?;
    // What it says is found out now rather than when the first machine needs it.
    loader
        .append(&file.text, "")
        .map_err(|error| Fault::Layout(format!("{} is not understood: {error}", file.path())))?;
    let stamp = match root.iter().find(|entry| entry.name == STAMP) {
        Some(entry) => Some(system.read("/", entry).await?),
        None => None,
    };
    let has_ignition_dir = root.iter().any(|entry| entry.name == IGNITION_DIR);
    Ok((loader, file, stamp, has_ignition_dir))
}

/// The one entry of an ostree; none if there are no entries at all.
fn one_ostree(entries: &[Entry]) -> Result<Option<Entry>, Fault> {
    let is_entry = |entry: &&Entry| entry.name.ends_with(".conf");
    let all: Vec<&Entry> = entries.iter().filter(is_entry).collect();
    let ostree: Vec<&&Entry> = all
        .iter()
        .filter(|entry| entry.name.starts_with("ostree"))
        .collect();
    match ostree[..] {
        _ if all.is_empty() => Ok(None),
        [entry] => Ok(Some((*entry).clone())),
        _ => Err(Fault::Layout(format!(
            "exactly one entry {ENTRIES}/ostree*.conf is expected, and {} were found there; it has: {}",
            ostree.len(),
            names(entries)
        ))),
    }
}

fn names(entries: &[Entry]) -> String {
    let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_are_known_by_their_beginning() {
        let mut start = vec![0; 128 << 10];
        assert_eq!(
            file_system(&start),
            FileSystem::Other("no file system that is known")
        );
        start[..4].copy_from_slice(b"XFSB");
        assert_eq!(file_system(&start), FileSystem::Other("XFS"));
        start[..4].copy_from_slice(b"LUKS");
        assert_eq!(file_system(&start), FileSystem::Other("encrypted (LUKS)"));
        start[..4].fill(0);
        start[65600..65608].copy_from_slice(b"_BHRfS_M");
        assert_eq!(file_system(&start), FileSystem::Other("Btrfs"));
        start[1080..1082].copy_from_slice(&[0x53, 0xef]);
        start[1144..1148].copy_from_slice(b"boot");
        let ext4 = |unclean| FileSystem::Ext4 {
            label: "boot".to_owned(),
            unclean,
        };
        assert_eq!(file_system(&start), ext4(false));
        start[1120] = 0xc4;
        assert_eq!(file_system(&start), ext4(true));
        assert_eq!(
            file_system(b"short"),
            FileSystem::Other("no file system that is known")
        );
    }
}
