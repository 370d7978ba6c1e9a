//! Trees in a temporary directory.

use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A tree `ext.t`.
struct Tree(TempDir);

impl Tree {
    fn new() -> Tree {
        Tree(tempfile::tempdir().unwrap())
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn file(&self, path: &str, text: &str) -> &Tree {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// An executable with these lines of YAML.
    fn test(&self, path: &str, yaml: &[&str]) -> &Tree {
        let mut text = "#!/bin/bash\n".to_owned();
        if !yaml.is_empty() {
            text.push_str("## kola:\n");
            text.extend(yaml.iter().map(|line| format!("##   {line}\n")));
        }
        text.push_str("\nset -e\n");
        self.file(path, &text).mode(path, 0o755)
    }

    fn mode(&self, path: &str, mode: u32) -> &Tree {
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn link(&self, path: &str, target: &str) -> &Tree {
        symlink(target, self.path(path)).unwrap();
        self
    }

    fn tree(&self, dir: &str, prefix: &str) -> TestTree {
        TestTree {
            dir: self.path(dir),
            prefix: prefix.to_owned(),
        }
    }

    fn load(&self) -> Suite {
        load(&[self.tree("", "ext.t")])
    }

    /// The problems, with paths relative to the tree.
    fn problems(&self) -> Vec<String> {
        let root = format!("{}/", self.0.path().display());
        let problems = self.load().problems;
        problems
            .iter()
            .map(|problem| problem.to_string().replace(&root, ""))
            .collect()
    }

    /// Asserts that there is one problem, beginning and containing so.
    fn one_problem(&self, begin: &str, part: &str) {
        let problems = self.problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(begin), "{problems:?}");
        assert!(problems[0].contains(part), "{problems:?}");
    }
}

fn names(suite: &Suite) -> Vec<&str> {
    suite.tests.iter().map(|test| &*test.name).collect()
}

const CONFIG: &str = r#"{"ignition": {"version": "3.0.0"}}"#;

#[test]
fn names_follow_the_directories() {
    let tree = Tree::new();
    tree.test("alone/test.sh", &[])
        .test("two/test.sh", &[])
        .test("two/other.sh", &[])
        .test("deep/er/x", &[])
        .test("deep/data/no-test", &[])
        .file("deep/README.md", "")
        .test("top", &[]);
    let suite = tree.load();
    assert_eq!(
        names(&suite),
        [
            "ext.t.alone",
            "ext.t.deep.er.x",
            "ext.t.top",
            "ext.t.two.other.sh",
            "ext.t.two.test.sh"
        ]
    );
    assert_eq!(suite.problems, []);
}

#[test]
fn config_and_data_belong_to_their_directory_only() {
    let tree = Tree::new();
    tree.test("d/a", &["tags: x needs-internet skip-base-checks"])
        .test("d/below/b", &["exclusive: false"])
        .file("d/config.ign", CONFIG)
        .file("d/data/lib.sh", "");
    let suite = tree.load();
    assert_eq!(suite.problems, []);
    let [a, b] = suite.tests.as_slice() else {
        panic!("{suite:?}")
    };
    assert_eq!(&*a.config.as_ref().unwrap().text, CONFIG);
    assert_eq!(
        a.tags,
        ["external", "x", "needs-internet", "skip-base-checks"]
    );
    assert!(a.needs.internet && a.needs.skip_base_checks && a.exclusive);
    let TestSource::External(external) = &a.source else {
        panic!("{a:?}")
    };
    assert_eq!(external.data, Some(tree.path("d/data")));
    assert!(b.config.is_none() && !b.exclusive);
}

#[test]
fn what_is_in_kolea_serve_is_served_to_the_tests_beside_it() {
    let tree = Tree::new();
    tree.test("d/a", &[])
        .test("d/below/b", &[])
        .test("d/kolea-serve/no-test", &[]);
    let suite = tree.load();
    assert_eq!(suite.problems, []);
    assert_eq!(names(&suite), ["ext.t.d.a", "ext.t.d.below.b"]);
    let server = suite.tests[0].needs.server.as_ref().unwrap();
    let served = Served::Directory(tree.path("d/kolea-serve"));
    assert_eq!(server.contents, [("/".to_owned(), served)].into());
    assert_eq!(suite.tests[1].needs.server, None);
}

#[test]
fn symlinks_are_followed_and_loops_are_errors() {
    let tree = Tree::new();
    tree.test("a/x", &[]).file("a/config.ign", CONFIG);
    tree.file("a/data/f", "").test("b/y", &[]);
    tree.link("b/x", "../a/x")
        .link("b/config.ign", "../a/config.ign")
        .link("b/data", "../a/data")
        .link("c", "a");
    let suite = tree.load();
    assert_eq!(suite.problems, []);
    assert_eq!(
        names(&suite),
        ["ext.t.a.x", "ext.t.b.x", "ext.t.b.y", "ext.t.c.x"]
    );
    assert!(suite.tests.iter().all(|test| test.config.is_some()));

    tree.link("a/up", "..");
    // reached as a/up and as c/up
    assert!(
        tree.problems()
            .iter()
            .all(|problem| problem.contains("a directory that it is in"))
    );
    fs::remove_file(tree.path("a/up")).unwrap();
    tree.link("a/data/up", "..");
    assert!(
        tree.problems()
            .iter()
            .all(|problem| problem.contains("a directory that it is in"))
    );
    fs::remove_file(tree.path("a/data/up")).unwrap();
    tree.link("b/gone", "nowhere");
    tree.one_problem("b/gone: error: ", "leads nowhere");
    fs::remove_file(tree.path("b/gone")).unwrap();
    tree.link("b/self", "self");
    tree.one_problem("b/self: error: ", "cannot be read");
}

#[test]
fn kola_json_is_the_default_of_its_directory() {
    let tree = Tree::new();
    tree.file("d/kola.json", "{\"tags\": \"j\",\n \"timeoutMin\": 3}")
        .test("d/plain", &[])
        .test("d/below/c", &[]);
    let suite = tree.load();
    assert_eq!(suite.problems, []);
    assert_eq!(suite.tests[0].tags, ["external"]);
    assert_eq!(suite.tests[1].tags, ["external", "j"]);
    assert_eq!(suite.tests[1].timeout, Some(Duration::from_secs(180)));
    assert!(suite.tests[1].exclusive);

    tree.test("d/own", &["tags: o"]);
    tree.one_problem("d/kola.json: warning: ", "`ext.t.d.own` does not use it");
    assert_eq!(tree.load().tests[1].tags, ["external", "o"]);
    fs::remove_file(tree.path("d/own")).unwrap();

    tree.file("d/kola.json", "{\"tags\": \"j\",\n \"timoutMin\": 3}");
    tree.one_problem("d/kola.json:2: error: ", "did you mean `timeoutMin`?");
    fs::remove_file(tree.path("d/plain")).unwrap();
    tree.one_problem("d/kola.json: warning: ", "not inherited");
}

/// What forbids to run the test.
fn blocking(suite: &Suite, name: &str) -> Vec<String> {
    let named = suite.tests.iter().filter(|test| test.name == name);
    let run: Vec<_> = named.cloned().collect();
    assert_eq!(run.len(), 1, "{name}");
    let blocking = crate::blocking(&suite.problems, &run);
    blocking
        .iter()
        .map(|problem| problem.message.clone())
        .collect()
}

#[test]
fn what_is_wrong_in_a_directory_blocks_only_its_tests() {
    let tree = Tree::new();
    tree.test("good", &[])
        .test("bu/x", &[])
        .file("bu/config.bu", "variant: [")
        .test("ign/x", &[])
        .file("ign/config.ign", "{")
        .test("fcc/x", &[])
        .file("fcc/config.fcc", "")
        .test("data/no-test", &[])
        .file("dangling/data/f", "")
        .test("dangling/x", &[])
        .link("dangling/data/gone", "nowhere");
    let suite = tree.load();
    assert_eq!(
        names(&suite),
        [
            "ext.t.bu.x",
            "ext.t.dangling.x",
            "ext.t.fcc.x",
            "ext.t.good",
            "ext.t.ign.x"
        ]
    );
    assert!(blocking(&suite, "ext.t.good").is_empty());
    for (name, part) in [
        ("ext.t.bu.x", ""),
        ("ext.t.ign.x", "not valid JSON"),
        ("ext.t.fcc.x", "config.bu"),
        ("ext.t.dangling.x", "leads nowhere"),
    ] {
        let blocking = blocking(&suite, name);
        assert!(
            !blocking.is_empty() && blocking[0].contains(part),
            "{name}: {blocking:?}"
        );
    }
}

#[test]
fn a_test_may_ask_for_anything_its_machine_can_have() {
    let tree = Tree::new();
    tree.test("disks", &["additionalDisks: [\"5G\"]", "tags: secure-boot"]);
    let suite = tree.load();
    assert_eq!(suite.problems, []);
    assert_eq!(suite.tests[0].needs.additional_disks.len(), 1);
    assert!(suite.tests[0].needs.secure_boot);
}

/// A program that warns, and gives a config.
const WARNS: &str = "#!/bin/sh\necho 'warning at $.x, line 3 col 5: odd' >&2\necho '{\"ignition\": {\"version\": \"3.4.0\"}}'\n";

#[test]
fn warnings_of_butane_are_errors_unless_they_are_allowed() {
    let tree = Tree::new();
    tree.file("d/config.bu", "variant: fcos\n")
        .test("d/strict", &[])
        .test("d/lenient", &["allowConfigWarnings: true"])
        .file("butane", WARNS)
        .mode("butane", 0o700);
    let options = LoadOptions {
        butane_program: Some(tree.path("butane")),
    };
    let suite = load_with(&[tree.tree("d", "ext.d")], &options);
    let problems: Vec<String> = suite.problems.iter().map(Problem::to_string).collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains("d/config.bu:3:5: "), "{problems:?}");
    assert!(blocking(&suite, "ext.d.lenient").is_empty());
    let strict = blocking(&suite, "ext.d.strict");
    assert!(
        strict[0].ends_with("set `allowConfigWarnings: true`"),
        "{strict:?}"
    );
    assert!(suite.tests.iter().all(|test| test.config.is_some()));
}

#[test]
fn a_shared_config_is_translated_once() {
    let tree = Tree::new();
    let script =
        "#!/bin/sh\necho x >>\"$3/count\"\necho '{\"ignition\": {\"version\": \"3.4.0\"}}'\n";
    tree.file("t/config.bu", "variant: fcos\n")
        .file("butane", script)
        .mode("butane", 0o700);
    for name in ["a", "b", "c"] {
        tree.test(&format!("t/{name}/x"), &[])
            .link(&format!("t/{name}/config.bu"), "../config.bu");
    }
    let options = LoadOptions {
        butane_program: Some(tree.path("butane")),
    };
    let (suite, idle) = read(&[tree.tree("t", "ext.t")], &options);
    assert_eq!(suite.problems, []);
    assert_eq!(fs::read_to_string(tree.path("t/count")).unwrap(), "x\n");
    assert!(idle.is_empty());
    let texts: Vec<_> = suite
        .tests
        .iter()
        .filter_map(|test| test.config.as_ref())
        .collect();
    assert_eq!(texts.len(), 3);
    assert!(
        texts
            .windows(2)
            .all(|pair| Arc::ptr_eq(&pair[0].text, &pair[1].text))
    );
}

#[test]
fn a_tree_is_loaded_once() {
    let tree = Tree::new();
    tree.test("a", &[]);
    let one = tree.tree("", "ext.config");
    for (other, part) in [
        (
            tree.tree("", "ext.config"),
            "as ext.config.*: give the tree once",
        ),
        (
            tree.tree(".", "ext.other"),
            "as ext.config.* and ext.other.*",
        ),
    ] {
        let suite = load(&[one.clone(), other]);
        assert_eq!(names(&suite), ["ext.config.a"]);
        assert_eq!(suite.problems.len(), 1);
        assert!(
            suite.problems[0].message.contains(part),
            "{:?}",
            suite.problems
        );
    }
}

#[test]
fn a_header_is_read_without_a_tree() {
    let (test, problems) = parse_header(
        "ext.x",
        Path::new("x"),
        b"#!/bin/bash\n## kola:\n##   tags: a\n##   timeoutMin: \"5\"\n\n",
    );
    assert_eq!(test.tags, ["external", "a"]);
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].to_string().starts_with("x:4:18: error: "),
        "{problems:?}"
    );
}

