//! What configs fetch from the machine's own server, against what that has.

use std::collections::BTreeSet;

use kolea_model::{Served, ServerNeeds, TestCase};

/// What the server itself has there.
const OWN: &str = "kolea/";

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
    let wanted = paths(&config.text);
    let missing = |path: &&str| match directory {
        Some(directory) => !path.starts_with(OWN) && !directory.join(path).is_file(),
        None => true,
    };
    let told = wanted.into_iter().filter(missing).map(|path| {
        format!("fetches /{path} from the machine's own server: there is no kolea-serve/{path} beside it")
    });
    told.collect()
}

/// Paths on the server that the text names, without their first slash.
fn paths(text: &str) -> BTreeSet<&str> {
    let server = format!("://{}/", ServerNeeds::ADDRESS);
    let rest = text.split(server.as_str()).skip(1);
    rest.filter_map(|rest| rest.split(['"', '?', '#', '\\']).next())
        .filter(|path| !path.is_empty())
        .collect()
}
