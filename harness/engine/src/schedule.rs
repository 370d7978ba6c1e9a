//! Starts what there is to do as slots and memory allow, and sees that every test gets its last word.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kolea_model::{EventKind, InfraCause, Verdict};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinError, JoinSet};

use crate::admission::{Admission, Share};
use crate::group::{Group, Member};
use crate::launch::Start;
use crate::outcome::infra;
use crate::run::Run;
use crate::seat::{Exchange, Seat};
use crate::template::{Frozen, Made, TemplateJob, make_template};
use crate::tour::{Toured, run_group};
use crate::unstarted::{fail_with_machine, finish_members, too_big, too_big_reason};
use crate::verify::run_verification;

/// Something that has a slot of its own.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// Tests.
    Group(Group),
    /// A template, of the order with that index.
    Template(usize, TemplateJob),
    /// A test once more on a machine that boots, and what came of it in a clone.
    Verify(Group, Verdict),
}

/// What came of it.
#[derive(Debug)]
enum Done {
    Group(Toured),
    Template(Made, f64),
    Verify(f64),
}

#[derive(Debug)]
struct Running {
    work: Arc<Work>,
    /// The job that had to end before it.
    after: Option<usize>,
    /// What it has of the host.
    share: Share,
    /// Told when it has the memory that it wants instead.
    granted: Option<oneshot::Sender<()>>,
}

/// What runs at once, and one after the other as slots and memory allow; the next stage begins when nothing is left of it.
pub(crate) struct Stage {
    run: Arc<Run>,
    admission: Admission<(Work, Option<usize>)>,
    /// Groups that wait for a template, by the index of its order.
    waiting: BTreeMap<usize, Vec<Group>>,
    tasks: JoinSet<Done>,
    running: HashMap<u64, Running>,
    seats: HashMap<Id, u64>,
    next_seat: u64,
    exchanges: (
        mpsc::UnboundedSender<Exchange>,
        mpsc::UnboundedReceiver<Exchange>,
    ),
    /// Tests that are to run once more, and the jobs after which.
    rerun: Vec<(Member, usize)>,
    drained: bool,
}

impl Stage {
    /// Nothing to do yet.
    pub fn new(run: &Arc<Run>) -> Self {
        Stage {
            admission: Admission::new(run.options.jobs, run.budget),
            run: Arc::clone(run),
            waiting: BTreeMap::new(),
            tasks: JoinSet::new(),
            running: HashMap::new(),
            seats: HashMap::new(),
            next_seat: 0,
            exchanges: mpsc::unbounded_channel(),
            rerun: Vec::new(),
            drained: false,
        }
    }

    /// A template that is there already.
    pub fn add_ready(&mut self, order: usize, frozen: Arc<Frozen>) {
        self.run.events.send(EventKind::TemplateReady {
            template: frozen.name.clone(),
            cached: true,
            save_seconds: 0.0,
            disk_mib: frozen.template.disk_mib(),
        });
        self.run.notes.add_template(order, frozen);
    }

    /// A template that is to be made.
    pub fn add_template(&mut self, order: usize, job: TemplateJob) {
        self.waiting.entry(order).or_default();
        self.add(Work::Template(order, job), None);
    }

    /// A group whose machine is to be a clone of the template of that order.
    pub fn add_clone(&mut self, order: usize, group: Group) {
        if let Some(frozen) = self.run.notes.template(order) {
            self.add_on(group, &frozen, None);
        } else if let Some(waiting) = self.waiting.get_mut(&order) {
            waiting.push(group);
        } else {
            // Its template was tried already, and is not to be had.
            self.add(Work::Group(group), None);
        }
    }

    fn add_on(&mut self, group: Group, frozen: &Arc<Frozen>, after: Option<usize>) {
        let start = Start::Clone(Arc::clone(frozen));
        self.add(Work::Group(Group { start, ..group }), after);
    }

