//! The machines of one attempt at a test: mostly one, several where a compiled-in test asks for that.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{join_all, try_join_all};
use kolea_machine::{Attachment, Machine, MachineError, PrivateNetwork};
use kolea_model::{Finding, MachineSpec, Phase};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::group::{Group, Member};
use crate::guard::{Limit, Stop};
use crate::launch::{Launch, Start, launch, set_up};
use crate::outcome::{Outcome, verdict_of_error};
use crate::run::Run;
use crate::seat::Busy;
use crate::session::Session;

/// How much longer a machine that is up waits for the others than these may take.
const OTHERS: Duration = Duration::from_secs(60);

/// Machines that were started.
#[derive(Debug)]
pub(crate) struct Cluster<'a> {
    /// The first machine.
    pub lead: Session<'a>,
    /// Those after it.
    others: Vec<Session<'a>>,
    /// All machines' host names, if there are several: verdicts say whom they are about.
    names: Vec<String>,
    network: Option<Arc<dyn PrivateNetwork>>,
}

impl<'a> From<Session<'a>> for Cluster<'a> {
    fn from(lead: Session<'a>) -> Self {
        Cluster {
            lead,
            others: Vec::new(),
            names: Vec::new(),
            network: None,
        }
    }
}

/// Orders all machines that a test needs, and begins to watch them. Those that were started are returned, whatever became of
/// the others.
pub(crate) async fn launch_all<'a>(
    run: &'a Run,
    group: &'a Group,
    members: &[Member],
    start: &'a Start,
    busy: Busy,
    limit: &Limit,
) -> (Option<Cluster<'a>>, Result<(), Outcome>) {
    let network = match group.spec.private_network {
        true => match run.platform.private_network().await {
            Ok(network) => Some(network),
            Err(error) => {
                let verdict = verdict_of_error(&error, Phase::Preparing);
                return (None, Err(Outcome::broken(verdict)));
            }
        },
        false => None,
    };
    let hostnames: Vec<String> = (0..group.machines)
        .map(|machine| run.platform.hostname(machine))
        .collect();
    let orders = hostnames.iter().zip(0..).zip(busy.split(hostnames.len()));
    let launches = orders.map(|((hostname, machine), busy)| {
        let network = network.clone();
        let order = Launch {
            spec: MachineSpec {
                hostname: hostname.clone(),
                ..group.spec.clone()
            },
            network: network.map(|network| Attachment { network, machine }),
            ..Launch::for_members(run, group, members, start)
        };
        launch(run, order, busy, limit)
    });
    let launched = join_all(launches).await;
    let several = hostnames.len() > 1;
    let (mut started, mut names) = (Vec::new(), Vec::new());
    let mut result = Ok(());
    for (session, hostname) in launched.into_iter().zip(hostnames) {
        let name = several.then_some(hostname);
        match session {
            Ok(session) => {
                started.push(session);
                names.extend(name);
            }
            Err(outcome) if result.is_ok() => result = Err(outcome.of(name.as_deref())),
            Err(_) => {}
        }
    }
    let mut started = started.into_iter();
    let cluster = started.next().map(|lead| Cluster {
        lead,
        others: started.collect(),
        names,
        network,
    });
    (cluster, result)
}

