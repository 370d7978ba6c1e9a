//! Provisioning by Ignition. Configs are never merged here: a parent config lists them, and the guest's Ignition merges.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::profile::ProfileFile;
use crate::{Provision, Unit};

/// The oldest spec that merges; every Ignition with spec 3 reads it.
const SPEC: &str = "3.0.0";

/// What the harness itself wants of a first boot.
#[derive(Clone, Debug, Default)]
pub struct HarnessConfig<'a> {
    /// The user that our key lets in; Ignition makes the user if the image does not have it.
    pub user: &'a str,
    /// Our key, as a line of `authorized_keys`.
    pub public_key: &'a str,
    /// The platform's units, such as the journal stream.
    pub units: Vec<Unit>,
    /// The distribution's files (`Profile::files`).
    pub files: &'a [ProfileFile],
    /// Directories that are to be there, by their absolute paths; one that is there already stays as it is.
    pub directories: &'a [String],
}

/// The config for a machine's first boot: a parent that merges the users' configs in order, then the harness's own.
pub fn render(provision: &Provision, harness: &HarnessConfig<'_>) -> String {
    let own = own_config(provision, harness).to_string();
    let merge: Vec<Value> = provision
        .configs
        .iter()
        .map(|config| config.text.as_ref())
        .chain([own.as_str()])
        .map(|text| json!({ "source": data_url(text.as_bytes(), "application/json") }))
        .collect();
    json!({ "ignition": { "version": SPEC, "config": { "merge": merge } } }).to_string()
}

/// The config with units added to it.
///
/// # Errors
/// It is no JSON object.
pub fn with_units(config: &str, units: &[Unit]) -> Result<String, serde_json::Error> {
    let config: serde_json::Map<String, Value> = serde_json::from_str(config)?;
    let own =
        json!({ "ignition": { "version": SPEC }, "systemd": { "units": unit_values(units) } });
    let parent = json!({ "ignition": { "version": SPEC, "config": { "merge": [
        { "source": data_url(Value::Object(config).to_string().as_bytes(), "application/json") },
        { "source": data_url(own.to_string().as_bytes(), "application/json") },
    ] } } });
    Ok(parent.to_string())
}

fn unit_values<'a>(units: impl IntoIterator<Item = &'a Unit>) -> Vec<Value> {
    let value = |unit: &Unit| json!({ "name": unit.name, "enabled": unit.enabled, "contents": unit.contents });
    units.into_iter().map(value).collect()
}

fn own_config(provision: &Provision, harness: &HarnessConfig<'_>) -> Value {
    let units = unit_values(provision.units.iter().chain(&harness.units));
    let files: Vec<Value> = harness
        .files
        .iter()
        .map(|file| {
            json!({
                "path": file.path,
                "mode": file.mode,
                "overwrite": true,
                "contents": { "source": data_url(file.contents.as_bytes(), "") },
            })
        })
        .collect();
    let mut config = json!({
        "ignition": { "version": SPEC },
        "passwd": { "users": [
            { "name": harness.user, "sshAuthorizedKeys": [harness.public_key] },
        ]},
        "systemd": { "units": units },
    });
    if !files.is_empty() {
        config["storage"]["files"] = json!(files);
    }
    if !harness.directories.is_empty() {
        let directories = harness.directories.iter();
        let directories: Vec<Value> = directories.map(|path| json!({ "path": path })).collect();
        config["storage"]["directories"] = json!(directories);
    }
    config
}

fn data_url(data: &[u8], media_type: &str) -> String {
    format!("data:{media_type};base64,{}", STANDARD.encode(data))
}

#[cfg(test)]
mod tests {
    use kolea_model::UserConfig;

    use super::*;

    fn merged(parent: &str) -> Vec<Value> {
        let parent: Value = serde_json::from_str(parent).unwrap();
        parent["ignition"]["config"]["merge"]
            .as_array()
            .unwrap()
            .iter()
            .map(|child| {
                let source = child["source"].as_str().unwrap();
                let data = source.split_once(";base64,").unwrap().1;
                serde_json::from_slice(&STANDARD.decode(data).unwrap()).unwrap()
            })
            .collect()
    }

    #[test]
    fn units_are_added_to_a_config_by_merging() {
        let unit = Unit {
            name: "a.service".to_owned(),
            enabled: true,
            contents: "[Unit]".to_owned(),
        };
        let config = r#"{"ignition":{"version":"3.4.0"}}"#;
        let parts = merged(&with_units(config, &[unit]).unwrap());
        assert_eq!(parts[0]["ignition"]["version"], "3.4.0");
        assert_eq!(parts[1]["systemd"]["units"][0]["name"], "a.service");
        assert!(with_units("[]", &[]).is_err());
    }

    #[test]
    fn configs_come_in_order_and_ours_last() {
        let config = |text: &str| UserConfig {
            path: "config.ign".into(),
            text: text.into(),
        };
        let unit = |name: &str, enabled| Unit {
            name: name.to_owned(),
            enabled,
            contents: "[Unit]\n".to_owned(),
        };
        let provision = Provision {
            configs: vec![
                config(r#"{"ignition":{"version":"3.4.0"}}"#),
                config(r#"{"ignition":{"version":"3.0.0"},"ü":"→"}"#),
            ],
            units: vec![unit("kola-runext.service", false)],
        };
        let files = [ProfileFile {
            path: "/etc/x".to_owned(),
            mode: 0o440,
            contents: "x=1\n".to_owned(),
        }];
        let parent = render(
            &provision,
            &HarnessConfig {
                user: "core",
                public_key: "ssh-ed25519 AAAA kolea",
                units: vec![unit("stream.service", true)],
                files: &files,
                directories: &["/srv/data".to_owned()],
            },
        );
        let children = merged(&parent);
        assert_eq!(children.len(), 3);
        assert_eq!(children[0]["ignition"]["version"], "3.4.0");
        assert_eq!(children[1]["ü"], "→");
        let own = &children[2];
        assert_eq!(own["passwd"]["users"][0]["name"], "core");
        assert_eq!(own["systemd"]["units"][0]["name"], "kola-runext.service");
        assert_eq!(own["systemd"]["units"][0]["enabled"], false);
        assert_eq!(own["systemd"]["units"][1]["name"], "stream.service");
        assert_eq!(
            own["storage"]["files"][0]["contents"]["source"],
            "data:;base64,eD0xCg=="
        );
        assert_eq!(own["storage"]["files"][0]["mode"], 0o440);
        assert_eq!(
            own["storage"]["directories"],
            json!([{ "path": "/srv/data" }])
        );
    }
}
