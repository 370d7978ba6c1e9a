//! The corners of kola's metadata, one line each.

use super::*;
use crate::problem::Severity;
use kolea_model::{BootFrom, DiskChannel};
use proptest::prelude::*;

fn yaml(text: &str) -> (Metadata, Vec<Note>) {
    parse(&Block::Yaml {
        line: 1,
        text: text.to_owned(),
    })
}

fn json(text: &str) -> (Metadata, Vec<Note>) {
    parse(&Block::Json {
        line: 1,
        text: text.to_owned(),
    })
}

/// The metadata of text without any fault.
fn good((metadata, notes): (Metadata, Vec<Note>)) -> Metadata {
    assert_eq!(notes, []);
    metadata
}

/// Severity, line and message of text with one fault.
fn fault((_, notes): (Metadata, Vec<Note>)) -> Note {
    assert_eq!(notes.len(), 1, "{notes:?}");
    notes.into_iter().next().unwrap()
}

#[test]
fn every_key_arrives() {
    let metadata = good(yaml(
        "description: what it\n  proves\ntags: a  b\nrequiredTag: luks\narchitectures: \"!s390x ppc64le\"\n\
         platforms: qemu aws\ndistros: \"! rhcos\"\ntimeoutMin: 3\nminMemory: 2048\nminDisk: 20\n\
         creationDate: 2024-01-31\nallowConfigWarnings: true\nnoInstanceCreds: true\nfreshBoot: true\n",
    ));
    assert_eq!(metadata.fresh_boot, Some(true));
    assert_eq!(metadata.description, "what it proves");
    assert_eq!(metadata.tags, ["a", "b"]);
    assert_eq!(metadata.required_tag.as_deref(), Some("luks"));
    assert_eq!(metadata.architectures.exclude, ["s390x", "ppc64le"]);
    assert_eq!(metadata.platforms.include, ["qemu", "aws"]);
    assert_eq!(metadata.distros.exclude, ["rhcos"]);
    assert_eq!(metadata.timeout, Some(Duration::from_secs(180)));
    assert_eq!(
        (metadata.needs.memory_mib, metadata.needs.disk_gib),
        (Some(2048), Some(20))
    );
    assert!(metadata.allow_config_warnings);
    let grace = metadata.grace_until.unwrap().to_rfc3339();
    assert_eq!(grace, "2024-03-01T00:00:00+00:00");
    assert!(metadata.exclusive);
    let shared = good(yaml("exclusive: false\nconflicts: [ext.a, 5]\n"));
    assert_eq!(shared.conflicts, ["ext.a", "5"]);
    let shared = good(yaml("exclusive: false\nfreshBoot: true\n"));
    assert_eq!(shared.fresh_boot, Some(true));
}

#[test]
fn every_key_of_machines_arrives() {
    let metadata = good(yaml(
        "additionalDisks: [\"5G:channel=nvme\", 2G]\nprimaryDisk: \":mpath\"\nadditionalNics: 2\n\
         appendKernelArgs: \" a b=c \"\nappendFirstbootKernelArgs: d\nnumaNodes: true\n\
         bindMountHostRO: [\"/,/mnt/host\"]\nbootFrom: iso-as-disk\ninstanceType: m5.large\n\
         tags: needs-internet secure-boot\nrequiredHostPorts: [8000, 0x10]\ninjectContainer: true\n",
    ));
    let needs = metadata.needs;
    assert_eq!(needs.additional_disks.len(), 2);
    assert_eq!(needs.additional_disks[0].channel, DiskChannel::Nvme);
    assert!(needs.primary_disk.is_some_and(|disk| disk.multipath));
    assert_eq!(needs.additional_nics, 2);
    assert_eq!(needs.kernel_args.as_deref(), Some("a b=c"));
    assert_eq!(needs.firstboot_kernel_args.as_deref(), Some("d"));
    assert!(needs.numa && needs.secure_boot && needs.internet && !needs.skip_base_checks);
    assert_eq!(needs.mounts[0].guest, "/mnt/host");
    assert_eq!(needs.boot_from, Some(BootFrom::IsoAsDisk));
    assert_eq!(needs.instance_type.as_deref(), Some("m5.large"));
    assert_eq!(metadata.host_ports, [8000, 16]);
    assert!(metadata.inject_container);
}

