//! What the manifest of an older build says for the denylist: its stream, and the version of the system.
//!
//! Builds of today have labels. Those of nosa, and of cosa before 2026, have `src/config/manifest.yaml`, or the variant's
//! own, with `variables: {stream, osversion}` or the stream under `add-commit-metadata`.

use std::fs;
use std::path::PathBuf;

use kolea_yaml::{Node, Value};
use serde::Deserialize;

use crate::program::warn;
use crate::workdir::Workdir;

/// What is of use in a manifest.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The stream.
    pub stream: Option<String>,
    /// The version of the system.
    pub os_version: Option<String>,
}

#[derive(Deserialize)]
struct Init {
    #[serde(rename = "coreos-assembler.config-variant")]
    variant: String,
}

impl Manifest {
    /// The working directory's; empty if there is none, or none that can be read.
    pub fn read(workdir: Option<&Workdir>) -> Manifest {
        let Some(path) = workdir.map(path) else {
            return Manifest::default();
        };
        let Ok(text) = fs::read_to_string(&path) else {
            return Manifest::default();
        };
        match kolea_yaml::parse(&text, 1) {
            Ok(root) => Manifest::of(&root),
            Err(error) => {
                warn(format_args!(
                    "stream and version for the denylist are not known from {}:{}: {}",
                    path.display(),
                    error.line,
                    error.message
                ));
                Manifest::default()
            }
        }
    }

    fn of(root: &Node) -> Manifest {
        let variables = get(root, "variables");
        let variable = |name| variables.and_then(|map| text(get(map, name)?));
        let metadata = get(root, "add-commit-metadata");
        let committed = || metadata.and_then(|map| text(get(map, "fedora-coreos.stream")?));
        Manifest {
            stream: variable("stream").or_else(committed),
            os_version: variable("osversion"),
        }
    }
}

fn get<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    let Value::Map(entries) = &node.value else {
        return None;
    };
    let entry = entries
        .iter()
        .find(|(name, _)| matches!(&name.value, Value::Text(text) if text == key));
    entry.map(|(_, value)| value)
}

/// A scalar as it was written, unless it stands for a variable.
fn text(node: &Node) -> Option<String> {
    let text = match &node.value {
        Value::Text(text) => text,
        Value::Int { raw, .. } | Value::Float { raw, .. } => raw,
        _ => return None,
    };
    (!text.is_empty() && !text.contains("${")).then(|| text.clone())
}

fn path(workdir: &Workdir) -> PathBuf {
    let init = fs::read_to_string(workdir.path.join("src/config.json")).unwrap_or_default();
    match serde_json::from_str::<Init>(&init) {
        Ok(init) => workdir
            .config()
            .join(format!("manifest-{}.yaml", init.variant)),
        Err(_) => workdir.config().join("manifest.yaml"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_and_version_are_where_builders_have_put_them() {
        let of = |text| Manifest::of(&kolea_yaml::parse(text, 1).unwrap());
        let both = of("variables:\n  stream: testing-devel\n  osversion: 9.2\n");
        assert_eq!(both.stream.as_deref(), Some("testing-devel"));
        assert_eq!(both.os_version.as_deref(), Some("9.2"));
        let old = of("add-commit-metadata:\n  fedora-coreos.stream: next\n");
        assert_eq!(old.stream.as_deref(), Some("next"));
        let refers = of("add-commit-metadata: {fedora-coreos.stream: \"${stream}\"}\n");
        assert_eq!(refers, Manifest::default());
        assert_eq!(of("- a list\n"), Manifest::default());
    }
}
