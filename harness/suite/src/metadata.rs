//! Metadata of one test: typed, checked, and with everything that is wrong in it.

mod values;

pub(crate) use values::foreign_architecture;

use std::time::Duration;

use chrono::{DateTime, Utc};
use kolea_model::{DiskSpec, MachineNeeds, Restriction};

use crate::closest::closest;
use crate::convert::{Dialect, Entry, Typed, entries};
use crate::header::Block;
use crate::json;
use crate::problem::Note;
use crate::schema::{Kind, Scope};

/// What a test's metadata says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Metadata {
    pub description: String,
    pub tags: Vec<String>,
    pub required_tag: Option<String>,
    pub architectures: Restriction,
    pub platforms: Restriction,
    pub distros: Restriction,
    pub exclusive: bool,
    /// The tests, and the line they are named on.
    pub conflicts: Vec<String>,
    pub conflicts_line: usize,
    pub timeout: Option<Duration>,
    /// `freshBoot`, if it is said.
    pub fresh_boot: Option<bool>,
    pub grace_until: Option<DateTime<Utc>>,
    pub allow_config_warnings: bool,
    pub host_ports: Vec<u16>,
    pub inject_container: bool,
    pub needs: MachineNeeds,
}

impl Default for Metadata {
    fn default() -> Self {
        Metadata {
            description: String::new(),
            tags: Vec::new(),
            required_tag: None,
            architectures: Restriction::default(),
            platforms: Restriction::default(),
            distros: Restriction::default(),
            exclusive: true,
            conflicts: Vec::new(),
            conflicts_line: 0,
            timeout: None,
            fresh_boot: None,
            grace_until: None,
            allow_config_warnings: false,
            host_ports: Vec::new(),
            inject_container: false,
            needs: MachineNeeds::default(),
        }
    }
}

/// Reads a block. Whatever is wrong is in the notes, and as if it were not there in the metadata.
pub(crate) fn parse(block: &Block) -> (Metadata, Vec<Note>) {
    let (metadata, mut notes) = read(block);
    let (Block::Yaml { line, text } | Block::Json { line, text }) = block;
    // to YAML a carriage return alone ends a line, too, and to nobody else
    let last = line + text.matches('\n').count();
    for note in &mut notes {
        note.line = note.line.min(last);
    }
    (metadata, notes)
}

fn read(block: &Block) -> (Metadata, Vec<Note>) {
    let (line, dialect, root) = match block {
        Block::Yaml { line, text } => {
            let root = kolea_yaml::parse(text, *line).map(|root| (root, ""));
            (*line, Dialect::Yaml, root)
        }
        Block::Json { line, text } => (*line, Dialect::Json, json::parse(text, *line)),
    };
    let (root, rest) = match root {
        Ok(read) => read,
        Err(error) => {
            let format = match dialect {
                Dialect::Yaml => "YAML",
                Dialect::Json => "JSON",
            };
            let message = format!("the metadata is not valid {format}: {}", error.message);
            return (Metadata::default(), vec![Note::error(error.line, message)]);
        }
    };
    let (entries, mut notes) = entries(&root, dialect);
    if !rest.is_empty() {
        let message = "text after the JSON object is ignored: remove it";
        notes.push(Note::warning(line, message));
    }
    let mut reader = Reader {
        metadata: Metadata::default(),
        notes,
        machine_options: Vec::new(),
    };
    for entry in &entries {
        reader.take(entry);
    }
    reader.check(&entries);
    for note in &mut reader.notes {
        // the block's text is what follows `## `
        note.column = note.column.map(|column| column + 3);
    }
    (reader.metadata, reader.notes)
}

struct Reader {
    metadata: Metadata,
    notes: Vec<Note>,
    /// What only a machine of one's own can have: how it was asked for, and the line.
    machine_options: Vec<(String, usize)>,
}

impl Reader {
    fn error(&mut self, line: usize, message: impl Into<String>) {
        self.notes.push(Note::error(line, message));
    }

    fn warning(&mut self, line: usize, message: impl Into<String>) {
        self.notes.push(Note::warning(line, message));
    }

    fn take(&mut self, entry: &Entry) {
        let line = entry.line;
        let name = entry.key.name;
        if entry.key.scope != Scope::Any && !entry.value.is_default() {
            self.machine_options.push((format!("`{name}`"), line));
        }
        match &entry.value {
            Typed::Empty => self.empty(line, name),
            Typed::Bool(is) => self.boolean(name, *is),
            Typed::Text(text) => self.text(line, name, text),
            Typed::Int(is) => {
                let most = match entry.key.kind {
                    Kind::Int { most } => most,
                    _ => i64::MAX,
                };
                self.int(line, name, *is, most);
            }
            Typed::TextList(texts) => self.texts(line, name, texts),
            Typed::IntList(numbers) => self.ports(line, name, numbers),
        }
    }

