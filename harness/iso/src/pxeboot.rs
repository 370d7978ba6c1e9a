//! What of an image is booted over a network: kernel, initramfs and root file system, at the places that CoreOS has them at.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use crate::directory::Entry;
use crate::error::IsoError;
use crate::volume::Iso;

/// How much is copied at once, in bytes.
const PIECE: u64 = 1 << 20;
/// What the kernel wants the beginning of a second archive to be a multiple of, in bytes. UEFI's stub puts one directly behind the
/// other.
const ALIGNMENT: u64 = 4;

/// The files of an image that are booted over a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pxeboot {
    kernel: Entry,
    initramfs: Entry,
    rootfs: Entry,
}

impl Pxeboot {
    /// The kernel's name among the extracted files.
    pub const KERNEL: &str = "vmlinuz";
    /// The initramfs's.
    pub const INITRAMFS: &str = "initrd.img";
    /// The root file system's: an archive that can be appended to the initramfs.
    pub const ROOTFS: &str = "rootfs.img";

    /// Looks for them.
    ///
    /// # Errors
    /// One of them is not there, or a directory on the way is damaged.
    pub fn find(iso: &Iso) -> Result<Pxeboot, IsoError> {
        let file = |name| iso.file(&format!("/images/pxeboot/{name}"));
        Ok(Pxeboot {
            kernel: file(Pxeboot::KERNEL)?,
            initramfs: file(Pxeboot::INITRAMFS)?,
            rootfs: file(Pxeboot::ROOTFS)?,
        })
    }

    /// What they take, in bytes.
    pub fn size(&self) -> u64 {
        let files = [&self.kernel, &self.initramfs, &self.rootfs];
        files
            .iter()
            .fold(0, |sum: u64, file| sum.saturating_add(file.size))
    }

    /// Writes them into a directory, as new files. The initramfs may have some zeros at its end, so that another one can follow.
    ///
    /// # Errors
    /// The image can't be read, or the files can't be written.
    pub fn extract(&self, iso: &Iso, directory: &Path) -> Result<(), IsoError> {
        for (name, entry) in [
            (Pxeboot::KERNEL, &self.kernel),
            (Pxeboot::INITRAMFS, &self.initramfs),
            (Pxeboot::ROOTFS, &self.rootfs),
        ] {
            let path = directory.join(name);
            let failed = |doing| {
                let path = path.clone();
                move |error: io::Error| IsoError::Write { doing, path, error }
            };
            let mut file = File::create_new(&path).map_err(failed("create"))?;
            let mut done = 0;
            while done < entry.size {
                let length = PIECE.min(entry.size - done);
                let bytes = iso.read(&entry.path, entry.offset.saturating_add(done), length)?;
                file.write_all(&bytes).map_err(failed("write"))?;
                done += length;
            }
            if name == Pxeboot::INITRAMFS {
                file.set_len(entry.size.next_multiple_of(ALIGNMENT))
                    .map_err(failed("write"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Sample;

    #[test]
    fn files_are_extracted_and_another_can_follow_the_initramfs() {
        let mut sample = Sample::live("coreos");
        let large: Vec<u8> = (0..PIECE * 2 + 5).map(|at| (at % 251) as u8).collect();
        sample.file("/images/pxeboot/rootfs.img", large.clone());
        sample.file("/images/pxeboot/initrd.img", *b"seven !");
        let iso = Iso::new(sample.build()).unwrap();
        let pxeboot = Pxeboot::find(&iso).unwrap();
        assert!(pxeboot.size() > large.len() as u64);
        let dir = tempfile::tempdir().unwrap();
        pxeboot.extract(&iso, dir.path()).unwrap();
        let read = |name| std::fs::read(dir.path().join(name)).unwrap();
        assert!(read(Pxeboot::ROOTFS) == large);
        assert_eq!(read(Pxeboot::INITRAMFS), b"seven !\0");
        let again = pxeboot.extract(&iso, dir.path()).unwrap_err().to_string();
        assert!(again.starts_with("cannot create "), "{again}");
    }

    #[test]
    fn an_image_without_them_says_which_is_missing() {
        let mut sample = Sample::live("coreos");
        sample.files.remove("/images/pxeboot/rootfs.img");
        let iso = Iso::new(sample.build()).unwrap();
        let error = Pxeboot::find(&iso).unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no file /images/pxeboot/rootfs.img in the image"
        );
    }
}
