//! Why nothing can be selected.

use kolea_model::SkipReason;

use crate::pattern::PatternError;

/// Why nothing can be selected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// A pattern matches neither a name nor a tag, or no test has any of the tags that were asked for.
    #[error("no test has a name or a tag that matches `{pattern}`{}", close_names(.close))]
    NoMatch {
        /// The pattern, or `--tag` with the tags.
        pattern: String,
        /// Names or tags that may have been meant.
        close: Vec<String>,
    },
    /// A pattern is malformed.
    #[error("the pattern `{pattern}` is malformed: {error}")]
    BadPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        error: PatternError,
    },
    /// Copies of two tests would have one name.
    #[error(
        "--multiply {multiply}: a copy of {} and one of {} would both be called {name}: choose a smaller number, or \
         patterns that match only one of them", .tests.0, .tests.1
    )]
    CopyClash {
        /// How many copies were asked for.
        multiply: u32,
        /// The name.
        name: String,
        /// The tests.
        tests: (String, String),
    },
    /// There are no tests at all.
    #[error("there are no tests: give a directory that has tests/kola with -E")]
    NoTests,
    /// There are tests, and the rules leave none of them.
    #[error("no test is left to run{}", reasons(.skipped))]
    Nothing {
        /// Those that were asked for, and why they do not run.
        skipped: Vec<(String, SkipReason)>,
    },
}

fn close_names(close: &[String]) -> String {
    if close.is_empty() {
        "; `kolea list` shows them all".to_owned()
    } else {
        format!("; did you mean {}?", close.join(", "))
    }
}

fn reasons(skipped: &[(String, SkipReason)]) -> String {
    if skipped.is_empty() {
        return String::new();
    }
    let skipped = skipped.iter();
    format!(
        ": {}",
        first_reasons(skipped.map(|(name, reason)| (name.as_str(), reason)))
    )
}

/// The first few, since messages are one line.
pub(super) fn first_reasons<'a>(
    skipped: impl Iterator<Item = (&'a str, &'a SkipReason)>,
) -> String {
    const SHOWN: usize = 3;
    let mut parts = Vec::new();
    let mut more = 0;
    for (name, reason) in skipped {
        if parts.len() < SHOWN {
            parts.push(format!("{name} ({reason})"));
        } else {
            more += 1;
        }
    }
    if more > 0 {
        parts.push(format!("{more} more"));
    }
    parts.join(", ")
}
