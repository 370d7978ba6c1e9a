//! A frozen fake machine: a name, and what it is of.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use kolea_machine::{GuestFacts, Template, TemplateOrder};

use crate::platform::Shared;

/// A template of fake machines.
#[derive(Debug)]
pub(crate) struct FakeTemplate {
    pub key: String,
    pub dir: PathBuf,
    pub order: TemplateOrder,
    pub guest: GuestFacts,
    pub shared: Arc<Mutex<Shared>>,
}

/// Whether both orders are of the same machine.
pub(crate) fn equal(one: &TemplateOrder, other: &TemplateOrder) -> bool {
    let texts = |order: &TemplateOrder| -> Vec<Arc<str>> {
        let configs = order.provision.configs.iter();
        configs.map(|config| Arc::clone(&config.text)).collect()
    };
    one.spec == other.spec
        && texts(one) == texts(other)
        && one.provision.units == other.provision.units
}

impl Template for FakeTemplate {
    fn key(&self) -> &str {
        &self.key
    }

    fn dir(&self) -> &Path {
        &self.dir
    }

    fn guest(&self) -> &GuestFacts {
        &self.guest
    }

    fn disk_mib(&self) -> u64 {
        100
    }

    fn withdraw(&self) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.withdraw(&self.key);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
