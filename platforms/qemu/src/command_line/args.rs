//! Arguments as they are put together, and as people read them.

use std::ffi::{OsStr, OsString};

use super::fds;
use crate::arch::Arch;
use crate::by_hand::Ends;

/// Arguments of QEMU, in order.
#[derive(Debug)]
pub struct Args {
    /// The machine's architecture, on which the names of devices depend.
    pub arch: Arch,
    /// Where pipes and sockets end.
    pub ends: Ends,
    /// Options of the primary disk's drive after all others.
    pub drive_options: Option<String>,
    /// Them.
    pub words: Vec<OsString>,
}

impl Args {
    /// None yet.
    pub fn new(arch: Arch) -> Args {
        Args {
            arch,
            ends: Ends::Here,
            drive_options: None,
            words: Vec::new(),
        }
    }

    /// One without a value.
    pub fn flag(&mut self, name: &str) {
        self.words.push(name.into());
    }

    /// One with a value.
    pub fn add(&mut self, name: &str, value: impl AsRef<OsStr>) {
        self.words.push(name.into());
        self.words.push(value.as_ref().to_owned());
    }

    /// A character device that writes to an inherited pipe. `append` keeps QEMU from opening it for truncation, which
    /// the descriptor set would refuse.
    pub fn pipe(&mut self, id: &str, fd: i32) {
        if self.ends == Ends::Alone {
            return self.add("-chardev", format!("null,id={id}"));
        }
        self.add("-add-fd", format!("fd={fd},set={fd}"));
        self.add(
            "-chardev",
            format!("file,id={id},path=/dev/fdset/{fd},append=on"),
        );
    }

    /// A character device that is an inherited socket.
    pub fn socket(&mut self, id: &str, fd: i32) {
        self.add(
            "-chardev",
            match self.ends {
                Ends::Alone => format!("null,id={id}"),
                _ => format!("socket,id={id},fd={fd}"),
            },
        );
    }

    /// The serial console.
    pub fn console(&mut self) {
        match &self.ends {
            Ends::Here | Ends::File(_) => {
                self.pipe("log", fds::CONSOLE);
                self.add("-serial", "chardev:log");
            }
            Ends::Terminal | Ends::Alone => self.add("-serial", "mon:stdio"),
        }
    }
}

/// Appends a path as an option's value: commas are doubled, as QEMU's option parser wants it.
pub fn with_path(options: &str, path: &OsStr) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut bytes = options.as_bytes().to_vec();
    for byte in path.as_bytes() {
        bytes.push(*byte);
        if *byte == b',' {
            bytes.push(b',');
        }
    }
    OsString::from_vec(bytes)
}

/// The command as one line that a POSIX shell takes apart again into the same words.
pub fn shell_quoted(program: &OsStr, args: &[OsString]) -> String {
    std::iter::once(program)
        .chain(args.iter().map(OsString::as_os_str))
        .map(|word| {
            let word = word.to_string_lossy();
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
            if !word.is_empty() && word.chars().all(plain) {
                word.into_owned()
            } else {
                format!("'{}'", word.replace('\'', r"'\''"))
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}
