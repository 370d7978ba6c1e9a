//! ext4 by e2fsprogs' `debugfs`, which needs neither a mount nor root.
//!
//! Its commands take words apart at blanks, and know quotes; so host files are named relative to its working directory, by
//! names of ours, and the guest's names are in quotes.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::error::Fault;

/// What begins the line that repeats a command.
const PROMPT: &str = "debugfs: ";
/// Where programs for administrators are that others may not have in their PATH.
const ADMIN: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// An ext4 file system in a file.
#[derive(Clone, Debug)]
pub struct Debugfs {
    /// The program.
    pub program: PathBuf,
    /// A temporary directory: the file system is in its file [`Debugfs::FILE`].
    pub dir: PathBuf,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    /// With the type of the file.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

/// A file of the guest's, with all that is to stay as it is when its contents change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestFile {
    /// Its directory, an absolute path in the file system.
    pub dir: String,
    /// Name, owner and permissions.
    pub entry: Entry,
    /// Its contents.
    pub text: String,
    /// Extended attributes, such as its SELinux label.
    pub attributes: Vec<(String, Vec<u8>)>,
}

/// Finds the program.
pub fn find() -> Result<PathBuf, String> {
    crate::tools::find("debugfs", "e2fsprogs").or_else(|error| {
        ADMIN
            .into_iter()
            .map(|dir| Path::new(dir).join("debugfs"))
            .find(|file| file.is_file())
            .ok_or_else(|| error.to_string())
    })
}

impl Debugfs {
    /// The name of the file with the file system.
    pub const FILE: &str = "boot.raw";

    /// Lists directories; one that is not there is empty.
    pub async fn list(&self, dirs: &[&str]) -> Result<Vec<Vec<Entry>>, Fault> {
        let commands: Vec<String> = dirs
            .iter()
            .map(|dir| format!("ls -p {}", quoted(dir)))
            .collect();
        let said = self.run(&commands, false).await?;
        Ok(said.outputs.iter().map(|output| entries(output)).collect())
    }

    /// Reads a file with all that belongs to it.
    pub async fn read(&self, dir: &str, entry: &Entry) -> Result<GuestFile, Fault> {
        let path = quoted(&joined(dir, &entry.name));
        let commands = [format!("dump {path} contents"), format!("ea_list {path}")];
        let said = self.run(&commands, false).await?.flawless()?;
        let names = attribute_names(said.get(1).map_or("", String::as_str));
        let commands: Vec<String> = names
            .iter()
            .enumerate()
            .map(|(index, name)| format!("ea_get -f attribute-{index} {path} {name}"))
            .collect();
        if !commands.is_empty() {
            self.run(&commands, false).await?.flawless()?;
        }
        let mut attributes = Vec::new();
        for (index, name) in names.into_iter().enumerate() {
            let value = fs::read(self.dir.join(format!("attribute-{index}")))
                .map_err(Fault::file("read an attribute"))?;
            attributes.push((name, value));
        }
        let contents = fs::read(self.dir.join("contents")).map_err(Fault::file("read a file"))?;
        Ok(GuestFile {
            dir: dir.to_owned(),
            entry: entry.clone(),
            text: String::from_utf8(contents)
                .map_err(|_| Fault::Layout(format!("{} is not text", joined(dir, &entry.name))))?,
            attributes,
        })
    }

    /// Writes files, of which `old` are there already. Reads them back.
    pub async fn write(&self, files: &[(&GuestFile, bool)]) -> Result<(), Fault> {
        let mut commands = Vec::new();
        for (index, (file, old)) in files.iter().enumerate() {
            commands.append(&mut self.replace(index, file, *old)?);
        }
        self.run(&commands, true).await?.flawless()?;
        // By another process: nothing of this is in its memory.
        let read: Vec<String> = (0..)
            .zip(files)
            .map(|(index, (file, _)): (usize, _)| {
                format!("dump {} back-{index}", quoted(&file.path()))
            })
            .collect();
        self.run(&read, false).await?.flawless()?;
        for (index, (file, _)) in files.iter().enumerate() {
            let back = fs::read(self.dir.join(format!("back-{index}")))
                .map_err(Fault::file("read a file back"))?;
            if back != file.text.as_bytes() {
                return Err(Fault::Program(format!(
                    "{} wrote {} and reads something else",
                    self.program.display(),
                    file.path()
                )));
            }
        }
        Ok(())
    }

    /// The commands that replace one file.
    fn replace(&self, index: usize, file: &GuestFile, old: bool) -> Result<Vec<String>, Fault> {
        let source = self.dir.join(format!("new-{index}"));
        fs::write(&source, &file.text)
            .and_then(|()| {
                // They become those of the guest's file.
                fs::set_permissions(&source, Permissions::from_mode(file.entry.mode & 0o7777))
            })
            .map_err(Fault::file("write a temporary file"))?;
        let name = quoted(&file.entry.name);
        // `write` takes no directory.
        let mut commands = vec![format!("cd {}", quoted(&file.dir))];
        if old {
            commands.push(format!("rm {name}"));
        }
        commands.push(format!("write new-{index} {name}"));
        for (field, value) in [("uid", file.entry.uid), ("gid", file.entry.gid)] {
            if value != 0 {
                commands.push(format!("set_inode_field {name} {field} {value}"));
            }
        }
        for (number, (attribute, value)) in file.attributes.iter().enumerate() {
            let source = format!("new-{index}-{number}");
            fs::write(self.dir.join(&source), value)
                .map_err(Fault::file("write a temporary file"))?;
            commands.push(format!("ea_set -f {source} {name} {attribute}"));
        }
        Ok(commands)
    }