    /// Something that may start at once. `after`: the job that it had to wait for.
    pub fn add(&mut self, work: Work, after: Option<usize>) {
        let platform = &self.run.platform;
        let (share, priority) = match &work {
            Work::Group(group) | Work::Verify(group, _) => {
                let tests = group.members.iter().map(|member| self.run.test(member));
                let ports = tests.flat_map(|test| test.host_ports.iter().copied());
                let share = Share {
                    machines: group.machines as usize,
                    memory: self.run.cost(group),
                    ports: ports.collect(),
                };
                (share, group.priority)
            }
            Work::Template(_, job) => {
                let share = Share {
                    memory: platform.memory_cost(&job.order.spec),
                    ..Share::default()
                };
                (share, job.priority)
            }
        };
        let cost = share.memory;
        let Err((work, after)) = self.admission.push((work, after), share, priority) else {
            return;
        };
        match work {
            Work::Group(group) => too_big(&self.run, &group, cost),
            Work::Template(order, job) => {
                let made = Made::Failed(too_big_reason(
                    &self.run,
                    1,
                    job.order.spec.memory_mib,
                    cost,
                ));
                self.made(order, &job.name, made, after);
            }
            Work::Verify(group, _) => self.run.events.warn(format!(
                "{} is left out: {}",
                group.name,
                too_big_reason(&self.run, group.machines, group.spec.memory_mib, cost)
            )),
        }
    }

    /// Runs until nothing is left. Returns the tests that are to run once more, and the jobs after which.
    pub async fn run(mut self) -> Vec<(Member, usize)> {
        let run = Arc::clone(&self.run);
        loop {
            if !self.drained && run.control.is_draining() {
                self.drain();
            }
            self.grant();
            while !self.drained
                && let Some(((work, after), share)) = self.admission.take()
            {
                match self.needless(&work) {
                    None => self.start(work, after, share),
                    Some((order, name, why)) => {
                        self.admission.release(&share);
                        self.made(order, &name, Made::Failed(why), after);
                    }
                }
            }
            tokio::select! {
                ended = self.tasks.join_next_with_id() => match ended {
                    None => break,
                    Some(Ok((id, done))) => self.ended(id, Ok(done)),
                    Some(Err(error)) => self.ended(error.id(), Err(error)),
                },
                Some(exchange) = self.exchanges.1.recv() => self.exchange(exchange),
                () = run.control.draining(), if !self.drained => {}
            }
        }
        if run.control.is_draining() {
            run.lose(self.rerun.iter().map(|(member, _)| member));
            self.rerun.clear();
        }
        self.rerun
    }

    /// Nothing new starts.
    fn drain(&mut self) {
        self.drained = true;
        self.run.announce_interruption();
        for (work, _) in self.admission.drain() {
            if let Work::Group(group) = work {
                self.run.lose(&group.members);
            }
        }
        for group in std::mem::take(&mut self.waiting).into_values().flatten() {
            self.run.lose(&group.members);
        }
    }

    /// A template that no test is left for, by what is known of the distribution by now: its order, its name, and why.
    fn needless(&self, work: &Work) -> Option<(usize, String, String)> {
        let Work::Template(order, job) = work else {
            return None;
        };
        let members = self
            .waiting
            .get(order)?
            .iter()
            .flat_map(|group| &group.members);
        let excluded = |member| self.run.distro.excludes(self.run.test(member)).is_some();
        let distro = &self.run.distro.profile().name;
        let why = format!("none of the tests that would start from it is for {distro}");
        members
            .clone()
            .all(excluded)
            .then(|| (*order, job.name.clone(), why))
    }

    fn start(&mut self, work: Work, after: Option<usize>, share: Share) {
        let work = Arc::new(work);
        let seat = Seat {
            number: self.next_seat,
            exchanges: self.exchanges.0.clone(),
        };
        self.next_seat += 1;
        let number = seat.number;
        let task = {
            let (run, work) = (Arc::clone(&self.run), Arc::clone(&work));
            async move {
                match &*work {
                    Work::Group(group) => Done::Group(run_group(&run, group, &seat).await),
                    Work::Template(_, job) => {
                        let (made, seconds) = make_template(&run, job).await;
                        Done::Template(made, seconds)
                    }
                    Work::Verify(group, in_clone) => {
                        Done::Verify(run_verification(&run, group, in_clone).await)
                    }
                }
            }
        };
        self.seats.insert(self.tasks.spawn(task).id(), number);
        let running = Running {
            work,
            after,
            share,
            granted: None,
        };
        self.running.insert(number, running);
    }

