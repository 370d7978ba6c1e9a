//! Each check finds what it is for, and leaves alone what only looks like it.

use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

/// A directory with the tree `ext.t` in `tests/kola`.
struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Dir {
        Dir(tempfile::tempdir().unwrap())
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn file(&self, path: &str, text: &str, mode: u32) -> &Dir {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    /// The problems, with paths relative to the tree.
    fn problems(&self) -> Vec<String> {
        let tree = TestTree::in_dir(self.0.path(), "ext.t").unwrap().unwrap();
        let now = "2026-03-01T00:00:00Z".parse().unwrap();
        let root = format!("{}/", self.0.path().canonicalize().unwrap().display());
        let given = format!("{}/", self.0.path().display());
        lint(&[tree], &LoadOptions::default(), now)
            .problems
            .iter()
            .map(|problem| {
                let text = problem.to_string();
                text.replace(&root, "")
                    .replace(&given, "")
                    .replace("tests/kola/", "")
            })
            .collect()
    }
}

/// What is found in a test with this metadata and this code.
fn linted(yaml: &str, code: &str) -> Vec<String> {
    let head: String = yaml.lines().map(|line| format!("##   {line}\n")).collect();
    let text =
        format!("#!/bin/bash\n## kola:\n##   description: x\n{head}\nset -euo pipefail\n{code}\n");
    let dir = Dir::new();
    dir.file("tests/kola/x", &text, 0o755);
    dir.problems()
}

/// Asserts that there is one problem, and that it has this part.
fn one(problems: &[String], part: &str) {
    assert!(
        problems.len() == 1 && problems[0].contains(part),
        "{part}: {problems:?}"
    );
}

#[test]
fn metadata_that_has_no_effect_is_found() {
    for (yaml, part) in [
        (
            "platforms: qemuu",
            "x:4: warning: `platforms`: `qemuu` is not known: did you mean `qemu`?",
        ),
        ("architectures: sparc", "`sparc` is not known: aarch64, "),
        ("architectures: amd64", "the RPM name is `x86_64`"),
        ("distros: \"!fedora-coreos\"", "x:4: warning: `distros`"),
        ("tags: a need-internet", "did you mean `needs-internet`?"),
        ("tags: needs_internet", "did you mean `needs-internet`?"),
        ("tags: Skip-Base-Checks", "did you mean `skip-base-checks`?"),
        (
            "timeoutMin: 600",
            "x:4: warning: `timeoutMin`: 600 minutes are 10 hours",
        ),
        ("creationDate: 2026-04-01", "lies in the future"),
        ("additionalNics: 1", "only QEMU has `additionalNics`"),
        (
            "appendKernelArgs: a\nplatforms: qemu aws",
            "only QEMU has `appendKernelArgs`",
        ),
    ] {
        one(&linted(yaml, ""), part);
    }
}

#[test]
fn metadata_that_has_an_effect_is_left_alone() {
    for yaml in [
        "platforms: qemu qemu-iso\nadditionalNics: 1",
        "distros: \"! nestos\"\narchitectures: x86_64 aarch64",
        "tags: needs-internet internet reprovision",
        "timeoutMin: 360\nminMemory: 4096\nadditionalDisks: [5G]",
        "creationDate: 2026-03-01",
    ] {
        assert_eq!(linted(yaml, ""), [""; 0], "{yaml}");
    }
}

#[test]
fn scripts_that_cannot_work_are_found() {
    one(
        &linted("exclusive: false", "  /tmp/autopkgtest-reboot mark"),
        "x:7: error: a test on a shared machine must not reboot it",
    );
    one(
        &linted("", ". \"$KOLA_EXT_DATA/commonlib.sh\""),
        "x:6: warning: sources commonlib.sh from its data, and there is no directory `data`",
    );
    for (text, part) in [
        ("echo\n", "has no `#!` line"),
        (
            "#!/bin/bash\r\n## kola:\r\n##   description: x\r\n\r\n",
            "as on Windows",
        ),
        (
            "#!/bin/bash\n## kola:\n##   description: x\n\nfalse\ntrue\n",
            "add `set -euo pipefail`",
        ),
        (
            "#!/usr/bin/env -S bash -u\n## kola:\n##   description: x\n\nfalse\ntrue\n",
            "add `set -euo pipefail`",
        ),
        ("", "is empty"),
    ] {
        let dir = Dir::new();
        dir.file("tests/kola/x", text, 0o755);
        let problems = dir.problems();
        assert!(
            problems.iter().any(|problem| problem.contains(part)),
            "{part}: {problems:?}"
        );
    }
}

#[test]
fn scripts_that_work_are_left_alone() {
    assert_eq!(linted("", "/tmp/autopkgtest-reboot mark"), [""; 0]);
    let refused =
        "if /tmp/autopkgtest-reboot-prepare x; then exit 1; fi\n# /tmp/autopkgtest-reboot x";
    assert_eq!(linted("exclusive: false", refused), [""; 0]);
    assert_eq!(
        linted("", "# . $KOLA_EXT_DATA/x\n. \"$KOLA_EXT_DATA/$name\""),
        [""; 0]
    );
    for text in [
        "#!/bin/bash -ex\nHEAD\ntrue\n",
        "#!/bin/bash\nHEAD\nset -x; set -e\n",
        "#!/bin/sh\nHEAD\nset -o errexit\n",
        "#!/bin/bash\nHEAD\nexec true\n",
        "#!/bin/bash\nHEAD\n. /etc/os-release\n",
        "#!/bin/bash\nHEAD\nmake check\n",
        "#!/usr/bin/python3\nHEAD\nprint()\nprint()\n",
    ] {
        let dir = Dir::new();
        let text = text.replace("HEAD", "## kola:\n##   description: x\n");
        dir.file("tests/kola/x", &text, 0o755);
        assert_eq!(dir.problems(), [""; 0], "{text}");
    }
}

const GOOD: &str = "#!/bin/bash\n## kola:\n##   description: x\n\nset -e\n";

#[test]
fn files_that_nobody_uses_are_found() {
    let dir = Dir::new();
    let config = "{\"ignition\": {\"version\": \"3.4.0\"}}";
    dir.file("tests/kola/shared/config.ign", config, 0o644)
        .file("tests/kola/shared/a/x", GOOD, 0o755)
        .file("tests/kola/idle/config.ign", config, 0o644)
        .file("tests/kola/idle/below/x", GOOD, 0o755)
        .file("tests/kola/x~", GOOD, 0o755);
    symlink("../config.ign", dir.path("tests/kola/shared/a/config.ign")).unwrap();
    let problems = dir.problems();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[0].starts_with("idle/config.ign: warning: no test uses"),
        "{problems:?}"
    );
    assert!(
        problems[1].starts_with("x~: warning: runs as a test"),
        "{problems:?}"
    );
}

