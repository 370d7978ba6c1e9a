//! Which tests share a machine, which machines are clones of a template, and in which order they start. Pure: the same suite
//! gives the same plan.

mod buckets;
mod costs;
pub(crate) mod forecast;
mod layout;
mod orders;
#[cfg(test)]
mod template_tests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use kolea_machine::{Platform, TemplateOrder};
use kolea_model::{MachineNeeds, Plan, TestCase, UserConfig};

use crate::{Buckets, Case, RunOptions};
pub(crate) use buckets::is_shareable;
use buckets::{Claims, Mixing, buckets};
use kolea_machine::agent::needs_internet;
use layout::{Draft, Terms};
pub(crate) use layout::{Layout, PlannedMachine};
use orders::{Orders, resolve};
pub(crate) use orders::{Seed, merged_configs};

/// How much longer, at most, a run may be expected to take for its tests to have machines of their own: isolation is worth
/// that.
const ISOLATION_IS_WORTH: f64 = 1.05;

/// Says what a run of these cases would do. Without a platform, whatever the tests themselves allow to be cloned is taken to
/// be clonable, and no template to be there already.
pub fn plan(cases: &[Case], options: &RunOptions) -> Plan {
    let cases = prepared(cases.to_vec(), options);
    let planner = Planner::new(&cases, options, None);
    planner.layout(&BTreeSet::new()).describe(&cases)
}

/// The cases as the run's options have them: a machine that pulls what it is rebased to needs the Internet for that.
pub(crate) fn prepared(mut cases: Vec<Case>, options: &RunOptions) -> Vec<Case> {
    if options.oscontainer.as_deref().is_some_and(needs_internet) {
        for case in &mut cases {
            case.test.needs.internet = true;
        }
    }
    cases
}

/// What tests' configs take from those that are merged into every machine's, one line for each config.
pub(crate) fn overridden(cases: &[Case], append: &[UserConfig]) -> Vec<String> {
    let appended: BTreeSet<String> = append.iter().flat_map(kolea_suite::config_claims).collect();
    if appended.is_empty() {
        return Vec::new();
    }
    let configs = cases.iter().filter_map(|case| case.test.config.as_ref());
    let configs: BTreeMap<_, _> = configs.map(|config| (&config.path, config)).collect();
    configs
        .into_iter()
        .filter_map(|(path, config)| {
            let both = kolea_suite::config_claims(config);
            let both: Vec<&str> = both.intersection(&appended).map(String::as_str).collect();
            (!both.is_empty()).then(|| {
                format!(
                    "{} replaces what the appended config says about {}",
                    path.display(),
                    both.join(", ")
                )
            })
        })
        .collect()
}

/// The numbers of the shareable tests' units (`kola-runext-<n>.service`): from 1, in the order of their names.
pub(crate) fn unit_numbers(cases: &[Case]) -> BTreeMap<usize, usize> {
    in_name_order(cases)
        .into_iter()
        .filter(|index| is_shareable(&cases[*index].test))
        .zip(1..)
        .collect()
}

fn in_name_order(cases: &[Case]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..cases.len()).collect();
    order.sort_by(|a, b| cases[*a].test.name.cmp(&cases[*b].test.name));
    order
}

/// What can be said before it is known which templates earlier runs left.
pub(crate) struct Planner<'a> {
    cases: &'a [Case],
    options: &'a RunOptions,
    orders: Orders,
    /// Where each test could start from on a machine of its own.
    seeds: Vec<Seed>,
    /// Machines as they could be, each way beginning with those of exclusive tests. The first is kola's way, if need be with
    /// those apart that ask for a fresh boot.
    ways: Vec<Vec<Draft>>,
    /// The order of a machine about which no test says anything.
    default: Option<usize>,
}

impl<'a> Planner<'a> {
    /// Looks at the cases.
    pub fn new(
        cases: &'a [Case],
        options: &'a RunOptions,
        platform: Option<&dyn Platform>,
    ) -> Self {
        Planner::with(cases, options, platform, &kolea_suite::config_claims)
    }

