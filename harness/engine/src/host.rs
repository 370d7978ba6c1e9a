//! How much memory and how many processors this process may use.
//!
//! The texts are those of the kernel: `/proc/meminfo`, and the files of cgroup version 1
//! (Documentation/admin-guide/cgroup-v1/memory.rst) and 2 (Documentation/admin-guide/cgroup-v2.rst).

use std::fs;
use std::path::{Path, PathBuf};

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

/// The memory that this process may use, in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostMemory {
    /// What can be had without swapping.
    pub available_mib: u64,
    /// What there is in total: the host's memory or the control group's limit, whichever is lower.
    pub total_mib: u64,
    /// Whether a control group's limit is the lower one.
    pub limited_by_cgroup: bool,
}

/// The texts that [`parse_memory`] reads.
#[derive(Clone, Debug, Default)]
pub struct MemoryTexts {
    /// `/proc/meminfo`.
    pub meminfo: String,
    /// The group and each of its parents: the limit (`memory.max`, `memory.limit_in_bytes`), the usage
    /// (`memory.current`, `memory.usage_in_bytes`) and `memory.stat`.
    pub groups: Vec<(String, String, String)>,
}

/// Works out what is available from the kernel's texts; `None` if `/proc/meminfo` makes no sense.
pub fn parse_memory(texts: &MemoryTexts) -> Option<HostMemory> {
    let meminfo = |key: &str| {
        texts.meminfo.lines().find_map(|line| {
            let rest = line.strip_prefix(key)?.strip_prefix(':')?;
            rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        })
    };
    let total = meminfo("MemTotal")? << 10;
    let mut memory = (meminfo("MemAvailable")? << 10, total, false);
    for (limit, usage, stat) in &texts.groups {
        // `max` in version 2; version 1 says "no limit" by a number beyond any host's memory.
        let Ok(limit) = limit.trim().parse::<u64>() else {
            continue;
        };
        if limit >= total {
            continue;
        }
        let usage = usage.trim().parse::<u64>().unwrap_or(0);
        // File cache that is not in use goes when memory is needed. Version 1's own group counts its children under `total_`.
        let cache = ["total_inactive_file", "inactive_file"]
            .iter()
            .find_map(|key| {
                stat.lines().find_map(|line| {
                    let (name, value) = line.split_once(' ')?;
                    (name == *key).then(|| value.trim().parse::<u64>().ok())?
                })
            })
            .unwrap_or(0);
        let available = limit.saturating_sub(usage.saturating_sub(cache));
        memory = (memory.0.min(available), memory.1.min(limit), true);
    }
    Some(HostMemory {
        available_mib: memory.0 >> 20,
        total_mib: memory.1 >> 20,
        limited_by_cgroup: memory.2,
    })
}

/// Processors that a quota allows, rounded up: `cpu.max` (`max 100000`, `150000 100000`) of version 2, or
/// `cpu.cfs_quota_us` and `cpu.cfs_period_us` of version 1 with a space between. `None` without a quota.
pub fn parse_cpu_quota(text: &str) -> Option<usize> {
    let mut words = text.split_whitespace();
    let quota: u64 = words.next()?.parse().ok()?;
    let period: u64 = words.next()?.parse().ok()?;
    if quota == 0 || period == 0 {
        return None;
    }
    usize::try_from(quota.div_ceil(period)).ok()
}

/// The folders of this process's control group for `controller` and of each of its parents, innermost first.
///
/// `proc_cgroup` is the text of `/proc/self/cgroup`. In a container the path may be the host's and not exist in the
/// mounted tree; the root of the tree is then the container's own group, and is always in the list.
fn group_folders(proc_cgroup: &str, controller: &str, root: &Path) -> Vec<PathBuf> {
    let mut version1 = None;
    let mut version2 = None;
    for line in proc_cgroup.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if controllers.is_empty() {
            version2 = Some((root.to_path_buf(), path));
        } else if controllers.split(',').any(|name| name == controller) {
            version1 = Some((root.join(controllers), path));
        }
    }
    let Some((mount, path)) = version1.or(version2) else {
        return Vec::new();
    };
    let mut folders: Vec<PathBuf> = Path::new(path.trim_start_matches('/'))
        .ancestors()
        .map(|part| mount.join(part))
        .collect();
    // A controller of version 1 may be mounted under its own name as well as under the joint one.
    if mount != root {
        folders.push(root.join(controller));
    }
    folders
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The memory that is available to this process now; `None` where there is no `/proc/meminfo`.
pub fn host_memory() -> Option<HostMemory> {
    let proc_cgroup = read(Path::new("/proc/self/cgroup"));
    let groups = group_folders(&proc_cgroup, "memory", Path::new("/sys/fs/cgroup"))
        .iter()
        .map(|folder| {
            let either = |v2: &str, v1: &str| {
                let text = read(&folder.join(v2));
                if text.is_empty() {
                    read(&folder.join(v1))
                } else {
                    text
                }
            };
            (
                either("memory.max", "memory.limit_in_bytes"),
                either("memory.current", "memory.usage_in_bytes"),
                read(&folder.join("memory.stat")),
            )
        })
        .collect();
    parse_memory(&MemoryTexts {
        meminfo: read(Path::new("/proc/meminfo")),
        groups,
    })
}

