//! What a test can ask of its machine, on one machine of the fixture image (target/fixtures, made by fixtures/build) that
//! has it all: directories of the host, NUMA nodes, a larger disk. And what is told before anything boots.
//!
//! The fixture's kernel has virtiofs and no 9p, so this host needs virtiofsd (`ci/setup --dev`).

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are not recognised as tests"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kolea_machine::profile::Profile;
use kolea_machine::{DownKind, Exec, LaunchRequest, Machine, Platform, Provision, RunBy};
use kolea_model::{HostMount, MachineNeeds};
use kolea_qemu::{Accel, QemuError, QemuOptions, QemuPlatform};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::timeout;

/// Boots are slow where several emulated guests share a core.
const PATIENCE: Duration = Duration::from_secs(300);

/// Where everything is. It is left for people to look at, and removed by the next run.
fn dir(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("specs")
        .join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

fn options(dir: &Path) -> QemuOptions {
    let image =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/fixtures/fixture-x86_64.qcow2");
    assert!(
        image.is_file(),
        "{} is missing: run fixtures/build",
        image.display()
    );
    QemuOptions {
        image,
        arch: "x86_64".to_owned(),
        accel: Accel::Tcg,
        firmware: None,
        memory_mib: None,
        disk_size: None,
        mounts: Vec::new(),
        profile: Profile::builtin("fcos").unwrap(),
        cache_dir: dir.join("cache"),
        template_cache: None,
        work_dir: Some(dir.join("work")),
        ..QemuOptions::default()
    }
}

/// Runs a command of root's, and returns its status and output.
async fn run(machine: &dyn Machine, command: &str) -> (i32, String) {
    let exec = Exec {
        label: "test",
        command: command.to_owned(),
        by: RunBy::Root,
        stdin: Vec::new(),
    };
    let output = timeout(PATIENCE, machine.exec(exec))
        .await
        .unwrap()
        .unwrap();
    let said = output.stdout_text() + &output.stderr_text();
    (output.status, said.trim().to_owned())
}

fn mount(host: &Path, guest: &str) -> HostMount {
    HostMount {
        host: host.to_owned(),
        guest: guest.to_owned(),
        writable: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_has_what_its_test_asks_for() {
    let dir = dir("all");
    let (odd, common) = (dir.join("a, b=%c"), dir.join("common"));
    for host in [&odd, &common] {
        fs::create_dir(host).unwrap();
        fs::write(
            host.join("file"),
            host.file_name().unwrap().as_encoded_bytes(),
        )
        .unwrap();
    }
    let platform = QemuPlatform::new(QemuOptions {
        disk_size: Some("+512M".to_owned()),
        mounts: vec![mount(&common, "/srv/common")],
        ..options(&dir)
    })
    .await
    .unwrap();
    let needs = MachineNeeds {
        // Less than the image has.
        disk_gib: Some(1),
        numa: true,
        mounts: vec![mount(&odd, "/var/mnt/a, b-%c")],
        ..MachineNeeds::default()
    };
    assert_eq!(kolea_qemu::unmet(&needs, std::env::consts::ARCH), None);
    kolea_qemu::check(&needs).unwrap();
    let spec = platform.resolve(&needs);
    assert_eq!((spec.cpus, spec.mounts.len()), (2, 2));
    let reason = platform.not_clonable(&spec).unwrap();
    assert!(reason.contains("directories of the host"), "{reason}");
    let request = LaunchRequest {
        owner: "test".to_owned(),
        dir: dir.join("out"),
        spec,
        provision: Provision::default(),
        freezable: false,
        network: None,
    };
    let launch = platform.launch(request);
    let machine = timeout(PATIENCE, launch).await.unwrap().unwrap();
    timeout(PATIENCE, machine.wait_ready(None))
        .await
        .unwrap()
        .unwrap();
    let machine = &*machine;

    let (_, nodes) = run(
        machine,
        "nproc; cd /sys/devices/system/node; for node in node*; do echo \"$node $(cat $node/cpulist)\"; done; \
         blockdev --getsize64 /dev/disk/by-id/virtio-primary-disk",
    )
    .await;
    let disk = (4_u64 << 30) + (512 << 20);
    assert_eq!(nodes, format!("2\nnode0 0\nnode1 1\n{disk}"));

    for (host, guest) in [(&odd, "/var/mnt/a, b-%c"), (&common, "/srv/common")] {
        let at = |command: &str| format!("cd '{guest}' && {command}");
        let name = host.file_name().unwrap().to_str().unwrap();
        assert_eq!(
            run(machine, &at("cat file")).await,
            (0, name.to_owned()),
            "is virtiofsd installed (ci/setup --dev)?"
        );
        fs::write(host.join("later"), "seen").unwrap();
        assert_eq!(run(machine, &at("cat later")).await, (0, "seen".to_owned()));
        // As it is mounted, and with what the guest can do about that.
        for remount in ["true", "mount -o remount,rw \"$PWD\"; cd \"$PWD\""] {
            let write = format!("{remount}; echo 1 >file; rm -f later; mkdir new; chmod 777 file");
            let (status, said) = run(machine, &at(&write)).await;
            assert_ne!(status, 0, "{said}");
            assert!(said.contains("Read-only file system"), "{said}");
        }
        assert_eq!(fs::read_to_string(host.join("file")).unwrap(), name);
        assert_eq!(fs::read_to_string(host.join("later")).unwrap(), "seen");
        assert!(!host.join("new").exists());
    }
    let healthy = run(machine, "systemctl is-system-running --wait").await;
    assert_eq!(healthy, (0, "running".to_owned()));

    log_in(machine, &dir);
    machine.stop().await;
    assert_eq!(platform.close().await, Vec::<String>::new());
    assert_eq!(fs::read_dir(dir.join("work")).unwrap().count(), 0);
}

/// Logs in as a person would.
fn log_in(machine: &dyn Machine, dir: &Path) {
    use std::os::unix::fs::OpenOptionsExt;
    let login = machine.ssh_login().unwrap();
    let key = dir.join("key");
    let mut file = fs::File::options();
    let file = file.write(true).create_new(true).mode(0o600).open(&key);
    std::io::Write::write_all(&mut file.unwrap(), login.private_key.as_bytes()).unwrap();
    let output = std::process::Command::new("ssh")
        .args(["-F", "/dev/null", "-o", "StrictHostKeyChecking=no"])
        .args(["-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes"])
        .arg("-i")
        .arg(&key)
        .arg("-p")
        .arg(login.port.to_string())
        .arg(format!("{}@{}", login.user, login.host))
        .arg("id -un")
        .output()
        .unwrap();
    fs::remove_file(&key).unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "core\n", "{words}");
}

/// A disk with a boot sector that halts for ever.
fn blank_disk(dir: &Path) -> PathBuf {
    let path = dir.join("blank.raw");
    let mut disk = vec![0_u8; 1 << 20];
    disk[..3].copy_from_slice(&[0xf4, 0xeb, 0xfd]);
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    fs::write(&path, disk).unwrap();
    path
}

/// The processes whose command line has that word in it.
fn processes(word: &str) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&command).contains(word) {
            found.push(Pid::from_raw(pid));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn virtiofsd_ends_with_its_machine_and_is_missed_before() {
    let dir = dir("missed");
    let shared = dir.join("shared by one test alone");
    fs::create_dir(&shared).unwrap();
    let platform = QemuPlatform::new(QemuOptions {
        image: blank_disk(&dir),
        memory_mib: Some(64),
        mounts: vec![mount(&shared, "/srv")],
        ..options(&dir)
    })
    .await
    .unwrap();
    let word = format!("--shared-dir\0{}", shared.display());
    for kills in [false, true] {
        let request = LaunchRequest {
            owner: "test".to_owned(),
            dir: dir.join("out"),
            spec: platform.resolve(&MachineNeeds::default()),
            provision: Provision::default(),
            freezable: false,
            network: None,
        };
        let launch = platform.launch(request);
        let machine = timeout(PATIENCE, launch).await.unwrap().unwrap();
        let serving = processes(&word);
        assert!(
            !serving.is_empty(),
            "is virtiofsd installed (ci/setup --dev)?"
        );
        if kills {
            for pid in serving {
                // The first may take the others along.
                let _ = kill(pid, Signal::SIGKILL);
            }
            let down = timeout(PATIENCE, machine.down()).await.unwrap();
            assert_eq!(down.kind, DownKind::Died);
            let named = format!("virtiofsd, which shares {}, ended (", shared.display());
            assert!(down.message.contains(&named), "{}", down.message);
        }
        let end = timeout(PATIENCE, machine.stop()).await.unwrap();
        assert!(end.starts_with("stopped by kolea"), "{end}");
        assert_eq!(processes(&word), []);
    }
    assert_eq!(platform.close().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_wrong_with_the_options_is_told_before_anything_boots() {
    let dir = dir("wrong");
    for (size, part) in [
        ("20 gigs", "it is not a size"),
        ("1G", "it is smaller than the image"),
        ("+9999999P", "it is larger than a disk can be"),
    ] {
        let asked = QemuOptions {
            disk_size: Some(size.to_owned()),
            ..options(&dir)
        };
        let error = QemuPlatform::new(asked).await.unwrap_err();
        assert!(matches!(error, QemuError::DiskSize { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    let asked = QemuOptions {
        mounts: vec![mount(&dir.join("none"), "/srv")],
        ..options(&dir)
    };
    let error = QemuPlatform::new(asked).await.unwrap_err().to_string();
    assert!(
        error.starts_with("--qemu-bind-ro: cannot mount ") && error.contains("no such directory"),
        "{error}"
    );
}
