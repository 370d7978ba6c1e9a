//! Changing the boot file system of one machine's overlay.
//!
//! The files are changed in a copy of the file system; the blocks that differ are written to the overlay, and read back.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;

use kolea_model::MachineSpec;
use tokio::process::Command;

use super::debugfs::{Debugfs, Entry, GuestFile};
use super::error::{BootError, Fault};
use super::loader::{check_args, first_boot};
use super::partition::{BootPartition, IGNITION_DIR, STAMP};
use super::sparse::{self, Change};
use crate::tools;

/// What is to be different in a machine's boot file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Kernel arguments for every boot.
    pub kernel_args: Option<String>,
    /// Kernel arguments for the first boot.
    pub firstboot_kernel_args: Option<String>,
    /// An Ignition config, for machines that get theirs this way.
    pub ignition: Option<String>,
}

impl Edits {
    /// What a machine's spec asks for.
    pub fn of(spec: &MachineSpec) -> Edits {
        Edits {
            kernel_args: spec.kernel_args.clone(),
            firstboot_kernel_args: spec.firstboot_kernel_args.clone(),
            ignition: None,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Edits::default()
    }
}

impl BootPartition {
    /// Whether the image can have these.
    pub fn check(&self, edits: &Edits) -> Result<(), BootError> {
        self.plan(edits)
            .map(drop)
            .map_err(|fault| fault.on(&self.image))
    }

    /// Changes a disk, an overlay on the image that nobody has open. `temp`: a directory with room for a copy of the file
    /// system.
    pub async fn edit(&self, edits: &Edits, disk: &Path, temp: &Path) -> Result<(), BootError> {
        self.try_edit(edits, disk, temp)
            .await
            .map_err(|fault| fault.on(&self.image))
    }

    /// The files as they are to be, and whether they are there already.
    fn plan(&self, edits: &Edits) -> Result<Vec<(GuestFile, bool)>, Fault> {
        let mut files = Vec::new();
        for args in [&edits.kernel_args, &edits.firstboot_kernel_args] {
            args.as_deref()
                .map_or(Ok(()), check_args)
                .map_err(Fault::Layout)?;
        }
        if let Some(args) = &edits.kernel_args {
            let mut config = self.config.clone();
            config.text = self
                .loader
                .append(&config.text, args)
                .map_err(Fault::Layout)?;
            files.push((config, true));
        }
        if let Some(args) = &edits.firstboot_kernel_args {
            let mut stamp = self.stamp.clone().ok_or_else(|| {
                Fault::Layout(format!(
                    "its boot file system has no {STAMP}, so there is no first boot to give arguments to: the image has been booted before, or has no Ignition"
                ))
            })?;
            stamp.text = first_boot(&stamp.text, args);
            files.push((stamp, true));
        }
        if let Some(config) = &edits.ignition {
            let file = GuestFile {
                dir: format!("/{IGNITION_DIR}"),
                entry: Entry {
                    name: "config.ign".to_owned(),
                    mode: 0o100_600,
                    uid: 0,
                    gid: 0,
                },
                text: config.clone(),
                attributes: Vec::new(),
            };
            files.push((file, false));
        }
        Ok(files)
    }

    async fn try_edit(&self, edits: &Edits, disk: &Path, temp: &Path) -> Result<(), Fault> {
        let files = self.plan(edits)?;
        let dir = tempfile::Builder::new()
            .prefix("boot-")
            .tempdir_in(temp)
            .map_err(Fault::file("make a temporary directory"))?;
        let path = dir.path().join(Debugfs::FILE);
        let clone = |file: &File| {
            file.try_clone()
                .map_err(Fault::file("use a temporary file"))
        };
        let contents = clone(&self.contents)?;
        let copy = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(Fault::file("create a temporary file"))?;
        let edited = clone(&copy)?;
        blocking(move || sparse::copy(&contents, &copy)).await?;
        let system = Debugfs {
            program: self.debugfs.clone(),
            dir: dir.path().to_owned(),
        };
        if edits.ignition.is_some() && !self.has_ignition_dir {
            system.make_dir(&format!("/{IGNITION_DIR}")).await?;
        }
        let files: Vec<(&GuestFile, bool)> = files.iter().map(|(file, old)| (file, *old)).collect();
        system.write(&files).await?;
        let contents = clone(&self.contents)?;
        let changes = blocking(move || sparse::changes(&contents, &edited)).await?;
        self.write(&changes, disk, dir.path()).await
    }

    /// Writes changes to the disk, and reads them back.
    async fn write(&self, changes: &[Change], disk: &Path, dir: &Path) -> Result<(), Fault> {
        let (mut write, mut read) = (Vec::new(), Vec::new());
        for (index, change) in changes.iter().enumerate() {
            let (at, length) = (self.start + change.offset, change.bytes.len());
            let name = format!("change-{index}");
            fs::write(dir.join(&name), &change.bytes)
                .map_err(Fault::file("write a temporary file"))?;
            write.push(format!("write -q -s {name} {at} {length}"));
            read.push(format!("read -v {at} {length}"));
        }
        // The machine's own mode: what is not on the host's disk when the host dies is not missed.
        self.qemu_io(&["-t", "unsafe"], write, disk, dir).await?;
        let said = self.qemu_io(&["-r"], read, disk, dir).await?;
        let wanted = changes.iter().flat_map(|change| &change.bytes);
        if dumped(&said).iter().eq(wanted) {
            return Ok(());
        }
        Err(Fault::Program(format!(
            "{} reads something else from {} than was written",
            self.qemu_io.display(),
            disk.display()
        )))
    }

    async fn qemu_io(
        &self,
        options: &[&str],
        commands: Vec<String>,
        disk: &Path,
        dir: &Path,
    ) -> Result<String, Fault> {
        let mut args: Vec<OsString> = ["-f", "qcow2"].map(OsString::from).to_vec();
        args.extend(options.iter().map(OsString::from));
        for command in commands {
            args.extend(["-c".into(), command.into()]);
        }
        args.push(disk.into());
        let name = self.qemu_io.display();
        let output = Command::new(&self.qemu_io)
            .args(args)
            .current_dir(dir)
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| Fault::Program(format!("cannot run {name}: {error}")))?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(stdout);
        }
        let words = match output.stderr.is_empty() {
            true => tools::last_words(&output.stdout),
            false => tools::last_words(&output.stderr),
        };
        Err(Fault::Program(format!(
            "{name} on {}: {words}",
            disk.display()
        )))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(std::io::Error::other)
        .flatten()
        .map_err(Fault::file("copy the boot file system"))
}

/// The bytes in `read -v`'s lines: `OFFSET:  XX XX …  TEXT`, 16 a line.
fn dumped(said: &str) -> Vec<u8> {
    let line = |line: &str| {
        let (offset, rest) = line.split_once(":  ")?;
        u64::from_str_radix(offset, 16).ok()?;
        let (bytes, _) = rest.split_once("  ")?;
        bytes
            .split(' ')
            .map(|byte| u8::from_str_radix(byte, 16).ok())
            .collect::<Option<Vec<u8>>>()
    };
    said.lines().filter_map(line).flatten().collect()
}