#[test]
fn a_fresh_boot_is_what_the_name_suggests_unless_the_test_says_otherwise() {
    let tree = Tree::new();
    tree.test("boot/a", &[])
        .test("boot/b", &["freshBoot: false"])
        .test("c", &["freshBoot: true", "exclusive: false"])
        .test("d", &["tags: x firstboot"])
        .test("e", &[]);
    let suite = tree.load();
    assert_eq!(suite.problems, []);
    let fresh: Vec<bool> = suite.tests.iter().map(|test| test.fresh_boot).collect();
    assert_eq!(fresh, [true, false, true, true, false]);
}

#[test]
fn files_that_kola_misreads_are_reported() {
    let with = |file: &str, text: &str, mode: u32| {
        let tree = Tree::new();
        tree.test("x", &[]).file(file, text).mode(file, mode);
        tree
    };
    with("config.fcc", "", 0o644).one_problem("config.fcc: error: ", "config.bu");
    with("config.ign", CONFIG, 0o755).one_problem("config.ign: warning: ", "chmod -x");
    with("forgot", "#!/bin/sh\n", 0o644).one_problem("forgot: warning: ", "chmod a+x");
    with("mine", "#!/bin/sh\n", 0o744).one_problem("mine: warning: ", "for others");
    with("mine", "\x7fELF", 0o744).one_problem("mine: warning: ", "for others");
    with("config.ign", "{\n  \"ignition\": }\n", 0o644)
        .one_problem("config.ign:2:15: error: ", "not valid JSON");
    with("config.ign", "{}", 0o644).one_problem("config.ign:1:2: error: ", "ignition");
    with("config.ign", "", 0o644).one_problem("config.ign:1:1: error: ", "not valid JSON");
    with("nl\nin name", "#!/bin/sh\n", 0o755).one_problem("nl\nin name: error: ", "rename");
    let both = with("config.ign", CONFIG, 0o644);
    both.file("config.bu", "")
        .one_problem("config.bu: warning: ", "not used");
}

