//! Taking disks away from a running machine.

use kolea_machine::{Machine, MachineError, PRIMARY_DISK};
use serde_json::{Value, json};

use crate::machine::QemuMachine;
use crate::qmp::QmpError;

/// A disk, or one path to it, as QEMU knows it.
#[derive(Debug)]
struct Disk {
    /// The drive's id: `disk-1`, `mpath10`.
    id: String,
    /// What has its properties.
    properties: String,
    /// What can be removed.
    device: String,
}

/// Takes away a disk or path by its id, or the primary disk with all its paths; then the guest boots from another disk next time.
pub async fn remove_disk(machine: &QemuMachine, id: &str) -> Result<(), MachineError> {
    let fault = |error| MachineError::Harness(format!("cannot remove the disk {id}: {error}"));
    let disks = disks(machine).await.map_err(fault)?;
    let (targets, others): (Vec<Disk>, Vec<Disk>) = if id == PRIMARY_DISK {
        primary_first(machine, disks).await.map_err(fault)?
    } else {
        disks.into_iter().partition(|disk| disk.id == id)
    };
    if targets.is_empty() {
        let others: Vec<&str> = others.iter().map(|disk| disk.id.as_str()).collect();
        return Err(MachineError::Harness(format!(
            "cannot remove the disk {id}: the machine has none of that name, only {}",
            others.join(", ")
        )));
    }
    for target in &targets {
        remove(machine, target).await.map_err(|error| match error {
            QmpError::Refused { message, .. } if message.contains("does not support hotplugging") => {
                MachineError::Harness(format!(
                    "cannot remove the disk {id}: machines with UEFI can lose SCSI disks and paths, others only machines with BIOS ({message})"
                ))
            }
            error => fault(error),
        })?;
    }
    Ok(())
}

/// The disks that the machine has now.
async fn disks(machine: &QemuMachine) -> Result<Vec<Disk>, QmpError> {
    let blocks = machine.qmp.execute("query-block", json!({})).await?;
    let disk = |block: &Value| {
        let properties = block["qdev"].as_str()?.to_owned();
        Some(Disk {
            id: block["device"]
                .as_str()
                .filter(|id| !id.is_empty())?
                .to_owned(),
            device: properties
                .strip_suffix("/virtio-backend")
                .unwrap_or(&properties)
                .to_owned(),
            properties,
        })
    };
    Ok(blocks
        .as_array()
        .map(|blocks| blocks.iter().filter_map(disk).collect())
        .unwrap_or_default())
}

/// The paths to the primary disk, and the other disks, which the guest is to boot from instead.
async fn primary_first(
    machine: &QemuMachine,
    disks: Vec<Disk>,
) -> Result<(Vec<Disk>, Vec<Disk>), QmpError> {
    let (mut primary, mut others) = (Vec::new(), Vec::new());
    for disk in disks {
        let serial = json!({ "path": disk.properties, "property": "serial" });
        if machine.qmp.execute("qom-get", serial).await? == PRIMARY_DISK {
            primary.push(disk);
        } else {
            others.push(disk);
        }
    }
    if primary.is_empty() {
        return Ok((primary, others));
    }
    // A number must be free before it is given away.
    let order = primary.iter().map(|disk| (disk, -1));
    for (disk, index) in order.chain(others.iter().zip(1..)) {
        let order = json!({ "path": disk.properties, "property": "bootindex", "value": index });
        machine.qmp.execute("qom-set", order).await?;
    }
    Ok((primary, others))
}

/// Removes a device and waits until it is gone: the guest has a say in that, unless it is SCSI.
async fn remove(machine: &QemuMachine, disk: &Disk) -> Result<(), QmpError> {
    let life = &machine.leash.0;
    life.unplugged.send_modify(|ends| {
        ends.remove(&disk.device);
    });
    let mut ends = life.unplugged.subscribe();
    let device = json!({ "id": disk.device });
    machine.qmp.execute("device_del", device).await?;
    let gone = tokio::select! {
        ends = ends.wait_for(|ends| ends.contains_key(&disk.device)) => {
            ends.is_ok_and(|ends| ends.get(&disk.device) == Some(&true))
        }
        _ = machine.down() => return Err(QmpError::Closed),
    };
    if gone {
        Ok(())
    } else {
        Err(QmpError::Refused {
            command: "device_del".to_owned(),
            message: "the guest does not let go of it".to_owned(),
        })
    }
}
