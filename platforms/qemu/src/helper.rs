//! Processes that a machine can't do without, beside QEMU.

use std::future::{Future, poll_fn};
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::task::Poll;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::pumps::{self, Artifact, Tail};

/// How long the last words of a dead process may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A process that serves one machine. Dropping it kills the process.
#[derive(Debug)]
pub struct Helper {
    /// What it is, and what for.
    name: String,
    child: Child,
    stderr: Option<JoinHandle<()>>,
    tail: Tail,
}

/// How a helper ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelperEnd {
    /// In one line.
    pub message: String,
    /// Whether it says itself that all was well.
    pub success: bool,
}

impl Helper {
    /// A process that was just spawned in a group of its own. What it says on standard error goes to the file `log`, if there is
    /// to be one.
    pub fn new(name: String, mut child: Child, log: Option<PathBuf>) -> Helper {
        let tail = Tail::default();
        drop(child.stdout.take()); // nothing is said there
        let stderr = child.stderr.take().map(|stderr| {
            let words = log.map(Artifact::new);
            tokio::spawn(pumps::stderr(stderr, words, tail.clone()))
        });
        Helper {
            name,
            child,
            stderr,
            tail,
        }
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> HelperEnd {
        let status = self.child.wait().await;
        if let Some(stderr) = &mut self.stderr {
            // A process of its own that it left behind may hold the pipe.
            let _ = timeout(LAST_WORDS, stderr).await;
            self.stderr = None;
        }
        self.describe(status)
    }

    fn describe(&self, status: io::Result<ExitStatus>) -> HelperEnd {
        let success = status.as_ref().is_ok_and(ExitStatus::success);
        let how = match status {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let words = self.tail.last_words();
        let words = words.map_or_else(String::new, |words| format!(": {words}"));
        HelperEnd {
            message: format!("{} ended ({how}){words}", self.name),
            success,
        }
    }

    /// Ends it and all that it started, and waits for its end.
    pub async fn stop(mut self) {
        // None: it was waited for, and its group may be another's by now.
        if let Some(group) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        if let Err(error) = self.child.wait().await {
            tracing::warn!("{} cannot be waited for: {error}", self.name);
        }
    }
}

/// Waits until any of them has ended; for ever, if there are none.
pub async fn first_end(helpers: &mut [Helper]) -> HelperEnd {
    let mut ends: Vec<_> = helpers
        .iter_mut()
        .map(|helper| Box::pin(helper.ended()))
        .collect();
    poll_fn(|context| {
        let mut polls = ends.iter_mut().map(|end| end.as_mut().poll(context));
        polls.find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::process;

    async fn shell(dir: &Path, script: &str) -> Helper {
        let args = ["-c", script].map(Into::into);
        let child = process::spawn(Path::new("/bin/sh"), &args, Vec::new()).await;
        Helper::new("sh".to_owned(), child.unwrap(), Some(dir.join("sh.txt")))
    }

    #[tokio::test]
    async fn the_first_end_is_told_with_the_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let mut helpers = [
            shell(dir.path(), "exec sleep 600").await,
            shell(dir.path(), "echo no such thing >&2; exit 3").await,
        ];
        let end = first_end(&mut helpers).await;
        assert_eq!(end.message, "sh ended (exit status: 3): no such thing");
        assert!(!end.success);
        assert_eq!(
            std::fs::read_to_string(dir.path().join("sh.txt")).unwrap(),
            "no such thing\n"
        );
        for helper in helpers {
            helper.stop().await;
        }
        assert!(
            timeout(Duration::from_millis(10), first_end(&mut []))
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn what_it_started_ends_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let script = format!(
            "sleep 600 & echo $! >{0}.new; mv {0}.new {0}; wait",
            pid.display()
        );
        let helper = shell(dir.path(), &script).await;
        let child = loop {
            if let Ok(text) = std::fs::read_to_string(&pid) {
                break text.trim().parse().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        helper.stop().await;
        let gone = async {
            // An orphan that nobody has waited for yet is a zombie: it runs no more.
            while std::fs::read_to_string(format!("/proc/{child}/stat"))
                .is_ok_and(|stat| !stat.contains(") Z "))
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let _: i32 = child;
        timeout(Duration::from_secs(10), gone).await.unwrap();
    }
}
