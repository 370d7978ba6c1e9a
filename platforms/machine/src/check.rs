//! The checks that every machine has to pass, before a test and after.

use crate::profile::Profile;
use crate::{Exec, Machine, MachineError, RunBy};

/// Asks for everything at once, with two processes (three, if a unit is being started), in the words of any POSIX shell.
const SCRIPT: &str = r#"systemctl show --property=Version --property=SystemState
list=$(systemctl list-units --state=failed,activating --plain --no-legend --no-pager --full) && echo listed
starting=''
while read -r unit _ state _; do
    case $state in failed) echo "failed=$unit" ;; activating) starting="$starting $unit" ;; esac
done <<END
$list
END
if [ -n "$starting" ]; then systemctl show --property=Id --property=NRestarts -- $starting; fi
if [ -r /etc/os-release ]; then . /etc/os-release; fi
echo "os=${ID-}"
[ -z "${VARIANT_ID-}" ] || echo "variant=$VARIANT_ID"
"#;

/// A unit that is being started and has been restarted this often fails over and over (kola's rule).
const RESTARTS: u32 = 2;

/// What a machine says about its health.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BaseCheck {
    /// `systemctl is-system-running`: `running`, `starting`, `degraded`, `maintenance`…
    pub system_state: String,
    /// `ID` of os-release; empty if there is none.
    pub os_id: String,
    /// `VARIANT_ID` of os-release.
    pub variant_id: Option<String>,
    /// systemd's version.
    pub systemd: Option<u32>,
    /// Units in state "failed".
    pub failed_units: Vec<String>,
    /// Units that are being started for at least the third time.
    pub restarting_units: Vec<String>,
}

/// Asks the machine, with one command (label `check`).
pub async fn base_check(machine: &dyn Machine) -> Result<BaseCheck, MachineError> {
    let output = machine
        .exec(Exec {
            label: "check",
            command: SCRIPT.to_owned(),
            stdin: Vec::new(),
            by: RunBy::Anyone,
        })
        .await?;
    parse(&output.stdout_text()).ok_or_else(|| {
        MachineError::Guest(format!(
            "cannot check the machine's units (status {}): {}",
            output.status,
            output
                .stderr_text()
                .trim()
                .lines()
                .last()
                .unwrap_or("systemctl printed nothing")
        ))
    })
}

fn parse(text: &str) -> Option<BaseCheck> {
    let mut check = BaseCheck::default();
    let mut listed = false;
    let (mut unit, mut restarts) = (None, None);
    for line in text.lines() {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        match key {
            "listed" => listed = true,
            "SystemState" => value.clone_into(&mut check.system_state),
            "Version" => {
                let digits = value
                    .split(|c: char| !c.is_ascii_digit())
                    .find(|part| !part.is_empty());
                check.systemd = digits.and_then(|digits| digits.parse().ok());
            }
            "os" => value.clone_into(&mut check.os_id),
            "variant" => check.variant_id = Some(value.to_owned()),
            "failed" => check.failed_units.push(value.to_owned()),
            "Id" => unit = Some(value.to_owned()),
            "NRestarts" => restarts = value.parse::<u32>().ok(),
            _ => {}
        }
        // systemctl prints the two in any order, and units without restarts (mounts) have only one.
        if line.is_empty() {
            (unit, restarts) = (None, None);
        }
        if restarts.is_some_and(|count| count >= RESTARTS) && unit.is_some() {
            check.restarting_units.extend(unit.take());
            restarts = None;
        }
    }
    (listed && !check.system_state.is_empty()).then_some(check)
}

