//! What configs fetch from the machine's own server, against what that has.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use kolea_model::{BootFrom, Served, ServerNeeds, TestCase};

/// What the server itself has.
const OWN: &[&str] = &[
    "kolea/ca.pem",
    "kolea/config.ign",
    "kolea/metal",
    "kolea/rootfs.img",
];

/// Warnings about the test's config.
pub(super) fn check(test: &TestCase) -> Vec<String> {
    let Some(config) = &test.config else {
        return Vec::new();
    };
    let served = test.needs.server.as_ref();
    let directory = served.and_then(|server| match server.contents.get("/") {
        Some(Served::Directory(directory)) => Some(directory),
        _ => None,
    });
    let has_server = directory.is_some() || test.needs.boot_from.is_some_and(BootFrom::is_served);
    let mut told = Vec::new();
    for path in paths(&config.text) {
        let is_own = OWN.contains(&path);
        if !has_server {
            told.push(format!(
                "fetches /{path} from the machine's own server, which it does not have: there is no directory kolea-serve beside it"
            ));
        } else if !is_own && !directory.is_some_and(|directory| has(directory, path)) {
            told.push(format!(
                "fetches /{path} from the machine's own server: there is no kolea-serve/{path} beside it"
            ));
        }
    }
    told
}

/// Whether the server has a file at that path below the directory.
fn has(directory: &Path, path: &str) -> bool {
    let path = Path::new(path);
    let plain = |part| matches!(part, Component::Normal(_));
    path.components().all(plain) && directory.join(path).is_file()
}

/// Paths on the server that the text names, without their first slash. Those with encoded characters are left out.
fn paths(text: &str) -> BTreeSet<&str> {
    let server = format!("://{}/", ServerNeeds::ADDRESS);
    let ends = |c: char| c.is_whitespace() || "\"'`?#\\<>(),;|&".contains(c);
    let rest = text.split(server.as_str()).skip(1);
    rest.filter_map(|rest| rest.split(ends).next())
        .filter(|path| !path.is_empty() && !path.contains('%'))
        .collect()
}
