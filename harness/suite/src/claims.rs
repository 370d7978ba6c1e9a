//! What an Ignition config would write, so that two configs for one machine can be kept from overriding each other.

use std::collections::BTreeSet;

use kolea_model::UserConfig;
use serde_json::Value;

/// The paths of files, directories and links, and the names of units, that a config writes. A drop-in counts as
/// `unit.d/drop-in`, and its unit only if the config sets more than drop-ins. Nothing for a config that is not valid.
pub fn config_claims(config: &UserConfig) -> BTreeSet<String> {
    let config: Value = serde_json::from_str(&config.text).unwrap_or_default();
    let mut claims = BTreeSet::new();
    let list = |path: &str| config.pointer(path).and_then(Value::as_array);
    for kind in ["files", "directories", "links"] {
        for entry in list(&format!("/storage/{kind}")).into_iter().flatten() {
            claims.extend(text(entry, "path"));
        }
    }
    for unit in list("/systemd/units").into_iter().flatten() {
        let Some(name) = text(unit, "name") else {
            continue;
        };
        let drop_ins = unit.get("dropins").and_then(Value::as_array);
        for drop_in in drop_ins.into_iter().flatten() {
            claims.extend(text(drop_in, "name").map(|drop_in| format!("{name}.d/{drop_in}")));
        }
        let sets_more = ["contents", "enabled", "mask"]
            .iter()
            .any(|key| unit.get(key).is_some_and(|value| !value.is_null()));
        if sets_more {
            claims.insert(name);
        }
    }
    claims
}

fn text(entry: &Value, key: &str) -> Option<String> {
    entry.get(key).and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_written_is_claimed() {
        let config = |text: &str| UserConfig {
            path: "config.ign".into(),
            text: text.into(),
        };
        let claims = config_claims(&config(
            r#"{"ignition": {"version": "3.0.0"},
                "storage": {"files": [{"path": "/etc/a"}], "directories": [{"path": "/b"}],
                            "links": [{"path": "/c", "target": "/etc/a"}]},
                "systemd": {"units": [{"name": "a.service", "enabled": true},
                                      {"name": "b.service", "dropins": [{"name": "x.conf", "contents": ""}]}]}}"#,
        ));
        let expected = ["/b", "/c", "/etc/a", "a.service", "b.service.d/x.conf"];
        assert!(claims.iter().eq(expected.iter()), "{claims:?}");
        assert!(config_claims(&config("not json")).is_empty());
        assert!(config_claims(&config(r#"{"storage": {"files": 5}}"#)).is_empty());
    }
}
