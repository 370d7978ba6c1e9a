//! Names of systemd's units for paths, as `systemd-escape --path` makes them.

/// The name of the mount unit for a directory, by its absolute path.
pub fn mount_unit(path: &str) -> String {
    format!("{}.mount", escape_path(path))
}

/// Escapes a path: slashes at its ends and repeated ones go, those between names become dashes, and each byte that is not
/// an ASCII letter, a digit, `:`, `_` or `.` becomes `\xNN`, as does a dot at the beginning.
fn escape_path(path: &str) -> String {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return "-".to_owned();
    }
    let mut escaped = String::with_capacity(path.len());
    for byte in names.join("/").bytes() {
        match byte {
            b'/' => escaped.push('-'),
            b'.' if escaped.is_empty() => escaped.push_str(r"\x2e"),
            b':' | b'_' | b'.' => escaped.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!(r"\x{byte:02x}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_escaped_as_systemd_does() {
        // From systemd-escape 252.
        for (path, escaped) in [
            ("/", "-"),
            ("/srv/data", "srv-data"),
            ("//srv///data/", "srv-data"),
            ("/var/mnt/my-data", r"var-mnt-my\x2ddata"),
            ("/.hidden/.too", r"\x2ehidden-.too"),
            ("/a b,c", r"a\x20b\x2cc"),
            ("/x:1_2.3", "x:1_2.3"),
            ("/ü%\\", r"\xc3\xbc\x25\x5c"),
        ] {
            assert_eq!(escape_path(path), escaped, "{path}");
        }
        assert_eq!(mount_unit("/srv/a-b"), r"srv-a\x2db.mount");
    }

    /// What `systemd-escape --unescape --path` does.
    fn unescape(text: &str) -> String {
        let mut bytes = vec![b'/'];
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let code = rest.strip_prefix(r"\x");
            let (byte, length) = match (first, code) {
                ('-', _) => (b'/', 1),
                (_, Some(code)) => (u8::from_str_radix(&code[..2], 16).unwrap(), 4),
                _ => (first as u8, 1),
            };
            bytes.push(byte);
            rest = &rest[length..];
        }
        String::from_utf8(bytes).unwrap()
    }

    proptest! {
        #[test]
        fn the_path_can_be_had_back(names in prop::collection::vec("[^/\0]{1,12}", 1..6)) {
            let path = format!("/{}", names.join("/"));
            let escaped = escape_path(&path);
            prop_assert!(escaped.is_ascii() && !escaped.contains('/'));
            prop_assert_eq!(unescape(&escaped), path);
        }
    }
}