impl<'a> Cluster<'a> {
    fn sessions(&self) -> impl Iterator<Item = &Session<'a>> {
        std::iter::once(&self.lead).chain(&self.others)
    }

    fn sessions_mut(&mut self) -> impl Iterator<Item = &mut Session<'a>> {
        std::iter::once(&mut self.lead).chain(&mut self.others)
    }

    fn named(&self) -> impl Iterator<Item = (Option<&str>, &Session<'a>)> {
        let name = |index: usize| self.names.get(index).map(String::as_str);
        self.sessions()
            .enumerate()
            .map(move |(index, session)| (name(index), session))
    }

    /// Nothing of what follows is told with the test's name.
    pub fn quiet(&mut self, quiet: bool) {
        for session in self.sessions_mut() {
            session.quiet = quiet;
        }
    }

    /// Brings all machines to where the tests can run on them, at the same time. Who is ready goes on being watched.
    pub async fn set_up(
        &mut self,
        group: &Group,
        members: &[Member],
        limit: &Limit,
    ) -> Result<(), Outcome> {
        let names = self.names.clone();
        let count = 1 + self.others.len();
        let ready = watch::Sender::new(0);
        let up = self
            .sessions_mut()
            .zip(0..)
            .map(|(session, index): (_, usize)| {
                let name = names.get(index).map(String::as_str);
                let ready = &ready;
                async move {
                    let up = async {
                        set_up(session, group, members, limit).await?;
                        ready.send_modify(|ready| *ready += 1);
                        let mut others = ready.subscribe();
                        let all = async {
                            // The sender outlives this.
                            let _ = others.wait_for(|ready| *ready == count).await;
                        };
                        let limit = limit.clone().later(OTHERS);
                        match session.race(&limit, false, all).await {
                            Ok(_) => Ok(()),
                            Err(stop) => Err(session.explain(stop, None).await),
                        }
                    };
                    up.await.map_err(|outcome: Outcome| outcome.of(name))
                }
            });
        try_join_all(up).await.map(drop)
    }

    /// How long the slowest machine took for what no test's time limit counts.
    pub fn prepared(&self) -> Duration {
        let prepared = self.sessions().map(|session| session.prepared);
        prepared.max().unwrap_or_default()
    }

    /// When all of them were ready for tests, if they were.
    pub fn ready(&self) -> Option<Instant> {
        let ready: Option<Vec<Instant>> = self.sessions().map(|session| session.ready).collect();
        ready?.into_iter().max()
    }

    /// Says where the test is.
    pub fn enter(&mut self, phase: Phase, test: &str) {
        for session in self.sessions_mut() {
            session.enter(phase, Some(test));
        }
    }

    /// Waits for `work`, unless something ends it: the user, the clock, or one of the machines.
    pub async fn race<T>(
        &mut self,
        limit: &Limit,
        work: impl Future<Output = T>,
    ) -> Result<T, Stop> {
        self.lead.race_with(&self.others, limit, false, work).await
    }

    /// All machines by their host names, if there are several.
    pub fn machines(&self) -> Vec<(String, Arc<dyn Machine>)> {
        let sessions = self.sessions();
        let machines = sessions.map(|session| Arc::clone(&session.machine));
        self.names.iter().cloned().zip(machines).collect()
    }

    /// The network between them.
    pub fn network(&self) -> Option<Arc<dyn PrivateNetwork>> {
        self.network.clone()
    }

    /// What the end of a wait means. The machines are not to be used again.
    pub async fn explain(&mut self, stop: Stop, test: &str) -> Outcome {
        let culprit = match &stop {
            Stop::Fatal => self.index_of(|session| session.watcher.fatal_so_far().is_some()),
            Stop::Down(_) => self.down(),
            // These are about all of them.
            Stop::Kill | Stop::Drain | Stop::Limit(_) | Stop::Reset => {
                return self.lead.explain(stop, Some(test)).await;
            }
        };
        let (name, session) = self.at(culprit);
        session.explain(stop, Some(test)).await.of(name.as_deref())
    }

    /// What an error of one of the machines means.
    pub async fn explain_error(&mut self, error: MachineError, test: &str) -> Outcome {
        let culprit = match &error {
            MachineError::Down(_) => self.down(),
            _ => None,
        };
        let culprit = culprit.or_else(|| self.index_of(|session| session.traced.failed()));
        let (name, session) = self.at(culprit);
        let outcome = session.explain_error(error, Some(test)).await;
        outcome.of(name.as_deref())
    }

    fn index_of(&self, found: impl Fn(&Session<'a>) -> bool) -> Option<usize> {
        self.sessions().position(found)
    }

    /// The machine that can't go on.
    fn down(&self) -> Option<usize> {
        self.index_of(|session| session.machine.down().now_or_never().is_some())
    }

    /// A machine with its name; the first if nobody knows which.
    fn at(&mut self, index: Option<usize>) -> (Option<String>, &mut Session<'a>) {
        let index = index.unwrap_or_default();
        let name = self.names.get(index).cloned();
        let session = match index.checked_sub(1) {
            Some(other) => self.others.get_mut(other),
            None => None,
        };
        (name, session.unwrap_or(&mut self.lead))
    }

    /// Resets up to now were asked for.
    pub fn forgive_resets(&mut self) {
        self.sessions_mut().for_each(Session::forgive_resets);
    }

    /// Checks the health of all machines, while something else is waited for. `Ok(None)` if all is well.
    pub async fn check_while(
        &mut self,
        limit: &Limit,
        resets: bool,
        other: impl Future<Output = ()>,
    ) -> Result<Option<String>, Outcome> {
        let named = |name: Option<&String>, problem: String| match name {
            Some(name) => format!("{name}: {problem}"),
            None => problem,
        };
        let names = self.names.clone();
        let of = |outcome: Outcome, index: usize| outcome.of(names.get(index).map(String::as_str));
        let lead = self.lead.check_while(limit, resets, other).await;
        if let Some(problem) = lead.map_err(|outcome| of(outcome, 0))? {
            return Ok(Some(named(names.first(), problem)));
        }
        for (session, index) in self.others.iter_mut().zip(1..) {
            let checked = session.check(limit, resets).await;
            if let Some(problem) = checked.map_err(|outcome| of(outcome, index))? {
                return Ok(Some(named(names.get(index), problem)));
            }
        }
        Ok(None)
    }

    /// What was found on any of them so far, what stops a machine included if `fatal`.
    pub fn findings(&self, fatal: bool) -> Vec<Finding> {
        let mut all = Vec::new();
        for (name, session) in self.named() {
            let fatal = session.watcher.fatal_so_far().filter(|_| fatal);
            let findings = session.watcher.findings_since(0).into_iter().chain(fatal);
            all.extend(findings.map(|finding| Finding {
                rule: match name {
                    Some(name) => format!("{name}: {}", finding.rule),
                    None => finding.rule.clone(),
                },
                ..finding
            }));
        }
        all
    }

    /// The last lines of their consoles, for the output of a test whose machines broke.
    pub fn console_ends(&self) -> String {
        self.named()
            .map(|(name, session)| {
                let end = session.watcher.console_end();
                match name {
                    Some(name) if !end.is_empty() => format!("--- {name} ---\n{end}"),
                    _ => end,
                }
            })
            .collect()
    }

    /// The artefacts of all machines but the first: their paths, by host name and file name.
    pub fn other_artifacts(&self) -> BTreeMap<String, PathBuf> {
        let mut all = BTreeMap::new();
        for (name, session) in self.named().skip(1) {
            let name = name.unwrap_or_default();
            let own = session.artifacts("", &[]).into_iter();
            all.extend(own.map(|(file, path)| (format!("{name}/{file}"), path)));
        }
        all
    }

    /// Stops all of them, and waits for their last lines.
    pub async fn stop(&mut self) {
        join_all(self.sessions_mut().map(Session::stop)).await;
        // A capture is complete before it is reported.
        if let Some(network) = self.network.take()
            && let Err(error) = network.stop_capture()
        {
            self.lead.run.events.warn(error.to_string());
        }
    }
}
