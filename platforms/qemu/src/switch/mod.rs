//! A private network: a switch in this process that machines are plugged into by sockets, and that answers DHCP and DNS
//! itself. Why so: docs/decisions/0006-private-network.md.
//!
//! [`fabric`] decides what becomes of a frame, [`host`] what is answered to one; both are functions of what they are given.
//! [`link`] is the tasks between them and the sockets.

mod addresses;
mod capture;
mod dhcp;
mod dns;
mod fabric;
mod frame;
mod host;
mod link;
mod queue;
mod table;

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kolea_machine::{Attachment, Cable, MachineError, PrivateNetwork};
use tokio::sync::Notify;
use tokio::time::Instant;

use self::capture::Capture;
use self::fabric::{Fabric, Next};
use self::frame::Frame;
use self::host::Host;
use crate::disk::file_error;

/// The network of one group's machines. What serves a machine ends when the other end of its socket does.
#[derive(Debug)]
pub struct Switch(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    fabric: Fabric,
    host: Host,
    capture: Option<Capture>,
    /// Told when there is something for a machine.
    wakes: BTreeMap<u32, Arc<Notify>>,
}

/// A machine's end of its cable.
#[derive(Debug)]
pub struct Plug {
    /// The socket for QEMU.
    pub socket: OwnedFd,
    /// The hardware address that the machine has to have, as QEMU takes it.
    pub mac: String,
}

impl Switch {
    /// A network without machines.
    pub fn new() -> Switch {
        Switch(Arc::new(Shared {
            began: Instant::now(),
            state: Mutex::new(State {
                fabric: Fabric::new(rand::random()),
                host: Host::default(),
                capture: None,
                wakes: BTreeMap::new(),
            }),
        }))
    }

    /// Plugs a machine in that goes by that host name. Each number is given once. Must be called within a Tokio runtime.
    pub fn plug(attachment: &Attachment, name: &str) -> Result<Plug, MachineError> {
        let fault = |what: String| {
            MachineError::Harness(format!(
                "cannot attach {name} to its private network: {what}"
            ))
        };
        let machine = attachment.machine;
        let network = attachment.network.as_any().downcast_ref::<Switch>();
        let Some(Switch(shared)) = network else {
            return Err(fault("it is of another platform".to_owned()));
        };
        if machine >= addresses::MOST {
            return Err(fault(format!(
                "it has {} machines at most",
                addresses::MOST
            )));
        }
        let pair = || -> io::Result<_> {
            let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            Ok((tokio::net::UnixStream::from_std(ours)?, theirs))
        };
        let (ours, theirs) = pair().map_err(|error| fault(error.to_string()))?;
        let wake = Arc::new(Notify::new());
        {
            let mut state = shared.state();
            if state.wakes.contains_key(&machine) {
                return Err(fault(format!("machine {machine} was attached before")));
            }
            state.wakes.insert(machine, Arc::clone(&wake));
            state.fabric.attach(machine);
            state.host.add_name(name, machine);
        }
        link::start(shared, machine, ours, wake);
        let mac = addresses::mac(machine).0;
        Ok(Plug {
            socket: OwnedFd::from(theirs),
            mac: mac.map(|byte| format!("{byte:02x}")).join(":"),
        })
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a frame that a machine has sent.
    fn receive(&self, machine: u32, frame: &Frame) {
        let now = self.began.elapsed();
        let mut state = self.state();
        state.record(frame);
        let mut received = state.fabric.receive(machine, frame, now);
        if received.for_switch
            && let Some(answer) = state.host.answer(machine, frame)
        {
            state.record(&answer);
            state.fabric.answer(machine, answer, now);
            received.wake.push(machine);
        }
        for machine in received.wake {
            state.wake(machine);
        }
    }

    /// What there is for a machine by now.
    fn next(&self, machine: u32) -> Next {
        let now = self.began.elapsed();
        self.state().fabric.next(machine, now)
    }

    /// A machine is gone.
    fn detach(&self, machine: u32) {
        let mut state = self.state();
        state.fabric.detach(machine);
        state.wake(machine);
    }
}

impl State {
    fn wake(&self, machine: u32) {
        if let Some(wake) = self.wakes.get(&machine) {
            wake.notify_one();
        }
    }

    /// A capture that cannot be written ends; the network does not.
    fn record(&mut self, frame: &Frame) {
        let Some(capture) = &mut self.capture else {
            return;
        };
        if let Err(error) = capture.add(frame.ethernet(), chrono::Utc::now()) {
            tracing::warn!("cannot write {}: {error}", capture.path().display());
            self.capture = None;
        }
    }
}

impl PrivateNetwork for Switch {
    fn address(&self, machine: u32) -> Ipv4Addr {
        addresses::address(machine)
    }

    fn domain(&self) -> &str {
        addresses::DOMAIN
    }

    fn name_server(&self) -> Ipv4Addr {
        addresses::SWITCH
    }

    fn partition(&self, groups: &[&[u32]]) {
        self.0.state().fabric.partition(groups);
    }

    fn join(&self) {
        self.0.state().fabric.join();
    }

    fn set_cable(&self, machine: u32, cable: Cable) {
        self.0.state().fabric.set_cable(machine, cable);
    }

    fn start_capture(&self, path: &Path) -> Result<(), MachineError> {
        self.stop_capture()?;
        let capture = Capture::start(path).map_err(|error| file_error("write", path, &error))?;
        self.0.state().capture = Some(capture);
        Ok(())
    }

    fn stop_capture(&self) -> Result<(), MachineError> {
        let Some(capture) = self.0.state().capture.take() else {
            return Ok(());
        };
        let path = capture.path().to_owned();
        capture
            .stop()
            .map_err(|error| file_error("write", &path, &error))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests;
