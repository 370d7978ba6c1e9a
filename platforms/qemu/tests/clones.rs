//! Real clones of one template of the fixture image (target/fixtures, made by fixtures/build). The template is made by
//! whichever test comes first; every test is a run of its own, with its own platform and key. Machines have Secure Boot and a TPM,
//! which is the most that there is to freeze; those that the command line's tests clone have BIOS.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are not recognised as tests"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kolea_machine::profile::Profile;
use kolea_machine::{
    BootId, CloneRequest, DownKind, Exec, LaunchRequest, Line, Machine, MachineError, Platform,
    Provision, RunBy, Template, TemplateOrder, Unit,
};
use kolea_model::{DiskSpec, Firmware, MachineNeeds};
use kolea_qemu::{Accel, QemuOptions, QemuPlatform, TemplateCache, Tpm};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::OnceCell;
use tokio::time::timeout;

/// Boots are slow where several emulated guests share a core.
const PATIENCE: Duration = Duration::from_secs(300);

/// Where everything is. It is left for people to look at, and removed by the next run.
fn dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("clones")
}

fn options(name: &str, templates: PathBuf) -> QemuOptions {
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
        firmware: Some(Firmware::UefiSecure),
        tpm: Tpm::Required,
        memory_mib: None,
        disk_size: None,
        usernet: Some("192.168.76.0/24".to_owned()),
        mounts: Vec::new(),
        profile: Profile::builtin("fcos").unwrap(),
        cache_dir: dir().join("cache"),
        template_cache: Some(TemplateCache {
            dir: templates,
            limit_mib: 4096,
        }),
        work_dir: Some(dir().join(name).join("work")),
        ..QemuOptions::default()
    }
}

/// A run.
struct Run {
    name: &'static str,
    platform: QemuPlatform,
    template: Arc<dyn Template>,
}

impl Run {
    async fn new(name: &'static str) -> Run {
        // Tried once, whatever comes of it.
        static TEMPLATE: OnceCell<bool> = OnceCell::const_new();
        let made = TEMPLATE.get_or_init(async || tokio::spawn(make_template()).await.is_ok());
        assert!(
            *made.await,
            "there is no template: see the first test that failed"
        );
        let options = options(name, dir().join("templates"));
        let platform = QemuPlatform::new(options).await.unwrap();
        let template = platform.find_template(&order(&platform)).await.unwrap();
        Run {
            name,
            platform,
            template,
        }
    }

    async fn clone(&self) -> Arc<dyn Machine> {
        let request = CloneRequest {
            owner: "test".to_owned(),
            dir: dir().join(self.name),
            template: Arc::clone(&self.template),
        };
        let clone = self.platform.launch_clone(request);
        timeout(PATIENCE, clone).await.unwrap().unwrap()
    }

    /// Ends it. Nothing is left but the template and the artefacts.
    async fn close(self) {
        let template = self.template.dir().to_owned();
        drop(self.template);
        assert_eq!(self.platform.close().await, Vec::<String>::new());
        assert_eq!(
            fs::read_dir(dir().join(self.name).join("work"))
                .unwrap()
                .count(),
            0
        );
        assert!(template.join("template.json").is_file());
    }
}

fn order(platform: &QemuPlatform) -> TemplateOrder {
    let disks = ["1G", "1G:channel=scsi,4k,serial=mine"];
    let needs = MachineNeeds {
        additional_disks: disks
            .map(|disk| DiskSpec::parse_additional(disk).unwrap())
            .to_vec(),
        ..MachineNeeds::default()
    };
    TemplateOrder {
        spec: platform.resolve(&needs),
        provision: Provision {
            configs: Vec::new(),
            units: ["plain", "persistent"].iter().flat_map(timer).collect(),
        },
    }
}

/// A timer for each full hour, and what it starts.
fn timer(name: &&str) -> [Unit; 2] {
    let unit = |suffix: &str, enabled: bool, contents: String| Unit {
        name: format!("{name}.{suffix}"),
        enabled,
        contents,
    };
    let service =
        format!("[Service]\nType=oneshot\nExecStart=/usr/bin/touch /var/elapsed-{name}\n");
    let persistent = *name == "persistent";
    let timer = format!(
        "[Timer]\nOnCalendar=hourly\nAccuracySec=1\nPersistent={persistent}\n\
         [Install]\nWantedBy=timers.target\n"
    );
    [unit("service", false, service), unit("timer", true, timer)]
}

