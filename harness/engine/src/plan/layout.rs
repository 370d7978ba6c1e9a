//! Tests on machines, and machines on templates.

use std::collections::{BTreeMap, BTreeSet};

use kolea_model::{Plan, PlannedGroup, PlannedTemplate, TEMPLATE_PREFIX, bucket_name};

use super::Seed;
use super::costs::{Cost, own, start};
use super::forecast::{Job, lower_bound, makespan};
use crate::{Case, RunOptions};

/// How many templates with a single user a run makes at most, for later runs. More would only fill the cache.
const MOST_SINGLE_USERS: usize = 4;

/// Tests that are to have a machine, and where it could start from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Draft {
    pub members: Vec<usize>,
    pub seed: Seed,
}

/// A machine's worth of tests.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlannedMachine {
    /// The only test's name, or the bucket's.
    pub name: String,
    /// Whether it is a bucket.
    pub shared: bool,
    /// The tests, as indices into the cases, in the order they run in.
    pub members: Vec<usize>,
    /// The template that it is a clone of, by its index in the layout.
    pub template: Option<usize>,
    /// Why it boots, if it could have been expected to be a clone.
    pub why: Option<String>,
    /// How long it is expected to take.
    pub cost: Cost,
}

/// A template that machines are clones of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TemplatePlan {
    /// The name of the group that makes it.
    pub name: String,
    /// Its order, by its index.
    pub order: usize,
    /// Whether an earlier run left it.
    pub cached: bool,
    /// How long making it is expected to take.
    pub cost: Cost,
    /// Who is made first: who needs longest, together with what waits for it.
    pub priority: f64,
}

/// All of it, machines and templates in the order they start in.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Layout {
    pub machines: Vec<PlannedMachine>,
    pub templates: Vec<TemplatePlan>,
    slots: usize,
}

/// What a layout depends on besides the drafts.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub cases: &'a [Case],
    pub options: &'a RunOptions,
    pub cached: &'a BTreeSet<usize>,
    /// The order of a machine about which no test says anything.
    pub default: Option<usize>,
}

impl Terms<'_> {
    /// The orders whose templates will be there: cached, or worth making.
    fn templates(&self, drafts: &[Draft]) -> BTreeSet<usize> {
        let mut users: BTreeMap<usize, usize> = BTreeMap::new();
        for draft in drafts {
            if let Seed::Clone(order) = draft.seed {
                *users.entry(order).or_default() += 1;
            }
        }
        let is_new = |order: &usize| !self.cached.contains(order);
        let singles = users
            .iter()
            .filter(|(order, users)| **users == 1 && is_new(order))
            .count();
        let singles_too = self.options.keeps_templates() && singles <= MOST_SINGLE_USERS;
        users
            .into_iter()
            .filter(|(order, users)| !is_new(order) || *users > 1 || singles_too)
            .map(|(order, _)| order)
            .collect()
    }

    /// Gives names, and puts everything in order.
    pub fn arrange(&self, drafts: &[Draft]) -> Layout {
        let expected = &self.options.expected;
        let orders: Vec<usize> = self.templates(drafts).into_iter().collect();
        let mut buckets = 0;
        let mut machines: Vec<PlannedMachine> = drafts
            .iter()
            .map(|draft| {
                let (template, why) = match &draft.seed {
                    Seed::Clone(order) => (orders.binary_search(order).ok(), None),
                    Seed::Boot(why) => (None, why.clone()),
                };
                let shared = draft.members.len() > 1;
                let name = if shared {
                    buckets += 1;
                    bucket_name(buckets - 1)
                } else {
                    self.name(draft.members[0]).to_owned()
                };
                let tests = draft.members.iter().map(|index| &self.cases[*index].test);
                let cost = tests.fold(start(template.is_some(), expected), |cost, test| {
                    cost.and(own(test, expected))
                });
                PlannedMachine {
                    name,
                    shared,
                    members: draft.members.clone(),
                    template,
                    why,
                    cost,
                }
            })
            .collect();
        machines.sort_by(|a, b| {
            let longest = b.cost.seconds.total_cmp(&a.cost.seconds);
            longest.then_with(|| a.name.cmp(&b.name))
        });
        let mut layout = Layout {
            templates: self.plan_templates(&orders, &machines),
            machines,
            slots: self.options.jobs.max(1),
        };
        layout.sort_templates();
        layout
    }

    fn name(&self, index: usize) -> &str {
        &self.cases[index].test.name
    }

    fn plan_templates(&self, orders: &[usize], machines: &[PlannedMachine]) -> Vec<TemplatePlan> {
        // Of each: how long what waits for it takes, and the first of its tests.
        let mut users: Vec<(f64, Option<&str>)> = vec![(0.0, None); orders.len()];
        for machine in machines {
            let Some((waiting, first)) = machine.template.and_then(|index| users.get_mut(index))
            else {
                continue;
            };
            *waiting += machine.cost.seconds;
            let names = machine.members.iter().map(|member| self.name(*member));
            *first = names.chain(*first).min();
        }
        let plan = |order: usize, waiting: f64, first: Option<&str>| {
            let cached = self.cached.contains(&order);
            let cost = if cached {
                Cost::NOTHING
            } else {
                start(false, &self.options.expected)
            };
            let name = match first {
                Some(first) if self.default != Some(order) => first,
                _ => "default",
            };
            TemplatePlan {
                name: format!("{TEMPLATE_PREFIX}{name}"),
                order,
                cached,
                cost,
                priority: cost.seconds + waiting / self.options.jobs.max(1) as f64,
            }
        };
        orders
            .iter()
            .zip(users)
            .map(|(order, (waiting, first))| plan(*order, waiting, first))
            .collect()
    }
}

