//! What happens to a template before it is frozen, and to a clone after.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use kolea_model::ExternalTest;

use super::testing::{LocalMachine, test_case};
use super::*;
use crate::{BootId, GuestFacts, Machine};

const BOOT: &str = "0f6e1d9a-6a4b-4d6f-9c4b-0123456789ab";
const OLD_KEY: &str = "ssh-ed25519 AAAAold kolea";
const NEW_KEY: &str = "ssh-ed25519 AAAAnew kolea";

fn machine() -> LocalMachine {
    let machine = LocalMachine::new();
    for directory in [
        "proc/sys/kernel/random",
        "home/.ssh/authorized_keys.d",
        "dev",
        "etc/systemd/system",
        "var/lib/systemd/timers",
    ] {
        fs::create_dir_all(machine.path(directory)).unwrap();
    }
    fs::write(
        machine.path("proc/sys/kernel/random/boot_id"),
        format!("{BOOT}\n"),
    )
    .unwrap();
    machine.script("bin/date", "echo \"date $*\" >>\"$KOLET_ROOT/log\"");
    machine.script("bin/sync", "echo sync >>\"$KOLET_ROOT/log\"");
    machine
}

#[tokio::test]
async fn a_template_gets_its_agent_and_says_its_facts() {
    let machine = machine();
    machine.script(
        "bin/systemctl",
        "echo \"systemctl $*\" >>\"$KOLET_ROOT/log\"; echo ':' >\"$KOLET_ROOT/bin/sleep\"
         case $1 in show) cat \"$KOLET_ROOT/timers\" ;; esac",
    );
    fs::write(
        machine.path("timers"),
        "NextElapseUSecRealtime=Tue 2025-11-25 00:00:00 UTC\nId=logrotate.timer\n\n\
         Id=tmpfiles.timer\nNextElapseUSecRealtime=\n\n\
         Id=number.timer\nNextElapseUSecRealtime=1764028800000001\n\n\
         NextElapseUSecRealtime=n/a\nId=boot.timer\n\n\
         Id=odd.timer\nNextElapseUSecRealtime=tomorrow\n\n\
         Id=fraction.timer\nNextElapseUSecRealtime=Tue 2025-11-25 00:00:00.250000 UTC\n",
    )
    .unwrap();
    let keys = machine.path("home/.ssh/authorized_keys.d/ignition");
    fs::write(&keys, format!("# keys\nssh-rsa BBBB\n{OLD_KEY}")).unwrap();
    fs::create_dir_all(machine.path("etc")).unwrap();
    let os_release = "ID=nestos\nVARIANT_ID=\"For Container\"\n";
    fs::write(machine.path("etc/os-release"), os_release).unwrap();
    let facts = prepare_template(&machine, Some(OLD_KEY)).await.unwrap();
    assert_eq!(
        facts,
        GuestFacts {
            boot_id: BOOT.to_owned(),
            timers: vec![
                ("logrotate.timer".to_owned(), 1_764_028_800_000_000),
                ("number.timer".to_owned(), 1_764_028_800_000_001),
                ("odd.timer".to_owned(), 0),
                ("fraction.timer".to_owned(), 1_764_028_800_250_000),
            ],
            authorized_key: Some((
                "/home/.ssh/authorized_keys.d/ignition".to_owned(),
                OLD_KEY.to_owned()
            )),
            os_id: "nestos".to_owned(),
            variant_id: Some("For Container".to_owned()),
        }
    );
    assert_eq!(*machine.labels.lock().unwrap(), ["prepare-template"]);
    let log = machine.log();
    let lines: Vec<&str> = log.lines().collect();
    assert!(lines[0].contains("is-system-running --wait"), "{log}");
    assert!(lines[1].contains("list-jobs"));
    assert!(lines[2].contains("start kolet-agent.service"));
    assert_eq!(lines.last(), Some(&"sync"));
    assert!(
        machine
            .path("run/systemd/system/kolet-agent.service")
            .exists()
    );
    assert!(machine.path("usr/local/bin/kolet").exists());
    let helper = |suffix: &str| machine.path(&format!("usr/local/bin/kolet-wake{suffix}"));
    assert!(!helper(".x86_64").exists() && !helper(".aarch64").exists());
    let known = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));
    assert_eq!(helper("").exists(), known);

    let facts = prepare_template(&machine, None).await.unwrap();
    assert_eq!(facts.authorized_key, None);
}

#[tokio::test]
async fn a_template_whose_agent_does_not_start_is_none() {
    let machine = machine();
    machine.script(
        "bin/systemctl",
        "case $1 in start) echo 'Job for kolet-agent.service failed.' >&2; exit 1 ;; esac",
    );
    let error = prepare_template(&machine, Some(OLD_KEY)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot prepare the machine to be a template (status 1): Job for kolet-agent.service failed."
    );
}

#[test]
fn the_fingerprint_is_a_hash() {
    let fingerprint = fingerprint();
    assert_eq!(fingerprint.len(), 64);
    assert_eq!(fingerprint, super::fingerprint());
}

