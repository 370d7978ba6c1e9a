//! A disk with a few small files in a FAT file system.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use fatfs::{FileSystem, FormatVolumeOptions, FsOptions, format_volume};

/// Its size, in bytes. What is not written takes no room.
const SIZE: u64 = 1 << 20;
/// A volume's label is padded with spaces to this length.
const LABEL: usize = 11;

/// Makes the image of such a disk, with that label of at most 11 letters.
pub fn write(path: &Path, label: &str, files: &[(&str, String)]) -> io::Result<()> {
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)?;
    file.set_len(SIZE)?;
    let mut padded = [b' '; LABEL];
    for (to, from) in padded.iter_mut().zip(label.bytes()) {
        *to = from;
    }
    format_volume(&file, FormatVolumeOptions::new().volume_label(padded))?;
    let volume = FileSystem::new(&file, FsOptions::new())?;
    let root = volume.root_dir();
    for (name, contents) in files {
        root.create_file(name)?.write_all(contents.as_bytes())?;
    }
    drop(root);
    volume.unmount()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_files_can_be_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seed.img");
        let long = "x".repeat(5000);
        let files = [
            ("user-data", "#cloud-config\n".to_owned()),
            ("meta-data", long),
        ];
        write(&path, "CIDATA", &files).unwrap();
        let volume = FileSystem::new(File::open(&path).unwrap(), FsOptions::new());
        // Reading only: what would be written at the end is not.
        let volume = std::mem::ManuallyDrop::new(volume.unwrap());
        assert_eq!(volume.volume_label(), "CIDATA");
        for (name, contents) in &files {
            let mut text = String::new();
            let root = volume.root_dir();
            root.open_file(name)
                .unwrap()
                .read_to_string(&mut text)
                .unwrap();
            assert_eq!(text, *contents, "{name}");
        }
        assert!(write(&path, "CIDATA", &[]).is_err());
    }
}
