//! Networks between machines.

use std::any::Any;
use std::fmt::Debug;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::MachineError;

/// What a machine's cable does to the frames in it, in each direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cable {
    /// How likely each frame is to be lost, from 0 to 1.
    pub loss: f64,
    /// How long each frame takes.
    pub delay: Duration,
}

/// A network that the machines of one group have to themselves: each has an interface in it besides its primary one, with an
/// address and a name there. Nothing else is on it, and it leads nowhere else.
///
/// Machines go by their numbers in the group, from 0. What is changed here holds from the next frame on, also for those that
/// are on their way.
pub trait PrivateNetwork: Debug + Send + Sync {
    /// The address that a machine gets.
    fn address(&self, machine: u32) -> Ipv4Addr;

    /// The domain that the machines' names are in. A name server knows them by their host names, with this domain or without.
    fn domain(&self) -> &str;

    /// Where that name server is. Each machine can reach it, whatever the partition.
    fn name_server(&self) -> Ipv4Addr;

    /// Cuts the network: machines reach each other within a group only. Those in none reach nobody.
    fn partition(&self, groups: &[&[u32]]);

    /// Undoes [`PrivateNetwork::partition`].
    fn join(&self);

    /// Gives a machine another cable.
    fn set_cable(&self, machine: u32, cable: Cable);

    /// Writes what is sent from now on, lost or not, to a file in pcap's format, as Wireshark and tcpdump read it.
    fn start_capture(&self, path: &Path) -> Result<(), MachineError>;

    /// Completes the file of the capture, if there is one. The end of the network does that, too.
    fn stop_capture(&self) -> Result<(), MachineError>;

    /// For the platform that made it.
    fn as_any(&self) -> &dyn Any;
}

/// A machine's place in a private network.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// The network.
    pub network: Arc<dyn PrivateNetwork>,
    /// The machine's number in its group.
    pub machine: u32,
}
