//! `kolea run --dry-run`: what would run, and what would wait for what.

use std::fmt::Write as _;

use kolea_engine::{Case, RunOptions};
use kolea_model::{Plan, TEMPLATE_PREFIX};
use kolea_suite::Selected;

use crate::program::say;

/// Prints the plan of a run.
pub fn print(cases: &[Case], selected: &Selected, options: &RunOptions) {
    let plan = kolea_engine::plan(cases, options);
    let mut text = text(&plan, options.jobs);
    if !selected.skipped.is_empty() {
        text.push_str("skipped:\n");
        for (test, reason) in &selected.skipped {
            let _infallible = writeln!(text, "{}: {reason}", test.name);
        }
    }
    say(text.trim_end());
}

fn text(plan: &Plan, jobs: usize) -> String {
    let mut out = String::new();
    let tests: usize = plan.groups.iter().map(|group| group.tests.len()).sum();
    let _infallible = writeln!(
        out,
        "{tests} tests on {} machines, {jobs} at once, started in this order:",
        plan.groups.len()
    );
    for group in &plan.groups {
        let _infallible = writeln!(out, "{}", group.name);
        if group.shared {
            for test in &group.tests {
                let _infallible = writeln!(out, "    {test}");
            }
        }
    }
    if !plan.templates.is_empty() {
        out.push_str(
            "templates, unless an earlier run left them, and the machines that are their clones:\n",
        );
    }
    for template in &plan.templates {
        let name = &template.name;
        let _infallible = writeln!(
            out,
            "{}",
            name.strip_prefix(TEMPLATE_PREFIX).unwrap_or(name)
        );
        for group in &template.groups {
            let _infallible = writeln!(out, "    {group}");
        }
    }
    if let Some(seconds) = plan.lower_bound_seconds.filter(|_| tests > 0) {
        let _infallible = writeln!(out, "by what earlier runs took, at least {seconds:.0} s");
    }
    out
}

#[cfg(test)]
mod tests {
    use kolea_model::{PlannedGroup, PlannedTemplate};

    use super::*;

    #[test]
    fn a_plan_tells_what_waits_for_what() {
        let group = |name: &str, tests: &[&str]| PlannedGroup {
            name: name.to_owned(),
            tests: tests.iter().map(|test| (*test).to_owned()).collect(),
            shared: tests.len() > 1,
        };
        let mut plan = Plan {
            groups: vec![group("b", &["x", "y"]), group("a", &["a"])],
            templates: vec![PlannedTemplate {
                name: "template/default".to_owned(),
                groups: vec!["a".to_owned()],
            }],
            lower_bound_seconds: Some(46.4),
        };
        let head = "3 tests on 2 machines, 4 at once, started in this order:\nb\n    x\n    y\na\n";
        assert_eq!(
            text(&plan, 4),
            format!(
                "{head}templates, unless an earlier run left them, and the machines that are their clones:\n\
                 default\n    a\nby what earlier runs took, at least 46 s\n"
            )
        );
        plan.templates.clear();
        plan.lower_bound_seconds = None;
        assert_eq!(text(&plan, 4), head);
    }
}
