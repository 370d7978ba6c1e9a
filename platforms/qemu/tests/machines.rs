//! Real QEMU processes with a disk that has no operating system: SeaBIOS finds nothing to boot and waits.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are not recognised as tests"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kolea_machine::profile::Profile;
use kolea_machine::{
    DownKind, LaunchRequest, Line, Machine, MachineError, Platform, Provision, TemplateOrder,
};
use kolea_model::MachineNeeds;
use kolea_qemu::{Accel, QemuOptions, QemuPlatform};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

struct Bench {
    dir: TempDir,
    platform: QemuPlatform,
}

fn blank_disk(dir: &Path) -> PathBuf {
    let path = dir.join("blank, disk.raw");
    let mut disk = vec![0_u8; 1 << 20];
    // A boot sector that does nothing, for ever.
    disk[..3].copy_from_slice(&[0xf4, 0xeb, 0xfd]);
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    std::fs::write(&path, disk).unwrap();
    path
}

fn options(dir: &Path) -> QemuOptions {
    QemuOptions {
        image: blank_disk(dir),
        arch: "x86_64".to_owned(),
        accel: Accel::Tcg,
        firmware: None,
        memory_mib: Some(64),
        disk_size: None,
        mounts: Vec::new(),
        profile: Profile::builtin("fcos").unwrap(),
        cache_dir: dir.join("cache"),
        template_cache: None,
        work_dir: Some(dir.join("work")),
        ..QemuOptions::default()
    }
}

async fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let platform = QemuPlatform::new(options(dir.path())).await.unwrap();
    Bench { dir, platform }
}

impl Bench {
    fn request(&self) -> LaunchRequest {
        LaunchRequest {
            owner: "test".to_owned(),
            dir: self.dir.path().join("out"),
            spec: self.platform.resolve(&MachineNeeds::default()),
            provision: Provision::default(),
            freezable: false,
            network: None,
        }
    }

    async fn launch(&self) -> Arc<dyn Machine> {
        let launch = self.platform.launch(self.request());
        timeout(PATIENCE, launch).await.unwrap().unwrap()
    }
}

/// The processes whose command line has that word in it.
fn processes(word: &str) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&command).contains(word) {
            found.push(Pid::from_raw(pid));
        }
    }
    found
}

/// The swtpm processes whose state is below a directory. They have nothing of it on their command line.
fn tpms(dir: &Path) -> Vec<Pid> {
    let mut found = processes("--tpmstate");
    found.retain(|pid| {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd"));
        let mut paths = open.into_iter().flatten().flatten();
        paths.any(|entry| std::fs::read_link(entry.path()).is_ok_and(|path| path.starts_with(dir)))
    });
    found
}