    fn exchange(&mut self, exchange: Exchange) {
        let Some(running) = self.running.get_mut(&exchange.seat) else {
            return;
        };
        running.granted = Some(exchange.granted);
        let old = std::mem::take(&mut running.share.memory);
        self.admission.exchange(exchange.seat, old, exchange.memory);
    }

    /// Gives memory to those that wait for another amount of it.
    fn grant(&mut self) {
        while let Some((number, memory)) = self.admission.exchanged() {
            let Some(running) = self.running.get_mut(&number) else {
                continue;
            };
            running.share.memory = memory;
            // If nobody waits for it any more, it comes back when the task ends.
            if let Some(granted) = running.granted.take() {
                let _ = granted.send(());
            }
        }
    }

    fn ended(&mut self, id: Id, done: Result<Done, JoinError>) {
        let Some(number) = self.seats.remove(&id) else {
            return;
        };
        let Some(running) = self.running.remove(&number) else {
            return;
        };
        self.admission.withdraw(number);
        self.admission.release(&running.share);
        let after = running.after;
        match done {
            Ok(Done::Group(toured)) => {
                let job = self.run.notes.add_job(toured.seconds, after);
                let rerun = toured.rerun.into_iter().map(|member| (member, job));
                self.rerun.extend(rerun);
            }
            Ok(Done::Verify(seconds)) => {
                self.run.notes.add_job(seconds, after);
            }
            Ok(Done::Template(made, seconds)) => {
                let job = self.run.notes.add_job(seconds, after);
                if let Work::Template(order, template) = &*running.work {
                    self.made(*order, &template.name, made, Some(job));
                }
            }
            Err(error) => self.broke_down(&running.work, &error),
        }
    }

    /// A template is there, or never will be: what waited for it can go on.
    fn made(&mut self, order: usize, name: &str, made: Made, job: Option<usize>) {
        let groups = self.waiting.remove(&order).unwrap_or_default();
        let failed = |reason: String| EventKind::TemplateFailed {
            template: name.to_owned(),
            reason,
        };
        match made {
            Made::Ready(frozen, save_seconds) => {
                self.run.events.send(EventKind::TemplateReady {
                    template: name.to_owned(),
                    cached: false,
                    save_seconds,
                    disk_mib: frozen.template.disk_mib(),
                });
                self.run.notes.add_template(order, Arc::clone(&frozen));
                for group in groups {
                    self.add_on(group, &frozen, job);
                }
            }
            Made::Failed(reason) => {
                let why = format!("the template could not be made: {reason}");
                self.run.events.send(failed(reason));
                for group in groups {
                    let start = Start::Boot {
                        why: Some(why.clone()),
                    };
                    self.add(Work::Group(Group { start, ..group }), job);
                }
            }
            Made::Faulty(fault) => {
                self.run.events.send(failed(fault.verdict.to_string()));
                for group in groups {
                    fail_with_machine(&self.run, &group, &fault);
                }
            }
            Made::Lost => {
                for group in groups {
                    self.run.lose(&group.members);
                }
            }
        }
    }

    /// A task of ours has ended early.
    fn broke_down(&mut self, work: &Work, error: &JoinError) {
        let reason = format!("kolea's own task ended early: {error}; this is a bug in kolea");
        match work {
            Work::Template(order, job) => {
                self.run.ledger.finish_group(&job.name, 0.0, Verdict::Pass);
                self.made(*order, &job.name, Made::Failed(reason), None);
            }
            Work::Group(group) => {
                let verdict = infra(InfraCause::Harness, reason);
                finish_members(&self.run, group, &verdict);
                self.run.ledger.finish_group(&group.name, 0.0, verdict);
            }
            Work::Verify(group, _) => {
                let verdict = infra(InfraCause::Harness, reason);
                self.run.ledger.finish_group(&group.name, 0.0, verdict);
            }
        }
    }
}
