//! Compiled-in tests: what one is, and what it gets to work with.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use kolea_model::{MachineNeeds, TestCase, TestSource};

use crate::{Exec, ExecOutput, Machine, MachineError, RunBy};

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

/// What a compiled-in test works with: a booted machine that passed the base checks, and a log.
#[derive(Clone, Debug)]
pub struct TestContext {
    machine: Arc<dyn Machine>,
    log: Arc<Mutex<String>>,
}

impl TestContext {
    /// A context for one attempt. The log can be read while the test runs and after.
    pub fn new(machine: Arc<dyn Machine>) -> Self {
        TestContext {
            machine,
            log: Arc::default(),
        }
    }

    /// The machine.
    pub fn machine(&self) -> &dyn Machine {
        &*self.machine
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
        self.log(&format!("$ {command}"));
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

    /// Runs a shell command that has to succeed, and returns its standard output without surrounding white space.
    pub async fn check_ok(&self, command: &str) -> Result<String, TestFailure> {
        let output = self.ssh(command).await?;
        if output.status == 0 {
            Ok(output.stdout_text().trim().to_owned())
        } else {
            Err(TestFailure::Failed(format!(
                "`{command}` exited with status {}: {}",
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
