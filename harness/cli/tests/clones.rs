//! Templates and clones on the fixture: boot once, clone many.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::live::{LiveRun, signal};
use support::{write_file, write_test};

const EXCLUSIVE: &str = "## kola:\n##   exclusive: true";

/// What two clones must not have in common, and what they must both have right.
const IDENTITY: &str = r#"set -euo pipefail
echo "uuid=$(</proc/sys/kernel/random/uuid)"
echo "urandom=$(head -c 16 /dev/urandom | base64)"
echo "getrandom=$(mktemp -u)"
# The emulated hardware's clock is the host's.
read -r hardware </sys/class/rtc/rtc0/since_epoch
printf -v now '%(%s)T' -1
echo "off=$((now - hardware))"
((now - hardware >= -1 && now - hardware <= 1))"#;

/// Leaves a file on the disk, reboots, and finds its own file and no other's.
const OWN_DISK: &str = r#"set -euo pipefail
own=/var/kolea-own-disk-$KOLA_TEST
case ${AUTOPKGTEST_REBOOT_MARK-} in
  '')
    [[ -z $(compgen -G '/var/kolea-own-disk-*') ]]
    echo "$KOLA_TEST" >"$own"
    exec /tmp/autopkgtest-reboot again
    ;;
  again)
    [[ $(compgen -G '/var/kolea-own-disk-*') == "$own" ]]
    [[ $(<"$own") == "$KOLA_TEST" ]]
    ;;
esac"#;

/// DHCP answers: the lease is renewed, and the address is there.
const NETWORK: &str = r#"set -euo pipefail
address() { ip -json -4 address show | jq -r '.[] | select(any(.addr_info[]; .local == "10.0.2.15")) | .ifname'; }
interface=$(address)
networkctl renew "$interface"
networkctl reconfigure "$interface"
/usr/lib/systemd/systemd-networkd-wait-online --interface="$interface" --timeout=20
[[ $(address) == "$interface" ]]"#;

/// A certificate that became valid a moment ago, on the host, after the template was frozen.
const TLS: &str = r#"set -euo pipefail
cd "$KOLA_EXT_DATA"
openssl verify -CAfile cert.pem cert.pem
openssl s_server -quiet -accept 127.0.0.1:4433 -cert cert.pem -key key.pem -www &
server=$!
trap 'kill "$server"' EXIT
curl --silent --show-error --fail --retry 20 --retry-connrefused --retry-delay 1 \
  --cacert cert.pem --resolve kolea.test:4433:127.0.0.1 https://kolea.test:4433/ >/dev/null"#;

