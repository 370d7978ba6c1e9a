//! `disks.additional`: a machine has the disks that were asked for, of each kind, in kola's order and under kola's names, and they can
//! be pulled out.

use kolea_machine::{NativeTest, PRIMARY_DISK, TestContext, TestResult};
use kolea_model::{DiskChannel, DiskSpec, MachineNeeds, Sectors};

use crate::guest::{expect, is_on, wait_for};

/// The test.
pub const TEST: NativeTest = NativeTest {
    name: "disks.additional",
    description: "additional disks have kola's order and names, their own sizes, sectors and contents, and can be pulled out",
    tags: &[],
    needs: || MachineNeeds {
        disk_gib: Some(PRIMARY_GIB),
        primary_disk: Some(DiskSpec {
            sectors: Sectors::Emulated512,
            ..DiskSpec::default()
        }),
        additional_disks: vec![
            disk(1, DiskChannel::Virtio, Sectors::Native512),
            DiskSpec {
                serial: Some("target".to_owned()),
                ..disk(2, DiskChannel::Virtio, Sectors::Native4k)
            },
            DiskSpec {
                serial: Some("fast".to_owned()),
                ..disk(1, DiskChannel::Nvme, Sectors::Native4k)
            },
            DiskSpec {
                wwn: Some(WWN),
                ..disk(1, DiskChannel::Scsi, Sectors::Emulated512)
            },
        ],
        ..MachineNeeds::default()
    },
    machines: 1,
    run: |context| Box::pin(run(context)),
};

/// More than any image that has to grow has by itself.
const PRIMARY_GIB: u64 = 12;
/// One that a manufacturer could have given.
const WWN: u64 = 0x5000_c500_1234_5678;

fn disk(size_gib: u64, channel: DiskChannel, sectors: Sectors) -> DiskSpec {
    DiskSpec {
        size_gib: Some(size_gib),
        channel,
        sectors,
        ..DiskSpec::default()
    }
}

/// A disk as the guest should see it: device, serial number, size in GiB, physical and logical sectors in bytes, and its name below
/// /dev/disk/by-id.
type Expected = (&'static str, &'static str, u64, u64, u64, &'static str);

const EXPECTED: [Expected; 5] = [
    ("vda", "disk1", 1, 512, 512, "virtio-disk1"),
    ("vdb", "target", 2, 4096, 4096, "virtio-target"),
    ("nvme0n1", "fast", 1, 4096, 4096, "nvme-QEMU_NVMe_Ctrl_fast"),
    ("sda", "disk4", 1, 4096, 512, "wwn-0x5000c50012345678"),
    (
        "vdc",
        PRIMARY_DISK,
        PRIMARY_GIB,
        4096,
        512,
        "virtio-primary-disk",
    ),
];

async fn run(context: TestContext) -> TestResult {
    are_as_expected(&context).await?;
    is_on(&context, "vdc").await?;
    have_contents_of_their_own(&context).await?;
    can_be_pulled_out(&context).await
}

async fn are_as_expected(context: &TestContext) -> TestResult {
    let columns = "NAME,SERIAL,SIZE,PHY-SEC,LOG-SEC";
    let seen = context
        .check_ok(&format!(
            "udevadm settle; lsblk --nodeps --noheadings --bytes --raw --output {columns}"
        ))
        .await?;
    for (name, serial, gib, physical, logical, link) in EXPECTED {
        let line = seen
            .lines()
            .find(|line| line.starts_with(&format!("{name} {serial} ")));
        let numbers: Vec<u64> = line
            .unwrap_or_default()
            .split(' ')
            .skip(2)
            .filter_map(|word| word.parse().ok())
            .collect();
        // An image may be larger, and made for sectors of 4096 bytes.
        let fits = match numbers[..] {
            [size, of, by] if serial == PRIMARY_DISK => {
                size >= gib << 30 && of == physical && (by == logical || by == physical)
            }
            [size, of, by] => (size, of, by) == (gib << 30, physical, logical),
            _ => false,
        };
        expect(
            fits,
            format!(
                "there should be {name} with the serial number {serial}, {} bytes, and sectors of {physical} and {logical} bytes; \
                 lsblk has ({columns}) {seen}",
                gib << 30
            ),
        )?;
        let target = context
            .check_ok(&format!("readlink --canonicalize /dev/disk/by-id/{link}"))
            .await?;
        expect(
            target == format!("/dev/{name}"),
            format!("/dev/disk/by-id/{link} is {target}, not /dev/{name}"),
        )?;
    }
    Ok(())
}

/// What is written to one disk is there, and on that one only; before that they are blank.
async fn have_contents_of_their_own(context: &TestContext) -> TestResult {
    let names: Vec<&str> = EXPECTED[..4].iter().map(|disk| disk.0).collect();
    let names = names.join(" ");
    let read = "sudo dd if=/dev/$name bs=4096 count=1 iflag=direct status=none | tr -d '\\0'";
    let seen = context
        .check_ok(&format!(
            "for name in {names}; do echo \"[$({read})]\"; done; \
             for name in {names}; do printf '%-4096s' \"$name\" | sudo dd of=/dev/$name bs=4096 oflag=direct status=none || exit; done; \
             for name in {names}; do echo \"[$({read} | tr -d ' ')]\"; done"
        ))
        .await?;
    let expected = "[]\n[]\n[]\n[]\n[vda]\n[vdb]\n[nvme0n1]\n[sda]";
    expect(
        seen == expected,
        format!("the disks, first blank and then with their names, have {seen:?}"),
    )
}

/// SCSI disks always; others with BIOS only, where QEMU's machine can lose PCI devices.
async fn can_be_pulled_out(context: &TestContext) -> TestResult {
    context.remove_disk("disk-4").await?;
    wait_for(context, "sda to go away", "! test -e /sys/block/sda").await?;
    let bios = context.ssh("! test -e /sys/firmware/efi").await?;
    if bios.status == 0 {
        context.remove_disk("disk-1").await?;
        wait_for(context, "vda to go away", "! test -e /sys/block/vda").await?;
    }
    Ok(())
}
