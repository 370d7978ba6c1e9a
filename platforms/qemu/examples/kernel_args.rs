//! Starts machines with kernel arguments, one after the other, and says how long it took to write them, in seconds, as JSON:
//! `cargo run -p kolea-qemu --example kernel_args -- IMAGE WORK-DIRECTORY COUNT`

use std::path::PathBuf;

use kolea_machine::profile::Profile;
use kolea_machine::{LaunchRequest, Platform, Provision};
use kolea_model::MachineNeeds;
use kolea_qemu::{QemuOptions, QemuPlatform};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let (Some(image), Some(dir), Some(count)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: kernel_args IMAGE WORK-DIRECTORY COUNT".into());
    };
    let dir = PathBuf::from(dir);
    let platform = QemuPlatform::new(QemuOptions {
        image: PathBuf::from(image),
        arch: kolea_qemu::host_arch().to_owned(),
        profile: Profile::builtin("fcos").ok_or("no profile")?,
        cache_dir: dir.join("cache"),
        ..QemuOptions::default()
    })
    .await?;
    let mut seconds = Vec::new();
    for number in 0..count.parse()? {
        let needs = MachineNeeds {
            kernel_args: Some(format!("every={number}")),
            firstboot_kernel_args: Some(format!("first={number}")),
            ..MachineNeeds::default()
        };
        let machine = platform
            .launch(LaunchRequest {
                owner: "kernel_args".to_owned(),
                dir: dir.clone(),
                spec: platform.resolve(&needs),
                provision: Provision::default(),
                freezable: false,
                network: None,
            })
            .await?;
        machine.stop().await;
        let steps = machine.take_steps();
        let step = steps.iter().find(|step| step.name == "kernel-args");
        seconds.push(step.ok_or("no arguments were written")?.seconds);
    }
    println!("{}", serde_json::to_string(&seconds)?);
    let left = platform.close().await;
    if left.is_empty() {
        Ok(())
    } else {
        Err(left.join("; ").into())
    }
}
