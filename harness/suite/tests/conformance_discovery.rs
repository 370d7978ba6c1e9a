//! The table `conformance/discovery.toml`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use kolea_model::{TestCase, TestSource};
use kolea_suite::{Suite, TestTree, blocking, load};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    tests: Vec<String>,
    #[serde(default)]
    files: Vec<Vec<String>>,
    #[serde(default)]
    links: Vec<[String; 2]>,
    #[serde(default)]
    trees: Vec<[String; 2]>,
    names: Vec<String>,
    configs: Option<Vec<String>>,
    data: Option<Vec<String>>,
    tagged: Option<Vec<String>>,
    #[serde(default)]
    problems: Vec<String>,
    blocked: Option<Vec<String>>,
    #[serde(default)]
    differs: Option<String>,
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

impl Case {
    /// Makes the tree and loads it.
    fn suite(&self, root: &Path) -> Suite {
        for test in &self.tests {
            write(&root.join(test), "#!/bin/bash\ntrue\n", 0o755);
        }
        for file in &self.files {
            let mode = match file.get(2) {
                Some(mode) => u32::from_str_radix(mode, 8).unwrap(),
                None => 0o644,
            };
            write(&root.join(&file[0]), &file[1], mode);
        }
        for [path, target] in &self.links {
            symlink(target, root.join(path)).unwrap();
        }
        let tree = |dir: &str, prefix: &str| TestTree {
            dir: root.join(dir),
            prefix: prefix.to_owned(),
        };
        let mut trees: Vec<TestTree> = self
            .trees
            .iter()
            .map(|[dir, prefix]| tree(dir, prefix))
            .collect();
        if trees.is_empty() {
            trees.push(tree("", "ext.t"));
        }
        load(&trees)
    }

    /// What is not as the table has it.
    fn faults(&self) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        let suite = self.suite(root.path());
        let names = |which: &dyn Fn(&TestCase) -> bool| -> Vec<String> {
            let tests = suite.tests.iter().filter(|test| which(test));
            tests.map(|test| test.name.clone()).collect()
        };
        let mut faults = Vec::new();
        let mut check = |what: &str, actual: Vec<String>, expected: &Vec<String>| {
            if actual != *expected {
                faults.push(format!("{}: {what}: {actual:#?}", self.name));
            }
        };
        check("names", names(&|_| true), &self.names);
        if let Some(expected) = &self.configs {
            check("configs", names(&|test| test.config.is_some()), expected);
        }
        if let Some(expected) = &self.data {
            let has = |test: &TestCase| matches!(&test.source, TestSource::External(external) if external.data.is_some());
            check("data", names(&has), expected);
        }
        if let Some(expected) = &self.tagged {
            check("tagged", names(&|test| test.tags.len() > 1), expected);
        }
        if let Some(expected) = &self.blocked {
            let is_blocked =
                |test: &TestCase| !blocking(&suite.problems, std::slice::from_ref(test)).is_empty();
            check("blocked", names(&is_blocked), expected);
        }
        let prefix = format!("{}/", root.path().display());
        let told: Vec<String> = suite
            .problems
            .iter()
            .map(|problem| problem.to_string().replace(&prefix, ""))
            .collect();
        let pairs = told.iter().zip(&self.problems);
        if told.len() != self.problems.len() || !pairs.clone().all(|(a, b)| a.starts_with(b)) {
            faults.push(format!("{}: problems: {told:#?}", self.name));
        }
        faults
    }
}

#[test]
fn trees_are_read_as_the_table_says() {
    let table: Table = toml::from_str(include_str!("conformance/discovery.toml")).unwrap();
    assert!(table.case.len() >= 40, "{}", table.case.len());
    let differs = |case: &&Case| case.differs.as_ref().is_some_and(|text| !text.is_empty());
    assert!(table.case.iter().filter(differs).count() >= 10);
    let faults: Vec<String> = table.case.iter().flat_map(Case::faults).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
