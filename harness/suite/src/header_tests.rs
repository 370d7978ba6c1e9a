//! The corners of kola's scanner.

use super::*;
use crate::problem::Severity;
use proptest::prelude::*;

fn yaml(line: usize, text: &str) -> Option<Block> {
    Some(Block::Yaml {
        line,
        text: text.to_owned(),
    })
}

/// The severities and lines of the notes.
fn notes(header: &Header) -> Vec<(Severity, usize)> {
    header
        .notes
        .iter()
        .map(|note| (note.severity, note.line))
        .collect()
}

#[test]
fn a_block_ends_at_the_first_other_line() {
    for end in ["\n", "#\n", "##\n", "##\tx\n", "set -e\n", "\r\n"] {
        let header = scan(format!("#!/bin/bash\n## kola:\n##   tags: a\n{end}").as_bytes());
        assert_eq!(header.block, yaml(3, "  tags: a\n"), "{end:?}");
        assert_eq!(notes(&header), [], "{end:?}");
    }
}

#[test]
fn json_stops_the_scan() {
    let header = scan(b"#!/bin/sh\n# kola: {\"tags\": \"a\"}\ntrue\n## kola:\n## x: y\n");
    assert_eq!(
        header.block,
        Some(Block::Json {
            line: 2,
            text: " {\"tags\": \"a\"}".to_owned()
        })
    );
    assert_eq!(notes(&header), []);
}

#[test]
fn what_kola_loses_silently_is_reported() {
    use Severity::{Error, Warning};
    let long = format!("## kola:\n## tags: {}\n\n", "a ".repeat(5000));
    for (text, expected) in [
        // cut by the end of the file
        ("## kola:\n## tags: a\n", vec![(Error, 1)]),
        ("## kola:\n## tags: a\n#", vec![(Error, 1)]),
        // keys after the end of the block
        (
            "## kola:\n## tags: a\n##\n## exclusive: false\n\n",
            vec![(Error, 4)],
        ),
        (
            "## kola:\n## tags: a\n\n##   exclusive: false\n\n",
            vec![(Error, 4)],
        ),
        ("## kola:\n## tags: a\n##\n## Prose: it goes on\n\n", vec![]),
        ("## kola: {tags: x}\n\n", vec![(Warning, 1)]),
        // two blocks
        ("## kola:\n## tags: a\n# kola: {}\n", vec![(Error, 3)]),
        ("## kola:\n## kola:\n## tags: a\n\n", vec![(Error, 2)]),
        ("# kola: {}\n## kola:\n## tags: a\n\n", vec![(Warning, 2)]),
        ("# kola: {}", vec![(Warning, 1)]),
        // beyond 8 KiB
        (long.as_str(), vec![(Warning, 3)]),
    ] {
        let start = text.get(..60).unwrap_or(text);
        assert_eq!(notes(&scan(text.as_bytes())), expected, "{start:?}");
    }
}

#[test]
fn what_is_no_metadata_is_left_alone() {
    for text in [
        &b"\x7fELF\x00\x01\n\xff\xfe"[..],
        b"",
        b"#!/bin/bash\necho\n",
        b"# kola is a harness: see its manual\n",
        b"true\n #kola: {}\n",
    ] {
        assert_eq!(scan(text), Header::default());
    }
}

#[test]
fn what_resembles_metadata_is_told() {
    for line in [
        " ## kola:",
        "\t# kola: {}",
        "#kola: {}",
        "##kola:",
        "# kola : {}",
        "### kola:",
        "##  kola:",
        "# Kola: {}",
    ] {
        let header = scan(format!("#!/bin/bash\n{line}\n##   tags: a\n\n").as_bytes());
        assert_eq!(header.block, None, "{line:?}");
        assert_eq!(notes(&header), [(Severity::Warning, 2)], "{line:?}");
    }
}

#[test]
fn the_line_that_closes_a_block_may_have_been_meant_for_it() {
    for (line, severity) in [
        ("##tags: a", Severity::Error),
        ("##\ttags: a", Severity::Error),
        ("#  tags: a", Severity::Warning),
    ] {
        let header = scan(format!("## kola:\n## description: x\n{line}\n\n").as_bytes());
        assert_eq!(notes(&header), [(severity, 3)], "{line:?}");
    }
}

#[test]
fn a_long_header_of_comments_is_read_to_its_end() {
    let licence = "# licence\n".repeat(2000);
    let text = format!("#!/bin/bash\n{licence}## kola:\n## tags: a\n\nset -e\n");
    let header = read(&mut text.as_bytes()).unwrap();
    assert_eq!(header.block, yaml(2003, "tags: a\n"));
    assert_eq!(notes(&header), [(Severity::Warning, 2004)]);

    // but not code
    let code = "true\n".repeat(2000);
    let text = format!("#!/bin/bash\n{code}## kola:\n## tags: a\n\n");
    assert_eq!(read(&mut text.as_bytes()).unwrap(), Header::default());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = scan(&bytes);
    }

    #[test]
    fn where_reading_stops_changes_nothing(comments in 0usize..1200, keys in 1usize..40) {
        let text = format!(
            "#!/bin/sh\n{}## kola:\n{}\nexit\n",
            "# comment\n".repeat(comments),
            "## tags: a\n".repeat(keys)
        );
        prop_assert_eq!(read(&mut text.as_bytes()).unwrap(), scan(text.as_bytes()));
    }

    #[test]
    fn what_is_rendered_is_found(lines in prop::collection::vec("[ -~]{0,40}", 1..10)) {
        let text: String = lines.iter().map(|line| format!("## {line}\n")).collect();
        prop_assume!(!text.contains("## kola:"));
        let header = scan(format!("#!/bin/sh\n## kola:\n{text}\n").as_bytes());
        let expected: String = lines.iter().map(|line| format!("{line}\n")).collect();
        prop_assert_eq!(header.block, yaml(3, &expected));
    }
}
