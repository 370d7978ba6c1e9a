//! What a disk is like, and kola's notation for it.

use serde::{Deserialize, Serialize};

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
