//! Combinations of flags that do not do what they may be meant to.

use std::io::IsTerminal;

use kolea_model::TestCase;

use super::Settings;
use crate::args::Invocation;
use crate::layers::Origin;
use crate::program::warn;

/// Says so, one line each.
pub fn print(settings: &Settings, invocation: &Invocation, tests: &[TestCase]) {
    let flags = warnings(settings, invocation, on_terminal());
    let notes = kolea_suite::notes(tests, &settings.selection);
    for warning in flags.into_iter().chain(notes) {
        warn(warning);
    }
}

/// Whether there is a person to show a shell to.
fn on_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

fn warnings(settings: &Settings, invocation: &Invocation, terminal: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn_if = |condition: bool, text: &str| {
        if condition {
            warnings.push(text.to_owned());
        }
    };
    let qemu = &invocation.cli.global.qemu;
    let selection = &settings.selection;
    warn_if(
        qemu.qemu_drive_opts
            .as_ref()
            .is_some_and(|text| !text.is_empty()),
        "--qemu-drive-opts has no effect on `run`, as in kola",
    );
    warn_if(
        qemu.qemu_nbd_socket,
        "--qemu-nbd-socket has no effect on `run`, as in kola",
    );
    warn_if(
        invocation.given("allow-rerun-success"),
        "--allow-rerun-success has no effect: with --rerun, a test that passes then is flaky, which is no failure",
    );
    let registry = settings
        .machines
        .oscontainer
        .as_ref()
        .is_some_and(|container| !container.ends_with(".ociarchive"));
    warn_if(
        registry,
        "--oscontainer names a container in a registry: every machine of this run may reach the Internet, to pull it; a *.ociarchive file needs no network",
    );
    let shell = settings.machines.shell;
    warn_if(
        shell && !terminal,
        "--ssh-on-test-failure has no effect: standard input or output is no terminal",
    );
    warn_if(
        shell && terminal && settings.machines.jobs > 1,
        "--ssh-on-test-failure: one shell is open at a time, and other tests go on behind it; -j 1 keeps the terminal to it",
    );
    let patterns = selection.patterns.iter().any(|pattern| pattern != "*");
    let tags = selection.tags.iter().any(|tag| !tag.starts_with('!'));
    warn_if(
        patterns && tags && *invocation.origin("tag") == Origin::Flag,
        "--tag narrows nothing where patterns are given: it adds the tests that have the tag",
    );
    let rerun = invocation
        .settings
        .get("rerun")
        .is_some_and(|setting| setting.values == ["true"]);
    warn_if(
        rerun && selection.multiply > 1,
        "--rerun with --multiply: a copy that fails and then passes is flaky, and the run passes",
    );
    let denylist = &selection.denylist;
    warn_if(
        denylist.entries.is_empty() && invocation.given("denylist-stream"),
        "--denylist-stream has no effect: there is no denylist, or nothing in it",
    );
    warn_if(
        selection.run_denied && denylist.entries.is_empty() && selection.denied.is_empty(),
        "--run-denied has no effect: no test is denied",
    );
    warnings
}
