//! Whether Ignition would take a config.

use ignition_config::{Config, Error};

/// Checks that a config is JSON of a known 3.x spec with values of the right types. The error names the place.
pub fn validate(text: &str) -> Result<(), String> {
    match Config::parse_str(text) {
        // Ignition only warns about keys that it does not know, and so does it here: by silence.
        Ok(_) => Ok(()),
        Err(Error::UnknownVersion(version)) if version.major == 2 => Err(format!(
            "Ignition config has version {version}, but only 3.x is supported: translate it to 3.x"
        )),
        Err(Error::UnknownVersion(version)) => Err(format!(
            "Ignition config has version {version}, which is not known (3.0.0 to 3.6.0 are)"
        )),
        Err(Error::InvalidVersion(error)) => Err(format!(
            "Ignition config's `ignition.version` is not a version: {error}"
        )),
        Err(Error::Serialization(error)) if error.is_data() => {
            Err(format!("Ignition config is invalid: {error}"))
        }
        Err(Error::Serialization(error)) => {
            Err(format!("Ignition config is not valid JSON: {error}"))
        }
        Err(error) => Err(format!("Ignition config is invalid: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_named() {
        for (text, expected) in [
            ("", "not valid JSON: EOF"),
            ("variant: fcos", "not valid JSON: expected value at line 1"),
            ("{}", "missing field `ignition`"),
            (r#"{"ignition":{"version":"two"}}"#, "is not a version"),
            (
                r#"{"ignition":{"version":"2.2.0"}}"#,
                "only 3.x is supported",
            ),
            (r#"{"ignition":{"version":"3.99.0"}}"#, "not known"),
            (
                "{\"ignition\":{\"version\":\"3.2.0\"},\n\"storage\":{\"files\":[{\"path\":5}]}}",
                "expected a string at line 2",
            ),
        ] {
            let error = validate(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains('\n'));
        }
        for minor in 0..=6 {
            validate(&format!(r#"{{"ignition":{{"version":"3.{minor}.0"}}}}"#)).unwrap();
        }
    }
}