#[tokio::test]
async fn a_clone_wakes_up() {
    let machine = machine();
    machine.script(
        "bin/systemctl",
        "echo \"systemctl $*\" >>\"$KOLET_ROOT/log\"",
    );
    let keys = "/home/.ssh/authorized_keys.d/it's".to_owned();
    let path = machine.path(&keys[1..]);
    fs::write(&path, format!("# ours \\ \n{OLD_KEY}\nssh-rsa BBBB")).unwrap();
    let stamp = machine.path("var/lib/systemd/timers/stamp-due.timer");
    fs::write(&stamp, "").unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    fs::File::options()
        .write(true)
        .open(&stamp)
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
    let soon = u64::try_from(chrono::Utc::now().timestamp_micros()).unwrap() + 30_000_000;
    let facts = GuestFacts {
        boot_id: BOOT.to_owned(),
        timers: vec![
            ("due.timer".to_owned(), 1),
            ("soon.timer".to_owned(), soon),
            ("later.timer".to_owned(), soon + 3_600_000_000),
        ],
        authorized_key: Some((keys, OLD_KEY.to_owned())),
        ..GuestFacts::default()
    };
    assert_eq!(machine.exec(rouse(&facts)).await.unwrap().status, 0);
    let output = machine.exec(wake(&facts, NEW_KEY)).await.unwrap();
    assert_eq!(woken(&facts, &output).unwrap(), BootId(BOOT.to_owned()));
    let log = machine.log();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[0], "systemctl stop -- due.timer soon.timer");
    assert!(lines[1].starts_with("date -s @"), "{log}");
    assert_eq!(lines[2], "systemctl start -- due.timer");
    assert_eq!(lines.len(), 3);
    // A machine without the program for its architecture mixes the seed at least.
    let seed = fs::read_to_string(machine.path("dev/urandom")).unwrap();
    assert_eq!(seed.trim().len(), 176);
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        format!("# ours \\ \n{NEW_KEY}\nssh-rsa BBBB\n")
    );
    assert!(fs::metadata(&stamp).unwrap().modified().unwrap() > long_ago);
    assert!(
        !machine
            .path("var/lib/systemd/timers/stamp-soon.timer")
            .exists()
    );

    // With the program, which reads the same; two clones never get the same.
    machine.script("usr/local/bin/kolet-wake", "cat >>\"$KOLET_ROOT/input\"");
    let facts = GuestFacts {
        timers: Vec::new(),
        ..facts
    };
    assert_eq!(rouse(&facts).command, ":");
    for _ in 0..2 {
        let output = machine.exec(wake(&facts, NEW_KEY)).await.unwrap();
        woken(&facts, &output).unwrap();
    }
    let input = fs::read_to_string(machine.path("input")).unwrap();
    let seeds: Vec<&str> = input.lines().map(|line| &line[48..]).collect();
    assert!(seeds[0].len() == 128 && seeds[0] != seeds[1]);

    machine.script("usr/local/bin/kolet-wake", "exit 8");
    let output = machine.exec(wake(&facts, NEW_KEY)).await.unwrap();
    let error = woken(&facts, &output).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot wake the clone (status 8): ")
    );
}

#[tokio::test]
async fn tests_are_installed_on_a_clone_with_their_units() {
    let host = tempfile::tempdir().unwrap();
    let data = host.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("file"), "data").unwrap();
    let text = "#!/bin/sh\necho 'it'\\''s' \"$x\" `y` \\\\ %s\n\n";
    for (contents, data, archive) in [
        (text.as_bytes().to_vec(), None, false),
        (text.as_bytes().to_vec(), Some(data.clone()), true),
        (b"\x7fELF\0\xff".to_vec(), None, true),
        (b"nul\0".to_vec(), None, true),
        ("#long\n".repeat(10_000).into_bytes(), None, true),
    ] {
        let machine = machine();
        machine.script(
            "bin/tar",
            "echo tar >>\"$KOLET_ROOT/log\"; exec /bin/tar \"$@\"",
        );
        let executable = host.path().join("t");
        fs::write(&executable, &contents).unwrap();
        let external = ExternalTest { executable, data };
        let unit = TestUnit::new(&test_case("ext.a.t", "/x/t"), Some(2));
        install(&machine, &[(&unit, &external)], Onto::Clone)
            .await
            .unwrap();
        assert_eq!(*machine.labels.lock().unwrap(), ["install"]);
        let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let installed = machine.path("usr/local/bin/kola-runext-t");
        assert_eq!(fs::read(&installed).unwrap(), contents);
        assert_eq!(mode(&installed), 0o755);
        let unit_file = machine.path("etc/systemd/system/kola-runext-2.service");
        assert_eq!(
            fs::read_to_string(&unit_file).unwrap(),
            unit.unit().contents
        );
        assert_eq!(mode(&unit_file), 0o644);
        assert!(!machine.path("usr/local/bin/kolet").exists());
        assert_eq!(machine.log() == "tar\n", archive, "{}", machine.log());
        let installed = machine.path("var/opt/kola/extdata-2/file");
        assert_eq!(installed.exists(), external.data.is_some());
    }
}

#[tokio::test]
async fn a_unit_that_systemd_had_looked_for_is_found_after_a_reload() {
    let machine = machine().with_kolet();
    machine.script("test", "true");
    fs::rename(
        machine.path("bin/systemctl"),
        machine.path("bin/systemctl-real"),
    )
    .unwrap();
    machine.script(
        "bin/systemctl",
        "case $1 in
         daemon-reload) echo reload >>\"$KOLET_ROOT/log\"; : >\"$KOLET_ROOT/reloaded\" ;;
         start) [ -e \"$KOLET_ROOT/reloaded\" ] || exit 5; exec systemctl-real \"$@\" ;;
         *) exec systemctl-real \"$@\" ;;
         esac",
    );
    let unit = TestUnit::new(&test_case("ext.a.b", "/x/b"), None);
    let end = run_unit(&machine, &unit, None, true).await.unwrap();
    assert_eq!(end, UnitEnd::Passed);
    assert!(machine.log().starts_with("reload\n"));
}
