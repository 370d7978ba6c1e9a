use std::fs;
use std::os::unix::ffi::OsStrExt;

use super::*;

fn mount(host: impl AsRef<Path>, guest: &str) -> HostMount {
    HostMount {
        host: host.as_ref().to_owned(),
        guest: guest.to_owned(),
        writable: false,
    }
}

#[test]
fn what_cannot_be_mounted_is_told_with_both_paths() {
    let dir = tempfile::tempdir().unwrap();
    let odd = dir.path().join("a b, c");
    fs::create_dir(&odd).unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let not_utf8 = dir.path().join(std::ffi::OsStr::from_bytes(b"\xff"));
    assert_eq!(check_mounts(&[]), Ok(()));
    assert_eq!(
        check_mounts(&[mount(dir.path(), "/srv/a"), mount(&odd, "/srv/a b, c")]),
        Ok(())
    );
    for (mount, part) in [
        (
            mount(dir.path().join("none"), "/srv/a"),
            "no such directory",
        ),
        (mount(&file, "/srv/a"), "not a directory"),
        (mount(&not_utf8, "/srv/a"), "not UTF-8"),
        (mount(&odd, "srv/a"), "absolute"),
        (mount(&odd, ""), "absolute"),
        (mount(&odd, "//"), "root"),
        (mount(&odd, "/srv/../etc"), ". or .."),
        (mount(&odd, "/srv/a\nOptions=rw"), "control character"),
        (mount(&odd, "/srv/a\\"), "backslash"),
        (mount(&odd, &format!("/{}", "ü".repeat(40))), "too long"),
    ] {
        let needs = MachineNeeds {
            mounts: vec![mount.clone()],
            ..MachineNeeds::default()
        };
        let error = check(&needs).unwrap_err();
        assert!(error.contains(part), "{error}");
        assert!(
            error.starts_with("bindMountHostRO: cannot mount "),
            "{error}"
        );
        assert!(error.contains(&mount.guest), "{error}");
    }
}

#[test]
fn one_place_is_for_one_directory() {
    let dir = tempfile::tempdir().unwrap();
    let error = check_mounts(&[mount("/", "/srv/a"), mount(dir.path(), "/srv//a/")]).unwrap_err();
    assert!(
        error.contains("/ is to be mounted there as well"),
        "{error}"
    );
}

#[test]
fn units_are_kolas_and_read_only() {
    let mounts = [mount("/", "/var/mnt/my-data"), mount("/", "//srv/100%/")];
    let units = units(&mounts, Transport::Virtiofs);
    assert_eq!(units[0].name, r"var-mnt-my\x2ddata.mount");
    assert!(units[0].enabled);
    assert_eq!(
        units[0].contents,
        "[Unit]\nDescription=Directory of the host, read-only\nDefaultDependencies=no\n\
         After=systemd-tmpfiles-setup.service\nBefore=basic.target\n\
         [Mount]\nWhat=/var/mnt/my-data\nWhere=/var/mnt/my-data\nType=virtiofs\nOptions=ro\n\
         [Install]\nWantedBy=multi-user.target\n"
    );
    assert_eq!(units[1].name, r"srv-100\x25.mount");
    assert!(units[1].contents.contains("\nWhere=/srv/100%%\n"));
    assert_eq!(mount_points(&mounts), ["/var/mnt/my-data", "/srv/100%"]);
    let nine = super::units(&mounts, Transport::NineP);
    assert!(
        nine[0]
            .contents
            .contains("\nType=9p\nOptions=ro,trans=virtio,")
    );
    assert!(
        nine[0]
            .contents
            .contains("\nAfter=modprobe@9pnet_virtio.service\n")
    );
}

#[test]
fn a_long_path_has_a_short_tag() {
    assert_eq!(tag(0, &mount("/", "/srv/data")), "/srv/data");
    let long = mount("/", "/var/lib/somewhere/deep/below/everything");
    assert_eq!(tag(1, &long), "kolea-mount-1");
    let units = units(&[mount("/", "/a"), long], Transport::Virtiofs);
    assert!(units[1].contents.contains("\nWhat=kolea-mount-1\n"));
}
