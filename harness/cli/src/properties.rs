//! `properties.json`: what kola writes about a run as a whole, under kola's names.

use std::path::Path;

use kolea_report::Record;
use serde_json::json;

/// Writes the file into the output directory.
pub fn write(dir: &Path, record: &Record) -> std::io::Result<()> {
    let run = &record.run;
    let property = |name: &str| run.properties.get(name).cloned().unwrap_or_default();
    let value = json!({
        "cmdline": run.command,
        "platform": run.platform,
        "distro": run.distro,
        "board": "",
        "oscontainer": "",
        "qemu": { "image": property("image"), "imageSize": "", "swtpm": false },
    });
    std::fs::write(
        dir.join("properties.json"),
        format!("{}\n", serde_json::to_string_pretty(&value)?),
    )
}
