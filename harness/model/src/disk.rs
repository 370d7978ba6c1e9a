//! What a disk is like, and kola's notation for it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The largest disk that can be asked for, in GiB: a PiB. Beyond that it is a typing error.
const MOST_GIB: u64 = 1024 * 1024;
/// The longest serial number that a guest sees in full: virtio-blk's and NVMe's field, and what QEMU allows on SCSI.
const LONGEST_SERIAL: usize = 20;
const LONGEST_SCSI_SERIAL: usize = 36;

/// A disk: `SIZE[:OPTION[,OPTION…]]`, such as `5G:channel=nvme,serial=target`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskSpec {
    /// Size, in GiB; of a primary disk, the image's own size if none.
    pub size_gib: Option<u64>,
    /// How the guest reaches it (`channel=`).
    pub channel: DiskChannel,
    /// Its sectors (`4k`, `512e`).
    pub sectors: Sectors,
    /// Whether the guest sees it on two paths (`mpath`).
    pub multipath: bool,
    /// Serial number (`serial=`).
    pub serial: Option<String>,
    /// World Wide Name (`wwn=`).
    pub wwn: Option<u64>,
}

/// How the guest reaches a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskChannel {
    /// virtio-blk.
    #[default]
    Virtio,
    /// NVMe.
    Nvme,
    /// SCSI, on a virtio-scsi controller.
    Scsi,
}

/// A disk's sector sizes, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sectors {
    /// 512, physical and logical.
    #[default]
    #[serde(rename = "512")]
    Native512,
    /// 4096, physical and logical (`4k`).
    #[serde(rename = "4k")]
    Native4k,
    /// 4096 physical, 512 logical (`512e`).
    #[serde(rename = "512e")]
    Emulated512,
}

impl Sectors {
    /// What the guest counts in, in bytes.
    pub fn logical(self) -> u64 {
        match self {
            Sectors::Native512 | Sectors::Emulated512 => 512,
            Sectors::Native4k => 4096,
        }
    }

    /// What the disk says that it is made of, in bytes.
    pub fn physical(self) -> u64 {
        match self {
            Sectors::Native512 => 512,
            Sectors::Native4k | Sectors::Emulated512 => 4096,
        }
    }
}

/// Why a text is no disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskSpecError(String);

impl fmt::Display for DiskSpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DiskSpecError {}

fn error<T>(message: impl Into<String>) -> Result<T, DiskSpecError> {
    Err(DiskSpecError(message.into()))
}

impl DiskSpec {
    /// Reads what describes the primary disk, whose size may be missing: `:mpath`, or nothing at all.
    pub fn parse_primary(text: &str) -> Result<DiskSpec, DiskSpecError> {
        parse(text)
    }

    /// Reads what describes a disk besides the primary one, which must have a size: `5G`, `10G:serial=target,4k`.
    pub fn parse_additional(text: &str) -> Result<DiskSpec, DiskSpecError> {
        let disk = parse(text)?;
        match disk.size_gib {
            Some(_) => Ok(disk),
            None => error(format!(
                "the disk {text:?} has no size: write it first, as in 5G or 5G:mpath"
            )),
        }
    }
}

/// `SIZE[:OPTION[,OPTION…]]`, with or without a size.
fn parse(text: &str) -> Result<DiskSpec, DiskSpecError> {
    let (size, options) = match text.split_once(':') {
        Some((size, options)) => (size, Some(options)),
        None => (text, None),
    };
    if options.is_some_and(|options| options.contains(':')) {
        return error(format!(
            "the disk {text:?} has more than one colon: options are separated by commas, as in 5G:mpath,4k"
        ));
    }
    let mut reader = Reader {
        text,
        disk: DiskSpec {
            size_gib: parse_size(text, size)?,
            ..DiskSpec::default()
        },
        seen: Vec::new(),
    };
    for option in options.into_iter().flat_map(|options| options.split(',')) {
        reader.option(option)?;
    }
    reader.check()?;
    Ok(reader.disk)
}

fn parse_size(text: &str, size: &str) -> Result<Option<u64>, DiskSpecError> {
    if size.is_empty() {
        return Ok(None);
    }
    let digits = size.strip_suffix('G').unwrap_or_default();
    // parse would take a `+`
    let number = if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        digits.parse::<u64>().ok()
    } else {
        None
    };
    match number {
        Some(number) if (1..=MOST_GIB).contains(&number) => Ok(Some(number)),
        Some(_) => error(format!(
            "the disk {text:?} has the size {size}: 1G to {MOST_GIB}G are possible"
        )),
        None => error(format!(
            "the disk {text:?} has the size {size:?}: write a whole number and G, as in 5G"
        )),
    }
}