impl Layout {
    fn sort_templates(&mut self) {
        let mut order: Vec<usize> = (0..self.templates.len()).collect();
        order.sort_by(|a, b| {
            let (a, b) = (&self.templates[*a], &self.templates[*b]);
            let longest = b.priority.total_cmp(&a.priority);
            longest.then_with(|| a.name.cmp(&b.name))
        });
        for template in self
            .machines
            .iter_mut()
            .flat_map(|machine| &mut machine.template)
        {
            *template = order
                .iter()
                .position(|old| old == template)
                .unwrap_or_default();
        }
        self.templates = order
            .iter()
            .map(|old| self.templates[*old].clone())
            .collect();
    }

    /// Templates that have to be made, then machines.
    fn jobs(&self) -> Vec<Job> {
        let mut jobs = Vec::with_capacity(self.templates.len() + self.machines.len());
        let mut places = Vec::with_capacity(self.templates.len());
        for template in &self.templates {
            places.push((!template.cached).then_some(jobs.len()));
            if !template.cached {
                jobs.push(Job {
                    seconds: template.cost.seconds,
                    after: None,
                    priority: template.priority,
                });
            }
        }
        jobs.extend(self.machines.iter().map(|machine| Job {
            seconds: machine.cost.seconds,
            after: machine.template.and_then(|template| places[template]),
            priority: machine.cost.seconds,
        }));
        jobs
    }

    /// How long all of it is expected to take with so many machines at once, in seconds.
    pub fn makespan(&self, slots: usize) -> f64 {
        makespan(&self.jobs(), slots)
    }

    /// What it takes at least, in seconds, if all that it depends on was measured.
    fn lower_bound(&self) -> Option<f64> {
        let machines = self.machines.iter().map(|machine| machine.cost);
        let templates = self.templates.iter().map(|template| template.cost);
        let known = machines.chain(templates).all(|cost| cost.known);
        known.then(|| lower_bound(&self.jobs(), self.slots))
    }

    /// The plan as events and users see it.
    pub fn describe(&self, cases: &[Case]) -> Plan {
        let groups = self.machines.iter().map(|machine| PlannedGroup {
            name: machine.name.clone(),
            tests: machine
                .members
                .iter()
                .map(|index| cases[*index].test.name.clone())
                .collect(),
            shared: machine.shared,
        });
        let templates = self.templates.iter().enumerate();
        let templates = templates.map(|(index, template)| PlannedTemplate {
            name: template.name.clone(),
            groups: self
                .machines
                .iter()
                .filter(|machine| machine.template == Some(index))
                .map(|machine| machine.name.clone())
                .collect(),
        });
        Plan {
            groups: groups.collect(),
            templates: templates.collect(),
            lower_bound_seconds: self.lower_bound(),
        }
    }
}
