//! Compiled-in tests: what one is, and what it gets to work with.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use kolea_model::{MachineNeeds, TestCase, TestSource};
use kolea_serve::Site;

use crate::agent::{self, quote};
use crate::profile::Profile;
use crate::{Exec, ExecOutput, Machine, MachineError, PrivateNetwork, RunBy};

/// How a compiled-in test ends when it does not pass.
#[derive(Clone, Debug)]
pub enum TestFailure {
    /// What it was to prove is not so.
    Failed(String),
    /// It can't prove anything here.
    Skipped(String),
    /// The machine got in the way.
    Machine(MachineError),
}

impl From<MachineError> for TestFailure {
    fn from(error: MachineError) -> Self {
        TestFailure::Machine(error)
    }
}

/// What came of a compiled-in test.
pub type TestResult = Result<(), TestFailure>;

/// A running compiled-in test.
pub type NativeFuture = Pin<Box<dyn Future<Output = TestResult> + Send>>;

/// A compiled-in test.
#[derive(Clone, Copy)]
pub struct NativeTest {
    /// Unique name, such as `basic`.
    pub name: &'static str,
    /// One line on what it proves.
    pub description: &'static str,
    /// Tags.
    pub tags: &'static [&'static str],
    /// What it asks of its machines.
    pub needs: fn() -> MachineNeeds,
    /// How many machines it needs at the same time.
    pub machines: u32,
    /// The test.
    pub run: fn(TestContext) -> NativeFuture,
}

impl fmt::Debug for NativeTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NativeTest").field(&self.name).finish()
    }
}

impl NativeTest {
    /// The test as suites and reports see it: exclusive, unrestricted, with the machines that it asks for.
    pub fn test_case(&self) -> TestCase {
        let needs = (self.needs)();
        let forwards = needs.host_forwards.iter();
        TestCase {
            description: self.description.to_owned(),
            tags: self.tags.iter().map(|tag| (*tag).to_owned()).collect(),
            host_ports: forwards.filter_map(|forward| forward.host).collect(),
            needs,
            machines: self.machines,
            ..TestCase::new(self.name, TestSource::Native)
        }
    }
}

/// What a compiled-in test works with: booted machines that passed the base checks, and a log. Commands run on one of the
/// machines, the first unless [`TestContext::on`] says otherwise.
#[derive(Clone, Debug)]
pub struct TestContext {
    machine: Arc<dyn Machine>,
    /// All of the test's machines by their host names, if there are several.
    all: Arc<[(String, Arc<dyn Machine>)]>,
    /// Which of them `machine` is.
    number: usize,
    network: Option<Arc<dyn PrivateNetwork>>,
    profile: Arc<Profile>,
    log: Arc<Mutex<String>>,
}

impl TestContext {
    /// A context for one attempt on one machine. The log can be read while the test runs and after.
    pub fn new(machine: Arc<dyn Machine>) -> Self {
        TestContext {
            machine,
            all: Arc::new([]),
            number: 0,
            network: None,
            profile: Arc::default(),
            log: Arc::default(),
        }
    }

    /// The same, where that machine is the first of these, which go by their host names.
    #[must_use]
    pub fn among(self, machines: Vec<(String, Arc<dyn Machine>)>) -> Self {
        TestContext {
            all: machines.into(),
            ..self
        }
    }

    /// The same with a private network.
    #[must_use]
    pub fn with_network(self, network: Option<Arc<dyn PrivateNetwork>>) -> Self {
        TestContext { network, ..self }
    }

    /// The same, knowing the distribution.
    #[must_use]
    pub fn with_profile(self, profile: Profile) -> Self {
        TestContext {
            profile: Arc::new(profile),
            ..self
        }
    }

    /// The distribution's facts, as far as they are known.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The machine.
    pub fn machine(&self) -> &dyn Machine {
        &*self.machine
    }

    /// The same test on another of its machines, by its number from 0. The log is the same.
    pub fn on(&self, number: usize) -> Result<TestContext, TestFailure> {
        let machine = match self.all.get(number) {
            Some((_, machine)) => Arc::clone(machine),
            None if number == self.number => Arc::clone(&self.machine),
            None => {
                let count = self.all.len().max(1);
                return Err(TestFailure::Failed(format!(
                    "machine {number} was asked for, and the test has {count} (`machines`); this is a bug in the test"
                )));
            }
        };
        Ok(TestContext {
            machine,
            number,
            ..self.clone()
        })
    }

