//! What a machine's console and journal must not say. The rules, their names and their expressions are kola's
//! (kola behaviour: console checks); kola looks for them when the machine is gone, this does it line by line.

use std::sync::LazyLock;

use kolea_model::{Finding, FindingSource};
use regex::{Regex, RegexSet};

/// Longest line that a finding quotes, in characters.
const LONGEST_QUOTE: usize = 400;

/// A line that tells of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name in reports.
    pub name: &'static str,
    /// What it looks for, in the syntax of the `regex` crate.
    pub pattern: &'static str,
    /// Whether the machine can't go on afterwards, so that whatever runs on it ends at once.
    pub fatal: bool,
    /// How many lines have to match before it counts.
    pub occurrences: usize,
}

const fn rule(name: &'static str, pattern: &'static str) -> Rule {
    Rule {
        name,
        pattern,
        fatal: false,
        occurrences: 1,
    }
}

const fn fatal(name: &'static str, pattern: &'static str) -> Rule {
    Rule {
        fatal: true,
        ..rule(name, pattern)
    }
}

static RULES: [Rule; 17] = [
    fatal(
        "emergency shell",
        "Press Enter for emergency shell|Starting Emergency Shell|You are in emergency mode",
    ),
    fatal("dracut fatal", "dracut: Refusing to continue"),
    fatal("kernel panic", "Kernel panic - not syncing: (.*)"),
    rule("kernel oops", "Oops:"),
    rule("kernel warning", r"WARNING: CPU: \d+ PID: \d+ at (.+)"),
    rule(
        "failure of disk under I/O",
        "rejecting I/O to offline device",
    ),
    Rule {
        // kola matches ten of them in one text; ten lines are the same.
        occurrences: 10,
        ..rule(
            "excessive bonding link status messages",
            "link status up for interface [^,]+, enabling it in [0-9]+ ms",
        )
    },
    rule(
        "ext4 delayed allocation failure",
        r"EXT4-fs \([^)]+\): Delayed block allocation failed for inode \d+ at logical offset \d+ with max blocks \d+ with (error \d+)",
    ),
    rule(
        "GRUB memory corruption",
        "((alloc|free) magic) (is )?broken",
    ),
    rule(
        "Ignition fetch cancellation race",
        r"ignition\[[0-9]+\]: failed to fetch config: context canceled",
    ),
    rule(
        "initrd-cleanup.service terminated",
        r"initrd-cleanup\.service: Main process exited, code=killed, status=15/TERM",
    ),
    rule("Go panic", "panic: (.*)"),
    rule("segfault", "SIGSEGV|=11/SEGV"),
    rule("core dump", "[Cc]ore dump"),
    rule("systemd ordering cycle", "Ordering cycle found"),
    rule("oom killer", "invoked oom-killer"),
    rule(
        "systemd generator failure",
        "(/.*/system-generators/.*) (failed with exit status|terminated by signal|failed due to unknown reason)",
    ),
];

/// The rules, in kola's order.
pub fn rules() -> &'static [Rule] {
    &RULES
}

#[derive(Debug)]
struct Compiled {
    /// All rules at once: what a line costs that matches none, which is nearly every line.
    set: RegexSet,
    single: Vec<Regex>,
}

// The patterns are constants, and a test compiles them: without them nothing is found, and nothing panics.
static COMPILED: LazyLock<Compiled> = LazyLock::new(|| Compiled {
    set: RegexSet::new(RULES.iter().map(|rule| rule.pattern)).unwrap_or_else(|_| RegexSet::empty()),
    single: RULES
        .iter()
        .filter_map(|rule| Regex::new(rule.pattern).ok())
        .collect(),
});

/// What one rule found, and whether the machine can go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleMatch {
    /// For the reports.
    pub finding: Finding,
    /// As [`Rule::fatal`].
    pub fatal: bool,
}

/// The rules applied to one machine: each of them speaks once, whether the console or the journal says it first.
#[derive(Debug)]
pub struct Rules {
    seen: [usize; RULES.len()],
}

impl Default for Rules {
    fn default() -> Self {
        Rules::new()
    }
}

