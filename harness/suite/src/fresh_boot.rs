//! Which tests are about booting itself, so that a clone of a machine that has booted would prove nothing.

/// Tags of tests that are about booting.
const TAGS: [&str; 5] = [
    "boot",
    "firstboot",
    "first-boot",
    "fresh-boot",
    "reboot-loop",
];
/// What a part of such a test's name is, or begins with (`boot-order`, `firstboot_2`).
const WORDS: [&str; 4] = ["boot", "firstboot", "first-boot", "fresh-boot"];

/// Whether a test that says nothing of `freshBoot` needs a machine that boots, by its name and tags.
pub(crate) fn is_about_booting(name: &str, tags: &[String]) -> bool {
    tags.iter().any(|tag| TAGS.contains(&tag.as_str())) || name.split('.').any(is_boot_word)
}

fn is_boot_word(part: &str) -> bool {
    WORDS.iter().any(|word| {
        part.strip_prefix(word)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_of_booting_are_known_by_name_or_tag() {
        let by_name = |name| is_about_booting(name, &[]);
        for name in [
            "ext.core.boot",
            "ext.core.boot.sh",
            "ext.core.boot.menu.sh",
            "ext.core.boot-order",
            "ext.core.firstboot_2",
            "ext.core.first-boot",
            "ext.core.fresh-boot-only.sh",
        ] {
            assert!(by_name(name), "{name}");
        }
        for name in [
            "ext.core.reboot",
            "ext.core.bootupd",
            "ext.core.boots",
            "ext.core.secure-boot",
            "ext.core.first",
            "boo",
        ] {
            assert!(!by_name(name), "{name}");
        }
        let tagged = |tag: &str| is_about_booting("ext.core.x", &[tag.to_owned()]);
        assert!(TAGS.iter().all(|tag| tagged(tag)));
        assert!(!tagged("boot-") && !tagged("reboot"));
    }
}
