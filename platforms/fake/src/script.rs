//! What a fake machine does, step by step.

use std::time::Duration;

/// One step of a test. A script that ends without [`Step::Exit`] passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The test prints a line.
    Print(String),
    /// The test prints that many lines, the way a runaway test does.
    PrintMany(usize),
    /// The console says a line.
    Console(String),
    /// The journal gets an entry with this identifier and message.
    Journal(String, String),
    /// Time passes.
    Sleep(Duration),
    /// The test exits with this status: 0 passes, 77 skips, others fail.
    Exit(i32),
    /// The test never ends.
    Hang,
    /// A service of the guest fails.
    FailUnit(String),
    /// The kernel panics; nothing answers any more.
    Panic,
    /// The machine's process is killed.
    Die,
    /// The machine's process is killed for lack of memory.
    OutOfMemory,
    /// The machine is paused since the host's disk is full.
    DiskFull,
    /// The guest powers itself off.
    PowerOff,
    /// The SSH connection breaks; the guest goes on.
    LoseSsh,
    /// The SSH connection breaks, and no other succeeds.
    LoseSshForGood,
    /// The guest reboots, and nobody had asked for it.
    Reset,
    /// The test asks for a reboot with this mark, and its next run goes on after this step.
    Reboot(String),
    /// The same, but the guest never comes up again.
    RebootHangs(String),
    /// The same, but the machine's process is killed on the way.
    RebootDies(String),
    /// As [`Step::Reboot`], with a restart of user space only.
    SoftReboot(String),
    /// The test fails unless `AUTOPKGTEST_REBOOT_MARK` is this.
    ExpectMark(Option<String>),
}

/// How rebasing a machine goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Rebase {
    /// At once.
    #[default]
    Ok,
    /// After this time.
    Slow(Duration),
    /// It fails with this on standard error.
    Fails(String),
    /// It succeeds, and this unit fails in the next boot.
    Breaks(String),
}

/// How freezing a machine goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Freeze {
    /// At once.
    #[default]
    Ok,
    /// After this time.
    Slow(Duration),
    /// It fails for this reason.
    Fails(String),
    /// After the console said this line.
    Says(String),
    /// It never ends.
    Hangs,
}

/// How a machine comes up, be it that it boots or that it is a clone that wakes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Boot {
    /// At once.
    #[default]
    Ok,
    /// At once, after these lines on the console.
    Says(Vec<String>),
    /// After this time.
    Slow(Duration),
    /// It says these lines on the console and never comes up.
    Never(Vec<String>),
    /// Ignition fails with this message in the journal, and the initramfs ends in its emergency shell.
    IgnitionFails(String),
    /// Its process does not start.
    LaunchFails(String),
    /// Its process is killed while the guest boots.
    Dies,
    /// At once, and its process is killed after this time.
    ThenDies(Duration),
    /// It comes up with this failed unit.
    Degraded(String),
}
