//! What is said about templates and clones.

use std::fmt::Write as _;

use super::style::Painter;
use super::summary::count;
use crate::record::{Record, TemplateState, VerifiedRecord};
use crate::{text, words};

/// What became of a template.
pub(super) fn line(out: &mut String, record: &Record, name: &str, painter: Painter) {
    let Some(template) = record.templates.iter().find(|own| own.name == name) else {
        return;
    };
    let what = match &template.state {
        TemplateState::Planned => return,
        TemplateState::Made {
            seconds,
            save_seconds,
            disk_mib,
        } => format!(
            "made in {} (saved in {save_seconds:.2} s, {disk_mib} MiB)",
            text::duration(*seconds)
        ),
        TemplateState::Cached => "found in the cache".to_owned(),
        TemplateState::Failed(reason) => {
            format!("{}: {}", painter.bad("failed"), text::one_line(reason))
        }
    };
    let name = text::one_line(words::template(&template.name));
    let _infallible = writeln!(out, "template {name}: {what}");
}

/// A test that a clone makes a difference to.
pub(super) fn difference(out: &mut String, verified: &VerifiedRecord, painter: Painter) {
    let _infallible = writeln!(
        out,
        "{}: {}: {}",
        painter.bad("CLONE DIFFERS"),
        text::one_line(&verified.test),
        words::verified(verified)
    );
}

/// How many tests ran in clones, how the run compares with the least it could have taken, and what was verified.
pub(super) fn summary(out: &mut String, record: &Record, painter: Painter) {
    let mut facts = Vec::new();
    let origins = record.origins();
    if origins.in_clones > 0 || !record.templates.is_empty() {
        facts.push(format!(
            "{} in clones of {}, {} booted",
            origins.in_clones,
            count(origins.templates, "template"),
            origins.booted
        ));
    }
    if let Some(bound) = record.lower_bound_seconds
        && record.seconds > 0.0
    {
        facts.push(format!(
            "at least {} of work for {} at once: efficiency {:.0} %",
            text::duration(bound),
            record.run.jobs,
            100.0 * bound / record.seconds
        ));
    }
    if !facts.is_empty() {
        let _infallible = writeln!(out, "{}", facts.join("; "));
    }
    if record.verified.is_empty() {
        return;
    }
    let differ = record.verified.iter().filter(|verified| !verified.same);
    let _infallible = writeln!(
        out,
        "{} verified on machines that booted: {}",
        count(record.verified.len(), "clone"),
        match differ.clone().count() {
            0 => "no difference".to_owned(),
            number => painter.bad(&count(number, "difference")),
        }
    );
    for verified in differ {
        let _infallible = writeln!(
            out,
            "  {} {}: {}",
            painter.bad("differs"),
            text::one_line(&verified.test),
            words::verified(verified)
        );
    }
}
