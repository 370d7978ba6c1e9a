//! The way out: everything the engine has to say goes through here.

use chrono::Utc;
use kolea_model::{Event, EventKind};
use tokio::sync::mpsc;

/// Sends events to whoever writes and shows them. Clones send to the same place.
#[derive(Clone, Debug)]
pub struct EventSender {
    sender: mpsc::UnboundedSender<Event>,
}

impl EventSender {
    /// Sends into `sender`.
    pub fn new(sender: mpsc::UnboundedSender<Event>) -> Self {
        EventSender { sender }
    }

    /// A sender and what it sends to.
    pub fn channel() -> (EventSender, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (EventSender { sender }, receiver)
    }

    /// Sends what happened, stamped with the present time. A receiver that is gone is nobody's loss: the tests go on.
    pub fn send(&self, kind: EventKind) {
        let _ = self.sender.send(Event {
            time: Utc::now(),
            kind,
        });
    }

    /// Sends a [`EventKind::Warning`].
    pub fn warn(&self, message: impl Into<String>) {
        self.send(EventKind::Warning {
            message: message.into(),
        });
    }
}