/// How many processors this process may keep busy: its affinity, capped by the control groups' quotas; at least 1.
pub fn host_cpus() -> usize {
    let affinity = sched_getaffinity(Pid::from_raw(0)).map_or(1, |set| {
        (0..CpuSet::count())
            .filter(|cpu| set.is_set(*cpu).unwrap_or(false))
            .count()
    });
    let proc_cgroup = read(Path::new("/proc/self/cgroup"));
    group_folders(&proc_cgroup, "cpu", Path::new("/sys/fs/cgroup"))
        .iter()
        .filter_map(|folder| {
            parse_cpu_quota(&read(&folder.join("cpu.max"))).or_else(|| {
                parse_cpu_quota(&format!(
                    "{} {}",
                    read(&folder.join("cpu.cfs_quota_us")),
                    read(&folder.join("cpu.cfs_period_us"))
                ))
            })
        })
        .fold(affinity, usize::min)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:       24658992 kB\nMemFree:          812344 kB\nMemAvailable:   16777216 kB\nBuffers: 1 kB\n";

    fn memory(groups: &[(&str, &str, &str)]) -> Option<HostMemory> {
        parse_memory(&MemoryTexts {
            meminfo: MEMINFO.to_owned(),
            groups: groups
                .iter()
                .map(|(limit, usage, stat)| {
                    ((*limit).to_owned(), (*usage).to_owned(), (*stat).to_owned())
                })
                .collect(),
        })
    }

    #[test]
    fn without_groups_the_host_decides() {
        let host = memory(&[]).unwrap();
        assert_eq!((host.available_mib, host.total_mib), (16384, 24081));
        assert!(!host.limited_by_cgroup);
    }

    #[test]
    fn version_2_without_and_with_a_limit() {
        assert_eq!(memory(&[("max\n", "123456\n", "")]), memory(&[]));
        // 4 GiB allowed, 3 GiB in use, 1 GiB of that idle file cache.
        let stat = "anon 2147483648\nfile 1073741824\ninactive_file 1073741824\nactive_file 0\n";
        let host = memory(&[
            ("max\n", "99999999999\n", ""),
            ("4294967296\n", "3221225472\n", stat),
        ])
        .unwrap();
        assert_eq!((host.available_mib, host.total_mib), (2048, 4096));
        assert!(host.limited_by_cgroup);
    }

    #[test]
    fn version_1_counts_the_whole_tree() {
        let stat = "cache 5\ninactive_file 1048576\nhierarchical_memory_limit 2147483648\ntotal_inactive_file 536870912\n";
        let host = memory(&[
            ("9223372036854771712\n", "3221225472\n", ""),
            ("2147483648\n", "1073741824\n", stat),
        ])
        .unwrap();
        assert_eq!((host.available_mib, host.total_mib), (1536, 2048));
    }

    #[test]
    fn a_group_over_its_limit_leaves_nothing() {
        assert_eq!(
            memory(&[("1048576\n", "9999999\n", "")])
                .unwrap()
                .available_mib,
            0
        );
    }

    #[test]
    fn nonsense_is_no_answer() {
        assert_eq!(parse_memory(&MemoryTexts::default()), None);
    }

    #[test]
    fn quotas_are_rounded_up() {
        for (text, cpus) in [
            ("max 100000\n", None),
            ("150000 100000\n", Some(2)),
            ("100000 100000", Some(1)),
            ("20000 100000", Some(1)),
            ("-1\n 100000\n", None),
            ("800000\n 100000\n", Some(8)),
            ("", None),
            (" ", None),
        ] {
            assert_eq!(parse_cpu_quota(text), cpus, "{text:?}");
        }
    }

    #[test]
    fn the_groups_of_a_process_and_its_parents() {
        let root = Path::new("/sys/fs/cgroup");
        let names = |text: &str, controller: &str| -> Vec<String> {
            group_folders(text, controller, root)
                .iter()
                .map(|path| path.to_string_lossy().trim_end_matches('/').to_owned())
                .collect()
        };
        assert_eq!(
            names("0::/user.slice/run-1.scope\n", "memory"),
            [
                "/sys/fs/cgroup/user.slice/run-1.scope",
                "/sys/fs/cgroup/user.slice",
                "/sys/fs/cgroup"
            ]
        );
        assert_eq!(
            names("4:memory:/box\n3:cpu,cpuacct:/\n0::/\n", "memory"),
            [
                "/sys/fs/cgroup/memory/box",
                "/sys/fs/cgroup/memory",
                "/sys/fs/cgroup/memory"
            ]
        );
        assert_eq!(
            names("4:memory:/box\n3:cpu,cpuacct:/\n0::/\n", "cpu"),
            ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/cpu"]
        );
        assert!(names("garbage", "cpu").is_empty());
    }

    #[test]
    fn this_host_has_memory_and_processors() {
        assert!(host_memory().unwrap().total_mib > 0);
        assert!(host_cpus() > 0);
    }
}
