//! Names that someone may have meant.

/// The number of insertions, deletions and substitutions that make `left` into `right`.
pub(crate) fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, own) in left.chars().enumerate() {
        let mut diagonal = index;
        let mut before = index + 1;
        if let Some(first) = row.first_mut() {
            *first = before;
        }
        for (other, cell) in right.iter().zip(row.iter_mut().skip(1)) {
            let substituted = diagonal + usize::from(own != *other);
            diagonal = *cell;
            before = substituted.min(diagonal + 1).min(before + 1);
            *cell = before;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// The names closest to `wanted`, at most `most`: those a few typing errors away, then those that contain it.
pub(crate) fn closest<'a>(
    wanted: &str,
    names: impl Iterator<Item = &'a str>,
    most: usize,
) -> Vec<String> {
    let wanted = wanted.to_lowercase();
    let allowed = (wanted.chars().count() / 3).clamp(1, 3);
    let mut found: Vec<(usize, &str)> = names
        .filter_map(|name| {
            let lower = name.to_lowercase();
            // `reboto` means ext.core.reboot too
            let tail = lower.rsplit('.').next().unwrap_or(&lower);
            let distance = distance(&wanted, &lower).min(distance(&wanted, tail));
            if distance <= allowed {
                return Some((distance, name));
            }
            let contains = wanted.chars().count() > 2 && lower.contains(&wanted);
            contains.then_some((usize::MAX, name))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
        .into_iter()
        .take(most)
        .map(|(_, name)| name.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn typing_errors_and_parts_are_found() {
        let names = ["ext.core.reboot", "ext.core.journal", "ext.core.disk-size"];
        let close = |wanted| closest(wanted, names.into_iter(), 5);
        assert_eq!(close("ext.core.reboto"), ["ext.core.reboot"]);
        assert_eq!(close("reboto"), ["ext.core.reboot"]);
        assert_eq!(close("disk"), ["ext.core.disk-size"]);
        assert_eq!(close("xyzzy"), [""; 0]);
        assert_eq!(closest("core", names.into_iter(), 2).len(), 2);
    }

    proptest! {
        #[test]
        fn distance_is_a_metric(a in "[abc]{0,8}", b in "[abc]{0,8}", c in "[abc]{0,8}") {
            prop_assert_eq!(distance(&a, &b), distance(&b, &a));
            prop_assert_eq!(distance(&a, &b) == 0, a == b);
            prop_assert!(distance(&a, &c) <= distance(&a, &b) + distance(&b, &c));
        }
    }
}