    /// The machine's host name, if it is one of several.
    pub fn name(&self) -> Option<&str> {
        self.all.get(self.number).map(|(name, _)| name.as_str())
    }

    /// The private network of the test's machines (`MachineNeeds::private_network`).
    pub fn network(&self) -> Result<&dyn PrivateNetwork, TestFailure> {
        self.network.as_deref().ok_or_else(|| {
            TestFailure::Failed(
                "the private network was asked for, and the test has none (`private_network`); this is a bug in the test"
                    .to_owned(),
            )
        })
    }

    /// What the machine's own server has (`MachineNeeds::server`), and what it was asked for.
    pub fn site(&self) -> Result<Arc<Site>, TestFailure> {
        self.machine.site().ok_or_else(|| {
            TestFailure::Failed(
                "the machine's server was asked for, and it has none (`server`); this is a bug in the test".to_owned(),
            )
        })
    }

    /// Records what goes through the private network from now on, in the artefact `NAME.pcap` of the first machine.
    pub fn capture(&self, name: &str) -> Result<(), TestFailure> {
        let dir = self.on(0)?.machine.dir().to_owned();
        let path = dir.join(format!("{name}.pcap"));
        Ok(self.network()?.start_capture(&path)?)
    }

    /// Takes a disk or a path away from the running machine ([`Machine::remove_disk`] says what they are called).
    pub async fn remove_disk(&self, id: &str) -> Result<(), TestFailure> {
        let name = self.name().unwrap_or("the machine");
        self.log(&format!("{id} is taken away from {name}"));
        Ok(self.machine.remove_disk(id).await?)
    }

    /// Adds a line to the test's own output.
    pub fn log(&self, line: &str) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push_str(line);
        log.push('\n');
    }

    /// The test's own output so far.
    pub fn output(&self) -> String {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Runs a shell command as the profile's user and returns whatever came of it. Both are logged.
    pub async fn ssh(&self, command: &str) -> Result<ExecOutput, TestFailure> {
        self.log(&format!("{}$ {command}", self.name().unwrap_or_default()));
        let output = self
            .machine
            .exec(Exec {
                label: "native",
                command: command.to_owned(),
                stdin: Vec::new(),
                by: RunBy::User,
            })
            .await?;
        for text in [output.stdout_text(), output.stderr_text()] {
            if !text.is_empty() {
                self.log(text.trim_end());
            }
        }
        if output.status != 0 {
            self.log(&format!("exit status {}", output.status));
        }
        Ok(output)
    }

    /// Reboots the machine, and waits until it accepts commands again.
    pub async fn reboot(&self) -> Result<(), TestFailure> {
        self.log(&format!("{}$ (reboot)", self.name().unwrap_or_default()));
        let boot = self.machine.wait_ready(None).await?;
        agent::restart(&*self.machine, &boot).await?;
        Ok(())
    }

    /// Writes a file, as the profile's user.
    pub async fn put(&self, path: &str, contents: &str) -> TestResult {
        self.log(&format!("{}> {path}", self.name().unwrap_or_default()));
        let output = self
            .machine
            .exec(Exec {
                label: "native",
                command: format!("cat > {}", quote(path)),
                stdin: contents.as_bytes().to_vec(),
                by: RunBy::User,
            })
            .await?;
        match output.status {
            0 => Ok(()),
            status => Err(TestFailure::Failed(format!(
                "cannot write {path} in the guest (status {status}): {}",
                output.stderr_text().trim()
            ))),
        }
    }

    /// Waits until the guest has said that ([`Machine::wait_said`]).
    pub async fn wait_said(&self, text: &str) -> TestResult {
        self.log(&format!(
            "{}waiting for {text:?}",
            self.name().unwrap_or_default()
        ));
        Ok(self.machine.wait_said(text).await?)
    }

    /// Runs a shell command that has to succeed, and returns its standard output without surrounding white space.
    pub async fn check_ok(&self, command: &str) -> Result<String, TestFailure> {
        let output = self.ssh(command).await?;
        if output.status == 0 {
            Ok(output.stdout_text().trim().to_owned())
        } else {
            let name = self
                .name()
                .map_or_else(String::new, |name| format!("{name}: "));
            Err(TestFailure::Failed(format!(
                "{name}`{command}` exited with status {}: {}",
                output.status,
                output
                    .stderr_text()
                    .trim()
                    .lines()
                    .last()
                    .unwrap_or_default()
            )))
        }
    }
}