#[test]
fn what_says_nothing_asks_for_nothing() {
    let metadata = good(yaml(
        "exclusive: false\nadditionalDisks: []\nnumaNodes: false\nappendKernelArgs: \"\"\nadditionalNics: 0\n\
         primaryDisk: \"\"\nbootFrom: \"\"\nminMemory:\ncreationDate: \"\"\nrequiredHostPorts: []\n",
    ));
    assert_eq!(metadata.needs, MachineNeeds::default());
    assert_eq!(metadata.grace_until, None);
}

#[test]
fn values_convert_as_in_yaml_v2() {
    assert_eq!(good(yaml("tags: 5")).tags, ["5"]);
    assert_eq!(good(yaml("tags: yes")).tags, ["yes"]);
    assert_eq!(
        good(yaml("tags: &t a\nrequiredTag: *t"))
            .required_tag
            .as_deref(),
        Some("a")
    );
    for (text, mib) in [
        ("minMemory: 1_000", 1000),
        ("minMemory: 0x10", 16),
        ("minMemory: 0644", 0o644),
    ] {
        assert_eq!(good(yaml(text)).needs.memory_mib, Some(mib), "{text}");
    }
    let (cut, notes) = yaml("timeoutMin: 1.5");
    assert_eq!(cut.timeout, Some(Duration::from_secs(60)));
    assert_eq!(notes.len(), 1);
    assert_eq!(
        (notes[0].severity, notes[0].column),
        (Severity::Warning, Some(16))
    );
    assert_eq!(good(yaml("timeoutMin: 0")).timeout, None);
    assert_eq!(good(yaml("timeoutMin:")).timeout, None);
    for text in ["exclusive: no", "exclusive: off", "exclusive: False"] {
        assert!(!good(yaml(text)).exclusive, "{text}");
    }
    assert!(good(yaml("exclusive: on")).exclusive);
    assert_eq!(good(yaml("")), Metadata::default());
    assert_eq!(good(yaml("# only a comment\n")), Metadata::default());
    assert_eq!(
        good(yaml("architectures: \"!\\u0073390x\"\r\n"))
            .architectures
            .exclude,
        ["s390x"]
    );
}

#[test]
fn values_convert_as_in_go_json() {
    assert_eq!(
        good(json(" {\"TAGS\": \"a\", \"timeoutmin\": 2}")).tags,
        ["a"]
    );
    assert!(!good(json("{\"exclusive\": false}")).exclusive);
    assert_eq!(good(json("{\"freshboot\": false}")).fresh_boot, Some(false));
    assert!(good(json("{\"exclusive\": null, \"tags\": null}")).exclusive);
    let note = fault(json("{\"tags\": \"a\"} junk"));
    assert_eq!(note.severity, Severity::Warning);
    for text in [
        "{\"tags\": 5}",
        "{\"timeoutMin\": 1.5}",
        "{\"timeoutMin\": \"5\"}",
        "{\"tags\": \"a\", \"Tags\": \"b\"}",
        "{\"foo\": 1}",
        "[]",
        "null",
        "",
        "{",
    ] {
        assert_eq!(fault(json(text)).severity, Severity::Error, "{text}");
    }
}