    /// Makes a directory.
    pub async fn make_dir(&self, path: &str) -> Result<(), Fault> {
        let commands = [format!("mkdir {}", quoted(path))];
        self.run(&commands, true).await?.flawless().map(drop)
    }

    async fn run(&self, commands: &[String], write: bool) -> Result<Said, Fault> {
        // What could leave its quotes would be another command.
        if commands
            .iter()
            .any(|command| command.contains(['\n', '\0']))
        {
            return Err(Fault::Layout("a file has a strange name".to_owned()));
        }
        fs::write(self.dir.join("commands"), commands.join("\n") + "\n")
            .map_err(Fault::file("write a temporary file"))?;
        let mut program = Command::new(&self.program);
        if write {
            program.arg("-w");
        }
        let output = program
            .args(["-f", "commands", Debugfs::FILE])
            .current_dir(&self.dir)
            .env("LC_ALL", "C")
            .env("DEBUGFS_PAGER", "__none__")
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true)
            .output()
            .await;
        let name = self.program.display();
        let output =
            output.map_err(|error| Fault::Program(format!("cannot run {name}: {error}")))?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        // It begins with its version, and ends with 0 whatever became of the commands.
        let complaint = stderr
            .lines()
            .skip_while(|line| line.starts_with("debugfs 1."))
            .find(|line| !line.trim().is_empty())
            .map(|line| Fault::Program(format!("{name}: {}", line.trim())));
        let complaint = match complaint {
            None if !output.status.success() => {
                Some(Fault::Program(format!("{name} failed ({})", output.status)))
            }
            complaint => complaint,
        };
        Ok(Said {
            outputs: outputs(&String::from_utf8_lossy(&output.stdout)),
            complaint,
        })
    }
}

impl GuestFile {
    /// Its path in the file system.
    pub fn path(&self) -> String {
        joined(&self.dir, &self.entry.name)
    }
}

fn joined(dir: &str, name: &str) -> String {
    format!("{}/{name}", dir.trim_end_matches('/'))
}

/// What the program printed.
struct Said {
    /// Of each command.
    outputs: Vec<String>,
    /// The first line about something that it could not do.
    complaint: Option<Fault>,
}

impl Said {
    fn flawless(self) -> Result<Vec<String>, Fault> {
        self.complaint.map_or(Ok(self.outputs), Err)
    }
}

fn outputs(stdout: &str) -> Vec<String> {
    let mut outputs: Vec<String> = Vec::new();
    for line in stdout.lines() {
        if line.starts_with(PROMPT) {
            outputs.push(String::new());
        } else if let Some(output) = outputs.last_mut() {
            output.push_str(line);
            output.push('\n');
        }
    }
    outputs
}

/// The lines of `ls -p`: `/INODE/MODE/UID/GID/NAME/SIZE/`.
fn entries(output: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let fields: Vec<&str> = line.strip_prefix('/')?.split('/').collect();
        let [_, mode, uid, gid, name, ..] = fields[..] else {
            return None;
        };
        Some(Entry {
            name: name.to_owned(),
            mode: u32::from_str_radix(mode, 8).ok()?,
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
        })
    };
    let entries = output.lines().filter_map(entry);
    entries
        .filter(|entry| ![".", ".."].contains(&entry.name.as_str()))
        .collect()
}

/// The names in the lines of `ea_list`: `  NAME (LENGTH) = VALUE`.
fn attribute_names(output: &str) -> Vec<String> {
    output
        .lines()
        .filter_map(|line| Some(line.strip_prefix("  ")?.split_once(" (")?.0.to_owned()))
        .filter(|name| !name.contains([' ', '"']))
        .collect()
}

/// As one word.
fn quoted(path: &str) -> String {
    format!("\"{}\"", path.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_output_is_understood() {
        let said = "debugfs: ls -p /\n/17/040755/0/0/.//\n/2/040755/0/0/..//\n/18/100644/1/2/a b.conf/62/\n\ndebugfs: ls -p /x\ndebugfs: ea_list y\nExtended attributes:\n  user.test (5) = 31 20 \n  security.selinux (28) = \"system_u:object_r:boot_t:s0\\000\"\n";
        let outputs = outputs(said);
        assert_eq!(outputs.len(), 3);
        assert_eq!(
            entries(&outputs[0]),
            [Entry {
                name: "a b.conf".to_owned(),
                mode: 0o100_644,
                uid: 1,
                gid: 2
            }]
        );
        assert_eq!(entries(&outputs[1]), []);
        assert_eq!(
            attribute_names(&outputs[2]),
            ["user.test", "security.selinux"]
        );
        assert_eq!(quoted("/a \"b"), "\"/a \"\"b\"");
    }
}