#[test]
fn every_problem_of_every_tree_is_told_at_once() {
    let one = Tree::new();
    one.test("a", &["tag: x", "timeoutMin: -1"])
        .test("b", &["exclusive: false", "conflicts: [ext.t.a, ext.t.cc]"])
        .test("c", &["conflicts: [ext.t.a]"]);
    assert_eq!(
        one.problems(),
        [
            "a:3:6: error: unknown key `tag`: did you mean `tags`?",
            "a:4: error: `timeoutMin`: -1 is negative",
            "b:4: warning: `conflicts`: there is no test `ext.t.cc`: did you mean `ext.t.c`?",
            "c:3: error: `conflicts` is for tests that share a machine: add `exclusive: false` or remove it",
        ]
    );
    let two = Tree::new();
    two.test("a", &[]).test("z", &["creationDate: x"]);
    let suite = load(&[one.tree("", "ext.t"), two.tree("", "ext.t")]);
    let problems: Vec<String> = suite.problems.iter().map(Problem::to_string).collect();
    assert_eq!(problems.len(), 6, "{problems:?}");
    let duplicate = problems
        .iter()
        .find(|problem| problem.contains("exists already"));
    assert!(
        duplicate.is_some_and(|problem| problem.contains("`ext.t.a`")),
        "{problems:?}"
    );
}

