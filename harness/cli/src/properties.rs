//! `properties.json`: what kola writes about a run as a whole, under kola's names.

use std::collections::BTreeMap;
use std::path::Path;

use kolea_report::Record;
use serde_json::json;

use crate::settings::Settings;

/// What every report is to say about the run, besides what the platform tells.
pub fn of(settings: &Settings) -> BTreeMap<String, String> {
    let build = settings.build.as_ref();
    let live_iso = settings.live_iso().ok().flatten();
    let properties = [
        ("build", build.map(|build| build.id.clone())),
        ("live-iso", live_iso.map(|iso| iso.display().to_string())),
        ("stream", settings.selection.stream.clone()),
        ("oscontainer", settings.machines.oscontainer.clone()),
        ("image-size", settings.machines.disk_size.clone()),
        ("basename", settings.output.basename.clone()),
    ];
    properties
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

/// Writes the file into the output directory.
pub fn write(dir: &Path, record: &Record) -> std::io::Result<()> {
    let run = &record.run;
    let property = |name: &str| run.properties.get(name).cloned().unwrap_or_default();
    let value = json!({
        "cmdline": run.command,
        "platform": run.platform,
        "distro": run.distro,
        "board": "",
        "oscontainer": property("oscontainer"),
        "aws": {},
        "azure": {},
        "do": {},
        "esx": {},
        "gcp": {},
        "openstack": {},
        "qemu": {
            "image": property("image"),
            "imageSize": property("image-size"),
            "swtpm": property("swtpm") == "true",
        },
    });
    // kola indents by four.
    let mut text = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, format);
    serde::Serialize::serialize(&value, &mut serializer)?;
    text.push(b'\n');
    std::fs::write(dir.join("properties.json"), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_kolas_keys() {
        let temp = tempfile::tempdir().unwrap();
        let mut record = kolea_report::Fold::new(kolea_report::Limits::default()).finish();
        record.run.distro = "nestos".to_owned();
        for (name, value) in [
            ("image", "/a.qcow2"),
            ("image-size", "20G"),
            ("oscontainer", "quay.io/a"),
            ("swtpm", "true"),
        ] {
            record
                .run
                .properties
                .insert(name.to_owned(), value.to_owned());
        }
        write(temp.path(), &record).unwrap();
        let text = std::fs::read_to_string(temp.path().join("properties.json")).unwrap();
        assert!(text.contains("\n    \"aws\": {},\n"), "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["distro"], "nestos");
        assert_eq!(value["oscontainer"], "quay.io/a");
        assert_eq!(
            value["qemu"],
            json!({"image": "/a.qcow2", "imageSize": "20G", "swtpm": true})
        );
        for platform in ["aws", "azure", "do", "esx", "gcp", "openstack"] {
            assert_eq!(value[platform], json!({}));
        }
    }
}
