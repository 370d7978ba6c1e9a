//! What has to be true of the events of every run.

use std::collections::{BTreeMap, BTreeSet};

use kolea_model::{Event, EventKind, ExitCode, Origin, TEMPLATE_PREFIX, VERIFY_PREFIX, Verdict};

#[derive(Default)]
struct Test {
    attempts: u32,
    open: bool,
    retry: bool,
    seconds: f64,
    last: Option<Verdict>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Template {
    Awaited,
    Ready,
    Failed,
}

/// Panics with what is wrong, if anything is.
pub fn check(events: &[Event], exit: ExitCode) {
    let mut tests: BTreeMap<&str, Test> = BTreeMap::new();
    let mut groups: BTreeSet<&str> = BTreeSet::new();
    let mut machines: BTreeMap<&str, bool> = BTreeMap::new();
    let mut templates: BTreeMap<&str, Template> = BTreeMap::new();
    let mut wanted: BTreeMap<&str, &str> = BTreeMap::new();
    let mut group_faults = Vec::new();
    let (mut interrupted, mut finished) = (false, false);
    let mut detected = false;
    assert!(matches!(
        events.first().map(|event| &event.kind),
        Some(EventKind::RunStarted { .. })
    ));
    for (index, event) in events.iter().enumerate() {
        assert!(!finished, "nothing follows the end: {event:?}");
        match &event.kind {
            EventKind::RunStarted { plan, .. } => {
                assert_eq!(index, 0);
                for name in plan.groups.iter().flat_map(|group| &group.tests) {
                    assert!(tests.insert(name, Test::default()).is_none());
                }
                for template in &plan.templates {
                    assert!(template.name.starts_with(TEMPLATE_PREFIX));
                    assert!(!template.groups.is_empty());
                    templates.insert(&template.name, Template::Awaited);
                    for group in &template.groups {
                        assert!(plan.groups.iter().any(|planned| planned.name == *group));
                        assert!(wanted.insert(group, &template.name).is_none());
                    }
                }
            }
            EventKind::TestSkipped { test, verdict } => {
                assert!(!tests.contains_key(test.as_str()));
                assert!(matches!(verdict, Verdict::Skip { .. }));
            }
            EventKind::DistroDetected { distro, from } => {
                assert!(!distro.is_empty() && !from.is_empty());
                assert!(!std::mem::replace(&mut detected, true));
            }
            EventKind::GroupStarted { group, .. } => {
                if let Some(template) = wanted.get(group.as_str()) {
                    assert_ne!(templates[template], Template::Awaited, "{group} was early");
                }
                assert!(groups.insert(group));
            }
            EventKind::GroupFinished { group, verdict, .. } => {
                assert!(groups.remove(group.as_str()), "{group}");
                group_faults.push(verdict.clone());
            }
            EventKind::MachineStarted {
                machine,
                owner,
                dir,
                origin,
            } => {
                assert!(groups.contains(owner.as_str()));
                assert!(machines.insert(machine, true).is_none());
                assert!(dir.is_relative());
                if let Origin::Clone { template, .. } = origin {
                    assert_eq!(templates.get(template.as_str()), Some(&Template::Ready));
                    assert!(
                        !owner.starts_with(VERIFY_PREFIX) && !owner.starts_with(TEMPLATE_PREFIX)
                    );
                }
            }
            EventKind::MachineReady { machine, .. } | EventKind::MachineFinding { machine, .. } => {
                assert_eq!(machines.get(machine.as_str()), Some(&true));
            }
            EventKind::MachineStopped { machine, .. } => {
                assert_eq!(machines.insert(machine, false), Some(true));
            }
            EventKind::PhaseChanged { group, .. } => assert!(groups.contains(group.as_str())),
            EventKind::TestStarted {
                test,
                group,
                attempt,
            } => {
                assert!(groups.contains(group.as_str()), "{test} in {group}");
                let test = tests.get_mut(test.as_str()).unwrap();
                assert!(!test.open && test.last.is_none());
                assert!(test.attempts == 0 || test.retry);
                test.attempts += 1;
                assert_eq!(*attempt, test.attempts);
                test.open = true;
                test.retry = false;
            }
            EventKind::AttemptFinished {
                test,
                group,
                attempt,
                verdict,
                seconds,
                own_seconds,
                artifacts,
                retry,
                ..
            } => {
                assert!((0.0..=*seconds + 1e-6).contains(own_seconds));
                assert!(groups.contains(group.as_str()), "{test} in {group}");
                assert!(artifacts.values().all(|path| path.is_relative()));
                one_line(verdict);
                let test = tests.get_mut(test.as_str()).unwrap();
                assert!(test.open && *attempt == test.attempts);
                test.open = false;
                test.retry = retry.is_some();
                test.seconds += seconds;
            }
            EventKind::TestFinished {
                test,
                verdict,
                seconds,
                ..
            } => {
                one_line(verdict);
                let test = tests.get_mut(test.as_str()).unwrap();
                assert!(!test.open && test.last.is_none());
                assert!(!test.retry || interrupted, "the retry never came");
                assert!((seconds - test.seconds).abs() < 1e-6);
                test.last = Some(verdict.clone());
            }
            EventKind::Interrupted { .. } => interrupted = true,
            EventKind::MachineStep { machine, owner, .. } => {
                assert_eq!(machines.get(machine.as_str()), Some(&true));
                assert!(groups.contains(owner.as_str()));
            }
            EventKind::TemplateReady { template, .. } => {
                assert!(!groups.contains(template.as_str()));
                let before = templates.insert(template, Template::Ready);
                assert_eq!(before, Some(Template::Awaited));
            }
            EventKind::TemplateFailed { template, reason } => {
                assert!(!groups.contains(template.as_str()));
                assert!(!reason.is_empty() && !reason.contains('\n'));
                let before = templates.insert(template, Template::Failed);
                assert_eq!(before, Some(Template::Awaited));
            }
            EventKind::TemplateVerified {
                test,
                in_clone,
                booted,
                same,
            } => {
                assert!(tests[test.as_str()].last.is_some());
                assert_eq!(*same, in_clone.word() == booted.word());
            }
            EventKind::Warning { message } => assert!(!message.contains('\n')),
            EventKind::RunFinished {
                exit: said,
                seconds,
                lower_bound_seconds,
            } => {
                assert_eq!(*said, exit);
                let bound = lower_bound_seconds.unwrap_or_default();
                assert!(
                    (0.0..=seconds + 1e-6).contains(&bound),
                    "{bound} > {seconds}"
                );
                finished = true;
            }
        }
    }
    assert!(finished);
    for (name, template) in templates {
        assert!(interrupted || template != Template::Awaited, "{name}");
    }
    assert!(groups.is_empty(), "groups still open: {groups:?}");
    assert!(!machines.values().any(|alive| *alive), "{machines:?}");
    let mut verdicts = group_faults;
    for (name, test) in tests {
        verdicts.push(test.last.unwrap_or_else(|| panic!("{name} has no verdict")));
    }
    if interrupted {
        assert_eq!(exit, ExitCode::Interrupted);
        return;
    }
    let failed = verdicts
        .iter()
        .any(|verdict| matches!(verdict, Verdict::Fail { .. } | Verdict::Timeout { .. }));
    let bad = verdicts.iter().any(Verdict::is_bad);
    assert_eq!(failed, exit == ExitCode::Fail);
    assert_eq!(bad && !failed, exit == ExitCode::Infra);
}

fn one_line(verdict: &Verdict) {
    assert!(!verdict.to_string().contains('\n'), "{verdict}");
    assert!(*verdict == Verdict::Pass || !verdict.reason().is_empty());
}
