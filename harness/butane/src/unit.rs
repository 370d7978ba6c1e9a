//! systemd units, read as far as Ignition does (go-systemd's `unit.Deserialize`).

/// The longest line that systemd is sure to read.
const LONGEST_LINE: usize = 2048;

/// Whether a unit can be read, and whether it has an `[Install]` section with anything in it.
pub(crate) fn has_install(contents: &str) -> Result<bool, String> {
    let mut install = false;
    let mut section: Option<&str> = None;
    let mut lines = contents.split('\n').peekable();
    let mut last_is_open = false;
    while let Some(line) = lines.next() {
        let is_last = lines.peek().is_none();
        let line = line.trim_end_matches('\r');
        if last_is_open {
            // the value of the line before goes on
            last_is_open = line.ends_with('\\');
            too_long(line)?;
            continue;
        }
        let line = line.trim_start();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            let Some((name, rest)) = name.split_once(']') else {
                return Err(format!("section `{line}` has no end"));
            };
            if !rest.trim().is_empty() {
                return Err(format!("there is more than a name in section `{line}`"));
            }
            section = Some(name);
            continue;
        }
        // whatever stands before the first section is passed over
        let Some(name) = section else {
            continue;
        };
        let Some((_, value)) = line.split_once('=') else {
            if is_last {
                break;
            }
            return Err(format!("line `{line}` has no `=`"));
        };
        install |= name == "Install";
        too_long(value)?;
        last_is_open = value.ends_with('\\');
    }
    Ok(install)
}

fn too_long(line: &str) -> Result<(), String> {
    if line.len() > LONGEST_LINE {
        Err(format!("a line is longer than {LONGEST_LINE} bytes"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read() {
        for (contents, expected) in [
            ("", Ok(false)),
            ("[Unit]\nDescription=x\n", Ok(false)),
            (
                "[Unit]\n\n[Install]\nWantedBy=multi-user.target\n",
                Ok(true),
            ),
            ("[Install]\n", Ok(false)),
            (
                "# [Install]\n;x\n[Service]\nExecStart=a \\\n  b \\\n [c]\n",
                Ok(false),
            ),
            (
                "[Service]\r\nType=oneshot\r\n[Install]\r\nA=b\r\n",
                Ok(true),
            ),
            ("[Service\nx=y\n", Err(())),
            ("[Service] x\n", Err(())),
            ("[Service]\nExecStart\n", Err(())),
        ] {
            assert_eq!(
                has_install(contents).map_err(|_| ()),
                expected,
                "{contents}"
            );
        }
        let long = format!("[Service]\nExecStart={}\n", "x".repeat(3000));
        assert!(has_install(&long).is_err());
    }
}
