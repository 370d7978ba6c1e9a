//! The image: is it one, is it whole, and is it for this architecture? Asked before anything boots.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::QemuError;
use crate::arch::Arch;
use crate::cache::{Cache, hex};
use crate::tools;
use crate::{esp, gpt};

/// An image that can be booted from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Absolute path.
    pub path: PathBuf,
    /// `qcow2` or `raw`.
    pub format: String,
    /// Size of the guest's disk, in bytes.
    pub virtual_size: u64,
    /// The size of the sectors that its partition table is made for, in bytes; none where it has no GPT.
    pub sector_size: Option<u64>,
}

/// What `qemu-img info --output=json` tells.
#[derive(Debug, Deserialize)]
struct Info {
    format: String,
    #[serde(rename = "virtual-size")]
    virtual_size: u64,
}

/// What `qemu-img check --output=json` tells.
#[derive(Debug, Deserialize)]
struct Check {
    #[serde(default)]
    corruptions: u64,
    #[serde(default, rename = "check-errors")]
    errors: u64,
}

/// Checks the image as far as it can be done in milliseconds.
pub async fn inspect(path: &Path, arch: Arch, qemu_img: &Path) -> Result<Image, QemuError> {
    let fault = |message: String| QemuError::Image {
        path: path.to_owned(),
        message,
    };
    let path = check_file(path).map_err(fault)?;
    let output = tools::output(
        qemu_img,
        ["info".as_ref(), "--output=json".as_ref(), path.as_os_str()],
    )
    .await?;
    if !output.status.success() {
        return Err(fault(format!(
            "{}; is it truncated, or no disk image?",
            tools::last_words(&output.stderr)
        )));
    }
    let info: Info = serde_json::from_slice(&output.stdout)
        .map_err(|error| tools::failed(qemu_img, error.to_string()))?;
    match info.format.as_str() {
        "qcow2" => check_qcow2(&path, qemu_img).await?.map_err(fault)?,
        "raw" => check_raw(&path).map_err(fault)?,
        other => {
            return Err(fault(format!(
                "its format {other} is not supported; convert it with: qemu-img convert -O qcow2 IMAGE NEW.qcow2"
            )));
        }
    }
    let mut image = Image {
        path,
        format: info.format,
        virtual_size: info.virtual_size,
        sector_size: None,
    };
    let table = gpt::table(&image, qemu_img).await.unwrap_or_default();
    image.sector_size = gpt::sector_size(&table).and_then(|size| u64::try_from(size).ok());
    let partitions = gpt::parse(&table).unwrap_or_default();
    if let Some(other) = esp::other_architecture(&image, &partitions, arch, qemu_img).await {
        return Err(fault(format!(
            "it boots {} machines, not {}; give the image's architecture with --arch {}",
            other.name(),
            arch.name(),
            other.name()
        )));
    }
    Ok(image)
}

/// A live ISO in the place of an image: no machine has it as its disk.
pub fn of_iso(path: &Path) -> Result<Image, QemuError> {
    let fault = |message: String| QemuError::Image {
        path: path.to_owned(),
        message,
    };
    let path = check_file(path).map_err(fault)?;
    let size = path.metadata().map_err(|error| fault(error.to_string()))?;
    Ok(Image {
        path,
        format: "raw".to_owned(),
        virtual_size: size.len(),
        sector_size: None,
    })
}

/// Checks that there is a file that can be read and is no archive; returns its absolute path.
fn check_file(path: &Path) -> Result<PathBuf, String> {
    let data = path.metadata().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no such file; build or download it first".to_owned(),
        _ => format!("it cannot be used: {error}"),
    })?;
    if data.is_dir() {
        return Err("it is a directory; name the image file in it".to_owned());
    }
    if !data.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if data.len() == 0 {
        return Err("it is empty; build or download it again".to_owned());
    }
    let mut start = [0; 6];
    let read = File::open(path)
        .and_then(|file| file.read_at(&mut start, 0))
        .map_err(|error| format!("it cannot be read: {error}"))?;
    if let Some(tool) = compression(&start[..read]) {
        return Err(format!("it is compressed; unpack it first, with {tool}"));
    }
    path.canonicalize()
        .map_err(|error| format!("it cannot be used: {error}"))
}

/// The program that unpacks a file that starts like this.
fn compression(start: &[u8]) -> Option<&'static str> {
    let magics: [(&[u8], &str); 4] = [
        (b"\xfd7zXZ\0", "xz -d"),
        (b"\x1f\x8b", "gzip -d"),
        (b"\x28\xb5\x2f\xfd", "zstd -d"),
        (b"BZh", "bzip2 -d"),
    ];
    magics
        .into_iter()
        .find(|(magic, _)| start.starts_with(magic))
        .map(|(_, tool)| tool)
}

/// `qemu-img check` reads the tables only; a table that points behind the end of the file means that the end is missing.
async fn check_qcow2(path: &Path, qemu_img: &Path) -> Result<Result<(), String>, QemuError> {
    let output = tools::output(
        qemu_img,
        [
            "check".as_ref(),
            "--output=json".as_ref(),
            "--force-share".as_ref(),
            path.as_os_str(),
        ],
    )
    .await?;
    Ok(match serde_json::from_slice::<Check>(&output.stdout) {
        Ok(check) if check.corruptions == 0 && check.errors == 0 => Ok(()),
        Ok(check) => Err(format!(
            "it is truncated or damaged ({} bad references); build or download it again",
            check.corruptions + check.errors
        )),
        Err(_) => Err(format!(
            "{}; build or download it again",
            tools::last_words(&output.stderr)
        )),
    })
}

/// A raw image is whatever has a partition table; the table knows how large the disk has to be.
fn check_raw(path: &Path) -> Result<(), String> {
    let read_error = |error: io::Error| format!("it cannot be read: {error}");
    let file = File::open(path).map_err(read_error)?;
    let size = file.metadata().map_err(read_error)?.len();
    for sector in [512_u64, 4096] {
        let mut header = [0_u8; 40];
        if file.read_exact_at(&mut header, sector).is_ok() && header.starts_with(b"EFI PART") {
            let mut last = [0; 8];
            last.copy_from_slice(&header[32..40]);
            let needed = u64::from_le_bytes(last)
                .saturating_add(1)
                .saturating_mul(sector);
            return if size < needed {
                Err(format!(
                    "it is truncated: {size} bytes of {needed}; build or download it again"
                ))
            } else {
                Ok(())
            };
        }
    }
    let mut signature = [0; 2];
    if file.read_exact_at(&mut signature, 510).is_ok() && signature == [0x55, 0xaa] {
        return Ok(());
    }
    Err("it is not a disk image: neither qcow2 nor a raw disk with a partition table".to_owned())
}

/// The file's SHA-256 in hexadecimal digits, computed once for as long as the file does not change. Blocks.
pub fn digest(path: &Path, cache: &Cache) -> io::Result<String> {
    let key = tools::fingerprint(path)?;
    if let Some(digest) = cache.get("image-sha256", &key) {
        return Ok(digest);
    }
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
    }
    let digest = hex(&hasher.finalize());
    cache.put("image-sha256", &key, &digest);
    Ok(digest)
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
