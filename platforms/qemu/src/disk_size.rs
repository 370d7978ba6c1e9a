//! Sizes of disks as `qemu-img` takes them: `20G`, `512M`, and with a plus sign what is added to the image's.

use std::fmt;

/// What the user says about the size of the primary disk (`--qemu-size`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskSize {
    /// All of it, in bytes.
    Total(u64),
    /// What the image's is enlarged by, in bytes.
    More(u64),
}

/// Why a size is none, for people; the value itself is not named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSize(String);

impl fmt::Display for BadSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The largest disk that qcow2 holds with its usual clusters, in bytes.
const LARGEST: u128 = 1 << 61;
/// Disks are made of sectors, in bytes.
const SECTOR: u128 = 512;

impl DiskSize {
    /// Reads `20G` or `+5G`: a decimal number, and one of the letters K, M, G, T, P, E for powers of 1024 (bytes without one).
    pub fn parse(text: &str) -> Result<DiskSize, BadSize> {
        match text.strip_prefix('+') {
            Some(more) => bytes(more).map(DiskSize::More),
            None => bytes(text).map(DiskSize::Total),
        }
    }

    /// The size of the disk, in bytes, on an image of that size. A disk smaller than its image would be cut short.
    pub fn on(self, image: u64) -> Result<u64, BadSize> {
        let size = match self {
            DiskSize::Total(size) => Some(size),
            DiskSize::More(more) => image.checked_add(more),
        };
        match size.filter(|size| u128::from(*size) <= LARGEST) {
            None => Err(too_large()),
            Some(size) if size < image => Err(BadSize(format!(
                "it is smaller than the image, whose disk has {image} bytes; give at least that, or +SIZE to add to it"
            ))),
            Some(size) => Ok(size),
        }
    }
}

fn too_large() -> BadSize {
    BadSize("it is larger than a disk can be".to_owned())
}

fn bytes(text: &str) -> Result<u64, BadSize> {
    let malformed = || {
        BadSize("it is not a size such as 20G or +5G (K, M, G, T, P, E: powers of 1024)".to_owned())
    };
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let exponent = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        "P" => 5,
        "E" => 6,
        _ => return Err(malformed()),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    if ![whole, fraction].into_iter().all(is_decimal) {
        return Err(malformed());
    }
    let whole: u128 = whole.parse().map_err(|_| too_large())?;
    // What follows makes no difference of a sector.
    let fraction = &fraction[..fraction.len().min(18)];
    let unit = 1_u128 << (10 * exponent);
    let places = u32::try_from(fraction.len()).map_err(|_| malformed())?;
    let part = fraction.parse::<u128>().map_err(|_| malformed())? * unit / 10_u128.pow(places);
    let size = whole
        .checked_mul(unit)
        .and_then(|size| size.checked_add(part))
        .ok_or_else(too_large)?;
    if size == 0 {
        return Err(BadSize("it is nothing".to_owned()));
    }
    u64::try_from(size.next_multiple_of(SECTOR).min(LARGEST + 1)).map_err(|_| too_large())
}

fn is_decimal(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn sizes_are_qemu_imgs() {
        for (text, size) in [
            ("20G", DiskSize::Total(20 * GIB)),
            ("20g", DiskSize::Total(20 * GIB)),
            ("+5G", DiskSize::More(5 * GIB)),
            ("1.5G", DiskSize::Total(GIB + GIB / 2)),
            ("512M", DiskSize::Total(GIB / 2)),
            ("1000", DiskSize::Total(1024)),
            ("1T", DiskSize::Total(1024 * GIB)),
        ] {
            assert_eq!(DiskSize::parse(text), Ok(size), "{text}");
        }
        for text in [
            "", "+", "G", "20GB", "20 G", "-1G", "++1G", "0", "0G", "1.G", ".5G", "1e3", "0x10",
            "ü",
        ] {
            assert!(DiskSize::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_disk_is_never_smaller_than_its_image() {
        let on = |text: &str| DiskSize::parse(text).unwrap().on(4 * GIB);
        assert_eq!(on("20G"), Ok(20 * GIB));
        assert_eq!(on("4G"), Ok(4 * GIB));
        assert_eq!(on("+1G"), Ok(5 * GIB));
        let error = on("3G").unwrap_err().to_string();
        assert!(error.contains("smaller than the image"), "{error}");
        assert!(on("15E").is_err());
        assert!(on("+15E").is_err());
        assert!(DiskSize::parse("99999999999999999999999999999999999999E").is_err());
    }

    proptest! {
        #[test]
        fn anything_is_read_without_a_panic(text in "\\PC{0,12}|[+]?[0-9.]{0,45}[KMGTPE]?") {
            if let Ok(size) = DiskSize::parse(&text) {
                let _ = size.on(4 * GIB);
            }
        }
    }
}