    /// A key without a value. Where the default is not false, nobody would guess what it means.
    fn empty(&mut self, line: usize, name: &str) {
        match name {
            "exclusive" => self.metadata.exclusive = false,
            "freshBoot" => self.metadata.fresh_boot = Some(false),
            _ => return,
        }
        let message = format!("`{name}` without a value means false: write it down");
        self.warning(line, message);
    }

    fn boolean(&mut self, name: &str, is: bool) {
        let metadata = &mut self.metadata;
        match name {
            "exclusive" => metadata.exclusive = is,
            "freshBoot" => metadata.fresh_boot = Some(is),
            "allowConfigWarnings" => metadata.allow_config_warnings = is,
            "injectContainer" => metadata.inject_container = is,
            "numaNodes" => metadata.needs.numa = is,
            // `noInstanceCreds`: a machine under QEMU has none anyway
            _ => {}
        }
    }

    fn text(&mut self, line: usize, name: &str, text: &str) {
        let given = || Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        match name {
            "description" => {
                self.metadata.description = text.split_whitespace().collect::<Vec<_>>().join(" ");
            }
            "tags" => self.tags(line, text),
            "requiredTag" => self.metadata.required_tag = given(),
            "architectures" => {
                self.metadata.architectures = self.restriction(line, name, text);
                let foreign = values::foreign_architecture(&self.metadata.architectures);
                if let Some((name, rpm)) = foreign {
                    let message = format!(
                        "`architectures`: `{name}` matches no machine; the RPM name is `{rpm}`"
                    );
                    self.warning(line, message);
                }
            }
            "platforms" => self.metadata.platforms = self.restriction(line, name, text),
            "distros" => self.metadata.distros = self.restriction(line, name, text),
            "creationDate" if !text.is_empty() => {
                self.metadata.grace_until = values::grace_until(text);
                if self.metadata.grace_until.is_none() {
                    let message =
                        format!("`creationDate`: {text:?} is no date of the form YYYY-MM-DD");
                    self.error(line, message);
                }
            }
            "appendKernelArgs" => {
                self.metadata.needs.kernel_args = self.kernel_args(line, name, given());
            }
            "appendFirstbootKernelArgs" => {
                self.metadata.needs.firstboot_kernel_args = self.kernel_args(line, name, given());
            }
            "instanceType" => self.metadata.needs.instance_type = given(),
            "primaryDisk" if !text.is_empty() => match DiskSpec::parse_primary(text) {
                Ok(disk) => self.metadata.needs.primary_disk = Some(disk),
                Err(error) => self.error(line, format!("`{name}`: {error}")),
            },
            "bootFrom" if !text.is_empty() => {
                self.metadata.needs.boot_from = values::boot_from(text);
                if self.metadata.needs.boot_from.is_none() {
                    let message = format!(
                        "`{name}`: {text:?} is unknown: iso, iso-as-disk, pxe, pxe-rootfs-appended and minimal-iso are possible"
                    );
                    self.error(line, message);
                }
            }
            _ => {}
        }
    }

    /// Kernel arguments are one line in the boot loader's entry.
    fn kernel_args(&mut self, line: usize, name: &str, args: Option<String>) -> Option<String> {
        let args = args?;
        if args.contains(char::is_control) {
            let message = format!("`{name}`: kernel arguments must be one line: join the lines");
            self.error(line, message);
            return None;
        }
        Some(args)
    }

    /// 0 means the default, as in kola.
    fn int(&mut self, line: usize, name: &str, is: i64, most: i64) {
        if is < 0 {
            return self.error(line, format!("`{name}`: {is} is negative"));
        }
        if is > most {
            return self.error(line, format!("`{name}`: {is} is too large: at most {most}"));
        }
        let given = u64::try_from(is).ok().filter(|is| *is > 0);
        match name {
            "timeoutMin" => {
                self.metadata.timeout = given.map(|minutes| Duration::from_secs(minutes * 60));
            }
            "minMemory" => self.metadata.needs.memory_mib = given,
            "minDisk" => self.metadata.needs.disk_gib = given,
            "additionalNics" => {
                self.metadata.needs.additional_nics = u32::try_from(is).unwrap_or(0);
            }
            _ => {}
        }
    }