fn entries(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_leaves_its_artefacts_and_nothing_else() {
    let bench = bench().await;
    let machine = bench.launch().await;
    assert_eq!(processes(machine.id()).len(), 1);
    assert_eq!(tpms(bench.dir.path()).len(), 1);
    assert_eq!(
        machine.dir(),
        bench.dir.path().join("out").join(machine.id())
    );
    let config = std::fs::read_to_string(bench.dir.path().join("out/ssh-config")).unwrap();
    assert!(config.contains(machine.id()), "{config}");
    assert!(config.contains("HostName 127.0.0.1\n  Port "), "{config}");

    assert_eq!(machine.stop().await, "stopped by kolea");
    assert_eq!(machine.stop().await, "stopped by kolea");
    assert_eq!(machine.down().await.kind, DownKind::Stopped);
    assert!(processes(machine.id()).is_empty());
    assert!(tpms(bench.dir.path()).is_empty());
    // The BIOS may have come to say something, or not.
    let mut left = entries(machine.dir());
    left.retain(|name| name != "console.txt");
    assert_eq!(
        left,
        ["exit-status.txt", "ignition.json", "qemu-command.txt"]
    );
    assert_eq!(bench.platform.close().await, Vec::<String>::new());
    assert!(entries(&bench.dir.path().join("work")).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_qemu_is_noticed_by_whoever_waits() {
    let bench = bench().await;
    let machine = bench.launch().await;
    let mut lines = machine.take_lines().unwrap();
    assert!(machine.take_lines().is_none());
    let waiting = tokio::spawn({
        let machine = Arc::clone(&machine);
        async move { machine.wait_ready(None).await }
    });
    kill(processes(machine.id())[0], Signal::SIGKILL).unwrap();
    let Err(MachineError::Down(down)) = timeout(PATIENCE, waiting).await.unwrap().unwrap() else {
        panic!("not noticed");
    };
    assert_eq!(down.kind, DownKind::Died);
    assert_eq!(down.message, "QEMU was killed by signal 9 (SIGKILL)");
    assert_eq!(timeout(PATIENCE, lines.recv()).await.unwrap(), None::<Line>);
    assert_eq!(machine.stop().await, down.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_whose_tpm_dies_is_down() {
    let bench = bench().await;
    let machine = bench.launch().await;
    for pid in tpms(bench.dir.path()) {
        kill(pid, Signal::SIGKILL).unwrap();
    }
    let down = timeout(PATIENCE, machine.down()).await.unwrap();
    assert_eq!(down.kind, DownKind::Died);
    assert!(
        down.message.contains("swtpm, the machine's TPM, ended ("),
        "{}",
        down.message
    );
    machine.stop().await;
    assert_eq!(bench.platform.close().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_qemu_says_by_whom() {
    let bench = bench().await;
    let machine = bench.launch().await;
    kill(processes(machine.id())[0], Signal::SIGTERM).unwrap();
    let down = timeout(PATIENCE, machine.down()).await.unwrap();
    assert_eq!(down.kind, DownKind::Died);
    assert!(
        down.message.contains("terminating on signal 15"),
        "{}",
        down.message
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_launch_or_machine_takes_its_process_along() {
    let bench = bench().await;
    let work = bench.platform.work_dir();
    // Drop it once QEMU runs, before its monitor answers.
    let mut launch = Box::pin(bench.platform.launch(bench.request()));
    let word = work.to_string_lossy().into_owned();
    while processes(&word)
        .into_iter()
        .all(|pid| pid == Pid::this() || !is_qemu(pid))
    {
        let _ = timeout(Duration::from_millis(1), &mut launch).await;
    }
    drop(launch);
    wait_until_gone(&word).await;

    let machine = bench.launch().await;
    let id = machine.id().to_owned();
    drop(machine);
    wait_until_gone(&id).await;
    // Nothing waits for what a dropped machine has left but this.
    let gone = async {
        while !tpms(bench.dir.path()).is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
    assert_eq!(bench.platform.close().await, Vec::<String>::new());
}

fn is_qemu(pid: Pid) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm"))
        .is_ok_and(|name| name.starts_with("qemu-system"))
}

/// Nobody tells the end of a process that nobody holds any more.
async fn wait_until_gone(word: &str) {
    let gone = async {
        while processes(word).into_iter().any(is_qemu) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_memory_is_told_in_qemus_words() {
    let bench = bench().await;
    let mut request = bench.request();
    request.spec.memory_mib = 1 << 30;
    let error = bench.platform.launch(request).await.unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, MachineError::Launch(_)), "{error:?}");
    assert!(message.contains("memory"), "{message}");
    assert_eq!(bench.platform.close().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_may_be_frozen_has_its_memory_in_a_file_of_its_own() {
    use std::os::unix::fs::PermissionsExt;
    let bench = bench().await;
    let mut request = bench.request();
    request.freezable = true;
    let machine = timeout(PATIENCE, bench.platform.launch(request.clone()))
        .await
        .unwrap()
        .unwrap();
    let ram = bench.platform.work_dir().join(machine.id()).join("ram");
    let data = std::fs::metadata(&ram).unwrap();
    assert_eq!(data.len(), 64 << 20);
    assert_eq!(data.permissions().mode() & 0o777, 0o600);
    machine.stop().await;
    assert!(!ram.exists());
    // A petabyte is not to be had.
    request.spec.memory_mib = 1 << 30;
    let error = bench.platform.launch(request).await.unwrap_err();
    assert!(matches!(error, MachineError::DiskFull(_)), "{error:?}");
    assert_eq!(bench.platform.close().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_cannot_be_frozen_is_stopped_all_the_same() {
    let bench = bench().await;
    let machine = bench.launch().await;
    let order = TemplateOrder {
        spec: bench.request().spec,
        provision: Provision::default(),
    };
    let freeze = bench.platform.freeze(Arc::clone(&machine), &order, true);
    let error = timeout(PATIENCE, freeze).await.unwrap().unwrap_err();
    assert!(matches!(error, MachineError::Harness(_)), "{error:?}");
    assert_eq!(machine.down().await.kind, DownKind::Stopped);
    assert_eq!(bench.platform.close().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_facts_are_there_for_the_reports() {
    let bench = bench().await;
    let facts = bench.platform.facts();
    assert_eq!(facts.name, "qemu");
    for key in [
        "image",
        "image-sha256",
        "accelerator",
        "accelerator-reason",
        "qemu-version",
        "firmware",
    ] {
        assert!(!facts.properties[key].is_empty(), "{key}");
    }
    let spec = bench.platform.resolve(&MachineNeeds {
        memory_mib: Some(4096),
        disk_gib: Some(12),
        internet: true,
        skip_base_checks: false,
        ..MachineNeeds::default()
    });
    assert_eq!((spec.memory_mib, spec.cpus), (64, 1));
    assert_eq!((spec.disk_gib, spec.internet), (Some(12), true));
}