#[test]
fn faults_name_their_line_and_what_to_do() {
    for (text, line, part) in [
        ("\ntag: a", 2, "did you mean `tags`?"),
        ("tags: a\nxyzzy: b", 2, "unknown key `xyzzy`"),
        ("Tags: a", 1, "did you mean `tags`?"),
        ("tags: a\ntags: b", 2, "given twice, first on line 1"),
        ("tags: [a]", 1, "a string is wanted, and this is a list"),
        (
            "timeoutMin: \"5\"",
            1,
            "an integer without quotes is wanted",
        ),
        ("exclusive: \"false\"", 1, "a boolean"),
        ("freshBoot: \"true\"", 1, "a boolean"),
        ("freshboot: true", 1, "did you mean `freshBoot`?"),
        ("conflicts: a\nexclusive: false", 1, "a list of strings"),
        ("primaryDisk: [\"10G\"]", 1, "a string is wanted"),
        ("architectures: !s390x", 1, "\"!s390x\" in quotes"),
        (
            "architectures: !s390x ppc64le",
            1,
            "\"!s390x ppc64le\" in quotes",
        ),
        ("architectures: \"!\"", 1, "nothing follows"),
        ("architectures: a !b", 1, "cannot stand elsewhere"),
        ("platforms: qemu,aws", 1, "not commas"),
        ("timeoutMin: -1", 1, "negative"),
        ("timeoutMin: 99999999999", 1, "too large"),
        ("minMemory: -5", 1, "negative"),
        ("minMemory: 99999999999999999999", 1, "too large"),
        ("creationDate: 2024-13-01", 1, "YYYY-MM-DD"),
        ("creationDate: 2024-1-1", 1, "YYYY-MM-DD"),
        ("creationDate: yesterday", 1, "YYYY-MM-DD"),
        (
            "tags: a\nconflicts:\n  - ext.b\n",
            2,
            "add `exclusive: false`",
        ),
        ("exclusive: false\nminMemory: 5", 2, "machine of its own"),
        (
            "exclusive: false\nnoInstanceCreds: true",
            2,
            "machine of its own",
        ),
        (
            "exclusive: false\ntags: secure-boot",
            2,
            "the tag `secure-boot` needs a machine",
        ),
        (
            "exclusive: false\nadditionalNics: 1",
            2,
            "`additionalNics` needs a machine",
        ),
        ("additionalNics: 17", 1, "at most 16"),
        ("minDisk: 99999999", 1, "too large"),
        ("additionalDisks: [5M]", 1, "whole number and G"),
        ("primaryDisk: 5G:channel=sata", 1, "virtio, nvme and scsi"),
        ("bootFrom: cd", 1, "iso, iso-as-disk, pxe"),
        ("bindMountHostRO: [/a]", 1, "a comma"),
        ("bindMountHostRO: [\"/,b\"]", 1, "an absolute path"),
        ("bindMountHostRO: [\"/,/\"]", 1, "no place in the guest"),
        ("bindMountHostRO: [\"/,/a/../b\"]", 1, "`..`"),
        ("bindMountHostRO: [\"/,/a\", \"/,/a\"]", 1, "twice"),
        ("bindMountHostRO: [\",/a\"]", 1, "no directory of the host"),
        ("requiredHostPorts: [0]", 1, "no port"),
        ("requiredHostPorts: [65536]", 1, "no port"),
        ("requiredHostPorts: [http]", 1, "a list of integers"),
        ("appendKernelArgs: |\n  a\n  b", 1, "one line"),
        ("- a", 1, "must be a mapping"),
        ("just text", 1, "must be a mapping"),
        ("tags: a: b", 1, "not valid YAML"),
        ("tags: \"a\n", 1, "not valid YAML"),
        ("tags: a\n---\ntags: b", 2, "second YAML document"),
        ("5: a", 1, "a key must be a string"),
        ("tags: a\ntags: \"!b\"", 2, "given twice"),
    ] {
        let Note {
            severity,
            line: at,
            message,
            ..
        } = fault(yaml(text));
        assert_eq!(severity, Severity::Error, "{text:?}");
        assert!(message.contains(part), "{text:?}: {message}");
        assert!(!message.contains('\n'), "{text:?}: {message}");
        // scanners may notice an open quote only at the end
        assert!(
            at == line || part == "not valid YAML",
            "{text:?}: line {at}"
        );
    }
    assert_eq!(fault(yaml("exclusive:")).severity, Severity::Warning);
    assert_eq!(fault(yaml("freshBoot:")).severity, Severity::Warning);
    assert_eq!(
        fault(yaml("architectures: amd64")).severity,
        Severity::Warning
    );
}