#[test]
fn a_missing_tree_is_a_problem_and_no_panic() {
    let suite = load(&[TestTree {
        dir: PathBuf::from("/nonexistent/tests/kola"),
        prefix: "ext.x".to_owned(),
    }]);
    assert_eq!(suite.problems.len(), 1);
}

#[test]
fn a_fifo_does_not_block() {
    let tree = Tree::new();
    tree.test("x", &[]);
    let made = std::process::Command::new("mkfifo")
        .arg(tree.path("pipe"))
        .status();
    assert!(made.is_ok_and(|status| status.success()));
    tree.mode("pipe", 0o755);
    assert_eq!(names(&tree.load()), ["ext.t.x"]);
}

/// The limit is generous, since tests are not optimised and machines are busy; 1,000 tests take 30 ms in release.
#[test]
fn a_thousand_tests_load_quickly() {
    let tree = Tree::new();
    for index in 0..1000 {
        let path = format!("d{}/t{index}", index % 50);
        tree.test(
            &path,
            &["description: one of many", "tags: a b", "exclusive: false"],
        );
    }
    let start = Instant::now();
    let suite = tree.load();
    let took = start.elapsed();
    assert_eq!((suite.tests.len(), suite.problems.len()), (1000, 0));
    eprintln!("1,000 tests in {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}