struct Reader<'a> {
    text: &'a str,
    disk: DiskSpec,
    /// The options so far.
    seen: Vec<&'a str>,
}

impl<'a> Reader<'a> {
    fn option(&mut self, option: &'a str) -> Result<(), DiskSpecError> {
        let text = self.text;
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option, None),
        };
        if self.seen.contains(&name) {
            return error(format!("the disk {text:?} has the option `{name}` twice"));
        }
        self.seen.push(name);
        match (name, value) {
            ("channel", Some(channel)) => {
                self.disk.channel = channel.parse().map_err(|()| {
                    DiskSpecError(format!(
                        "the disk {text:?} has the channel {channel:?}: virtio, nvme and scsi are possible"
                    ))
                })?;
            }
            ("serial", Some(serial)) => {
                if serial.is_empty() || serial.chars().any(char::is_control) {
                    return error(format!(
                        "the disk {text:?} has the serial number {serial:?}: it must have visible characters only"
                    ));
                }
                self.disk.serial = Some(serial.to_owned());
            }
            ("wwn", Some(wwn)) => match u64::from_str(wwn) {
                Ok(number) if !wwn.starts_with('+') => self.disk.wwn = Some(number),
                _ => {
                    return error(format!(
                        "the disk {text:?} has the WWN {wwn:?}: write a decimal number below 2^64"
                    ));
                }
            },
            ("4k", None) => self.disk.sectors = Sectors::Native4k,
            ("512e", None) => self.disk.sectors = Sectors::Emulated512,
            ("mpath", None) => self.disk.multipath = true,
            ("channel" | "serial" | "wwn", None) => {
                return error(format!(
                    "the disk {text:?} has the option `{name}` without a value: write {name}=…"
                ));
            }
            ("4k" | "512e" | "mpath", Some(_)) => {
                return error(format!(
                    "the disk {text:?} has the option `{name}` with a value, and it takes none"
                ));
            }
            _ => {
                return error(format!(
                    "the disk {text:?} has the unknown option {option:?}: channel=, 4k, 512e, mpath, serial= and wwn= are possible"
                ));
            }
        }
        Ok(())
    }

    /// What concerns more than one option.
    fn check(&self) -> Result<(), DiskSpecError> {
        let text = self.text;
        if self.seen.contains(&"4k") && self.seen.contains(&"512e") {
            return error(format!(
                "the disk {text:?} has both `4k` and `512e`, which are different sectors: keep one"
            ));
        }
        let scsi = self.disk.multipath || self.disk.channel == DiskChannel::Scsi;
        if self.disk.multipath
            && self.seen.contains(&"channel")
            && self.disk.channel != DiskChannel::Scsi
        {
            return error(format!(
                "the disk {text:?} has `mpath`, which is always SCSI, and channel={}: remove one",
                self.disk.channel
            ));
        }
        let longest = if scsi {
            LONGEST_SCSI_SERIAL
        } else {
            LONGEST_SERIAL
        };
        match &self.disk.serial {
            Some(serial) if serial.len() > longest => error(format!(
                "the disk {text:?} has a serial number of {} bytes: the guest sees at most {longest}",
                serial.len()
            )),
            _ => Ok(()),
        }
    }
}

impl FromStr for DiskChannel {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "virtio" => Ok(DiskChannel::Virtio),
            "nvme" => Ok(DiskChannel::Nvme),
            "scsi" => Ok(DiskChannel::Scsi),
            _ => Err(()),
        }
    }
}

impl fmt::Display for DiskChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DiskChannel::Virtio => "virtio",
            DiskChannel::Nvme => "nvme",
            DiskChannel::Scsi => "scsi",
        })
    }
}

/// The notation that [`DiskSpec::parse_primary`] reads, with nothing that is the default.
impl fmt::Display for DiskSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(size) = self.size_gib {
            write!(f, "{size}G")?;
        }
        let mut separator = ':';
        let mut option = |f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>| {
            write!(f, "{separator}{text}")?;
            separator = ',';
            Ok::<(), fmt::Error>(())
        };
        if self.channel != DiskChannel::default() {
            option(f, format_args!("channel={}", self.channel))?;
        }
        match self.sectors {
            Sectors::Native512 => {}
            Sectors::Native4k => option(f, format_args!("4k"))?,
            Sectors::Emulated512 => option(f, format_args!("512e"))?,
        }
        if self.multipath {
            option(f, format_args!("mpath"))?;
        }
        if let Some(serial) = &self.serial {
            option(f, format_args!("serial={serial}"))?;
        }
        if let Some(wwn) = self.wwn {
            option(f, format_args!("wwn={wwn}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
