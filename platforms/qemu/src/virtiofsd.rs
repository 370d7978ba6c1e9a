//! virtiofsd: the process that shares one directory of the host with one machine.
//!
//! Nothing is waited for: its socket listens and QEMU's end is connected before it starts, both are inherited.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use command_fds::FdMapping;
use kolea_machine::MachineError;
use kolea_model::HostMount;

use crate::helper::Helper;
use crate::{process, socket, tools};

/// The listening socket's number in virtiofsd.
const LISTENER: i32 = 3;
/// What a virtiofsd costs the host at most, in MiB.
pub const VIRTIOFSD_MIB: u64 = 16;
/// Where distributions put it, which is not in `PATH`: Fedora, Debian and openSUSE; Arch.
const PLACES: [&str; 2] = ["/usr/libexec/virtiofsd", "/usr/lib/virtiofsd"];

/// What keeps a virtiofsd in the directory that it shares, should the guest take it over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sandbox {
    /// Namespaces of its own, with the directory as root; without privileges a user namespace.
    Namespace,
    /// The directory as root: for containers, which must not make namespaces.
    Chroot,
    /// Nothing.
    None,
}

impl Sandbox {
    fn name(self) -> &'static str {
        match self {
            Sandbox::Namespace => "namespace",
            Sandbox::Chroot => "chroot",
            Sandbox::None => "none",
        }
    }
}

/// The virtiofsd of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Virtiofsd {
    program: PathBuf,
    /// Whether it knows `--readonly` (1.13); the guest's mount alone is read-only otherwise.
    readonly: bool,
    sandbox: Sandbox,
    root: bool,
}

impl Virtiofsd {
    /// Finds it. The one that came with QEMU before 8.0 is none: it has other options, and no way to refuse writes.
    /// `scratch`: a directory for a trial, which tells whether it can lock itself in.
    pub async fn find(scratch: &Path) -> Option<Virtiofsd> {
        let found = tools::find("virtiofsd", "virtiofsd").ok();
        let program = found.or_else(|| {
            PLACES
                .map(PathBuf::from)
                .into_iter()
                .find(|path| path.is_file())
        })?;
        Virtiofsd::at(program, scratch).await
    }

    async fn at(program: PathBuf, scratch: &Path) -> Option<Virtiofsd> {
        let output = tools::output(&program, ["--help"]).await.ok()?;
        let help = String::from_utf8_lossy(&output.stdout);
        if !help.contains("--shared-dir") {
            return None;
        }
        let root = nix::unistd::Uid::effective().is_root();
        let mut virtiofsd = Virtiofsd {
            program,
            readonly: help.contains("--readonly"),
            sandbox: Sandbox::Namespace,
            root,
        };
        if !virtiofsd.readonly {
            tracing::warn!(
                "{} cannot refuse writes (--readonly, since 1.13): only the guests' mounts are read-only",
                virtiofsd.program.display()
            );
        }
        let sandboxes: &[Sandbox] = if root {
            &[Sandbox::Namespace, Sandbox::Chroot]
        } else {
            &[Sandbox::Namespace]
        };
        for &sandbox in sandboxes {
            virtiofsd.sandbox = sandbox;
            if virtiofsd.works(scratch).await {
                return Some(virtiofsd);
            }
        }
        tracing::warn!(
            "{} cannot lock itself into what it shares here, so it runs with the rights of this process",
            virtiofsd.program.display()
        );
        virtiofsd.sandbox = Sandbox::None;
        Some(virtiofsd)
    }

    /// Whether it comes as far as serving somebody, who hangs up at once. Takes about 10 ms.
    async fn works(&self, scratch: &Path) -> bool {
        let trial = async || -> io::Result<bool> {
            let dir = tempfile::Builder::new()
                .prefix("virtiofsd-")
                .tempdir_in(scratch)?;
            let (listener, [ours]) = socket::served(dir.path())?;
            let mut child = process::spawn(
                &self.program,
                &self.arguments(dir.path(), false),
                vec![inherit(listener)],
            )
            .await?;
            drop(ours);
            Ok(child.wait().await?.success())
        };
        trial().await.unwrap_or(false)
    }

    fn arguments(&self, shared: &Path, writable: bool) -> Vec<OsString> {
        let mut args: Vec<OsString> =
            vec![format!("--fd={LISTENER}").into(), "--shared-dir".into()];
        args.push(shared.into());
        args.push(format!("--sandbox={}", self.sandbox.name()).into());
        args.push("--log-level=error".into());
        if self.readonly && !writable {
            args.push("--readonly".into());
        }
        if self.root {
            // Root in a container may not have them, and files need none of them.
            args.push("--modcaps=-mknod:-setfcap".into());
        }
        args
    }

    /// Starts one for a directory, which has an absolute path. `files`: where its socket can be, a directory that is the machine's
    /// own; `log`: the file for what it says. Returns what QEMU inherits.
    pub async fn start(
        &self,
        mount: &HostMount,
        files: &Path,
        log: PathBuf,
    ) -> Result<(Helper, OwnedFd), MachineError> {
        let fault = |error: io::Error| {
            MachineError::Launch(format!(
                "cannot start {} for {}: {error}",
                self.program.display(),
                mount.host.display()
            ))
        };
        let (listener, [ours]) = socket::served(files).map_err(fault)?;
        let args = self.arguments(&mount.host, mount.writable);
        let child = process::spawn(&self.program, &args, vec![inherit(listener)])
            .await
            .map_err(fault)?;
        let name = format!("virtiofsd, which shares {},", mount.host.display());
        Ok((Helper::new(name, child, Some(log)), ours))
    }
}

fn inherit(listener: OwnedFd) -> FdMapping {
    FdMapping {
        parent_fd: listener,
        child_fd: LISTENER,
    }
}

#[cfg(test)]
#[path = "virtiofsd_tests.rs"]
mod tests;
