//! The last word on tests for which no machine starts.

use kolea_model::{EventKind, InfraCause, Verdict};

use crate::group::Group;
use crate::outcome::infra;
use crate::policy::soften;
use crate::run::Run;
use crate::template::Fault;

/// Ends every test of the group that has no last word yet.
pub(crate) fn finish_members(run: &Run, group: &Group, verdict: &Verdict) {
    let names = group
        .members
        .iter()
        .map(|member| run.test(member).name.as_str());
    run.ledger.finish_rest(names, verdict);
}

fn start_all(run: &Run, group: &Group) {
    run.events.send(EventKind::GroupStarted {
        group: group.name.clone(),
        shared: group.shared,
    });
    for member in &group.members {
        run.ledger.start(&run.test(member).name, &group.name);
    }
}

/// Why machines that cost so many MiB together can never start.
pub(crate) fn too_big_reason(run: &Run, machines: u32, memory_mib: u64, cost: u64) -> String {
    let budget = run.budget;
    let who = match machines {
        1 => format!("a machine with {memory_mib} MiB needs"),
        several => format!("{several} machines with {memory_mib} MiB each need"),
    };
    format!(
        "{who} {cost} MiB of the host, which has {budget} MiB for machines: \
         free some memory or ask for smaller machines"
    )
}

/// The group's machine can never fit.
pub(crate) fn too_big(run: &Run, group: &Group, cost: u64) {
    let reason = too_big_reason(run, group.machines, group.spec.memory_mib, cost);
    start_all(run, group);
    finish_members(run, group, &infra(InfraCause::OutOfMemory, reason));
    run.ledger.finish_group(&group.name, 0.0, Verdict::Pass);
}

/// No machine of that kind gets to where the group's tests could start, so none is booted for them.
pub(crate) fn fail_with_machine(run: &Run, group: &Group, fault: &Fault) {
    start_all(run, group);
    for member in &group.members {
        let test = run.test(member);
        let mut end = fault.attempt();
        end.verdict = soften(end.verdict, &test.on_failure);
        let verdict = end.verdict.clone();
        run.ledger.end(&test.name, end, None);
        run.ledger.finish(&test.name, verdict);
    }
    run.ledger.finish_group(&group.name, 0.0, Verdict::Pass);
}
