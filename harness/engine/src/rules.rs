//! What a machine's console and journal must not say. The rules, their names and their expressions are kola's
//! (kola behaviour: console checks); kola looks for them when the machine is gone, this does it line by line.

use std::sync::{Arc, LazyLock};

use kolea_machine::profile::ConsolePattern;
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

/// Rules that were compiled: those for all, and a distribution's own behind them.
#[derive(Debug)]
pub(crate) struct RuleSet {
    /// All rules at once: what a line costs that matches none, which is nearly every line.
    set: RegexSet,
    single: Vec<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    name: String,
    pattern: Regex,
    fatal: bool,
    warn: bool,
    occurrences: usize,
}

/// Compiling takes a while: most runs have no others.
static FOR_ALL: LazyLock<Arc<RuleSet>> = LazyLock::new(|| Arc::new(RuleSet::compile(&[])));

impl RuleSet {
    /// The rules with a profile's own. A pattern that is no regular expression is left out; no profile with such a pattern is
    /// ever read.
    pub fn new(extra: &[ConsolePattern]) -> Arc<RuleSet> {
        if extra.is_empty() {
            return Arc::clone(&FOR_ALL);
        }
        Arc::new(RuleSet::compile(extra))
    }

    fn compile(extra: &[ConsolePattern]) -> RuleSet {
        // The patterns are constants, and a test compiles them: without them nothing is found, and nothing panics.
        let builtin = RULES.iter().filter_map(|rule| {
            Some(Compiled {
                name: rule.name.to_owned(),
                pattern: Regex::new(rule.pattern).ok()?,
                fatal: rule.fatal,
                warn: false,
                occurrences: rule.occurrences,
            })
        });
        let own = extra.iter().filter_map(|own| {
            Some(Compiled {
                name: own.name.clone(),
                pattern: Regex::new(&own.pattern).ok()?,
                fatal: false,
                warn: own.warn,
                occurrences: 1,
            })
        });
        let single: Vec<Compiled> = builtin.chain(own).collect();
        let patterns = single.iter().map(|rule| rule.pattern.as_str());
        RuleSet {
            set: RegexSet::new(patterns).unwrap_or_else(|_| RegexSet::empty()),
            single,
        }
    }
}

/// What one rule found, and whether the machine can go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleMatch {
    /// For the reports.
    pub finding: Finding,
    /// As [`Rule::fatal`].
    pub fatal: bool,
    /// Whether it is a warning only.
    pub warn: bool,
}

/// The rules applied to one machine: each of them speaks once, whether the console or the journal says it first.
#[derive(Debug)]
pub(crate) struct Rules {
    rules: Arc<RuleSet>,
    /// How many lines each has matched.
    seen: Vec<usize>,
}

impl Rules {
    /// Nothing seen yet.
    pub fn new(rules: Arc<RuleSet>) -> Self {
        Rules {
            seen: vec![0; rules.single.len()],
            rules,
        }
    }

    /// From now on the rules are these; what was seen of those for all still counts.
    pub fn replace(&mut self, rules: Arc<RuleSet>) {
        if Arc::ptr_eq(&self.rules, &rules) {
            return;
        }
        self.seen.truncate(RULES.len());
        self.seen.resize(rules.single.len(), 0);
        self.rules = rules;
    }

    /// Looks at one line. Returns the first rule that it completes; a line that completes two at once is a line of
    /// which one name is enough. A rule that only warns never hides another.
    pub fn feed(&mut self, source: FindingSource, line: &str) -> Option<RuleMatch> {
        let completed = self.completed(line);
        let rule = |index: &&usize| &self.rules.single[**index];
        let first = completed.iter().find(|index| !rule(index).warn);
        let index = *first.or(completed.first())?;
        Some(self.rules.single[index].found(source, line))
    }

    /// The rules that a line completes, by their places.
    fn completed(&mut self, line: &str) -> Vec<usize> {
        if !self.rules.set.is_match(line) {
            return Vec::new();
        }
        let mut completed = Vec::new();
        for index in self.rules.set.matches(line) {
            self.seen[index] += 1;
            if self.seen[index] == self.rules.single[index].occurrences {
                completed.push(index);
            }
        }
        completed
    }
}