/// Has the TPM seal a secret.
const SEAL: &str = "printf secret | systemd-creds encrypt --with-key=tpm2 - /var/lib/sealed";
/// Has it unseal that.
const UNSEAL: &str = "systemd-creds decrypt --name=sealed /var/lib/sealed -";
/// A variable of the firmware. The first four bytes of the file are its attributes (here: it stays, and is for everybody).
const VARIABLE: &str = "/sys/firmware/efi/efivars/Kolea-2c2b5f2c-4f1c-4d7e-9d0c-9a1f5c0e7a11";
/// Extends register 16 of the TPM, the one for debugging, by 32 times 0x61: TPM2_PCR_Extend with an empty password (TPM 2.0
/// specification, part 3, 22.2).
const EXTEND: &str = "printf '\\200\\2\\0\\0\\0\\101\\0\\0\\1\\202\\0\\0\\0\\20\\0\\0\\0\\11\\100\\0\\0\\11\\0\\0\\0\\0\\0\\0\\0\\0\\1\\0\\13%32s' '' \
                      | tr ' ' a | dd bs=65 iflag=fullblock status=none of=/dev/tpmrm0";
/// That register.
const REGISTER: &str = "cat /sys/class/tpm/tpm0/pcr-sha256/16";

/// Boots a machine, sets its clock back, and freezes it: to its clones, the template is two hours old.
async fn make_template() {
    let _ = fs::remove_dir_all(dir());
    let platform = QemuPlatform::new(options("template", dir().join("templates")))
        .await
        .unwrap();
    let order = order(&platform);
    assert!(platform.find_template(&order).await.is_none());
    let request = LaunchRequest {
        owner: "template".to_owned(),
        dir: dir().join("template"),
        spec: order.spec.clone(),
        provision: order.provision.clone(),
        freezable: true,
        network: None,
    };
    let machine = platform.launch(request).await.unwrap();
    timeout(PATIENCE, machine.wait_ready(None))
        .await
        .unwrap()
        .unwrap();
    run(&*machine, SEAL).await;
    run(
        &*machine,
        &format!("printf '\\7\\0\\0\\0template' >{VARIABLE}"),
    )
    .await;
    run(&*machine, "date --set='2 hours ago'").await;
    // A timer counts from when it was last started, so it has to be started twice to take notice.
    for _ in 0..2 {
        run(&*machine, "systemctl restart plain.timer persistent.timer").await;
    }
    // What was written to its disks is in all clones, mounted or not.
    run(
        &*machine,
        "cd /dev/disk/by-id && mkfs.ext4 -q virtio-disk1 && mkdir /var/data && mount virtio-disk1 /var/data && \
         touch /var/data/template && printf template | dd of=/dev/sda bs=4096 conv=sync oflag=direct status=none",
    )
    .await;
    let freeze = platform.freeze(Arc::clone(&machine), &order, true);
    let template = timeout(PATIENCE, freeze).await.unwrap().unwrap();
    assert!(template.dir().starts_with(dir().join("templates")));
    assert_eq!(machine.down().await.kind, DownKind::Stopped);
    let names: Vec<String> = machine
        .take_steps()
        .into_iter()
        .map(|step| step.name)
        .collect();
    assert_eq!(names, ["overlay", "prepare", "stop", "save", "publish"]);
    drop((template, machine));
    assert_eq!(platform.close().await, Vec::<String>::new());
}

async fn ready(machine: &dyn Machine, previous: Option<&BootId>) -> BootId {
    timeout(PATIENCE, machine.wait_ready(previous))
        .await
        .unwrap()
        .unwrap()
}

fn exec(command: &str, root: bool) -> Exec {
    Exec {
        label: "test",
        command: command.to_owned(),
        by: if root { RunBy::Root } else { RunBy::User },
        stdin: Vec::new(),
    }
}

