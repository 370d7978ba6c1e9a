//! A made-up working directory of cosa or nosa, in which no flag is needed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;
use support::{kolea, texts, write_test};

struct Workdir(tempfile::TempDir);

impl Workdir {
    /// With a build of NestOS for the host's architecture, and three tests in its configuration.
    fn new() -> Workdir {
        let workdir = Workdir(tempfile::tempdir().unwrap());
        let build = workdir.build();
        std::fs::create_dir_all(&build).unwrap();
        workdir.meta("nestos", &json!({"qemu": {"path": "nestos.qcow2"}}));
        let config = workdir.path().join("src/config");
        write_test(&config, "good", "", "true");
        write_test(&config, "snoozed", "", "true");
        write_test(&config, "elsewhere", "## kola:\n##   distros: fcos", "true");
        std::fs::write(
            config.join("kola-denylist.yaml"),
            "- pattern: ext.config.snoozed\n  tracker: https://example.com/1\n  streams: [next]\n",
        )
        .unwrap();
        workdir
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn build(&self) -> PathBuf {
        self.path()
            .join("builds/latest")
            .join(std::env::consts::ARCH)
    }

    fn meta(&self, name: &str, images: &serde_json::Value) {
        let meta = json!({
            "buildid": "24.03.20260101.0",
            "name": name,
            "images": images,
            "coreos-assembler.oci-imported-labels": {"com.coreos.stream": "next"},
        });
        std::fs::write(self.build().join("meta.json"), meta.to_string()).unwrap();
    }

    fn kola(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_kolea"))
            .arg0("kola")
            .env_remove("KOLEA_LOG")
            .current_dir(self.path())
            .args(words)
            .output()
            .unwrap()
    }

    #[track_caller]
    fn refused(&self, words: &[&str]) -> String {
        let output = self.kola(words);
        let (stdout, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
        assert!(
            !self.path().join("tmp").exists(),
            "an output directory was made"
        );
        stderr
    }

    #[track_caller]
    fn plan(&self, words: &[&str]) -> String {
        let output = self.kola(&[&["run", "--dry-run"], words].concat());
        let (stdout, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
        stdout
    }
}

#[test]
fn the_build_tells_distribution_stream_and_tests() {
    let workdir = Workdir::new();
    let plan = workdir.plan(&[]);
    let line = |text: &str, start: &str| {
        text.lines()
            .find(|line| line.trim().starts_with(start))
            .map(str::to_owned)
    };
    assert!(line(&plan, "ext.config.good").is_some(), "{plan}");
    let snoozed = line(&plan, "ext.config.snoozed").unwrap();
    assert!(
        snoozed.contains("denied") && snoozed.contains("example.com"),
        "{snoozed}"
    );
    let elsewhere = line(&plan, "ext.config.elsewhere").unwrap();
    assert!(elsewhere.contains("distros: fcos"), "{elsewhere}");

    // With an image of one's own, the build's stream says nothing.
    let own = workdir.plan(&["--qemu-image", "own.qcow2"]);
    assert!(
        !line(&own, "ext.config.snoozed").unwrap().contains("denied"),
        "{own}"
    );
    let named = workdir.plan(&["--qemu-image", "own.qcow2", "--denylist-stream", "next"]);
    assert!(
        line(&named, "ext.config.snoozed")
            .unwrap()
            .contains("denied"),
        "{named}"
    );
    let other = workdir.plan(&["-b", "fcos", "--denylist-stream=stable"]);
    assert!(
        !line(&other, "ext.config.elsewhere")
            .unwrap()
            .contains("distros"),
        "{other}"
    );

    // From elsewhere, and without.
    let away = kolea()
        .args(["run", "--dry-run", "--workdir"])
        .arg(workdir.path())
        .output()
        .unwrap();
    assert!(texts(&away).0.contains("ext.config.good"));
    let without = workdir.plan(&["--workdir", "none"]);
    assert!(!without.contains("ext.config."), "{without}");
}

#[test]
fn lists_hold_the_configurations_tests() {
    let output = Workdir::new().kola(&["list"]);
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stdout.contains("ext.config.elsewhere"), "{stdout}");
    // Lists need no build that makes sense.
    let workdir = Workdir::new();
    workdir.meta("plan9", &json!({}));
    assert_eq!(workdir.kola(&["list"]).status.code(), Some(0));
    let error = workdir.refused(&["run", "--dry-run"]);
    assert!(
        error.contains("is of `plan9`") && error.contains("nestos"),
        "{error}"
    );
    workdir.plan(&["-b", "fcos"]);
}

#[test]
fn an_image_that_cannot_be_used_says_what_to_do() {
    let workdir = Workdir::new();
    assert!(
        workdir
            .refused(&["run"])
            .contains("has lost its artefact `qemu`")
    );
    workdir.meta("nestos", &json!({"qemu": {"path": "nestos.qcow2.xz"}}));
    assert!(workdir.refused(&["run"]).contains("xz --decompress --keep"));
    workdir.meta("nestos", &json!({"live-iso": {"path": "nestos.iso"}}));
    assert!(workdir.refused(&["run"]).contains("has no artefact `qemu`"));
    // Who needs no live ISO does not miss it.
    let plan = workdir.plan(&[]);
    assert!(
        plan.contains("no live ISO: build") && plan.contains("has lost its artefact `live-iso`"),
        "{plan}"
    );
    assert!(
        workdir
            .refused(&["run", "--build", "-1"])
            .contains("builds.json")
    );
    // There is a build for the host's architecture only.
    let other = match std::env::consts::ARCH {
        "x86_64" => "aarch64",
        _ => "x86_64",
    };
    let refused = workdir.refused(&["run", "--arch", other]);
    assert!(refused.contains("no image"), "{refused}");
}

#[test]
fn an_older_builds_manifest_tells_the_stream() {
    let workdir = Workdir::new();
    let meta = json!({"buildid": "1", "name": "nestos", "images": {}});
    std::fs::write(workdir.build().join("meta.json"), meta.to_string()).unwrap();
    let snoozed = |plan: &str| {
        let line = plan
            .lines()
            .find(|line| line.trim().starts_with("ext.config.snoozed"));
        line.unwrap().contains("denied")
    };
    assert!(!snoozed(&workdir.plan(&[])));
    let manifest = workdir.path().join("src/config/manifest.yaml");
    std::fs::write(manifest, "variables:\n  stream: next\n").unwrap();
    assert!(snoozed(&workdir.plan(&[])));
}

#[test]
fn a_container_for_tests_is_missed_before_a_machine_boots() {
    let workdir = Workdir::new();
    let config = workdir.path().join("src/config");
    write_test(
        &config,
        "container",
        "## kola:\n##   injectContainer: true",
        "true",
    );
    std::fs::write(workdir.build().join("nestos.qcow2"), "").unwrap();
    let error = workdir.refused(&["run"]);
    assert!(
        error.contains("no ostree container for ext.config.container"),
        "{error}"
    );
    workdir.meta(
        "nestos",
        &json!({"qemu": {"path": "nestos.qcow2"}, "ostree": {"path": "nestos.ociarchive"}}),
    );
    let error = workdir.refused(&["run"]);
    assert!(error.contains("has lost its artefact `ostree`"), "{error}");
}

#[test]
fn a_denylist_with_an_error_is_refused() {
    let workdir = Workdir::new();
    let path = workdir.path().join("mine.yaml");
    std::fs::write(&path, "- tracker: x\n").unwrap();
    let error = workdir.refused(&["run", "--dry-run", "--denylist", "mine.yaml"]);
    assert!(
        error.contains("mine.yaml:1") && error.contains("in the denylist"),
        "{error}"
    );
    let error = workdir.refused(&["run", "--dry-run", "--denylist", "away.yaml"]);
    assert!(error.contains("away.yaml"), "{error}");
}
