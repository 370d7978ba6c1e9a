//! Boots an image, runs a command, reboots, and says how long everything took:
//! `cargo run -p kolea-qemu --example boot -- IMAGE OUTPUT-DIRECTORY`

use std::path::PathBuf;
use std::time::Instant;

use kolea_machine::profile::Profile;
use kolea_machine::{Exec, LaunchRequest, Line, Platform, Provision, RunBy};
use kolea_model::MachineNeeds;
use kolea_qemu::{Accel, QemuOptions, QemuPlatform};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(image), Some(dir)) = (args.next(), args.next()) else {
        return Err("usage: boot IMAGE OUTPUT-DIRECTORY".into());
    };
    let start = Instant::now();
    let at = |what: &str| println!("{:7.2} s  {what}", start.elapsed().as_secs_f64());
    let platform = QemuPlatform::new(QemuOptions {
        image,
        arch: std::env::consts::ARCH.to_owned(),
        accel: Accel::Auto,
        firmware: None,
        memory_mib: None,
        disk_size: None,
        mounts: Vec::new(),
        profile: Profile::builtin("fcos").ok_or("no profile")?,
        cache_dir: dir.join("cache"),
        template_cache: None,
        work_dir: None,
        ..QemuOptions::default()
    })
    .await?;
    at("the platform is there");
    println!("{:#?}", platform.facts());
    let machine = platform
        .launch(LaunchRequest {
            owner: "boot".to_owned(),
            dir: dir.clone(),
            spec: platform.resolve(&MachineNeeds::default()),
            provision: Provision::default(),
            freezable: false,
            network: None,
        })
        .await?;
    at("QEMU runs");
    let lines = machine.take_lines();
    let listener = tokio::spawn(async move {
        let (mut console, mut journal) = (0, 0);
        let Some(mut lines) = lines else {
            return (0, 0);
        };
        while let Some(line) = lines.recv().await {
            match line {
                Line::Console(_) => console += 1,
                Line::Journal(_) => journal += 1,
            }
        }
        (console, journal)
    });
    let first = machine.wait_ready(None).await?;
    at("ready");
    let exec = |command: &str| Exec {
        label: "example",
        command: command.to_owned(),
        stdin: Vec::new(),
        by: RunBy::User,
    };
    let output = machine
        .exec(exec(
            "ip -br addr; cat /proc/uptime; systemctl is-system-running",
        ))
        .await?;
    at(&format!(
        "ran a command, status {}:\n{}",
        output.status,
        output.stdout_text()
    ));
    let reboot = machine
        .exec(exec(
            "sudo systemctl stop sshd.socket sshd; sudo systemctl reboot",
        ))
        .await;
    at(&format!("asked for a reboot: {reboot:?}"));
    machine.wait_ready(Some(&first)).await?;
    at(&format!(
        "rebooted, {} reset(s)",
        *machine.resets().borrow()
    ));
    let off = machine.exec(exec("sudo systemctl poweroff")).await;
    at(&format!("asked to power off: {off:?}"));
    let down = machine.down().await;
    at(&format!("down: {down:?}"));
    at(&format!("end: {}", machine.stop().await));
    let (console, journal) = listener.await?;
    println!("{console} console lines, {journal} journal entries");
    println!("left behind: {:?}", platform.close().await);
    Ok(())
}
