//! Whether a machine can boot from a disk with such sectors: partition tables are written for one size, and BIOS knows one only.

use kolea_model::{DiskSpec, Firmware, Sectors};

use crate::arch::Arch;
use crate::image::Image;

/// The error is one line for people, and names the two sizes. It goes on after `its`, or `the image's`.
pub fn check(image: &Image, disk: &DiskSpec, arch: Arch, firmware: Firmware) -> Result<(), String> {
    let bytes = disk.sectors.logical();
    match image.sector_size {
        Some(size) if size != bytes => {
            let help = if disk.sectors == Sectors::Native4k {
                "leave that out, or use an image that was made for such sectors"
            } else {
                "machines for it need --qemu-native-4k"
            };
            Err(format!(
                "partition table is made for sectors of {size} bytes, and the primary disk would have sectors of {bytes} bytes; {help}"
            ))
        }
        _ if disk.sectors == Sectors::Native4k && (arch, firmware) == (Arch::X86_64, Firmware::Bios) => Err(
            "primary disk would have sectors of 4096 bytes, and BIOS boots from sectors of 512 bytes only; use --qemu-firmware uefi"
                .to_owned(),
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sizes_are_named() {
        let check = |size, disk: &str, firmware| {
            let image = Image {
                path: "/i".into(),
                format: "raw".to_owned(),
                virtual_size: 1,
                sector_size: size,
            };
            let disk = DiskSpec::parse_primary(disk).unwrap();
            check(&image, &disk, Arch::X86_64, firmware)
        };
        use Firmware::{Bios, Uefi};
        for good in [
            (None, "", Bios),
            (Some(512), "", Bios),
            (Some(512), ":512e", Bios),
            (Some(4096), ":4k", Uefi),
            (None, ":4k", Uefi),
        ] {
            assert_eq!(check(good.0, good.1, good.2), Ok(()), "{good:?}");
        }
        for (bad, parts) in [
            (
                (Some(512), ":4k", Uefi),
                ["of 512 bytes, and", "leave that out"],
            ),
            (
                (Some(4096), "", Uefi),
                ["of 4096 bytes, and", "need --qemu-native-4k"],
            ),
            (
                (Some(4096), ":512e", Uefi),
                ["of 512 bytes;", "need --qemu-native-4k"],
            ),
            (
                (Some(4096), ":4k", Bios),
                ["of 512 bytes only", "--qemu-firmware uefi"],
            ),
        ] {
            let error = check(bad.0, bad.1, bad.2).unwrap_err();
            for part in parts {
                assert!(error.contains(part), "{bad:?}: {error}");
            }
        }
    }
}
