//! The metadata keys (kola's `externalTestMeta`, and `freshBoot`): the one table that the parser, the linter and the JSON
//! schema go by.

/// What a key's value is, and what it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A string; the pattern is for editors, and the parser checks more than that.
    Text {
        pattern: Option<&'static str>,
    },
    /// One of these strings, or none.
    Choice(&'static [&'static str]),
    Bool,
    /// 0, which says nothing, to this.
    Int {
        most: i64,
    },
    TextList {
        pattern: Option<&'static str>,
    },
    /// Integers in this range.
    IntList {
        least: i64,
        most: i64,
    },
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Text { .. } | Kind::Choice(_) => "a string",
            Kind::Bool => "a boolean (true or false, without quotes)",
            Kind::Int { .. } => "an integer without quotes",
            Kind::TextList { .. } => "a list of strings",
            Kind::IntList { .. } => "a list of integers",
        }
    }
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Nothing that a shared machine could not give.
    Any,
    /// Something of the machine, which therefore must be the test's own.
    Machine,
    /// The same, and only QEMU has it.
    Qemu,
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub name: &'static str,
    pub kind: Kind,
    pub scope: Scope,
    /// What it means, for editors and documents.
    pub about: &'static str,
}

const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key {
        name,
        kind,
        scope: Scope::Any,
        about,
    }
}

const fn machine(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key {
        scope: Scope::Machine,
        ..key(name, kind, about)
    }
}

const fn qemu(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key {
        scope: Scope::Qemu,
        ..key(name, kind, about)
    }
}

const TEXT: Kind = Kind::Text { pattern: None };
/// Names separated by blanks; a `!` before the first turns the list into an exclusion.
const NAMES: Kind = Kind::Text {
    pattern: Some("^\\s*!?[^!,]*$"),
};
const TAGS: Kind = Kind::Text {
    pattern: Some("^[^!]*$"),
};
const DATE: Kind = Kind::Text {
    pattern: Some("^([0-9]{4}-[0-9]{2}-[0-9]{2})?$"),
};
/// A year, in minutes. Longer time limits are typing errors, as are machines with a PiB of memory or disk.
const MINUTES: Kind = Kind::Int {
    most: 366 * 24 * 60,
};
const MIB: Kind = Kind::Int {
    most: 1024 * 1024 * 1024,
};
const GIB: Kind = Kind::Int { most: 1024 * 1024 };

/// Every key there is, in the order of their names.
pub(crate) const KEYS: &[Key] = &[
    qemu(
        "additionalDisks",
        Kind::TextList {
            pattern: Some("^[0-9]+G(:[^:]+)?$"),
        },
        "Empty disks besides the primary one, each SIZE[:OPTION[,OPTION…]], such as 5G or 5G:channel=nvme,serial=target. SIZE is a number of GiB and G; options are channel=virtio|nvme|scsi, 4k, 512e, mpath, serial=TEXT and wwn=NUMBER.",
    ),
    qemu(
        "additionalNics",
        Kind::Int { most: 16 },
        "The number of network interfaces besides the primary one, 16 at most.",
    ),
    key(
        "allowConfigWarnings",
        Kind::Bool,
        "Whether warnings about the Butane config are only shown. Otherwise they are errors.",
    ),
    qemu(
        "appendFirstbootKernelArgs",
        TEXT,
        "Kernel arguments for the first boot.",
    ),
    qemu("appendKernelArgs", TEXT, "Kernel arguments for every boot."),
    key(
        "architectures",
        NAMES,
        "The architectures it runs on, by their RPM names (x86_64, aarch64, …), separated by blanks. A ! before the first excludes all of them instead; quote it in YAML.",
    ),
    qemu(
        "bindMountHostRO",
        Kind::TextList {
            pattern: Some("^[^,]+,/.+$"),
        },
        "Directories of the host that the guest may read, each HOST,GUEST.",
    ),
    qemu(
        "bootFrom",
        Kind::Choice(&[
            "iso",
            "iso-as-disk",
            "pxe",
            "pxe-rootfs-appended",
            "minimal-iso",
        ]),
        "What it boots from instead of the disk image: the live ISO as a CD (iso) or as a disk (iso-as-disk), or over the network what is on it, with the root file system from a server (pxe) or appended to the initramfs (pxe-rootfs-appended), or a minimal ISO that is made of it, with the root file system from a server (minimal-iso).",
    ),
    key(
        "conflicts",
        Kind::TextList { pattern: None },
        "The names of tests that it must not share a machine with. Only for tests that are not exclusive.",
    ),
    key(
        "creationDate",
        DATE,
        "The day (YYYY-MM-DD) on which the test was made. For 30 days from then on a failure is only a warning.",
    ),
    key("description", TEXT, "What the test proves, in one line."),
    key(
        "distros",
        NAMES,
        "The distributions it runs on (fcos, rhcos, scos, nestos, …), separated by blanks. A ! before the first excludes all of them instead; quote it in YAML.",
    ),
    key(
        "exclusive",
        Kind::Bool,
        "Whether it needs a machine of its own (the default), or may share one with other tests.",
    ),
    key(
        "freshBoot",
        Kind::Bool,
        "Whether its machine has to boot for it, rather than be a clone of one that did. The default depends on the name and the tags. kola does not know this key.",
    ),
    key(
        "injectContainer",
        Kind::Bool,
        "Whether it gets the image's ostree container, at $KOLA_EXT_OSTREE_OCIARCHIVE.",
    ),
    machine(
        "instanceType",
        TEXT,
        "The instance type of its machine in a cloud.",
    ),
    machine(
        "minDisk",
        GIB,
        "The least size of the primary disk, in GiB. It overrides the size in primaryDisk.",
    ),
    machine("minMemory", MIB, "The least memory of its machine, in MiB."),
    machine(
        "noInstanceCreds",
        Kind::Bool,
        "Whether its machine in a cloud has no credentials of its own. Of no effect on QEMU.",
    ),
    qemu(
        "numaNodes",
        Kind::Bool,
        "Whether its machine has two NUMA nodes.",
    ),
    key(
        "platforms",
        NAMES,
        "The platforms it runs on (qemu, aws, …), separated by blanks. A ! before the first excludes all of them instead; quote it in YAML.",
    ),
    qemu(
        "primaryDisk",
        Kind::Text {
            pattern: Some("^([0-9]+G)?(:[^:]+)?$"),
        },
        "What the primary disk is like, in the notation of additionalDisks; the size may be missing, as in :mpath.",
    ),
    key(
        "requiredHostPorts",
        Kind::IntList {
            least: 1,
            most: 65535,
        },
        "The host's TCP ports that no other test may use at the same time.",
    ),
    key(
        "requiredTag",
        TEXT,
        "A tag without which, given by --tag, it does not run.",
    ),
    key(
        "tags",
        TAGS,
        "Its tags, separated by blanks. Special ones are needs-internet, platform-independent, secure-boot and skip-base-checks.",
    ),
    key(
        "timeoutMin",
        MINUTES,
        "How long it may take, in minutes, the boot of its machine included. 10 by default, 1 on a shared machine.",
    ),
];

/// Tags that have an effect of their own.
pub(crate) const SPECIAL_TAGS: [&str; 4] = [
    "needs-internet",
    "platform-independent",
    "secure-boot",
    "skip-base-checks",
];

/// The key of that name, exactly.
pub(crate) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}