    fn with(
        cases: &'a [Case],
        options: &'a RunOptions,
        platform: Option<&dyn Platform>,
        claims: Claims<'_>,
    ) -> Self {
        let mut orders = Orders::new(&options.append);
        let appended: BTreeSet<String> = options.append.iter().flat_map(claims).collect();
        let mut seed = |tests: &[&TestCase]| {
            if options.templates {
                orders.seed(tests, platform)
            } else {
                Seed::Boot(None)
            }
        };
        let seeds: Vec<Seed> = cases.iter().map(|case| seed(&[&case.test])).collect();
        let (shareable, exclusive): (Vec<usize>, Vec<usize>) = in_name_order(cases)
            .into_iter()
            .partition(|index| is_shareable(&cases[*index].test));
        let mixings: &[Mixing] = match options.buckets {
            Buckets::Auto if options.templates => &[Mixing::ByBoot, Mixing::ByBootAndConfig],
            _ => &[Mixing::Free],
        };
        let mut way = |mixing: Mixing| -> Vec<Draft> {
            let tests = shareable.iter().map(|index| (*index, &cases[*index].test));
            let shared = match options.buckets {
                Buckets::Never => shareable.iter().map(|index| vec![*index]).collect(),
                Buckets::Always | Buckets::Auto => buckets(tests, mixing, claims, &appended),
            };
            let alone = exclusive.iter().map(|index| vec![*index]);
            let drafts = alone.chain(shared).map(|members| {
                let tests: Vec<&TestCase> =
                    members.iter().map(|index| &cases[*index].test).collect();
                Draft {
                    seed: seed(&tests),
                    members,
                }
            });
            drafts.collect()
        };
        let ways = mixings.iter().map(|mixing| way(*mixing)).collect();
        let plain = resolve(platform, &MachineNeeds::default());
        let append = merged_configs(&options.append, std::iter::empty());
        let default = orders
            .list()
            .iter()
            .position(|order| order.spec == plain && order.provision.configs == append);
        Planner {
            cases,
            options,
            orders,
            seeds,
            ways,
            default,
        }
    }

    /// All templates that a plan may be about.
    pub fn orders(&self) -> &[TemplateOrder] {
        self.orders.list()
    }

    /// Where a test could start from on a machine of its own.
    pub fn seeds(&self) -> &[Seed] {
        &self.seeds
    }

    /// The plan, given the templates that are there, by the indices of their orders.
    pub fn layout(&self, cached: &BTreeSet<usize>) -> Layout {
        let terms = Terms {
            cases: self.cases,
            options: self.options,
            cached,
            default: self.default,
        };
        let mut best: Option<Layout> = None;
        for drafts in &self.ways {
            let layout = self.split(&terms, drafts.clone());
            // Each way isolates better than the one before.
            let jobs = self.options.jobs;
            let better = best.as_ref().is_none_or(|best| {
                layout.makespan(jobs) <= best.makespan(jobs) * ISOLATION_IS_WORTH
            });
            if better {
                best = Some(layout);
            }
        }
        best.unwrap_or_default()
    }

    /// Gives the members of each bucket clones of their own, where that is worth it.
    fn split(&self, terms: &Terms<'_>, mut drafts: Vec<Draft>) -> Layout {
        let mut layout = terms.arrange(&drafts);
        if self.options.buckets != Buckets::Auto || !self.options.templates {
            return layout;
        }
        let is_shared = |draft: &&Draft| draft.members.len() > 1;
        let buckets: Vec<Draft> = drafts.iter().filter(is_shared).cloned().collect();
        for bucket in buckets {
            let others = drafts.iter().filter(|draft| **draft != bucket).cloned();
            let own = bucket.members.iter().map(|index| Draft {
                members: vec![*index],
                seed: self.seeds[*index].clone(),
            });
            let split: Vec<Draft> = others.chain(own).collect();
            let other = terms.arrange(&split);
            let all_cloned = other
                .machines
                .iter()
                .filter(|machine| bucket.members.contains(&machine.members[0]))
                .all(|machine| machine.template.is_some());
            let jobs = self.options.jobs;
            if all_cloned && other.makespan(jobs) <= layout.makespan(jobs) * ISOLATION_IS_WORTH {
                (drafts, layout) = (split, other);
            }
        }
        layout
    }
}