/// Runs a command of root's that succeeds, and returns its output.
async fn run(machine: &dyn Machine, command: &str) -> String {
    let output = timeout(PATIENCE, machine.exec(exec(command, true)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(output.status, 0, "{command}: {}", output.stderr_text());
    output.stdout_text().trim().to_owned()
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
async fn clones_draw_different_numbers_and_know_what_time_it_is() {
    let bench = Run::new("numbers").await;
    let (one, other) = tokio::join!(bench.clone(), bench.clone());
    let (boot, same) = tokio::join!(ready(&*one, None), ready(&*other, None));
    assert_eq!(boot, same);
    assert_eq!(boot.0, bench.template.guest().boot_id);
    let draw = "cat /proc/sys/kernel/random/uuid; od -An -N16 -tx1 /dev/urandom; date +%s.%N";
    let mut drawn = Vec::new();
    for clone in [&one, &other] {
        let before = now();
        let output = run(&**clone, draw).await;
        let after = now();
        let lines: Vec<String> = output.lines().map(str::to_owned).collect();
        let time: f64 = lines[2].parse().unwrap();
        assert!(
            before - 1.0 < time && time < after + 1.0,
            "{time} is not {before}"
        );
        drawn.push(lines);
    }
    assert_ne!(drawn[0][0], drawn[1][0]);
    assert_ne!(drawn[0][1], drawn[1][1]);
    // Two hours have passed, and nothing has happened in them; the persistent timer goes on from now.
    let timers = "systemctl is-active plain.timer persistent.timer; \
                  systemctl show --property=NextElapseUSecRealtime --value persistent.timer; \
                  sleep 2; ls /var/elapsed-* 2>/dev/null || :";
    let said = run(&*other, timers).await;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..2], ["inactive", "active"], "{said}");
    assert_eq!(lines.len(), 3, "{said}");
    assert!(lines[2].contains(":00:00 UTC"), "{said}");
    let names: Vec<String> = one.take_steps().into_iter().map(|step| step.name).collect();
    assert_eq!(names, ["overlay", "start", "load", "wake"]);
    assert!(one.take_steps().is_empty());
    one.stop().await;
    other.stop().await;
    bench.close().await;
}

/// What is on a machine's disks: of itself, and of its template.
const CONTENTS: &str =
    "ls -A /var/lib/mine* /var/data 2>/dev/null | tr '\\n' ' '; head -c 20 /dev/sda | tr '\\0' ' '";

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_has_disks_of_its_own_and_survives_a_reboot() {
    let bench = Run::new("disk").await;
    let (one, other) = tokio::join!(bench.clone(), bench.clone());
    let boot = ready(&*one, None).await;
    ready(&*other, None).await;
    // The network that the options give it (`--usernet-addr`).
    let addresses = run(&*one, "ip -4 -oneline address").await;
    assert!(addresses.contains(" 192.168.76.15/24 "), "{addresses}");
    let blank = "/var/data: lost+found template template";
    assert_eq!(run(&*one, CONTENTS).await, blank);
    run(
        &*one,
        "touch /var/lib/mine /var/data/own && sync && printf own | dd of=/dev/sda bs=4096 conv=sync oflag=direct status=none",
    )
    .await;
    // Read from the disks, not from memory.
    let drop_caches = "sync; echo 3 >/proc/sys/vm/drop_caches";
    run(&*other, drop_caches).await;
    assert_eq!(run(&*other, CONTENTS).await, blank);
    // What the template's TPM has sealed, that of a clone unseals; but it is another one. So are the firmware's variables.
    for clone in [&one, &other] {
        let state = run(
            &**clone,
            "od -An -tu1 -j4 /sys/firmware/efi/efivars/SecureBoot-*; cat /sys/kernel/security/lockdown",
        );
        assert_eq!(state.await, "1\nnone [integrity] confidentiality");
        assert_eq!(run(&**clone, UNSEAL).await, "secret");
        assert_eq!(
            run(&**clone, &format!("cat {VARIABLE} | tail -c +5")).await,
            "template"
        );
    }
    let zero = "0".repeat(64);
    assert_eq!(run(&*one, REGISTER).await, zero);
    run(&*one, EXTEND).await;
    assert_ne!(run(&*one, REGISTER).await, zero);
    assert_eq!(run(&*other, REGISTER).await, zero);
    run(
        &*one,
        &format!("chattr -i {VARIABLE} && printf '\\7\\0\\0\\0one' >{VARIABLE}"),
    )
    .await;
    assert_eq!(
        run(&*other, &format!("cat {VARIABLE} | tail -c +5")).await,
        "template"
    );
    // The machine may be gone before it answers.
    let _ = timeout(PATIENCE, one.exec(exec("systemctl reboot", true)))
        .await
        .unwrap();
    let next = ready(&*one, Some(&boot)).await;
    assert_ne!(boot, next);
    assert!(*one.resets().borrow() > 0);
    // The agent is gone with the boot; root's commands go over SSH.
    assert_eq!(run(&*one, "id -u").await, "0");
    assert_eq!(run(&*one, UNSEAL).await, "secret");
    assert_eq!(
        run(&*one, &format!("cat {VARIABLE} | tail -c +5")).await,
        "one"
    );
    run(&*one, "mount /dev/disk/by-id/virtio-disk1 /var/data").await;
    let own = "/var/lib/mine /var/data: lost+found own template own";
    let seen = run(&*one, CONTENTS).await;
    assert_eq!(seen.split_whitespace().collect::<Vec<_>>().join(" "), own);
    run(&*other, drop_caches).await;
    assert_eq!(run(&*other, CONTENTS).await, blank);
    one.stop().await;
    other.stop().await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_runs_key_lets_in_and_the_artefacts_tell_it_all() {
    let bench = Run::new("artefacts").await;
    let clone = bench.clone().await;
    let mut lines = clone.take_lines().unwrap();
    // Not before it is a machine of its own.
    let early = clone.exec(exec("id -un", false)).await.unwrap_err();
    assert!(matches!(early, MachineError::Ssh(_)), "{early}");
    ready(&*clone, None).await;
    let login = clone.exec(exec("id -un", false));
    let output = timeout(PATIENCE, login).await.unwrap().unwrap();
    assert_eq!(output.stdout_text(), "core\n");
    run(&*clone, "logger -t mark after-the-seam").await;
    loop {
        let line = timeout(PATIENCE, lines.recv()).await.unwrap().unwrap();
        if let Line::Journal(entry) = line {
            // Nothing of the template's boot comes again.
            assert!(!entry.message.starts_with("Linux version"), "{entry:?}");
            if entry.message == "after-the-seam" {
                break;
            }
        }
    }
    drop(lines);
    clone.stop().await;

    let read = |dir: &Path, name: &str| fs::read_to_string(dir.join(name)).unwrap();
    let seam = format!("-- clone of template {} started at ", bench.template.key());
    for name in ["console.txt", "journal.txt", "journal.json"] {
        let (before, own) = (read(bench.template.dir(), name), read(clone.dir(), name));
        let after = own.strip_prefix(&before).unwrap();
        assert!(
            after.lines().take(2).any(|line| line.contains(&seam)),
            "{name}: {after}"
        );
        assert_eq!(own.matches(&seam).count(), 1, "{name}");
    }
    let journal = read(clone.dir(), "journal.txt");
    assert!(journal.contains("Linux version") && journal.contains("after-the-seam"));
    assert!(!journal.contains("-- Reboot --"));
    for name in ["ignition.json", "qemu-command.txt", "exit-status.txt"] {
        assert!(clone.dir().join(name).is_file(), "{name}");
    }
    let ssh_config = read(clone.dir().parent().unwrap(), "ssh-config");
    assert!(ssh_config.contains(clone.id()), "{ssh_config}");
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_that_dies_takes_only_itself_along() {
    let bench = Run::new("death").await;
    let (victim, other) = tokio::join!(bench.clone(), bench.clone());
    ready(&*victim, None).await;
    let busy = tokio::spawn({
        let victim = Arc::clone(&victim);
        async move { victim.exec(exec("sleep 600", true)).await }
    });
    kill(process(victim.id()), Signal::SIGKILL).unwrap();
    let error = timeout(PATIENCE, busy).await.unwrap().unwrap().unwrap_err();
    let MachineError::Down(down) = error else {
        panic!("{error:?}");
    };
    assert_eq!(down.kind, DownKind::Died);
    ready(&*other, None).await;

    // An agent that is killed is missed at once, and SSH takes its place.
    let killed = other.exec(exec("kill -KILL $$; sleep 600", true));
    let error = timeout(Duration::from_secs(60), killed).await.unwrap();
    assert!(matches!(error, Err(MachineError::Ssh(_))), "{error:?}");
    assert_eq!(run(&*other, "id -u").await, "0");
    drop((victim, other));
    bench.close().await;
}

fn process(word: &str) -> Pid {
    let found = fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let pid = entry.file_name().to_string_lossy().parse().ok()?;
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        String::from_utf8_lossy(&command)
            .contains(word)
            .then_some(pid)
    });
    Pid::from_raw(found.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_template_is_removed_and_not_used() {
    let bench = Run::new("damage").await;
    for (number, name) in [
        "ram",
        "state",
        "disk.qcow2",
        "disk-1.qcow2",
        "template.json",
    ]
    .into_iter()
    .enumerate()
    {
        let cache = dir().join("damage").join(format!("cache{number}"));
        let copy = cache.join(bench.template.key());
        fs::create_dir_all(&copy).unwrap();
        for entry in fs::read_dir(bench.template.dir()).unwrap().flatten() {
            let target = copy.join(entry.file_name());
            if entry.file_name() == name {
                fs::write(target, "cut short").unwrap();
            } else if entry.file_name() != "lock" {
                fs::hard_link(entry.path(), target).unwrap();
            }
        }
        let platform = QemuPlatform::new(options("damage/run", cache.clone()))
            .await
            .unwrap();
        assert!(
            platform.find_template(&order(&platform)).await.is_none(),
            "{name}"
        );
        assert!(!copy.exists(), "{name}");
        assert_eq!(platform.close().await, Vec::<String>::new());
    }
    bench.close().await;
}