impl Rules {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Rules {
            seen: [0; RULES.len()],
        }
    }

    /// Looks at one line. Returns the first rule that it completes; a line that completes two at once is a line of
    /// which one name is enough.
    pub fn feed(&mut self, source: FindingSource, line: &str) -> Option<RuleMatch> {
        if !COMPILED.set.is_match(line) {
            return None;
        }
        let mut first = None;
        for index in COMPILED.set.matches(line) {
            let rule = &RULES[index];
            self.seen[index] += 1;
            if self.seen[index] == rule.occurrences && first.is_none() {
                let detail = COMPILED.single[index]
                    .captures(line)
                    .and_then(|captures| captures.get(1))
                    .map(|group| sanitise(group.as_str()));
                first = Some(RuleMatch {
                    finding: Finding {
                        rule: match detail {
                            Some(detail) if !detail.is_empty() => {
                                format!("{} ({detail})", rule.name)
                            }
                            _ => rule.name.to_owned(),
                        },
                        source,
                        line: sanitise(line),
                    },
                    fatal: rule.fatal,
                });
            }
        }
        first
    }
}

/// A line without terminal escapes and control characters, cut where it gets too long to be quoted.
pub fn sanitise(line: &str) -> String {
    static ESCAPES: LazyLock<Option<Regex>> = LazyLock::new(|| {
        // CSI sequences, OSC strings and two-character escapes (ECMA-48).
        Regex::new(
            "\u{1b}(?:\\[[0-?]*[ -/]*[@-~]|\\][^\u{7}\u{1b}]*(?:\u{7}|\u{1b}\\\\)?|[@-Z\\\\-_])",
        )
        .ok()
    });
    let start: String = line.chars().take(LONGEST_QUOTE * 2).collect();
    let plain = match &*ESCAPES {
        Some(escapes) => escapes.replace_all(&start, ""),
        None => start.as_str().into(),
    };
    let mut text: String = plain
        .chars()
        .map(|c| if c == '\t' { ' ' } else { c })
        .filter(|c| !c.is_control())
        .collect();
    text.truncate(text.trim_end().len());
    if text.chars().count() > LONGEST_QUOTE {
        text = text.chars().take(LONGEST_QUOTE).collect();
        text.push('…');
    }
    text.trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(line: &str) -> Option<RuleMatch> {
        Rules::new().feed(FindingSource::Console, line)
    }

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(COMPILED.set.len(), RULES.len());
        assert_eq!(COMPILED.single.len(), RULES.len());
    }

    #[test]
    fn real_lines_are_found_under_their_names() {
        for (line, rule) in [
            (
                "Press Enter for emergency shell or wait 4 minutes 45 seconds for reboot.",
                "emergency shell",
            ),
            (
                "[    9.512394] systemd[1]: Starting Emergency Shell...",
                "emergency shell",
            ),
            (
                "You are in emergency mode. After logging in, type \"journalctl -xb\" to view",
                "emergency shell",
            ),
            ("[   10.1] dracut: Refusing to continue", "dracut fatal"),
            (
                "[    1.8] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
                "kernel panic (VFS: Unable to mount root fs on unknown-block(0,0))",
            ),
            ("[   33.0] Oops: 0002 [#1] PREEMPT SMP PTI", "kernel oops"),
            (
                "[   12.3] WARNING: CPU: 1 PID: 812 at fs/xfs/xfs_aops.c:490 xfs_do_writepage+0x1a/0x2b0",
                "kernel warning (fs/xfs/xfs_aops.c:490 xfs_do_writepage+0x1a/0x2b0)",
            ),
            (
                "sd 0:0:0:0: rejecting I/O to offline device",
                "failure of disk under I/O",
            ),
            (
                "EXT4-fs (vda4): Delayed block allocation failed for inode 131 at logical offset 0 with max blocks 1 with error 28",
                "ext4 delayed allocation failure (error 28)",
            ),
            (
                "error: alloc magic is broken at 0x7ff25b60: 0.",
                "GRUB memory corruption (alloc magic)",
            ),
            (
                "free magic broken at 0x1",
                "GRUB memory corruption (free magic)",
            ),
            (
                "[ 4.4] ignition[612]: failed to fetch config: context canceled",
                "Ignition fetch cancellation race",
            ),
            (
                "systemd[1]: initrd-cleanup.service: Main process exited, code=killed, status=15/TERM",
                "initrd-cleanup.service terminated",
            ),
            (
                "panic: runtime error: index out of range [3] with length 3",
                "Go panic (runtime error: index out of range [3] with length 3)",
            ),
            (
                "systemd[1]: foo.service: Main process exited, code=dumped, status=11/SEGV",
                "segfault",
            ),
            (
                "systemd-coredump[903]: Process 901 (sleep) of user 0 dumped core. Core dump follows",
                "core dump",
            ),
            (
                "systemd[1]: sysinit.target: Ordering cycle found, skipping foo.service",
                "systemd ordering cycle",
            ),
            (
                "[ 90.2] stress invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
                "oom killer",
            ),
            (
                "systemd[412]: /usr/lib/systemd/system-generators/zram-generator failed with exit status 1.",
                "systemd generator failure (/usr/lib/systemd/system-generators/zram-generator)",
            ),
        ] {
            let found = feed(line).unwrap_or_else(|| panic!("nothing found in {line}"));
            assert_eq!(found.finding.rule, rule);
            assert_eq!(found.finding.source, FindingSource::Console);
        }
    }

    #[test]
    fn healthy_lines_are_not() {
        for line in [
            "",
            "[    0.0] Linux version 6.1.0-28-amd64 (debian-kernel@lists.debian.org)",
            "systemd[1]: Stopped target emergency.target - Emergency Mode.",
            "systemd[1]: Started emergency-shell-monitor.service",
            "dracut: Mounted root filesystem /dev/vda4",
            "[ 1.0] kernel: panic_timeout=10",
            "WARNING: CPU frequency scaling is off",
            "ignition[612]: failed to fetch config: resource not found",
            "systemd[1]: initrd-cleanup.service: Deactivated successfully.",
            "systemd[1]: foo.service: Main process exited, code=exited, status=1/FAILURE",
            "EXT4-fs (vda4): mounted filesystem with ordered data mode",
            "oom-kill.service started",
            "bond0: link status up for interface eth1, enabling it in 200 ms",
        ] {
            assert_eq!(feed(line), None, "{line}");
        }
    }

    #[test]
    fn only_what_ends_a_machine_is_fatal() {
        let fatal: Vec<&str> = rules()
            .iter()
            .filter(|rule| rule.fatal)
            .map(|rule| rule.name)
            .collect();
        assert_eq!(fatal, ["emergency shell", "dracut fatal", "kernel panic"]);
        assert!(feed("Kernel panic - not syncing: x").unwrap().fatal);
        assert!(!feed("Oops:").unwrap().fatal);
    }

    #[test]
    fn a_rule_speaks_once_whoever_says_it() {
        let mut rules = Rules::new();
        assert!(rules.feed(FindingSource::Journal, "Oops: 1").is_some());
        assert!(rules.feed(FindingSource::Console, "Oops: 1").is_none());
        assert!(
            rules
                .feed(FindingSource::Console, "Core dump to |/bin/x")
                .is_some()
        );
    }

    #[test]
    fn ten_link_messages_are_too_many() {
        let mut rules = Rules::new();
        let line = "bond0: link status up for interface eth1, enabling it in 200 ms";
        for _ in 0..9 {
            assert_eq!(rules.feed(FindingSource::Console, line), None);
        }
        assert!(rules.feed(FindingSource::Console, line).is_some());
        assert_eq!(rules.feed(FindingSource::Console, line), None);
    }

    #[test]
    fn quotes_are_plain_and_short() {
        assert_eq!(
            sanitise("\u{1b}[0;1;31mOops:\u{1b}[0m\tx\u{8}\r"),
            "Oops: x"
        );
        assert_eq!(sanitise("\u{1b}]0;title\u{7}text"), "text");
        let long = sanitise(&"Oops: ä".repeat(1000));
        assert_eq!(long.chars().count(), LONGEST_QUOTE + 1);
    }
}