#[test]
fn what_concerns_many_tests_is_told_once() {
    let dir = Dir::new();
    dir.file("tests/kola/config.ign", "{", 0o644)
        .file("tests/kola/a", GOOD, 0o755)
        .file("tests/kola/b", GOOD, 0o755);
    one(&dir.problems(), "config.ign:1:1: error: ");
}

#[test]
fn the_denylist_beside_the_tree_is_read() {
    let dir = Dir::new();
    dir.file("tests/kola/a", GOOD, 0o755);
    let list = "- pattern: ext.t.a\n  tracker: x\n- pattern: ext.t.b*\n  tracker: x\n- pattern: coreos.basic\n  tracker: x\n";
    dir.file("kola-denylist.yaml", list, 0o644);
    one(
        &dir.problems(),
        "kola-denylist.yaml:3: warning: `ext.t.b*` matches no test",
    );
    dir.file("kola-denylist.yaml", "pattern: a\n", 0o644);
    one(&dir.problems(), "kola-denylist.yaml:1: error: ");
}

#[test]
fn what_a_config_fetches_from_the_machines_own_server_has_to_be_there() {
    let dir = Dir::new();
    let test = "#!/bin/bash\n## kola:\n##   description: x\n\nset -euo pipefail\n";
    let config = r#"{"ignition":{"version":"3.0.0","config":{"merge":[
        {"source":"http://10.0.2.10/here?fault=altered"},
        {"source":"http://10.0.2.10/kolea/config.ign"},
        {"source":"http://10.0.2.2/elsewhere"},
        {"source":"https://10.0.2.10/gone"}]}},
        "systemd":{"units":[{"name":"x.service",
            "contents":"[Service]\nExecStart=curl http://10.0.2.10/here -o /x"}]}}"#;
    dir.file("tests/kola/x", test, 0o755)
        .file("tests/kola/config.ign", config, 0o644)
        .file("tests/kola/kolea-serve/here", "", 0o644);
    one(&dir.problems(), "config.ign: warning: fetches /gone");
    let outside = r#"{"ignition":{"version":"3.0.0","config":{"merge":[
        {"source":"http://10.0.2.10/../config.ign"},
        {"source":"http://10.0.2.10//etc/passwd"},
        {"source":"http://10.0.2.10/kolea/typo"}]}}}"#;
    dir.file("tests/kola/config.ign", outside, 0o644);
    assert_eq!(dir.problems().len(), 3);
    dir.file("tests/kola/config.ign", config, 0o644);
    fs::remove_dir_all(dir.path("tests/kola/kolea-serve")).unwrap();
    let problems = dir.problems();
    assert_eq!(problems.len(), 3, "{problems:?}");
    one(
        &problems[1..2],
        "the machine's own server, which it does not have",
    );
}
