//! Networks between machines.

use std::any::Any;
use std::fmt::Debug;

/// A network that the machines of one group have to themselves: each has an interface in it besides its primary one, with an
/// address and a name there. Nothing else is on it.
pub trait PrivateNetwork: Debug + Send + Sync {
    /// For the platform that made it.
    fn as_any(&self) -> &dyn Any;
}