#[test]
fn what_is_doubtful_is_a_warning() {
    for (text, part) in [
        ("bindMountHostRO: [\"/nonexistent,/mnt\"]", "on this host"),
        ("requiredHostPorts: [80, 80]", "given twice"),
        ("minDisk: 20\nprimaryDisk: 10G:mpath", "overrides"),
        ("minMemory: 2048.0", "only the whole number"),
    ] {
        let note = fault(yaml(text));
        assert_eq!(note.severity, Severity::Warning, "{text}");
        assert!(note.message.contains(part), "{text}: {}", note.message);
    }
}

#[test]
fn faults_of_yaml_name_their_column() {
    // as in `## timeoutMin: "5"`
    assert_eq!(fault(yaml("timeoutMin: \"5\"")).column, Some(16));
    assert_eq!(fault(yaml("  tag: a")).column, Some(6));
    assert_eq!(fault(json("{\"tag\": 5}")).column, None);
}

#[test]
fn carriage_returns_count_no_lines() {
    let note = fault(yaml("tags: a\r\r\r\r\rx? b\n"));
    assert!(note.line <= 2, "{note:?}");
}

#[test]
fn all_faults_are_told_at_once() {
    let (_, notes) = yaml("tag: a\ntimeoutMin: x\ncreationDate: x\nminDisk: -1\n");
    assert_eq!(notes.len(), 4, "{notes:?}");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        let _ = yaml(&text);
        let _ = json(&text);
    }

    #[test]
    fn no_values_make_it_panic(
        pairs in prop::collection::vec(
            (prop::sample::select(crate::schema::KEYS).prop_map(|key| key.name), "[-!a-z0-9\\[\\]{}_:.\", ]{0,20}"),
            0..6,
        ),
    ) {
        let text: String = pairs.iter().map(|(key, value)| format!("{key}: {value}\n")).collect();
        let (_, notes) = yaml(&text);
        for Note { line, message, .. } in notes {
            prop_assert!(line >= 1 && line <= pairs.len() + 2);
            prop_assert!(!message.contains('\n'));
        }
    }

    #[test]
    fn what_is_rendered_is_read(
        description in "[ -~]{0,40}",
        tags in prop::collection::vec("[a-z0-9-]{1,8}", 0..4),
        minutes in 0u64..1000,
        memory in 0u64..100_000,
        exclusive: bool,
        as_json: bool,
    ) {
        let memory = if exclusive { memory } else { 0 };
        // a JSON string is a YAML string too
        let quote = |text: &str| serde_json::to_string(text).unwrap();
        let fields = [
            ("description", quote(&description)),
            ("tags", quote(&tags.join(" "))),
            ("timeoutMin", minutes.to_string()),
            ("minMemory", memory.to_string()),
            ("exclusive", exclusive.to_string()),
        ];
        let metadata = good(if as_json {
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
            json(&format!("{{{}}}", fields.join(", ")))
        } else {
            yaml(&fields.iter().map(|(key, value)| format!("{key}: {value}\n")).collect::<String>())
        });
        let words: Vec<&str> = description.split_whitespace().collect();
        prop_assert_eq!(metadata.description, words.join(" "));
        prop_assert_eq!(metadata.tags, tags);
        prop_assert_eq!(metadata.timeout.map_or(0, |limit| limit.as_secs()), minutes * 60);
        prop_assert_eq!(metadata.needs.memory_mib.unwrap_or(0), memory);
        prop_assert_eq!(metadata.exclusive, exclusive);
    }
}