impl BaseCheck {
    /// What is wrong, in one line; `None` if all is well. A system that is still starting is well.
    pub fn problem(&self, profile: &Profile) -> Option<String> {
        if !profile.variant_ids.is_empty() {
            let variant = self.variant_id.as_deref().unwrap_or_default();
            if !profile.variant_ids.iter().any(|known| known == variant) {
                let fitting = Profile::of_os_release(&self.os_id, self.variant_id.as_deref());
                let fitting = fitting.map_or_else(|| "generic".to_owned(), |profile| profile.name);
                return Some(format!(
                    "not an image of {}: VARIANT_ID in os-release is `{variant}`, not `{}`; `-b {fitting}` fits",
                    profile.name,
                    profile.variant_ids.join("` or `")
                ));
            }
        }
        if !self.failed_units.is_empty() {
            return Some(format!("failed units: {}", self.failed_units.join(", ")));
        }
        if !self.restarting_units.is_empty() {
            return Some(format!(
                "units that fail and are restarted: {}",
                self.restarting_units.join(", ")
            ));
        }
        match self.system_state.as_str() {
            "maintenance" => Some("the system is in rescue or emergency mode".to_owned()),
            "stopping" => Some("the system is shutting down".to_owned()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testing::LocalMachine;

    async fn check(show: &str, list: &str, restarts: &str) -> Result<BaseCheck, MachineError> {
        let machine = LocalMachine::new();
        machine.script(
            "bin/systemctl",
            &format!(
                "case $* in\n*Version*) printf '{show}' ;;\nlist-units*) printf '%s' '{list}' ;;\n\
                 *) echo \"$*\" >>\"$KOLET_ROOT/log\"; printf '{restarts}' ;;\nesac"
            ),
        );
        let result = base_check(&machine).await;
        assert_eq!(*machine.labels.lock().unwrap(), ["check"]);
        if list.contains("activating") {
            assert!(
                machine.log().contains(r"-- b-\x2d.service"),
                "{}",
                machine.log()
            );
        }
        result
    }

    #[tokio::test]
    async fn failed_and_restarting_units_are_found() {
        let mut check = check(
            "Version=252.36-1~deb12u1\\nSystemState=degraded\\n",
            "a.service loaded failed failed The A = B\nb-\\x2d.service loaded activating auto-restart B\n\
             c.mount loaded activating mounting C\n",
            "NRestarts=2\\nId=b-\\\\x2d.service\\n\\nId=c.mount\\n",
        )
        .await
        .unwrap();
        // Those of the host.
        assert!(!check.os_id.is_empty());
        (check.os_id, check.variant_id) = (String::new(), None);
        assert_eq!(
            check,
            BaseCheck {
                system_state: "degraded".to_owned(),
                os_id: String::new(),
                variant_id: None,
                systemd: Some(252),
                failed_units: vec!["a.service".to_owned()],
                restarting_units: vec!["b-\\x2d.service".to_owned()],
            }
        );
        let nestos = Profile::builtin("nestos").unwrap();
        assert_eq!(check.problem(&nestos).unwrap(), "failed units: a.service");
        check.failed_units.clear();
        assert!(check.problem(&nestos).unwrap().contains("b-\\x2d.service"));
        let fcos = Profile::builtin("fcos").unwrap();
        let problem = |check: &BaseCheck| check.problem(&fcos).unwrap();
        assert!(
            problem(&check)
                .ends_with("VARIANT_ID in os-release is ``, not `coreos`; `-b generic` fits")
        );
        check.os_id = "nestos".to_owned();
        assert!(problem(&check).ends_with("; `-b nestos` fits"));
    }

    #[tokio::test]
    async fn a_healthy_machine_has_no_problem() {
        let mut check = check("Version=v256\\nSystemState=starting\\n", "", "")
            .await
            .unwrap();
        check.variant_id = Some("coreos".to_owned());
        assert_eq!(check.systemd, Some(256));
        assert_eq!(check.problem(&Profile::builtin("fcos").unwrap()), None);
        check.system_state = "maintenance".to_owned();
        assert!(check.problem(&Profile::builtin("fcos").unwrap()).is_some());
    }

    #[tokio::test]
    async fn a_guest_without_systemd_is_an_error() {
        assert!(check("", "", "").await.is_err());
    }
}
