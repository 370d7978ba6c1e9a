//! The words that several reports share.

use kolea_model::{Finding, FindingSource, Origin, TEMPLATE_PREFIX, Verdict};

use crate::record::{GroupRecord, Record, VerifiedRecord};
use crate::text;

/// kola's word for a verdict: PASS, FAIL, SKIP or WARN.
pub fn kola_word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Pass | Verdict::Flaky { .. } | Verdict::XPass { .. } => "PASS",
        Verdict::Warn { .. } | Verdict::XFail { .. } => "WARN",
        Verdict::Skip { .. } => "SKIP",
        Verdict::Fail { .. }
        | Verdict::Timeout { .. }
        | Verdict::Infra { .. }
        | Verdict::Lost { .. } => "FAIL",
    }
}

/// Whether a test failed, or an attempt at one, whatever that means for the run: so that its output is worth keeping.
pub fn has_failed(verdict: &Verdict) -> bool {
    verdict.is_bad() || matches!(verdict, Verdict::Warn { .. } | Verdict::XFail { .. })
}

/// kola's word for a bucket, which fails if its machine or any of its members does.
///
/// A member's warning, or a failure that was expected, is none for the bucket: kola makes a failure of it and prints
/// FAIL for runs that exit with 0.
pub fn bucket_word(record: &Record, bucket: &GroupRecord) -> &'static str {
    let all_skipped = record.members(bucket).count() > 0
        && record.members(bucket).all(|test| is_skip(&test.verdict));
    if bucket.verdict.is_bad() || record.members(bucket).any(|test| test.verdict.is_bad()) {
        "FAIL"
    } else if all_skipped {
        "SKIP"
    } else {
        "PASS"
    }
}

/// PASS or FAIL, for the whole run.
pub fn result_word(record: &Record) -> &'static str {
    if record.passed() { "PASS" } else { "FAIL" }
}

/// A verdict with its reason, in one line, without saying the kind of failure twice; empty for a pass.
pub fn reason(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Pass => String::new(),
        // Their reasons begin with what they are.
        Verdict::Skip { .. } | Verdict::Timeout { .. } | Verdict::Infra { .. } => {
            text::one_line(&verdict.reason())
        }
        other => text::one_line(&other.to_string()),
    }
}

/// A template's name for people, which says nothing of groups.
pub fn template(name: &str) -> &str {
    name.strip_prefix(TEMPLATE_PREFIX).unwrap_or(name)
}

/// Where a machine's state comes from: `clone of <template>`, `booted`, or `booted: <why>`.
pub fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Clone { template: name, .. } => format!("clone of {}", template(name)),
        Origin::Boot { why: None } => "booted".to_owned(),
        Origin::Boot { why: Some(why) } => format!("booted: {why}"),
    }
}

/// What verifying a template with a test showed.
pub fn verified(verified: &VerifiedRecord) -> String {
    let text = if verified.same {
        format!(
            "the same in a clone and on a machine that booted: {}",
            verified.in_clone.word()
        )
    } else {
        format!(
            "{} in a clone, {} on a machine that booted",
            with_reason(&verified.in_clone),
            with_reason(&verified.booted)
        )
    };
    text::one_line(&text)
}

fn with_reason(verdict: &Verdict) -> String {
    match verdict.reason() {
        reason if reason.is_empty() => verdict.word().to_owned(),
        reason => format!("{} ({reason})", verdict.word()),
    }
}

/// A finding in one line.
pub fn finding(finding: &Finding) -> String {
    let source = match finding.source {
        FindingSource::Console => "console",
        FindingSource::Journal => "journal",
    };
    text::one_line(&format!("{source}: {}: {}", finding.rule, finding.line))
}

fn is_skip(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Skip { .. })
}