fn make_certificate(data: &Path) {
    fs::create_dir_all(data).unwrap();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
        .args(["ec_paramgen_curve:P-256", "-nodes", "-days", "1"])
        .args(["-subj", "/CN=kolea.test"])
        .args(["-addext", "subjectAltName=DNS:kolea.test"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(data)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

/// Templates, and what was begun of them.
fn templates_in(cache: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cache.join("kolea/templates")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.is_dir()).collect()
}

fn is_clone(run: &LiveRun, group: &str) -> bool {
    run.origin_of(group).get("clone").is_some()
}

#[test]
fn a_clone_is_a_machine_of_its_own() {
    let temp = tempfile::tempdir_in("/var/tmp").unwrap();
    let (tree, cache) = (temp.path().join("own"), temp.path().join("cache"));
    for name in ["identity-1", "identity-2"] {
        write_test(&tree, name, EXCLUSIVE, IDENTITY);
    }
    for name in ["disk-1", "disk-2"] {
        write_test(&tree, name, EXCLUSIVE, OWN_DISK);
    }
    write_test(&tree, "network", EXCLUSIVE, NETWORK);

    let mut first = LiveRun::start_with_cache(&tree, &cache, &["ext.*", "basic"]);
    first.passes();
    assert_eq!(first.templates(), [false], "{}", first.said());
    let groups = ["identity-1", "identity-2", "disk-1", "disk-2", "network"];
    for group in groups.map(|name| format!("ext.own.{name}")) {
        assert!(is_clone(&first, &group), "{group} booted");
    }
    // Over SSH, as a user would come.
    assert!(is_clone(&first, "basic"));
    differ(&first, &first);
    artefacts_begin_with_the_boot(&first);

    // Another run, with a key of its own, and a clock that has gone on.
    make_certificate(&tree.join("tests/kola/tls/data"));
    write_test(&tree, "tls/test.sh", EXCLUSIVE, TLS);
    let patterns = ["ext.own.identity-*", "ext.own.tls", "basic"];
    let mut second = LiveRun::start_with_cache(&tree, &cache, &patterns);
    second.passes();
    assert_eq!(second.templates(), [true], "{}", second.said());
    assert!(is_clone(&second, "ext.own.tls"));
    differ(&second, &second);
    differ(&first, &second);
    assert!(
        second.elapsed() * 2 < first.elapsed(),
        "{:?} with the template, {:?} without",
        second.elapsed(),
        first.elapsed()
    );

    damaged_templates_are_made_anew(&tree, &cache);
    verification_compares_with_a_boot(&tree, &cache);
}

/// The first test of one run has nothing random in common with the second of another.
fn differ(one: &LiveRun, other: &LiveRun) {
    for key in ["uuid", "urandom", "getrandom"] {
        let (first, second) = (
            one.value_of("ext.own.identity-1", key),
            other.value_of("ext.own.identity-2", key),
        );
        assert!(!first.is_empty());
        assert_ne!(first, second, "{key}");
    }
}

/// The journal is one: the boot, the seam, the test.
fn artefacts_begin_with_the_boot(run: &LiveRun) {
    let machine = run.machine_of("ext.own.identity-1");
    let dir = run.out().join("ext.own.identity-1").join(machine);
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    let journal = read("journal.txt");
    let parts: Vec<&str> = journal.split("-- clone of template ").collect();
    assert_eq!(parts.len(), 2, "{journal}");
    assert!(parts[0].contains("Linux version"), "{}", parts[0]);
    assert!(!parts[0].contains("kola-runext"), "{}", parts[0]);
    assert!(parts[1].contains("uuid="), "{}", parts[1]);
    let console = read("console.txt");
    let (boot, _) = console.split_once("-- clone of template ").unwrap();
    assert!(boot.contains("localhost login:"), "{console}");
    let json = read("journal.json");
    for line in json.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    assert!(json.contains("clone of template"));
}

/// A file that was cut is noticed before it is used.
fn damaged_templates_are_made_anew(tree: &Path, cache: &Path) {
    let [template] = templates_in(cache).try_into().unwrap();
    let largest = fs::read_dir(&template)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    let file = fs::File::options().write(true).open(&largest).unwrap();
    file.set_len(1 << 20).unwrap();
    let mut run = LiveRun::start_with_cache(tree, cache, &["ext.own.identity-1"]);
    run.passes();
    assert_eq!(run.templates(), [false], "{}", run.said());
    let name = largest.file_name().unwrap().to_str().unwrap();
    assert!(run.said().contains(name), "{}", run.said());
}

fn verification_compares_with_a_boot(tree: &Path, cache: &Path) {
    let arguments = ["--verify-templates", "100%", "ext.own.identity-1"];
    let mut run = LiveRun::start_with_cache(tree, cache, &arguments);
    run.passes();
    let verified = run.wait_for("verification", |event| {
        event["event"] == "template-verified"
    });
    assert_eq!(verified["same"], true);
    assert!(is_clone(&run, "ext.own.identity-1"));
    assert!(run.origin_of("verify/ext.own.identity-1")["boot"].is_object());
}

#[test]
fn two_runs_share_a_cache_and_one_is_killed() {
    let temp = tempfile::tempdir_in("/var/tmp").unwrap();
    let (tree, cache) = (temp.path().join("two"), temp.path().join("cache"));
    write_test(&tree, "trivial", EXCLUSIVE, "true");
    write_test(&tree, "fresh", "## kola:\n##   freshBoot: true", "true");

    // Killed in the middle of its template's boot: nothing of it is used, and it is cleared away.
    let mut killed = LiveRun::start_with_cache(&tree, &cache, &["ext.two.trivial"]);
    killed.wait_for_phase("template/default", "booting");
    assert_eq!(templates_in(&cache).len(), 1);
    signal("KILL", &killed.pid());
    killed.wait();

    let mut one = LiveRun::start_with_cache(&tree, &cache, &["ext.two.*"]);
    let mut other = LiveRun::start_with_cache(&tree, &cache, &["ext.two.trivial"]);
    one.passes();
    other.passes();
    assert!(is_clone(&one, "ext.two.trivial"));
    assert!(is_clone(&other, "ext.two.trivial"));
    let origin = one.origin_of("ext.two.fresh");
    let why = origin["boot"]["why"].as_str().unwrap_or_default();
    assert!(why.contains("fresh boot"), "{origin}");
    assert_eq!(templates_in(&cache).len(), 1, "{}", other.said());

    let mut third = LiveRun::start_with_cache(&tree, &cache, &["ext.two.trivial"]);
    third.passes();
    assert_eq!(third.templates(), [true]);
    let mut without =
        LiveRun::start_with_cache(&tree, &cache, &["--no-templates", "ext.two.trivial"]);
    without.passes();
    assert!(without.templates().is_empty());
    assert!(!is_clone(&without, "ext.two.trivial"));
}

#[test]
fn what_the_template_boot_shows_counts_for_every_test_on_it() {
    let temp = tempfile::tempdir_in("/var/tmp").unwrap();
    let (tree, cache) = (temp.path().join("found"), temp.path().join("cache"));
    let unit = "[Service]\nType=oneshot\nExecStart=/bin/echo panic: not a real one\n[Install]\nWantedBy=sysinit.target\n";
    let config = serde_json::json!({
        "ignition": { "version": "3.0.0" },
        "systemd": { "units": [{ "name": "panics.service", "enabled": true, "contents": unit }] },
    });
    write_file(&tree, "two/config.ign", &config.to_string());
    write_test(&tree, "two/a", EXCLUSIVE, "true");
    write_test(&tree, "two/b", EXCLUSIVE, "true");
    let mut run = LiveRun::start_with_cache(&tree, &cache, &["ext.*"]);
    assert_eq!(run.wait().code(), Some(1), "{}", run.said());
    for test in ["ext.found.two.a", "ext.found.two.b"] {
        let (verdict, reason) = run.verdict(test);
        assert_eq!(verdict, "fail", "{reason}");
        assert!(
            reason.contains("Go panic") && reason.contains("template"),
            "{reason}"
        );
        assert!(is_clone(&run, test));
    }
    // What is known to be bad is not kept.
    assert_eq!(templates_in(&cache), Vec::<PathBuf>::new());
    run.assert_nothing_left();
}

#[test]
fn no_room_for_a_template() {
    let temp = tempfile::tempdir_in("/var/tmp").unwrap();
    let (tree, cache) = (temp.path().join("full"), temp.path().join("cache"));
    write_test(&tree, "trivial", EXCLUSIVE, "true");
    fs::create_dir(&cache).unwrap();
    let _mounted = Mounted::tmpfs(&cache, "64M");
    let mut run = LiveRun::start_with_cache(&tree, &cache, &["ext.*"]);
    run.passes();
    let origin = run.origin_of("ext.full.trivial");
    let why = origin["boot"]["why"].as_str().unwrap_or_default();
    assert!(why.contains("disk is full"), "{origin}");
    assert_eq!(templates_in(&cache), Vec::<PathBuf>::new());
}

/// A file system that is unmounted on drop.
struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(at: &Path, size: &str) -> Mounted {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(at)
            .status()
            .unwrap();
        assert!(mounted.success(), "cannot mount a tmpfs (this needs root)");
        Mounted(at.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