    fn texts(&mut self, line: usize, name: &str, texts: &[String]) {
        match name {
            "conflicts" => {
                self.metadata.conflicts = texts.to_vec();
                self.metadata.conflicts_line = line;
            }
            "additionalDisks" => {
                for text in texts {
                    match DiskSpec::parse_additional(text) {
                        Ok(disk) => self.metadata.needs.additional_disks.push(disk),
                        Err(error) => self.error(line, format!("`{name}`: {error}")),
                    }
                }
            }
            "bindMountHostRO" => self.mounts(line, name, texts),
            _ => {}
        }
    }

    fn mounts(&mut self, line: usize, name: &str, texts: &[String]) {
        for text in texts {
            let mount = match text.parse::<kolea_model::HostMount>() {
                Ok(mount) => mount,
                Err(message) => {
                    self.error(line, format!("`{name}`: {message}"));
                    continue;
                }
            };
            let mounts = &self.metadata.needs.mounts;
            if mounts.iter().any(|other| other.guest == mount.guest) {
                let message = format!("`{name}`: {} is mounted over twice", mount.guest);
                self.error(line, message);
                continue;
            }
            // it may be made only on the host that runs the tests
            if !mount.host.is_dir() {
                let host = mount.host.display();
                let message = format!("`{name}`: there is no directory {host} on this host");
                self.warning(line, message);
            }
            self.metadata.needs.mounts.push(mount);
        }
    }

    fn ports(&mut self, line: usize, name: &str, numbers: &[i64]) {
        for number in numbers {
            match u16::try_from(*number) {
                Ok(port) if port > 0 => {
                    if self.metadata.host_ports.contains(&port) {
                        self.warning(line, format!("`{name}`: {port} is given twice"));
                    } else {
                        self.metadata.host_ports.push(port);
                    }
                }
                _ => {
                    let message = format!("`{name}`: {number} is no port: 1 to 65535 are");
                    self.error(line, message);
                }
            }
        }
    }

    fn tags(&mut self, line: usize, text: &str) {
        let tags: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        if tags.iter().any(|tag| tag.starts_with('!')) {
            self.error(
                line,
                "`tags`: a tag must not start with `!`, which excludes tags on the command line",
            );
        }
        let tagged = |wanted: &str| tags.iter().any(|tag| tag == wanted);
        let needs = &mut self.metadata.needs;
        needs.internet = tagged("needs-internet");
        needs.skip_base_checks = tagged("skip-base-checks");
        needs.secure_boot = tagged("secure-boot");
        if needs.secure_boot {
            let option = "the tag `secure-boot`".to_owned();
            self.machine_options.push((option, line));
        }
        self.metadata.tags = tags;
    }

    fn restriction(&mut self, line: usize, name: &str, text: &str) -> Restriction {
        values::restriction(text).unwrap_or_else(|message| {
            self.error(line, format!("`{name}`: {message}"));
            Restriction::default()
        })
    }

    /// What concerns more than one key.
    fn check(&mut self, entries: &[Entry]) {
        let needs = &self.metadata.needs;
        if let (Some(gib), Some(disk)) = (needs.disk_gib, &needs.primary_disk)
            && let Some(size) = disk.size_gib
        {
            let line = entries
                .iter()
                .find(|entry| entry.key.name == "primaryDisk")
                .map_or(1, |entry| entry.line);
            let message = format!(
                "`primaryDisk`: `minDisk: {gib}` overrides the size {size}G: remove one of them"
            );
            self.warning(line, message);
        }
        if self.metadata.exclusive {
            if !self.metadata.conflicts.is_empty() {
                self.error(
                    self.metadata.conflicts_line,
                    "`conflicts` is for tests that share a machine: add `exclusive: false` or remove it",
                );
            }
            return;
        }
        for (option, line) in std::mem::take(&mut self.machine_options) {
            let message =
                format!("{option} needs a machine of its own: remove it or `exclusive: false`");
            self.error(line, message);
        }
    }
}

/// A conflict that names no test: the message, with the test that may have been meant.
pub(crate) fn unknown_conflict<'a>(name: &str, tests: impl Iterator<Item = &'a str>) -> String {
    let close = closest(name, tests, 1);
    match close.first() {
        Some(close) => {
            format!("`conflicts`: there is no test `{name}`: did you mean `{close}`?")
        }
        None => format!("`conflicts`: there is no test `{name}`"),
    }
}

#[cfg(test)]
#[path = "metadata_tests.rs"]
mod tests;
