//! Disks of real QEMU processes: with a disk that has no operating system, where SeaBIOS finds nothing to boot and waits.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are not recognised as tests"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kolea_machine::profile::Profile;
use kolea_machine::{DownKind, LaunchRequest, Machine, PRIMARY_DISK, Platform, Provision};
use kolea_model::{DiskSpec, Firmware, MachineNeeds};
use kolea_qemu::{Accel, QemuOptions, QemuPlatform};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

fn disk(text: &str) -> DiskSpec {
    DiskSpec::parse_primary(text).unwrap()
}

/// A disk with a boot sector that halts for ever, and the header of a partition table for sectors of that many bytes.
fn blank_disk(dir: &Path, table: Option<usize>) -> PathBuf {
    let path = dir.join("blank.raw");
    let mut disk = vec![0_u8; 1 << 20];
    disk[..3].copy_from_slice(&[0xf4, 0xeb, 0xfd]);
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    if let Some(sector) = table {
        disk[sector..sector + 8].copy_from_slice(b"EFI PART");
    }
    fs::write(&path, disk).unwrap();
    path
}

fn options(dir: &Path, table: Option<usize>) -> QemuOptions {
    QemuOptions {
        image: blank_disk(dir, table),
        arch: "x86_64".to_owned(),
        accel: Accel::Tcg,
        memory_mib: Some(64),
        profile: Profile::builtin("fcos").unwrap(),
        cache_dir: dir.join("cache"),
        work_dir: Some(dir.join("work")),
        ..QemuOptions::default()
    }
}

struct Bench {
    dir: TempDir,
    platform: QemuPlatform,
}

impl Bench {
    async fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let platform = QemuPlatform::new(options(dir.path(), None)).await.unwrap();
        Bench { dir, platform }
    }

    async fn launch(&self, needs: &MachineNeeds) -> Arc<dyn Machine> {
        let launch = self.platform.launch(LaunchRequest {
            owner: "test".to_owned(),
            dir: self.dir.path().join("out"),
            spec: self.platform.resolve(needs),
            provision: Provision::default(),
            freezable: false,
            network: None,
        });
        timeout(PATIENCE, launch).await.unwrap().unwrap()
    }

    /// The processes of qemu-nbd for this bench.
    fn serving(&self) -> Vec<Pid> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
                continue;
            };
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command);
            let ours = self.dir.path().to_string_lossy();
            if command.contains("qemu-nbd") && command.contains(&*ours) {
                found.push(Pid::from_raw(pid));
            }
        }
        found
    }

    async fn close(&self) {
        assert_eq!(self.platform.close().await, Vec::<String>::new());
        assert_eq!(self.serving(), []);
        let work = fs::read_dir(self.dir.path().join("work")).unwrap();
        assert_eq!(work.count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn disks_and_paths_can_be_taken_away() {
    let bench = Bench::new().await;
    let needs = MachineNeeds {
        primary_disk: Some(disk(":mpath")),
        additional_disks: vec![
            disk("1G:channel=scsi,wwn=5"),
            disk("1G:mpath,4k"),
            disk("1G:channel=nvme,4k"),
        ],
        ..MachineNeeds::default()
    };
    bench.platform.check(&needs).unwrap();
    let machine = bench.launch(&needs).await;
    assert_eq!(bench.serving().len(), 2);
    let remove = async |id: &str| {
        let removed = timeout(PATIENCE, machine.remove_disk(id)).await.unwrap();
        removed.map_err(|error| error.to_string())
    };
    for id in ["mpath21", "disk-1", PRIMARY_DISK, "mpath20"] {
        assert_eq!(remove(id).await, Ok(()), "{id}");
        let error = remove(id).await.unwrap_err();
        assert!(
            error.starts_with(&format!(
                "cannot remove the disk {id}: the machine has none of that name, only "
            )),
            "{error}"
        );
    }
    // Nobody is connected any more, and the machine is well.
    assert_eq!(bench.serving().len(), 2);
    assert_eq!(machine.stop().await, "stopped by kolea");
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_serves_paths_is_missed() {
    let bench = Bench::new().await;
    let needs = MachineNeeds {
        additional_disks: vec![disk("1G:mpath")],
        ..MachineNeeds::default()
    };
    let machine = bench.launch(&needs).await;
    for pid in bench.serving() {
        kill(pid, Signal::SIGKILL).unwrap();
    }
    let down = timeout(PATIENCE, machine.down()).await.unwrap();
    assert_eq!(down.kind, DownKind::Died);
    let named = "qemu-nbd, which serves disk 1, ended (";
    assert!(down.message.contains(named), "{}", down.message);
    machine.stop().await;
    bench.close().await;
}

#[tokio::test]
async fn what_cannot_be_cloned_says_why_and_helpers_cost_memory() {
    let bench = Bench::new().await;
    let spec = |primary: &str, additional: &[&str]| {
        bench.platform.resolve(&MachineNeeds {
            primary_disk: Some(disk(primary)),
            additional_disks: additional.iter().map(|text| disk(text)).collect(),
            ..MachineNeeds::default()
        })
    };
    let plain = spec("", &["1G", "1G:channel=scsi,4k"]);
    assert_eq!(bench.platform.not_clonable(&plain), None);
    for (spec, part) in [
        (spec(":channel=nvme", &[]), "an NVMe disk"),
        (spec("", &["1G:channel=nvme"]), "an NVMe disk"),
        (spec(":mpath", &[]), "a disk on several paths"),
        (spec("", &["1G", "1G:mpath"]), "a disk on several paths"),
    ] {
        let reason = bench.platform.not_clonable(&spec).unwrap();
        assert!(reason.contains(part), "{reason}");
    }
    let cost = |spec| bench.platform.memory_cost(&spec);
    let one = cost(spec("", &["1G:mpath"])) - cost(plain);
    let two = cost(spec(":mpath", &["1G:mpath"])) - cost(spec("", &[]));
    assert!(one > 0 && two == 2 * one, "{one} {two}");
    bench.close().await;
}

#[tokio::test]
async fn an_image_for_other_sectors_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let asked = |table, primary: &str, firmware| QemuOptions {
        primary_disk: disk(primary),
        firmware: Some(firmware),
        ..options(dir.path(), Some(table))
    };
    for (table, primary, firmware, part) in [
        (
            512,
            ":4k",
            Firmware::Uefi,
            "its partition table is made for sectors of 512 bytes, and the primary disk would have sectors of 4096 bytes",
        ),
        (
            4096,
            "",
            Firmware::Uefi,
            "its partition table is made for sectors of 4096 bytes, and the primary disk would have sectors of 512 bytes",
        ),
        (
            4096,
            ":4k",
            Firmware::Bios,
            "BIOS boots from sectors of 512 bytes only",
        ),
    ] {
        let refused = QemuPlatform::new(asked(table, primary, firmware)).await;
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let platform = QemuPlatform::new(asked(512, "", Firmware::Bios))
        .await
        .unwrap();
    let needs = MachineNeeds {
        primary_disk: Some(disk(":4k")),
        ..MachineNeeds::default()
    };
    let error = platform.check(&needs).unwrap_err();
    assert!(
        error.starts_with(
            "primaryDisk: the image's partition table is made for sectors of 512 bytes"
        ),
        "{error}"
    );
    assert_eq!(platform.close().await, Vec::<String>::new());
}
