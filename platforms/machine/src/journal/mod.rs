//! The guest's journal: how it gets out of the guest, what an entry is, and how it is written for people.

mod entry;
mod export;
mod text;

pub use entry::RawEntry;
pub use export::ExportParser;
pub use text::JournalText;

use crate::Unit;

/// The unit that sends the journal out, by its name in kola: tests order units of their own after it.
pub const STREAM_UNIT: &str = "mantle-virtio-journal-stream.service";

/// The virtio-serial port that the journal goes to.
pub const STREAM_PORT: &str = "mantlejournal";

/// The unit [`STREAM_UNIT`]: sends this boot's journal, from the kernel's first line on, to the port in export format.
///
/// It starts as early as the journal is where it will stay, stays alive in rescue mode, and is only wanted: a machine
/// without the port is not to fail for that.
pub fn stream_unit() -> Unit {
    let device = format!("dev-virtio\\x2dports-{STREAM_PORT}.device");
    Unit {
        name: STREAM_UNIT.to_owned(),
        enabled: true,
        contents: format!(
            "[Unit]\n\
             Description=Send the journal to the host\n\
             DefaultDependencies=no\n\
             Requires={device}\n\
             After={device} systemd-journal-flush.service\n\
             Conflicts=shutdown.target\n\
             Before=shutdown.target\n\
             IgnoreOnIsolate=true\n\
             [Service]\n\
             ExecStart=/usr/bin/journalctl -q -b -f --no-tail --lines=all --output=export\n\
             StandardOutput=file:/dev/virtio-ports/{STREAM_PORT}\n\
             [Install]\n\
             WantedBy=basic.target\n"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_unit_waits_for_its_port() {
        let unit = stream_unit();
        assert!(unit.enabled);
        assert!(
            unit.contents
                .contains("\nRequires=dev-virtio\\x2dports-mantlejournal.device\n")
        );
        assert!(unit.contents.lines().all(|line| line == line.trim()));
    }
}
