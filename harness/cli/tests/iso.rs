//! `kolea iso` as a whole, on small images made by `kolea_iso::sample`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use kolea_iso::sample::{KARGS, Sample};
use support::{kolea, texts};

const CONFIG: &str = r#"{"ignition": {"version": "3.3.0"}}"#;

struct Dir {
    dir: tempfile::TempDir,
    before: Vec<u8>,
}

impl Dir {
    fn new(sample: &Sample) -> Dir {
        let dir = tempfile::tempdir().unwrap();
        let before = sample.build();
        std::fs::write(dir.path().join("live.iso"), &before).unwrap();
        std::fs::write(dir.path().join("config.ign"), CONFIG).unwrap();
        Dir { dir, before }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn is_as_it_was(&self) -> bool {
        self.read("live.iso") == self.before
    }

    fn run(&self, words: &str) -> Output {
        self.run_with(words, "")
    }

    fn run_with(&self, words: &str, stdin: &str) -> Output {
        let mut child = kolea()
            .current_dir(self.dir.path())
            .args(words.split(' '))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may end without having read all.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// Succeeds, and says nothing on standard error; returns what is on standard output.
    #[track_caller]
    fn ok(&self, words: &str) -> String {
        let output = self.run(words);
        let (stdout, stderr) = texts(&output);
        assert_eq!(
            (output.status.code(), stderr.as_str()),
            (Some(0), ""),
            "{words}"
        );
        stdout
    }

    /// Fails with this status and one line.
    #[track_caller]
    fn fails(&self, words: &str, status: i32, expected: &str) {
        let output = self.run(words);
        let (stdout, stderr) = texts(&output);
        assert_eq!(
            output.status.code(),
            Some(status),
            "{words}: {stdout}{stderr}"
        );
        assert!(stderr.contains(expected), "{words}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{words}: {stderr}");
    }
}

#[test]
fn a_config_goes_in_and_out() {
    let dir = Dir::new(&Sample::live("coreos"));
    dir.fails(
        "iso ignition show live.iso",
        1,
        "live.iso: no Ignition config is embedded",
    );

    assert_eq!(
        dir.ok("iso ignition embed -i config.ign -o out.iso live.iso"),
        ""
    );
    assert!(dir.is_as_it_was());
    assert_eq!(dir.ok("iso ignition show out.iso"), CONFIG);
    dir.fails(
        "iso ignition embed --ignition-file config.ign --output out.iso live.iso",
        1,
        "cannot create out.iso: ",
    );
    dir.fails(
        "iso ignition embed -i config.ign out.iso",
        2,
        "use -f to replace it",
    );
    let other = r#"{"ignition": {"version": "3.0.0"}}"#;
    let output = dir.run_with("iso ignition embed --force out.iso", other);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(dir.ok("iso ignition show out.iso"), other);
    dir.ok("iso ignition remove out.iso");
    assert!(dir.read("out.iso") == dir.before);

    let piped = dir.run("iso ignition embed -i config.ign -o - live.iso");
    dir.ok("iso ignition embed -i config.ign live.iso");
    assert!(piped.stdout == dir.read("live.iso"));
}

#[test]
fn a_butane_config_is_translated() {
    let dir = Dir::new(&Sample::live("coreos"));
    std::fs::write(dir.path("config.bu"), "variant: fcos\nversion: 1.4.0\n").unwrap();
    dir.ok("iso ignition embed -B config.bu live.iso");
    let config = dir.ok("iso ignition show live.iso");
    assert!(config.contains(r#""version":"3.3.0""#), "{config}");
    dir.fails(
        "iso ignition embed -f -B nowhere.bu live.iso",
        2,
        "nowhere.bu",
    );
}

#[test]
fn a_config_that_is_none_is_refused() {
    let dir = Dir::new(&Sample::live("coreos"));
    std::fs::write(dir.path("bad.ign"), "{}").unwrap();
    dir.fails(
        "iso ignition embed -i bad.ign live.iso",
        2,
        "bad.ign: Ignition config is invalid: missing field `ignition`",
    );
    dir.fails(
        "iso ignition embed live.iso",
        2,
        "standard input: Ignition config is not valid JSON",
    );
    dir.fails(
        "iso ignition embed -i nowhere.ign live.iso",
        2,
        "cannot read config nowhere.ign",
    );
    assert!(dir.is_as_it_was());
    dir.ok("iso ignition embed --no-validate -i bad.ign live.iso");
    assert_eq!(dir.ok("iso ignition show live.iso"), "{}");
}

#[test]
fn keyfiles_go_in_and_out() {
    let dir = Dir::new(&Sample::live("coreos"));
    std::fs::create_dir(dir.path("other")).unwrap();
    for (name, text) in [
        ("a.nmconnection", "[connection]\nid=a\n"),
        ("b", "b\n"),
        ("other/b", "c"),
    ] {
        std::fs::write(dir.path(name), text).unwrap();
    }
    dir.fails(
        "iso network extract live.iso",
        1,
        "live.iso: no network keyfiles are embedded",
    );
    dir.ok("iso network embed -k a.nmconnection --keyfile b -o out.iso live.iso");
    assert!(dir.is_as_it_was());
    dir.ok("iso ignition embed -i config.ign out.iso");
    assert_eq!(
        dir.ok("iso network extract out.iso"),
        "########## a.nmconnection ##########\n[connection]\nid=a\n\n########## b ##########\nb\n"
    );
    assert!(
        dir.ok("iso inspect out.iso")
            .contains("with the file etc/coreos-firstboot-network/a.nmconnection\n")
    );
    dir.fails(
        "iso network embed -k other/b out.iso",
        2,
        "out.iso: the image already has embedded network keyfiles; use -f to replace them",
    );
    dir.ok("iso network embed --force -k other/b out.iso");
    assert_eq!(
        dir.ok("iso network extract --directory new/dir out.iso"),
        "new/dir/b\n"
    );
    assert_eq!(dir.read("new/dir/b"), b"c");
    let mode = dir.path("new/dir/b").metadata().unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    dir.fails(
        "iso network extract -C new/dir out.iso",
        1,
        "cannot write new/dir/b: File exists",
    );

    assert_eq!(dir.ok("iso ignition show out.iso"), CONFIG);
    dir.ok("iso network remove out.iso");
    assert_eq!(dir.ok("iso ignition show out.iso"), CONFIG);
    dir.ok("iso ignition remove out.iso");
    assert!(dir.read("out.iso") == dir.before);
    let piped = dir.run("iso network embed -k b -o - live.iso");
    dir.ok("iso network embed -k b live.iso");
    assert!(piped.stdout == dir.read("live.iso"));
}

#[test]
fn keyfiles_that_cannot_be_embedded_are_refused() {
    let mut sample = Sample::live("coreos");
    let dir = Dir::new(&sample);
    std::fs::create_dir(dir.path("other")).unwrap();
    std::fs::write(dir.path("b"), "b").unwrap();
    std::fs::write(dir.path("other/b"), "c").unwrap();
    dir.fails(
        "iso network embed -k b -k other/b live.iso",
        2,
        r#"several keyfiles are named "b"; rename all but one"#,
    );
    dir.fails(
        "iso network embed -k nowhere live.iso",
        2,
        "cannot read keyfile nowhere",
    );
    let missing = dir.run("iso network embed live.iso");
    assert_eq!(missing.status.code(), Some(2));
    sample.file("/coreos/features.json", "{}");
    std::fs::write(dir.path("old.iso"), sample.build()).unwrap();
    dir.fails(
        "iso network embed -k b old.iso",
        2,
        "old.iso: the image takes no network keyfiles",
    );
    std::fs::write(dir.path("plain.iso"), Sample::default().build()).unwrap();
    for words in ["embed -k b", "extract", "remove"] {
        dir.fails(
            &format!("iso network {words} plain.iso"),
            2,
            "plain.iso: the image has no embed area",
        );
    }
    assert!(dir.is_as_it_was());
}

#[test]
fn kernel_arguments_are_shown_and_changed() {
    let dir = Dir::new(&Sample::live("coreos"));
    assert_eq!(dir.ok("iso kargs show live.iso"), format!("{KARGS}\n"));
    dir.ok("iso kargs modify -a console=ttyS0 --append-if-missing quiet -d ignition.firstboot live.iso");
    dir.ok(
        "iso kargs modify --delete-if-present nothere -r ignition.platform.id=metal=qemu live.iso",
    );
    assert_eq!(
        dir.ok("iso kargs show live.iso"),
        "quiet coreos.liveiso=sample ignition.platform.id=qemu console=ttyS0\n"
    );
    assert_eq!(dir.ok("iso kargs show -d live.iso"), format!("{KARGS}\n"));

    let output = dir.run("iso kargs modify --delete nothere live.iso");
    let (_, stderr) = texts(&output);
    assert!(output.status.success());
    assert_eq!(
        stderr,
        "kolea: warning: live.iso: there is no kernel argument for \"nothere\"\n"
    );
    dir.fails("iso kargs modify -r a=b live.iso", 2, "KEY=OLD=NEW");
    let long = "x".repeat(600);
    dir.fails(
        &format!("iso kargs modify -a {long} live.iso"),
        2,
        "bytes, and the embed areas have 512",
    );
    dir.ok("iso kargs reset live.iso");
    assert!(dir.is_as_it_was());
}

#[test]
fn a_minimal_iso_needs_what_it_is_made_from() {
    let dir = Dir::new(&Sample::live("coreos"));
    dir.fails(
        "iso extract minimal-iso --rootfs-url http://host/rootfs.img live.iso out.iso",
        2,
        "live.iso: no minimal ISO can be made of the image: it has no miniso.dat (no /coreos/miniso.dat",
    );
    assert!(!dir.path("out.iso").exists());
}

#[test]
fn an_image_is_told() {
    let dir = Dir::new(&Sample::live("coreos"));
    let text = dir.ok("iso inspect live.iso");
    for line in [
        "volume     fedora-coreos-0.sample",
        "system     Sample (Live)",
        "profile    fcos",
        "arch       x86_64",
        "El Torito  BIOS: /isolinux/isolinux.bin",
        "           UEFI: /images/efiboot.img",
        "kernel     /images/pxeboot/vmlinuz, 1.0 KiB",
        "Ignition   no config; 0 of 8192 bytes used, at ",
    ] {
        assert!(
            text.lines().any(|shown| shown.starts_with(line)),
            "{line}: {text}"
        );
    }
    assert!(!text.contains("problems"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&dir.ok("iso inspect --json live.iso")).unwrap();
    assert_eq!(json["distribution"], "fcos");
    assert_eq!(json["kargs"]["current"], KARGS);
    assert_eq!(json["ignition"]["size"], 8192);
    assert_eq!(json["boot_catalog"]["entries"][1]["platform"], "UEFI");
}

#[test]
fn other_images_are_told_from_live_isos() {
    let mut plain = Sample::default();
    plain.file("/README", "nothing");
    let dir = Dir::new(&plain);
    dir.fails(
        "iso inspect config.ign",
        2,
        "config.ign: this is not an ISO 9660 image",
    );
    dir.fails("iso inspect nowhere.iso", 2, "cannot open nowhere.iso: ");
    dir.fails(
        "iso ignition embed -i config.ign live.iso",
        2,
        "live.iso: the image has no embed area for an Ignition config",
    );
    dir.fails(
        "iso kargs modify -a a live.iso",
        2,
        "live.iso: the image has no embed areas for kernel arguments",
    );
    assert!(
        dir.ok("iso inspect live.iso")
            .starts_with("volume     sample\n")
    );
    assert!(dir.is_as_it_was());
}

#[test]
fn the_distribution_says_where_areas_are_described() {
    let write_profile = |path: &Path| {
        std::fs::write(path, "name = 'own'\nuser = 'me'\niso_directory = 'own'\n").unwrap();
    };
    let mut sample = Sample::live("own");
    // Not where it would be without a description.
    let area = sample.files.remove("/images/ignition.img").unwrap();
    sample.file("/images/elsewhere.img", area);
    sample.file(
        "/own/igninfo.json",
        r#"{"file": "/images/elsewhere.img", "offset": 1024}"#,
    );
    let dir = Dir::new(&sample);
    write_profile(&dir.path("own.toml"));
    dir.fails(
        "iso ignition embed -i config.ign live.iso",
        2,
        "no embed area",
    );
    dir.ok("iso ignition embed -b own.toml -i config.ign live.iso");
    dir.ok("-b own.toml -v iso kargs modify --debug -a a=b live.iso");
    assert_eq!(
        dir.ok("iso -b own.toml kargs show live.iso"),
        format!("{KARGS} a=b\n")
    );
    dir.fails(
        "iso -b plan9 inspect live.iso",
        2,
        "unknown distribution `plan9`",
    );
    let nestos = Dir::new(&Sample::live("nestos"));
    assert_eq!(nestos.ok("iso kargs show live.iso"), format!("{KARGS}\n"));
    assert_eq!(
        nestos.ok("-b generic iso kargs show live.iso"),
        format!("{KARGS}\n")
    );
}
