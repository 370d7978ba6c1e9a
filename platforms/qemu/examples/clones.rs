//! Freezes a machine, starts clones of it, and says how long everything took and what it costs the host:
//! `cargo run -p kolea-qemu --example clones -- IMAGE OUTPUT-DIRECTORY [CLONES [bios|uefi]]`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use kolea_machine::profile::Profile;
use kolea_machine::{
    CloneRequest, Exec, LaunchRequest, Machine, Platform, Provision, RunBy, TemplateOrder,
};
use kolea_model::{Firmware, MachineNeeds};
use kolea_qemu::{Accel, QemuOptions, QemuPlatform, TemplateCache};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args_os().skip(1);
    let (Some(image), Some(dir)) = (args.next(), args.next()) else {
        return Err("usage: clones IMAGE OUTPUT-DIRECTORY [CLONES [bios|uefi]]".into());
    };
    let (image, dir) = (PathBuf::from(image), PathBuf::from(dir));
    let count: usize = match args.next() {
        Some(count) => count.to_string_lossy().parse()?,
        None => 2,
    };
    let firmware = match args.next() {
        Some(name) if name == "uefi" => Some(Firmware::Uefi),
        Some(_) => Some(Firmware::Bios),
        None => None,
    };
    let start = Instant::now();
    let at = |what: &str| println!("{:7.3} s  {what}", start.elapsed().as_secs_f64());
    let platform = QemuPlatform::new(QemuOptions {
        image,
        arch: std::env::consts::ARCH.to_owned(),
        accel: Accel::Auto,
        firmware,
        memory_mib: None,
        disk_size: None,
        mounts: Vec::new(),
        profile: Profile::builtin("fcos").ok_or("no profile")?,
        cache_dir: dir.join("cache"),
        template_cache: Some(TemplateCache {
            dir: dir.join("templates"),
            limit_mib: 4096,
        }),
        work_dir: None,
        ..QemuOptions::default()
    })
    .await?;
    let order = TemplateOrder {
        spec: platform.resolve(&MachineNeeds::default()),
        provision: Provision::default(),
    };
    at("the platform is there");
    let template = match platform.find_template(&order).await {
        Some(template) => template,
        None => {
            let machine = platform
                .launch(LaunchRequest {
                    owner: "template".to_owned(),
                    dir: dir.clone(),
                    spec: order.spec.clone(),
                    provision: order.provision.clone(),
                    freezable: true,
                    network: None,
                })
                .await?;
            drop(machine.take_lines());
            machine.wait_ready(None).await?;
            at("a machine is ready");
            tell(&*machine);
            let template = platform.freeze(Arc::clone(&machine), &order, true).await?;
            tell(&*machine);
            template
        }
    };
    at(&format!(
        "template {}: {} MiB",
        template.key(),
        template.disk_mib()
    ));
    let mut clones = Vec::new();
    for _ in 0..count {
        let clone = platform
            .launch_clone(CloneRequest {
                owner: "clone".to_owned(),
                dir: dir.clone(),
                template: Arc::clone(&template),
            })
            .await?;
        at("a clone runs");
        drop(clone.take_lines());
        let boot = clone.wait_ready(None).await?;
        at(&format!("awake, in boot {}", boot.0));
        tell(&*clone);
        let output = clone
            .exec(Exec {
                label: "example",
                command: "date +%s.%N; cat /proc/sys/kernel/random/uuid".to_owned(),
                by: RunBy::Root,
                stdin: Vec::new(),
            })
            .await?;
        at(output.stdout_text().trim());
        clones.push(clone);
    }
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let mut sums = BTreeMap::new();
    for clone in &clones {
        for (name, mib) in memory(clone.id()) {
            *sums.entry(name).or_insert(0) += mib;
        }
    }
    println!("{count} clones at rest, MiB: {sums:?}");
    if let Some(clone) = clones.first() {
        let output = clone
            .exec(Exec {
                label: "example",
                command: "uptime".to_owned(),
                by: RunBy::User,
                stdin: Vec::new(),
            })
            .await?;
        at(&format!("over SSH: {}", output.stdout_text().trim()));
        println!("after that: {:?}", memory(clone.id()));
    }
    for clone in clones {
        clone.stop().await;
    }
    drop(template);
    println!("left behind: {:?}", platform.close().await);
    Ok(())
}

fn tell(machine: &dyn Machine) {
    for step in machine.take_steps() {
        println!("           {:8} {:.3} s", step.name, step.seconds);
    }
}

/// What the process with that word in its command line occupies.
fn memory(word: &str) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
        if !String::from_utf8_lossy(&read("cmdline")).contains(word) {
            continue;
        }
        for line in String::from_utf8_lossy(&read("smaps_rollup")).lines() {
            let mut words = line.split_whitespace();
            if let (Some(name @ ("Rss:" | "Pss:" | "Private_Dirty:")), Some(kib)) =
                (words.next(), words.next())
            {
                found.push((name.to_owned(), kib.parse().unwrap_or(0) / 1024));
            }
        }
    }
    found
}
