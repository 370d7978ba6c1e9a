//! What the guest of a template needs before it is frozen.

use chrono::NaiveDateTime;
use sha2::{Digest, Sha256};

use super::archive::Archive;
use super::install::{KOLET_PARTIAL, kolet};
use super::run::last_line;
use super::{quote, wake_program};
use crate::{Exec, GuestFacts, Machine, MachineError, RunBy};

/// The agent's unit. It is in /run, so that it is gone after a reboot. Tests that isolate a target keep it, like sshd's
/// connections, those that use up the memory leave it alone, and if it
/// ends badly, SSH is there and no unit has failed.
const UNIT: &str = "[Unit]\n\
                    Description=kolea's agent in clones\n\
                    IgnoreOnIsolate=yes\n\
                    [Service]\n\
                    ExecStart=-/bin/sh /usr/local/bin/kolet serve\n\
                    SyslogIdentifier=kolet\n\
                    OOMScoreAdjust=-900\n";

/// Where the programs are that wake a clone; the shell keeps the one for the guest's architecture.
const WAKE: &str = "usr/local/bin/kolet-wake";

/// Waits until nothing is being started any more, which no test should inherit; unpacks; starts the agent; says the facts;
/// and leaves nothing to be written to the disk. systemd before 240 knows no `--wait`.
const SCRIPT: &str = r#"root=${KOLET_ROOT-}
timeout 60 systemctl is-system-running --wait >/dev/null 2>&1 || :
tries=60
while [ -n "$(systemctl list-jobs --no-legend --no-pager)" ] && [ "$tries" -gt 0 ]; do
    sleep 1
    tries=$((tries - 1))
done
umask 022
cd "$root/" && tar -xmf - && mv -f usr/local/bin/kolet.partial usr/local/bin/kolet || exit
machine=$(uname -m)
if [ -e "usr/local/bin/kolet-wake.$machine" ]; then
    mv -f "usr/local/bin/kolet-wake.$machine" usr/local/bin/kolet-wake || exit
fi
rm -f usr/local/bin/kolet-wake.*
systemctl start kolet-agent.service || exit
read -r id <"$root/proc/sys/kernel/random/boot_id" && echo "boot=$id" || exit
if [ -r "$root/etc/os-release" ]; then
    (. "$root/etc/os-release" && echo "os=${ID-}" && echo "variant=${VARIANT_ID-}")
fi
TZ=UTC systemctl show --state=active --property=Id --property=NextElapseUSecRealtime '*.timer'
if [ -n "${SUDO_USER-}" ]; then home=$(eval "echo ~$SUDO_USER"); else home=$HOME; fi
for file in "$home/.ssh/authorized_keys" "$home/.ssh/authorized_keys.d"/*; do
    [ -n "$key" ] && [ -f "$file" ] || continue
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in *"$key"*)
            echo "file=${file#"$root"}"
            echo "line=$line"
            break 2 ;;
        esac
    done <"$file"
done
sync
"#;

/// Makes a machine ready to be frozen, with one command over SSH (label `prepare-template`): waits until its jobs are done (two
/// minutes at most), brings the agent and lets it wait on its port, and writes everything to the disk. Without a key of the run's
/// own there is none to be replaced in the clones.
pub async fn prepare_template(
    machine: &dyn Machine,
    public_key: Option<&str>,
) -> Result<GuestFacts, MachineError> {
    // The second word is the key itself.
    let key = public_key.map_or("", |line| line.split(' ').nth(1).unwrap_or(line));
    let output = machine
        .exec(Exec {
            label: "prepare-template",
            command: format!("key={}\n{SCRIPT}", quote(key)),
            by: RunBy::Root,
            stdin: archive()?,
        })
        .await?;
    let facts = parse(&output.stdout_text());
    if output.status != 0 || facts.boot_id.is_empty() {
        return Err(MachineError::Guest(format!(
            "cannot prepare the machine to be a template (status {}): {}",
            output.status,
            last_line(&output.stderr_text())
        )));
    }
    if public_key.is_some() && facts.authorized_key.is_none() {
        // A later run would be locked out.
        return Err(MachineError::Guest(
            "cannot make the machine a template: our key is neither in ~/.ssh/authorized_keys nor in ~/.ssh/authorized_keys.d"
                .to_owned(),
        ));
    }
    Ok(facts)
}

/// A hash of whatever [`prepare_template`] brings into the guest and does there, in hexadecimal digits.
pub fn fingerprint() -> String {
    let mut hash = Sha256::new();
    hash.update(kolet());
    hash.update(UNIT);
    hash.update(SCRIPT);
    for (_, program) in wake_program::programs() {
        hash.update(program);
    }
    hash.finalize()
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn archive() -> Result<Vec<u8>, MachineError> {
    let mut archive = Archive::new();
    archive.append(KOLET_PARTIAL, 0o755, kolet().as_bytes())?;
    for (machine, program) in wake_program::programs() {
        archive.append(&format!("{WAKE}.{machine}"), 0o755, &program)?;
    }
    archive.append(
        "run/systemd/system/kolet-agent.service",
        0o644,
        UNIT.as_bytes(),
    )?;
    archive.finish()
}

fn parse(text: &str) -> GuestFacts {
    let mut facts = GuestFacts::default();
    let (mut unit, mut next) = (None, None);
    let mut file = None;
    for line in text.lines() {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        match key {
            "os" => value.clone_into(&mut facts.os_id),
            "variant" if !value.is_empty() => facts.variant_id = Some(value.to_owned()),
            "boot" => value.clone_into(&mut facts.boot_id),
            "Id" => unit = Some(value.to_owned()),
            "NextElapseUSecRealtime" => next = microseconds(value),
            "file" => file = Some(value.to_owned()),
            "line" => {
                facts.authorized_key = file.take().map(|file| (file, value.to_owned()));
            }
            // Between two units.
            "" => (unit, next) = (None, None),
            _ => {}
        }
        if let (Some(_), Some(time)) = (&unit, next) {
            facts.timers.extend(unit.take().map(|unit| (unit, time)));
            next = None;
        }
    }
    facts
}

/// Understands `Tue 2025-11-25 00:00:00 UTC`, and a number of microseconds. `None` for timers that don't go by the calendar. A
/// time that can't be understood is 0: such a timer is better restarted than set off.
fn microseconds(value: &str) -> Option<u64> {
    if matches!(
        value,
        "" | "0" | "n/a" | "infinity" | "18446744073709551615"
    ) {
        return None;
    }
    if let Ok(number) = value.parse() {
        return Some(number);
    }
    let words: Vec<&str> = value.split(' ').collect();
    let time = words.windows(2).find_map(|words| {
        NaiveDateTime::parse_from_str(&words.join(" "), "%Y-%m-%d %H:%M:%S%.f").ok()
    });
    let time = time.map_or(0, |time| time.and_utc().timestamp_micros());
    Some(u64::try_from(time).unwrap_or(0))
}
