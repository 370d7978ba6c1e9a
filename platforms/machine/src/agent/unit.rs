//! The systemd unit of a test.

use kolea_model::TestCase;

use crate::Unit;

/// The systemd unit that runs an external test, started by kolet and never by the boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestUnit {
    name: String,
    identifier: String,
    test: String,
    executable: String,
    data_dir: String,
    container: Option<String>,
}

impl TestUnit {
    /// The unit of a test: `kola-runext.service` on a machine of its own, or `kola-runext-<index>.service` on a shared one.
    pub fn new(test: &TestCase, index: Option<usize>) -> TestUnit {
        let suffix = index.map(|index| format!("-{index}")).unwrap_or_default();
        let executable = test.executable_name().to_owned();
        TestUnit {
            name: format!("kola-runext{suffix}.service"),
            identifier: format!("kola-runext-{executable}"),
            test: test.name.clone(),
            data_dir: format!("/var/opt/kola/extdata{suffix}"),
            executable,
            container: None,
        }
    }

    /// With the guest's path of the image's ostree container in its environment (`injectContainer`).
    #[must_use]
    pub fn with_container(mut self, path: String) -> TestUnit {
        self.container = Some(path);
        self
    }

    /// The unit's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `SYSLOG_IDENTIFIER` of whatever the test prints. Tests on a shared machine may have it in common.
    pub fn identifier(&self) -> &str {
        &self.identifier
    }

    /// The unit to be provisioned.
    ///
    /// The service is `simple` and remains after exit: a oneshot would be "activating", and no unit could wait for it.
    pub fn unit(&self) -> Unit {
        let test = escape(&self.test);
        let executable = escape(&self.executable);
        let container = self
            .container
            .as_ref()
            .map(|path| format!("Environment=KOLA_EXT_OSTREE_OCIARCHIVE={}\n", escape(path)));
        Unit {
            name: self.name.clone(),
            enabled: false,
            contents: format!(
                "[Unit]\n\
                 [Service]\n\
                 RemainAfterExit=yes\n\
                 EnvironmentFile=-/run/kola-runext-env\n\
                 Environment=KOLA_UNIT={unit}\n\
                 Environment=KOLA_TEST={test}\n\
                 Environment=KOLA_TEST_EXE={executable}\n\
                 Environment=KOLA_EXT_DATA={data}\n\
                 ExecStart=/usr/local/bin/kola-runext-{executable}\n\
                 {container}",
                container = container.unwrap_or_default(),
                unit = self.name,
                data = self.data_dir,
            ),
        }
    }

    /// The name of the executable on the host.
    pub(super) fn executable(&self) -> &str {
        &self.executable
    }

    /// Where the test's data goes.
    pub(super) fn data_dir(&self) -> &str {
        &self.data_dir
    }
}

/// The message that kolet logs (`SYSLOG_IDENTIFIER=kolet`) when the unit has ended or asked for a reboot, after everything
/// that the unit wrote.
pub fn end_marker(unit: &TestUnit) -> String {
    format!("{} ended", unit.name)
}

/// systemd splits values at white space, takes quotes and backslashes, and expands `%` (systemd.syntax(7)).
fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '%' => escaped.push_str("%%"),
            ' ' | '\t' | '"' | '\'' | '\\' | ';' => {
                escaped.push_str(&format!("\\x{:02x}", u32::from(character)));
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testing::test_case;

    #[test]
    fn the_unit_of_an_exclusive_test_is_that_of_kola() {
        let unit = TestUnit::new(&test_case("ext.core.reboot", "/x/reboot"), None);
        assert_eq!(unit.name(), "kola-runext.service");
        assert_eq!(unit.identifier(), "kola-runext-reboot");
        assert_eq!(end_marker(&unit), "kola-runext.service ended");
        assert!(!unit.unit().enabled);
        assert_eq!(
            unit.unit().contents,
            "[Unit]\n[Service]\nRemainAfterExit=yes\nEnvironmentFile=-/run/kola-runext-env\n\
             Environment=KOLA_UNIT=kola-runext.service\nEnvironment=KOLA_TEST=ext.core.reboot\n\
             Environment=KOLA_TEST_EXE=reboot\nEnvironment=KOLA_EXT_DATA=/var/opt/kola/extdata\n\
             ExecStart=/usr/local/bin/kola-runext-reboot\n"
        );
    }

    #[test]
    fn the_container_comes_last() {
        let unit = TestUnit::new(&test_case("ext.a.b", "/x/b"), None)
            .with_container("/home/core/a b.ociarchive".to_owned());
        assert!(unit.unit().contents.ends_with(
            "ExecStart=/usr/local/bin/kola-runext-b\n\
             Environment=KOLA_EXT_OSTREE_OCIARCHIVE=/home/core/a\\x20b.ociarchive\n"
        ));
    }

    #[test]
    fn a_shared_test_has_a_number_and_odd_names_are_escaped() {
        let unit = TestUnit::new(&test_case("ext.a.50% b", "/x/50% b"), Some(3));
        assert_eq!(unit.name(), "kola-runext-3.service");
        let contents = unit.unit().contents;
        assert!(contents.contains("KOLA_EXT_DATA=/var/opt/kola/extdata-3\n"));
        assert!(contents.contains("ExecStart=/usr/local/bin/kola-runext-50%%\\x20b\n"));
    }
}
