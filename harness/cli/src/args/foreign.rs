//! Flags of kola's that are read and not obeyed: those of clouds, which are not built in, and those of QEMU whose features
//! are still to come. Data, so that the parser and the answers cannot differ.

use clap::{Arg, ArgAction, ArgMatches, Command};

/// What sort of value a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Bool,
    /// Any text.
    Text,
}

/// A flag that is not obeyed.
#[derive(Clone, Copy, Debug)]
pub struct Foreign {
    /// Its long name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The cloud it belongs to; none for a feature that is still to come.
    pub cloud: Option<&'static str>,
}

macro_rules! foreign {
    ($($name:literal $kind:ident $($cloud:literal)?),* $(,)?) => {
        &[$(Foreign { name: $name, kind: Kind::$kind, cloud: foreign!(@ $($cloud)?) }),*]
    };
    (@) => { None };
    (@ $cloud:literal) => { Some($cloud) };
}

/// All of them.
pub const FOREIGN: &[Foreign] = foreign![
    "qemu-secex" Bool,
    "qemu-secex-ignition-pubkey" Text,
    "qemu-secex-hostkey" Text,
    "qemu-cex" Bool,
    "stream" Text "aws",
    "aws-credentials-file" Text "aws",
    "aws-region" Text "aws",
    "aws-profile" Text "aws",
    "aws-ami" Text "aws",
    "aws-type" Text "aws",
    "aws-sg" Text "aws",
    "aws-iam-profile" Text "aws",
    "azure-credentials" Text "azure",
    "azure-disk-uri" Text "azure",
    "azure-publisher" Text "azure",
    "azure-offer" Text "azure",
    "azure-sku" Text "azure",
    "azure-version" Text "azure",
    "azure-location" Text "azure",
    "azure-size" Text "azure",
    "azure-availability-zone" Text "azure",
    "azure-managed-identity" Text "azure",
    "do-config-file" Text "do",
    "do-profile" Text "do",
    "do-token" Text "do",
    "do-region" Text "do",
    "do-size" Text "do",
    "do-image" Text "do",
    "esx-config-file" Text "esx",
    "esx-server" Text "esx",
    "esx-profile" Text "esx",
    "esx-base-vm" Text "esx",
    "gcp-image" Text "gcp",
    "gcp-project" Text "gcp",
    "gcp-zone" Text "gcp",
    "gcp-machinetype" Text "gcp",
    "gcp-disktype" Text "gcp",
    "gcp-network" Text "gcp",
    "gcp-service-account" Text "gcp",
    "gcp-service-auth" Bool "gcp",
    "gcp-json-key" Text "gcp",
    "gcp-confidential-type" Text "gcp",
    "openstack-config-file" Text "openstack",
    "openstack-profile" Text "openstack",
    "openstack-region" Text "openstack",
    "openstack-image" Text "openstack",
    "openstack-flavor" Text "openstack",
    "openstack-network" Text "openstack",
    "openstack-domain" Text "openstack",
    "openstack-floating-ip-network" Text "openstack",
];

/// Adds them to the command, out of sight.
pub fn add(mut command: Command) -> Command {
    for flag in FOREIGN {
        let arg = Arg::new(flag.name).long(flag.name).hide(true);
        command = command.arg(match flag.kind {
            Kind::Bool => arg.action(ArgAction::SetTrue),
            Kind::Text => arg.action(ArgAction::Set),
        });
    }
    command
}

/// Those that were given a value that would change something.
pub fn given(matches: &ArgMatches) -> Vec<&'static Foreign> {
    FOREIGN
        .iter()
        .filter(|flag| match flag.kind {
            Kind::Bool => matches.get_one::<bool>(flag.name).copied() == Some(true),
            Kind::Text => matches
                .get_one::<String>(flag.name)
                .is_some_and(|value| !value.is_empty()),
        })
        .collect()
}
