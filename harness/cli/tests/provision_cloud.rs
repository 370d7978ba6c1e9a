//! An image without Ignition: each other way to provision a machine, on the fixture's variant that knows all of them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;

use support::live::LiveRun;
use support::{fixture_cloud, write_test};

const EXCLUSIVE: &str = "## kola:\n##   exclusive: true";

/// Says who provisioned the machine.
const WHO: &str = r#"set -euo pipefail
if compgen -G '/run/ignition*'; then exit 1; fi
[[ ! -e /usr/lib/dracut/modules.d/30ignition ]]
has() { if [[ -e $2 ]]; then echo "$1=yes"; else echo "$1=no"; fi; }
has credentials /run/credentials/@system/tmpfiles.extra
has cloud-init /var/lib/cloud/instances/kolea/user-data.txt
has core /home/core/.ssh/authorized_keys
systemctl is-enabled mantle-virtio-journal-stream.service"#;

/// The machine lets us in once more after a boot of its own.
const REBOOT: &str = r#"set -euo pipefail
case ${AUTOPKGTEST_REBOOT_MARK-} in
  '') exec /tmp/autopkgtest-reboot again ;;
  again) systemctl is-active mantle-virtio-journal-stream.service ;;
esac"#;

/// Runs the tests twice with these arguments, the second time on clones of the first run's template, which let another key in;
/// then compares what machines say of themselves.
fn provisions(arguments: &[&str], facts: [(&str, &str); 3]) {
    let temp = tempfile::tempdir_in("/var/tmp").unwrap();
    let (tree, cache) = (temp.path().join("way"), temp.path().join("cache"));
    write_test(&tree, "who", EXCLUSIVE, WHO);
    write_test(&tree, "reboot", EXCLUSIVE, REBOOT);
    let image = fixture_cloud();
    let run = |pattern: &str| {
        let arguments = [&[pattern], arguments].concat();
        LiveRun::start_on_with_cache(&image, &tree, &cache, &arguments)
    };
    let mut first = run("ext.*");
    first.passes();
    for (key, value) in facts {
        assert_eq!(first.value_of("ext.way.who", key), value, "{key}");
    }
    assert_eq!(first.templates(), [false], "{}", first.said());
    assert!(first.origin_of("ext.way.reboot").get("clone").is_some());

    let mut second = run("ext.way.reboot");
    second.passes();
    assert_eq!(second.templates(), [true], "{}", second.said());
}

#[test]
fn systemds_credentials() {
    let facts = [
        ("credentials", "yes"),
        ("cloud-init", "no"),
        ("core", "yes"),
    ];
    provisions(&["--provision", "credentials"], facts);
}

#[test]
fn cloud_init_as_kolea_toml_says() {
    let temp = tempfile::tempdir().unwrap();
    let settings = temp.path().join("kolea.toml");
    fs::write(&settings, "provision = 'cloud-init'\n").unwrap();
    let facts = [
        ("credentials", "no"),
        ("cloud-init", "yes"),
        ("core", "yes"),
    ];
    provisions(&["--config", settings.to_str().unwrap()], facts);
}

#[test]
fn nothing_as_the_profile_says() {
    let temp = tempfile::tempdir().unwrap();
    let profile = temp.path().join("rooted.toml");
    let text = "name = 'rooted'\nuser = 'root'\nprovision = 'none'\n";
    fs::write(&profile, text).unwrap();
    let key = fixture_cloud().with_extension("ssh-key");
    let facts = [("credentials", "no"), ("cloud-init", "no"), ("core", "no")];
    let (profile, key) = (profile.to_str().unwrap(), key.to_str().unwrap());
    provisions(&["-b", profile, "--ssh-key", key], facts);
}
