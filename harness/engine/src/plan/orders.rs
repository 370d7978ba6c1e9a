//! Which machines could be clones, and of what.

use std::collections::HashMap;
use std::sync::Arc;

use kolea_machine::{Platform, Provision, TemplateOrder};
use kolea_model::{MachineNeeds, MachineSpec, TestCase, UserConfig};

/// Where a machine could get its state from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seed {
    /// From a template of this order, by its index in [`Orders`].
    Clone(usize),
    /// From its boot only; why, if it could have been expected to be a clone.
    Boot(Option<String>),
}

/// The different templates that tests could start from. Equal orders have one index.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Configs that every machine's own is merged with.
    append: Vec<UserConfig>,
    list: Vec<TemplateOrder>,
    by_configs: HashMap<Vec<Arc<str>>, Vec<usize>>,
}

impl Orders {
    /// None yet.
    pub fn new(append: &[UserConfig]) -> Self {
        Orders {
            append: append.to_vec(),
            ..Orders::default()
        }
    }

    /// All of them.
    pub fn list(&self) -> &[TemplateOrder] {
        &self.list
    }

    fn index(&mut self, spec: MachineSpec, configs: Vec<UserConfig>) -> usize {
        let texts = configs.iter().map(|config| Arc::clone(&config.text));
        let alike = self.by_configs.entry(texts.collect()).or_default();
        let known = alike.iter().find(|index| self.list[**index].spec == spec);
        if let Some(index) = known {
            return *index;
        }
        let index = self.list.len();
        alike.push(index);
        self.list.push(TemplateOrder {
            spec,
            provision: Provision {
                configs,
                units: Vec::new(),
            },
        });
        index
    }

    /// Where the machine of these tests could get its state from, if templates are wanted at all.
    pub fn seed(&mut self, tests: &[&TestCase], platform: Option<&dyn Platform>) -> Seed {
        let Some(first) = tests.first() else {
            return Seed::Boot(None);
        };
        let alone = tests.len() == 1;
        if let Some(test) = tests.iter().find(|test| test.fresh_boot) {
            return Seed::Boot(Some(if alone {
                "the test asks for a fresh boot".to_owned()
            } else {
                format!("{} asks for a fresh boot", test.name)
            }));
        }
        if first.needs.skip_base_checks {
            return Seed::Boot(Some(
                "a template has to pass the base checks, and the test leaves them out".to_owned(),
            ));
        }
        if first.machines > 1 {
            return Seed::Boot(Some(
                "each of the test's machines has a name of its own, which clones of one template do not have".to_owned(),
            ));
        }
        let spec = resolve(platform, &first.needs);
        if let Some(why) = platform.and_then(|platform| platform.not_clonable(&spec)) {
            return Seed::Boot(Some(why));
        }
        let configs = merged_configs(&self.append, tests.iter().copied());
        Seed::Clone(self.index(spec, configs))
    }
}

/// The configs of a machine: those for every machine, then its tests'. One file may serve several tests by links; merging it with
/// itself would be no use.
pub(crate) fn merged_configs<'a>(
    append: &'a [UserConfig],
    tests: impl Iterator<Item = &'a TestCase>,
) -> Vec<UserConfig> {
    let mut configs: Vec<UserConfig> = Vec::new();
    for config in append
        .iter()
        .chain(tests.filter_map(|test| test.config.as_ref()))
    {
        if configs.iter().all(|known| known.text != config.text) {
            configs.push(config.clone());
        }
    }
    configs
}

/// The spec for these needs. Without a platform (nothing will run), one that differs where the needs do.
pub(super) fn resolve(platform: Option<&dyn Platform>, needs: &MachineNeeds) -> MachineSpec {
    match platform {
        Some(platform) => platform.resolve(needs),
        None => MachineSpec {
            memory_mib: needs.memory_mib.unwrap_or_default(),
            cpus: 1,
            disk_gib: needs.disk_gib,
            firmware: needs.wanted_firmware().unwrap_or_default(),
            internet: needs.internet,
            numa: needs.numa,
            mounts: needs.mounts.clone(),
            primary_disk: needs.primary_disk.clone().unwrap_or_default(),
            disks: needs.additional_disks.clone(),
            nics: needs.additional_nics,
            private_network: needs.private_network,
            host_forwards: needs.host_forwards.clone(),
            server: needs.server.clone(),
            network_keyfiles: needs.network_keyfiles.clone(),
            kernel_args: needs.kernel_args.clone(),
            firstboot_kernel_args: needs.firstboot_kernel_args.clone(),
            ..MachineSpec::default()
        },
    }
}