impl Compiled {
    fn found(&self, source: FindingSource, line: &str) -> RuleMatch {
        let detail = self
            .pattern
            .captures(line)
            .and_then(|captures| captures.get(1))
            .map(|group| sanitise(group.as_str()));
        RuleMatch {
            finding: Finding {
                rule: match detail {
                    Some(detail) if !detail.is_empty() => format!("{} ({detail})", self.name),
                    _ => self.name.clone(),
                },
                source,
                line: sanitise(line),
            },
            fatal: self.fatal,
            warn: self.warn,
        }
    }
}

/// The name of the rule by which a machine that says this cannot go on, for those who watch one without the engine.
pub fn fatal_rule(line: &str) -> Option<&'static str> {
    let rules = RULES.iter().zip(&FOR_ALL.single);
    rules
        .filter(|(rule, _)| rule.fatal)
        .find(|(_, compiled)| compiled.pattern.is_match(line))
        .map(|(rule, _)| rule.name)
}

/// Applies the rules to the text of a console that somebody else has recorded (`kolea check-console`): in kola's order, a profile's
/// own patterns behind them, and the first match of each. What is only a warning during a run is among them: whoever looks
/// at a console by hand wants to know.
pub fn check_console(text: &str, extra: &[ConsolePattern]) -> Vec<Finding> {
    let mut rules = Rules::new(RuleSet::new(extra));
    let mut found: Vec<(usize, Finding)> = Vec::new();
    // A serial console ends its lines with CR LF, and some firmware with CR alone.
    for line in text.split(['\n', '\r']) {
        for index in rules.completed(line) {
            let matched = rules.rules.single[index].found(FindingSource::Console, line);
            found.push((index, matched.finding));
        }
    }
    found.sort_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, finding)| finding).collect()
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
    use kolea_machine::profile::Profile;

    use super::*;

    fn all() -> Rules {
        Rules::new(RuleSet::new(&[]))
    }

    fn feed(line: &str) -> Option<RuleMatch> {
        all().feed(FindingSource::Console, line)
    }

    #[test]
    fn every_pattern_compiles() {
        let rules = RuleSet::new(&[]);
        assert_eq!(
            (rules.set.len(), rules.single.len()),
            (RULES.len(), RULES.len())
        );
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
        let mut rules = all();
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
        let mut rules = all();
        let line = "bond0: link status up for interface eth1, enabling it in 200 ms";
        for _ in 0..9 {
            assert_eq!(rules.feed(FindingSource::Console, line), None);
        }
        assert!(rules.feed(FindingSource::Console, line).is_some());
        assert_eq!(rules.feed(FindingSource::Console, line), None);
    }

    fn soft_lockup() -> Vec<ConsolePattern> {
        Profile::builtin("nestos").unwrap().console_patterns
    }

    #[test]
    fn a_distributions_own_patterns_come_behind_and_may_only_warn() {
        let line = "[ 61.2] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [kworker/1:0:21]";
        assert_eq!(feed(line), None);
        let mut rules = all();
        assert!(rules.feed(FindingSource::Console, "Oops: 1").is_some());
        rules.replace(RuleSet::new(&soft_lockup()));
        assert!(rules.feed(FindingSource::Console, "Oops: 1").is_none());
        let found = rules.feed(FindingSource::Journal, line).unwrap();
        assert_eq!(found.finding.rule, "kernel soft lockup");
        assert!(found.warn && !found.fatal);
        assert_eq!(rules.feed(FindingSource::Journal, line), None);
        let mut rules = Rules::new(RuleSet::new(&soft_lockup()));
        let both = format!("{line} Kernel panic - not syncing: softlockup: hung tasks");
        assert!(rules.feed(FindingSource::Console, &both).unwrap().fatal);
    }

    #[test]
    fn a_recorded_console_is_checked_in_kolas_order() {
        let text = "systemd[1]: x: Ordering cycle found\r\n\u{1b}[0mOops: 2 segfault SIGSEGV\r\r\n\
                    Oops: 3\nwatchdog: BUG: soft lockup - CPU#0 stuck\nKernel panic - not syncing: x\n";
        let rules = |extra: &[ConsolePattern]| -> Vec<String> {
            let found = check_console(text, extra);
            found.into_iter().map(|finding| finding.rule).collect()
        };
        let kola = [
            "kernel panic (x)",
            "kernel oops",
            "segfault",
            "systemd ordering cycle",
        ];
        assert_eq!(rules(&[]), kola);
        assert_eq!(rules(&soft_lockup()).last().unwrap(), "kernel soft lockup");
        assert_eq!(check_console(text, &[])[1].line, "Oops: 2 segfault SIGSEGV");
        assert!(check_console("all is well\n", &soft_lockup()).is_empty());
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
