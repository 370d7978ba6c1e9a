//! A private network that carries nothing, and remembers what was asked of it.

use std::any::Any;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kolea_machine::{Attachment, Cable, MachineError, PrivateNetwork};

/// A fake network.
#[derive(Debug, Default)]
pub struct FakeNetwork {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    machines: Vec<(u32, String)>,
    asked: Vec<String>,
}

impl FakeNetwork {
    /// The machines that were attached, by number and host name.
    pub fn machines(&self) -> Vec<(u32, String)> {
        self.seen().machines.clone()
    }

    /// What was asked of the network, in words.
    pub fn asked(&self) -> Vec<String> {
        self.seen().asked.clone()
    }

    pub(crate) fn attach(attachment: &Attachment, hostname: &str) -> Result<(), MachineError> {
        let network = attachment.network.as_any().downcast_ref::<FakeNetwork>();
        let Some(network) = network else {
            let reason = "the network is of another platform".to_owned();
            return Err(MachineError::Harness(reason));
        };
        let machine = (attachment.machine, hostname.to_owned());
        network.seen().machines.push(machine);
        Ok(())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, what: impl Into<String>) {
        self.seen().asked.push(what.into());
    }
}

impl PrivateNetwork for FakeNetwork {
    fn address(&self, machine: u32) -> Ipv4Addr {
        Ipv4Addr::from(0x0a00_0000 + machine)
    }

    fn domain(&self) -> &str {
        "fake.internal"
    }

    fn name_server(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 1, 0)
    }

    fn partition(&self, groups: &[&[u32]]) {
        self.ask(format!("partition {groups:?}"));
    }

    fn join(&self) {
        self.ask("join");
    }

    fn set_cable(&self, machine: u32, cable: Cable) {
        self.ask(format!("cable of {machine}: {cable:?}"));
    }

    fn start_capture(&self, path: &Path) -> Result<(), MachineError> {
        self.ask("capture");
        std::fs::write(path, "frames")
            .map_err(|error| MachineError::Harness(format!("{}: {error}", path.display())))
    }

    fn stop_capture(&self) -> Result<(), MachineError> {
        self.ask("end of capture");
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
