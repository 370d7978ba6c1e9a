//! What holds for every text, whatever stands in it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::time::{Duration, Instant};

use kolea_butane::{Severity, Translation, translate, validate};
use proptest::prelude::*;

/// Keys of Butane's, to come upon structs by chance.
const KEYS: &str = "variant|version|ignition|config|merge|replace|inline|local|source|compression|storage|files|directories|links|\
    trees|path|mode|contents|append|disks|device|partitions|label|number|size_mib|filesystems|format|with_mount_unit|luks|name|clevis|\
    tpm2|tang|url|raid|level|devices|systemd|units|enabled|dropins|passwd|users|groups|boot_device|mirror|layout|grub|\
    kernel_arguments|should_exist|proxy|http_proxy|metadata|labels|openshift|fips|extensions|<<";

const SCALARS: &str = "0644|755|1|-1|true|no|~|x|/a|/var/b|a.service|c.mount|ext4|swap|raid1|/dev/vda|https://example.com|data:,x|\
    x86_64|\"\"|'q'|!!int 5|&a z|*a|.|..|1e99|99999999999999999999|root|core|10.conf";

/// Text in YAML's flow style with Butane's keys, at any place.
fn flow() -> impl Strategy<Value = String> {
    let words =
        |words: &'static str| proptest::sample::select(words.split('|').collect::<Vec<_>>());
    let leaf = words(SCALARS).prop_map(str::to_owned);
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            proptest::collection::vec((words(KEYS), inner), 0..6).prop_map(|pairs| {
                let pairs: Vec<_> = pairs
                    .iter()
                    .map(|(key, value)| format!("{key}: {value}"))
                    .collect();
                format!("{{{}}}", pairs.join(", "))
            }),
        ]
    })
}

fn spec() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "variant: fcos\nversion: 1.0.0\n",
        "variant: fcos\nversion: 1.3.0\n",
        "variant: fcos\nversion: 1.5.0\n",
        "variant: fcos\nversion: 1.7.0\n",
        "variant: flatcar\nversion: 1.1.0\n",
        "variant: openshift\nversion: 4.14.0\n",
        "variant: fiot\nversion: 1.0.0\n",
    ])
}

/// A list of entries that are nearly right, so that many configs come through.
fn likely() -> impl Strategy<Value = String> {
    let entry = |text: &'static str, values: &'static [&'static str]| {
        proptest::sample::select(values).prop_map(move |value| text.replace("VALUE", value))
    };
    let file = entry(
        "storage: {files: [{path: VALUE, mode: 0644, contents: {inline: hello}}]}\n",
        &["/a", "/etc/b", "a", "/x/../y"],
    );
    let unit = entry(
        "systemd: {units: [{name: VALUE, enabled: true}]}\n",
        &["a.service", "var-a.mount", "a"],
    );
    let user = entry(
        "passwd: {users: [{name: core, password_hash: VALUE}]}\n",
        &["x", "\"\"", "~"],
    );
    let boot = entry(
        "boot_device: {VALUE}\n",
        &[
            "luks: {tpm2: true}",
            "mirror: {devices: [/dev/a, /dev/b]}",
            "layout: x",
        ],
    );
    let arguments = entry(
        "kernel_arguments: {should_exist: [VALUE]}\n",
        &["a", "a, b", "a, a"],
    );
    let option = proptest::option::of;
    (
        option(file),
        option(unit),
        option(user),
        option(boot),
        option(arguments),
    )
        .prop_map(|(file, unit, user, boot, arguments)| {
            [file, unit, user, boot, arguments]
                .into_iter()
                .flatten()
                .collect()
        })
}

/// What every translation is like.
fn is_sound(text: &str) -> Result<Translation, TestCaseError> {
    let translation = translate(text, None);
    let fatal = translation
        .notes
        .iter()
        .any(|note| note.severity == Severity::Error);
    prop_assert_eq!(translation.ignition.is_none(), fatal, "{:?}", translation);
    if let Some(ignition) = &translation.ignition {
        prop_assert_eq!(validate(ignition), Ok(()));
    }
    let lines = text.lines().count().max(1);
    for note in &translation.notes {
        prop_assert!(note.line >= 1 && note.line <= lines + 1, "{note:?}");
        prop_assert!(note.column >= 1 && note.path.starts_with('$'), "{note:?}");
        prop_assert!(
            !note.message.is_empty() && !note.message.contains('\n'),
            "{note:?}"
        );
    }
    prop_assert_eq!(&translate(text, None), &translation);
    Ok(translation)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_borne(text in "\\PC*") {
        is_sound(&text)?;
    }

    #[test]
    fn any_bytes_after_a_good_start_are_borne(spec in spec(), text in "[-a-z0-9:{}\\[\\]&*!|>'\"%#~?, \n\t]{0,200}") {
        is_sound(&format!("{spec}{text}"))?;
    }

    #[test]
    fn any_structure_is_borne(spec in spec(), root in flow()) {
        is_sound(&format!("{spec}ignition: {root}\n"))?;
        is_sound(&format!("{spec}storage: {root}\n"))?;
        is_sound(&format!("{spec}boot_device: {root}\n"))?;
        is_sound(&root)?;
    }

    #[test]
    fn likely_configs_are_sound(spec in spec(), text in likely()) {
        is_sound(&format!("{spec}{text}"))?;
    }
}

/// Aliases of aliases stand for more than there is memory; nesting goes deeper than the stack.
#[test]
fn bombs_do_not_go_off() {
    let mut aliases =
        String::from("variant: fcos\nversion: 1.5.0\nx0: &x0 [/a, /a, /a, /a, /a, /a, /a, /a]\n");
    for level in 1..40 {
        let item = format!("*x{}", level - 1);
        aliases.push_str(&format!(
            "x{level}: &x{level} [{}]\n",
            [item.as_str(); 8].join(", ")
        ));
    }
    let mut files = String::from("variant: fcos\nversion: 1.5.0\na0: &a0 {inline: x}\n");
    files.push_str("f: &f [&e {path: /a}");
    files.push_str(&", *e".repeat(2000));
    files.push_str("]\nu: &u [&v {name: a, dropins: *f}");
    files.push_str(&", *v".repeat(2000));
    files.push_str("]\nsystemd: {units: *u}\n");
    let mut merges = String::from("variant: fcos\nversion: 1.5.0\nm0: &m0 {path: /a}\n");
    for level in 1..200 {
        let below = level - 1;
        merges.push_str(&format!(
            "m{level}: &m{level} {{<<: [*m{below}, *m{below}], k{level}: 1}}\n"
        ));
    }
    merges.push_str("storage: {files: [*m199]}\n");
    let deep = format!(
        "variant: fcos\nversion: 1.5.0\nstorage: {}",
        "[".repeat(100_000)
    );
    let wide = format!(
        "variant: fcos\nversion: 1.5.0\n{}",
        "x: {}\n".repeat(20_000)
    );
    for bomb in [aliases, files, merges, deep, wide] {
        let start = Instant::now();
        let translation = translate(&bomb, None);
        assert!(!translation.notes.is_empty());
        assert!(
            translation.notes.len() <= 1001,
            "{}",
            translation.notes.len()
        );
        let taken = start.elapsed();
        assert!(
            taken < Duration::from_secs(20),
            "{taken:?} for {}",
            &bomb[..60]
        );
    }
}
