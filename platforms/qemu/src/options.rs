//! What the user decides about the platform.

use std::path::PathBuf;

use kolea_machine::Provisioning;
use kolea_machine::profile::Profile;
use kolea_model::{BootFrom, DiskSpec, Firmware, HostMount};

use crate::by_hand::ByHand;

/// What executes the guests' instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accel {
    /// KVM where it proves to work, TCG otherwise.
    #[default]
    Auto,
    /// KVM, or an error.
    Kvm,
    /// Emulation, even where KVM would work.
    Tcg,
}

/// Whether machines have a TPM 2.0, as far as their architecture can have one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tpm {
    /// They have one if swtpm works here; that it does not is worth a warning.
    #[default]
    Auto,
    /// They have one, or an error.
    Required,
    /// They have none.
    None,
}

/// Where templates are left for later runs.
#[derive(Clone, Debug)]
pub struct TemplateCache {
    /// The directory; made with mode 0700.
    pub dir: PathBuf,
    /// How much the templates in it may occupy together, in MiB; the least recently used are removed first.
    pub limit_mib: u64,
}

/// Options of the platform. The default has no image.
#[derive(Clone, Debug, Default)]
pub struct QemuOptions {
    /// The image: a disk, or a live ISO if machines boot from that (`boot_from`). It is never written to.
    pub image: PathBuf,
    /// What machines boot from, if not from a disk, unless their tests say something else.
    pub boot_from: Option<BootFrom>,
    /// The live ISO for tests that boot from one (`bootFrom`), where the image is a disk.
    pub iso: Option<PathBuf>,
    /// The disk image that live systems install from a server, for tests that do that: raw, or packed as the installer takes it.
    pub metal: Option<PathBuf>,
    /// The same for disks with sectors of 4096 bytes; it may be the same one, if the installer can do with that.
    pub metal_4k: Option<PathBuf>,
    /// Its architecture, by its RPM name.
    pub arch: String,
    /// What executes the guests' instructions.
    pub accel: Accel,
    /// The firmware; the architecture's default if none.
    pub firmware: Option<Firmware>,
    /// Memory of every machine, in MiB, whatever the tests ask for.
    pub memory_mib: Option<u64>,
    /// What the primary disk is enlarged to at least, as `qemu-img` takes it: `20G`, `+5G` (`--qemu-size`). Less than the
    /// image's own size is an error.
    pub disk_size: Option<String>,
    /// Directories of the host that every guest may read (`--qemu-bind-ro`). With any of them no machine can be cloned.
    pub mounts: Vec<HostMount>,
    /// What the primary disk of every machine is like (`--qemu-native-4k`, `--qemu-512e`, `--qemu-nvme`, `--qemu-multipath`); what
    /// a test says of it (`primaryDisk`) comes first, but for sectors of 4096 bytes, which are the image's. Its size is not used.
    pub primary_disk: DiskSpec,
    /// Whether machines have a TPM 2.0 (`--qemu-swtpm`).
    pub tpm: Tpm,
    /// Kernel arguments for every boot of every machine, before those of its test.
    pub kernel_args: Option<String>,
    /// Kernel arguments for the first boot of every machine, before those of its test.
    pub firstboot_kernel_args: Option<String>,
    /// Kernel arguments of live systems that are booted over the network, before those of their tests (`--pxe-kargs`).
    pub pxe_kernel_args: Option<String>,
    /// The network of the primary interface, as `ADDRESS/BITS` (`--usernet-addr`); QEMU's own if none.
    pub usernet: Option<String>,
    /// How machines are told what to do at their first boot. Whether the image can do with it shows when it boots.
    pub provisioning: Provisioning,
    /// The private key that machines let in; one is made for the run if none. There has to be one without provisioning.
    pub ssh_key: Option<PathBuf>,
    /// The distribution's facts.
    pub profile: Profile,
    /// Where answers that hold beyond this run are kept (accelerator probe, image digests).
    pub cache_dir: PathBuf,
    /// Where templates are left for later runs; they end with the run if none.
    pub template_cache: Option<TemplateCache>,
    /// What a person wants of the machine that they run themselves.
    pub by_hand: ByHand,
    /// Where overlays are kept; `${TMPDIR:-/var/tmp}` if none.
    pub work_dir: Option<PathBuf>,
}
