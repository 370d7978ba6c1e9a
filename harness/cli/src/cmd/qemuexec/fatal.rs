//! What a machine says when it cannot go on.

use std::path::Path;
use std::time::Duration;

use kolea_machine::{Line, Machine};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

/// The artefact that an initramfs sends when it fails: its whole journal, at once.
const DUMP: &str = "ignition-virtio-dump.txt";
/// How long more of it may keep us waiting.
const MORE: Duration = Duration::from_secs(2);
/// How Ignition's last word on a config begins.
const IGNITION: &str = "Ignition failed: ";

/// Reads what the machine says, which has to be done in any case, and returns when it tells that it cannot go on, if somebody
/// wants to know that.
pub async fn watch(machine: &dyn Machine, wanted: bool) -> String {
    if let Some(mut lines) = machine.take_lines() {
        let dump = machine.dir().join(DUMP);
        while let Some(line) = lines.recv().await {
            if !wanted {
                continue;
            }
            if let Some(rule) = kolea_engine::fatal_rule(text(&line)) {
                return format!("{rule} ({})", text(&line).trim());
            }
            if matches!(line, Line::Journal(_)) && is_there(&dump) {
                return initramfs(line, &mut lines).await;
            }
        }
    }
    std::future::pending().await
}

fn is_there(dump: &Path) -> bool {
    dump.metadata().is_ok_and(|data| data.len() > 0)
}

/// Why the initramfs failed, as far as it says so.
async fn initramfs(first: Line, lines: &mut Receiver<Line>) -> String {
    let mut line = Some(first);
    while let Some(said) = line {
        if let Some(why) = text(&said).strip_prefix(IGNITION) {
            return format!("Ignition failed in the initramfs: {}", why.trim());
        }
        line = timeout(MORE, lines.recv()).await.ok().flatten();
    }
    "its initramfs failed".to_owned()
}

fn text(line: &Line) -> &str {
    match line {
        Line::Console(text) => text,
        Line::Journal(entry) => &entry.message,
    }
}
