//! What there is to do, stage by stage: what is planned, what runs once more, what is verified.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kolea_machine::agent::TestUnit;
use kolea_machine::{Platform, Template, TemplateOrder};
use kolea_model::{MachineSpec, TestSource, VERIFY_PREFIX};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::Control;
use crate::group::{Group, Member};
use crate::launch::Start;
use crate::plan::{Layout, PlannedMachine, Seed};
use crate::run::Run;
use crate::schedule::{Stage, Work};
use crate::template::{Frozen, TemplateJob};
use crate::verify::sample;

/// How long looking for templates of earlier runs may take.
const FIND_LIMIT: Duration = Duration::from_secs(30);

impl Run {
    fn member(&self, index: usize, numbers: &BTreeMap<usize, usize>) -> Member {
        let test = &self.cases[index].test;
        let unit = || {
            let unit = TestUnit::new(test, numbers.get(&index).copied());
            match self.options.container_in_guest() {
                Some(container) if test.inject_container => unit.with_container(container),
                _ => unit,
            }
        };
        Member {
            index,
            unit: match test.source {
                TestSource::External(_) => Some(unit()),
                TestSource::Native => None,
            },
            spoiled: 0,
            first: None,
        }
    }

    fn group(&self, planned: &PlannedMachine, numbers: &BTreeMap<usize, usize>) -> Group {
        let members = planned.members.iter();
        Group {
            members: members.map(|index| self.member(*index, numbers)).collect(),
            spec: self.spec_of(planned.members[0]),
            machines: self.machines_of(planned.members[0]),
            dir: self.options.output_dir.join(&planned.name),
            name: planned.name.clone(),
            shared: planned.shared,
            start: Start::Boot {
                why: planned.why.clone(),
            },
            priority: planned.cost.seconds,
        }
    }

    fn spec_of(&self, index: usize) -> MachineSpec {
        self.platform.resolve(&self.cases[index].test.needs)
    }

    fn machines_of(&self, index: usize) -> u32 {
        self.cases[index].test.machines.max(1)
    }

    fn group_alone(&self, member: Member, prefix: &str, start: Start) -> Group {
        let name = format!("{prefix}{}", self.test(&member).name);
        Group {
            spec: self.spec_of(member.index),
            machines: self.machines_of(member.index),
            dir: self.options.output_dir.join(&name),
            members: vec![member],
            shared: false,
            start,
            priority: 0.0,
            name,
        }
    }

    /// A test runs once more under the same conditions, unless something was found while its template booted: that would be
    /// held against it again, whatever it does.
    pub fn rerun_group(&self, member: Member) -> Group {
        let start = match &self.seeds[member.index] {
            Seed::Boot(why) => Start::Boot { why: why.clone() },
            Seed::Clone(order) => match self.notes.template(*order) {
                None => Start::Boot { why: None },
                Some(frozen) if frozen.findings.is_empty() => Start::Clone(frozen),
                Some(frozen) => Start::Boot {
                    why: Some(format!("something was found while {} booted", frozen.name)),
                },
            },
        };
        self.group_alone(member, "rerun/", start)
    }

    /// The sample of tests that run once more on machines that boot.
    pub fn verifications(&self, numbers: &BTreeMap<usize, usize>, seed: u64) -> Vec<Work> {
        let in_clones = self.notes.take_in_clones();
        sample(in_clones, self.options.verify_templates_percent, seed)
            .into_iter()
            .map(|(index, in_clone)| {
                let member = self.member(index, numbers);
                let start = Start::Boot { why: None };
                Work::Verify(self.group_alone(member, VERIFY_PREFIX, start), in_clone)
            })
            .collect()
    }
}

/// The templates that earlier runs left, by the indices of their orders.
pub(crate) async fn find_templates(
    platform: &Arc<dyn Platform>,
    orders: &[TemplateOrder],
    control: &Control,
) -> BTreeMap<usize, Arc<dyn Template>> {
    let mut searches = JoinSet::new();
    for (index, order) in orders.iter().cloned().enumerate() {
        let platform = Arc::clone(platform);
        searches.spawn(async move { (index, platform.find_template(&order).await) });
    }
    let mut found = BTreeMap::new();
    let all = async {
        while let Some(search) = searches.join_next().await {
            if let Ok((index, Some(template))) = search {
                found.insert(index, template);
            }
        }
    };
    tokio::select! {
        _ = timeout(FIND_LIMIT, all) => {}
        () = control.draining() => {}
    }
    found
}

/// Everything that is planned, with the templates that are there already.
pub(crate) fn first_stage(
    run: &Arc<Run>,
    layout: &Layout,
    orders: &[TemplateOrder],
    found: &BTreeMap<usize, Arc<dyn Template>>,
    numbers: &BTreeMap<usize, usize>,
) -> Stage {
    let mut stage = Stage::new(run);
    for template in &layout.templates {
        match found.get(&template.order) {
            Some(cached) => {
                let frozen = Frozen {
                    name: template.name.clone(),
                    template: Arc::clone(cached),
                    findings: Vec::new(),
                };
                stage.add_ready(template.order, Arc::new(frozen));
            }
            None => stage.add_template(
                template.order,
                TemplateJob {
                    dir: run.options.output_dir.join(&template.name),
                    name: template.name.clone(),
                    order: orders[template.order].clone(),
                    priority: template.priority,
                },
            ),
        }
    }
    for planned in &layout.machines {
        let group = run.group(planned, numbers);
        match planned.template {
            Some(template) => stage.add_clone(layout.templates[template].order, group),
            None => stage.add(Work::Group(group), None),
        }
    }
    stage
}
