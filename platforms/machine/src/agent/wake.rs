//! The first contact with a clone, which believes to be its template.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::run::last_line;
use super::{quote, wake_program};
use crate::{BootId, Exec, ExecOutput, GuestFacts, MachineError, RunBy};

/// Timers that elapse this long after the step of the clock, in seconds, are treated like those that have elapsed by it: a
/// test is not to be disturbed by what a machine does once a day.
const MARGIN: u64 = 60;

/// The very first command for a clone (label `rouse`): it stops the calendar timers that the step of the clock would set off. It
/// is a command of its own, since it takes long (in an emulated guest, everything does that is done for the first time), and
/// the clock is to be right when it has been set. [`wake`] comes next.
pub fn rouse(guest: &GuestFacts) -> Exec {
    let due = due(guest, Utc::now());
    Exec {
        label: "rouse",
        command: if due.is_empty() {
            ":".to_owned()
        } else {
            format!("systemctl stop -- {due}")
        },
        by: RunBy::Root,
        stdin: Vec::new(),
    }
}

/// The command that wakes a clone (label `wake`) which was roused: it sets the clock to the host's, which is taken now, makes the
/// kernel's random numbers the clone's own, and puts `public_key` in the place of the template's. Of the timers that
/// [`rouse`] stopped, persistent ones wait for their next turn from then on, and the others stay stopped.
pub fn wake(guest: &GuestFacts, public_key: &str) -> Exec {
    let mut seed = [0; 64];
    rand::fill(&mut seed);
    Exec {
        label: "wake",
        command: script(guest, public_key, Utc::now(), &seed),
        by: RunBy::Root,
        stdin: Vec::new(),
    }
}

fn script(guest: &GuestFacts, public_key: &str, now: DateTime<Utc>, seed: &[u8; 64]) -> String {
    let due = due(guest, now);
    let mut script = String::from("root=${KOLET_ROOT-}\n");
    // Writing to /dev/urandom mixes, but the kernel draws its next key from the pool only within the minute.
    let _ = write!(
        script,
        "if [ -x \"$root/usr/local/bin/kolet-wake\" ]; then\n\
         \"$root/usr/local/bin/kolet-wake\" <<END || exit\n{input}\nEND\n\
         else\n\
         date -s @{seconds}.{nanoseconds:09} >/dev/null && echo {input} >\"$root/dev/urandom\" || exit\n\
         fi\n",
        input = wake_program::input(now, seed),
        seconds = now.timestamp(),
        nanoseconds = now.timestamp_subsec_nanos(),
    );
    if !due.is_empty() {
        // Truncating sets the time of an empty file. A persistent timer takes it for its last turn. Others would have their
        // turn at once, since systemd counts from their last start, and so they stay stopped.
        let _ = writeln!(
            script,
            "set --\n\
             for timer in {due}; do\n\
             stamp=$root/var/lib/systemd/timers/stamp-$timer\n\
             if [ -e \"$stamp\" ]; then : >\"$stamp\"; set -- \"$@\" \"$timer\"; fi\n\
             done\n\
             if [ $# -gt 0 ]; then systemctl start -- \"$@\" || exit; fi"
        );
    }
    if let Some((file, line)) = &guest.authorized_key
        && line != public_key
    {
        // By the shell alone: no process, and the file keeps its owner, mode and label.
        let _ = writeln!(
            script,
            "file=$root{file} keys=''\n\
             while IFS= read -r line || [ -n \"$line\" ]; do\n\
             [ \"$line\" != {old} ] || line={new}\n\
             keys=\"$keys$line\n\"\n\
             done <\"$file\" && printf %s \"$keys\" >\"$file\" || exit",
            file = quote(file),
            old = quote(line),
            new = quote(public_key),
        );
    }
    script.push_str("IFS= read -r id <\"$root/proc/sys/kernel/random/boot_id\" && echo \"$id\"\n");
    script
}

/// The timers to be stopped, as words of a shell.
fn due(guest: &GuestFacts, now: DateTime<Utc>) -> String {
    let limit = u64::try_from(now.timestamp_micros()).unwrap_or(0) + MARGIN * 1_000_000;
    let due = guest.timers.iter().filter(|(_, next)| *next <= limit);
    let due: Vec<String> = due.map(|(unit, _)| quote(unit)).collect();
    due.join(" ")
}

/// What came of [`wake`]: the id of the boot that the clone is in, which is its template's.
pub fn woken(guest: &GuestFacts, output: &ExecOutput) -> Result<BootId, MachineError> {
    if output.status != 0 {
        return Err(MachineError::Guest(format!(
            "cannot wake the clone (status {}): {}",
            output.status,
            last_line(&output.stderr_text())
        )));
    }
    let id = output.stdout_text().trim().to_owned();
    if id != guest.boot_id {
        return Err(MachineError::Guest(format!(
            "the clone is in boot `{id}`, and not in boot `{}` like its template",
            guest.boot_id
        )));
    }
    Ok(BootId(id))
}
