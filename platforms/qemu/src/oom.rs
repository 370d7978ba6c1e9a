//! Did the kernel kill something for lack of memory? SIGKILL alone does not tell, the kernel's counters do.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The counters of OOM kills that concern us, as they were at some moment: of the whole system, and of our control group
/// and its parents (version 1 and 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OomCounters(BTreeMap<PathBuf, u64>);

impl OomCounters {
    /// Reads them; a counter that can't be read is left out.
    pub fn read() -> OomCounters {
        let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let counters = counter_files(&cgroups)
            .into_iter()
            .filter_map(|file| {
                let count = oom_kills(&fs::read_to_string(&file).ok()?)?;
                Some((file, count))
            })
            .collect();
        OomCounters(counters)
    }

    /// Whether any of them is higher than it was `before`.
    pub fn rose_since(&self, before: &OomCounters) -> bool {
        self.0
            .iter()
            .any(|(file, now)| before.0.get(file).is_some_and(|then| now > then))
    }
}

/// Where the counters are, given `/proc/self/cgroup`. Within a container the path named there often does not exist, and
/// the mount's root is the container's own group; so all of them are tried.
fn counter_files(cgroups: &str) -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("/proc/vmstat")];
    for line in cgroups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let (root, file) = if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.events")
        } else if controllers.split(',').any(|name| name == "memory") {
            ("/sys/fs/cgroup/memory", "memory.oom_control")
        } else {
            continue;
        };
        let relative = Path::new(path.trim_start_matches('/'));
        for group in relative.ancestors() {
            files.push(Path::new(root).join(group).join(file));
        }
    }
    files
}

/// The value of the line `oom_kill N`.
fn oom_kills(text: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill "))?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_control_groups_are_asked() {
        let files = counter_files("4:memory:/a/b\n3:cpuset:/\n0::/user.slice\n");
        let names: Vec<&str> = files.iter().filter_map(|file| file.to_str()).collect();
        assert_eq!(
            names,
            [
                "/proc/vmstat",
                "/sys/fs/cgroup/memory/a/b/memory.oom_control",
                "/sys/fs/cgroup/memory/a/memory.oom_control",
                "/sys/fs/cgroup/memory/memory.oom_control",
                "/sys/fs/cgroup/user.slice/memory.events",
                "/sys/fs/cgroup/memory.events",
            ]
        );
    }

    #[test]
    fn a_risen_counter_is_seen() {
        assert_eq!(oom_kills("oom 4\noom_kill 3\noom_group_kill 0\n"), Some(3));
        assert_eq!(oom_kills("oom_kill_disable 0\nunder_oom 0\n"), None);
        let at = |count| OomCounters([(PathBuf::from("/x"), count)].into());
        assert!(at(2).rose_since(&at(1)));
        assert!(!at(2).rose_since(&at(2)));
        assert!(!at(2).rose_since(&OomCounters(BTreeMap::new())));
    }
}
