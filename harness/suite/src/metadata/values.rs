//! Values that are more than text: restrictions, dates, disks, mounts, ports.

use chrono::{DateTime, Days, NaiveDate, Utc};
use kolea_model::{BootFrom, Restriction};

/// How long after `creationDate` a failure is only a warning, in days of 24 hours (kola's rule).
const GRACE_DAYS: u64 = 30;

/// A list of names; a `!` before the first excludes all of them.
pub(super) fn restriction(text: &str) -> Result<Restriction, &'static str> {
    let text = text.trim();
    let (excludes, list) = match text.strip_prefix('!') {
        Some(list) => (true, list),
        None => (false, text),
    };
    let names: Vec<String> = list.split_whitespace().map(str::to_owned).collect();
    if excludes && names.is_empty() {
        return Err("nothing follows the `!`");
    }
    if names.iter().any(|name| name.starts_with('!')) {
        return Err("a `!` at the start excludes the whole list and cannot stand elsewhere");
    }
    if names.iter().any(|name| name.contains(',')) {
        return Err("names are separated by spaces, not commas");
    }
    Ok(if excludes {
        Restriction {
            include: Vec::new(),
            exclude: names,
        }
    } else {
        Restriction {
            include: names,
            exclude: Vec::new(),
        }
    })
}

/// An architecture by a name from another world, which would exclude nothing or everything, and its RPM name.
pub(crate) fn foreign_architecture(restriction: &Restriction) -> Option<(&str, &'static str)> {
    let names = restriction.include.iter().chain(&restriction.exclude);
    names
        .filter_map(|name| match name.as_str() {
            "amd64" | "x86-64" => Some((name.as_str(), "x86_64")),
            "arm64" => Some((name.as_str(), "aarch64")),
            "ppc64el" => Some((name.as_str(), "ppc64le")),
            _ => None,
        })
        .next()
}

/// When the grace that begins on the day ends; none if it is no day.
pub(super) fn grace_until(text: &str) -> Option<DateTime<Utc>> {
    // chrono takes `+2024-1-2` too
    let shape = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .filter(|_| shape)?;
    let end = date.checked_add_days(Days::new(GRACE_DAYS))?;
    Some(end.and_hms_opt(0, 0, 0)?.and_utc())
}

/// What to boot from, by the name that the schema allows.
pub(super) fn boot_from(text: &str) -> Option<BootFrom> {
    BootFrom::ALL
        .into_iter()
        .find(|boot_from| boot_from.name() == text)
}
