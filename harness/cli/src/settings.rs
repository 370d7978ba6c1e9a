//! What the flags of a run come to: everything that is decided before the tests are read, decided once.

pub mod append;
mod denylist;
mod distro;
mod manifest;
mod platform;
mod provision;
mod warnings;

use std::path::{Path, PathBuf};

use kolea_machine::Provisioning;
use kolea_model::{BootFrom, DiskSpec, Firmware, HostMount, Sectors, TestCase, UserConfig};
use kolea_qemu::{Accel, Tpm};
use kolea_suite::{Selection, Shard};

pub use distro::Distro;
pub use platform::not_yet;

use manifest::Manifest;
use platform::ChosenPlatform;

use crate::args::{AccelArg, GlobalArgs, Invocation, Jobs, SuiteArgs};
use crate::build::Build;
use crate::cmd::Failure;
use crate::program::Program;
use crate::workdir::Workdir;

/// Everything that is decided before the tests are read.
#[derive(Debug)]
pub struct Settings {
    /// The working directory, if there is one.
    pub workdir: Option<Workdir>,
    /// The build in it.
    pub build: Option<Build>,
    /// The image that was named.
    image: Option<PathBuf>,
    /// The disk image for metal that was named.
    metal_image: Option<PathBuf>,
    /// What machines boot from.
    platform: ChosenPlatform,
    /// The distribution.
    pub distro: Distro,
    /// Which tests run.
    pub selection: Selection,
    /// Where they are looked for (`-E`).
    pub exttest: Vec<PathBuf>,
    /// What translates Butane configs instead of kolea itself.
    pub butane_program: Option<PathBuf>,
    /// What every machine has.
    pub machines: Machines,
    /// Where results go.
    pub output: Output,
}

/// What every machine has.
#[derive(Debug)]
pub struct Machines {
    /// How many may run at once.
    pub jobs: usize,
    /// Firmware; the architecture's default if none.
    pub firmware: Option<Firmware>,
    /// Whether they have a TPM.
    pub tpm: Tpm,
    /// Memory, in MiB.
    pub memory_mib: Option<u64>,
    /// What the primary disk is enlarged to.
    pub disk_size: Option<String>,
    /// What the primary disk is like.
    pub primary_disk: DiskSpec,
    /// Directories of the host.
    pub mounts: Vec<HostMount>,
    /// Kernel arguments of live systems that boot over the network.
    pub pxe_kernel_args: Option<String>,
    /// What executes the guests' instructions.
    pub accel: Accel,
    /// How they are told what to do at their first boot.
    pub provisioning: Provisioning,
    /// The private key that they let in.
    pub ssh_key: Option<PathBuf>,
    /// Configs that theirs are merged with.
    pub append: Vec<UserConfig>,
    /// What they are rebased to.
    pub oscontainer: Option<String>,
    /// Whether a person is shown the machine of a failed test.
    pub shell: bool,
    /// By how many percent time limits are lengthened.
    pub extend_timeouts_percent: u32,
}

/// Where results go.
#[derive(Debug)]
pub struct Output {
    /// The directory that was named.
    pub dir: Option<PathBuf>,
    /// Where a directory is made if none was named.
    pub parent: PathBuf,
    /// Where the TAP report is copied.
    pub tapfile: Option<PathBuf>,
    /// Whether a run in which only tests failed that may fail ends with 77.
    pub warn_exit_77: bool,
    /// `--basename`.
    pub basename: Option<String>,
}

impl Settings {
    /// Decides. `words` are the image and the patterns.
    pub fn resolve(
        invocation: &Invocation,
        words: &[String],
        suite: &SuiteArgs,
    ) -> Result<Settings, Failure> {
        let global = &invocation.cli.global;
        let (image, patterns) = image_and_patterns(invocation, words);
        let platform = platform::resolve(invocation, image.as_deref())?;
        let arch = arch(global);
        kolea_qemu::check_arch(&arch).map_err(Failure::usage)?;
        let workdir = Workdir::find(path(&global.target.workdir));
        let (workdir, build) = build(global, workdir, &arch).map_err(Failure::usage)?;
        let distro = Distro::resolve(global, build.as_ref()).map_err(Failure::usage)?;
        let denylist = denylist::read(global, workdir.as_ref())?;
        let select = &global.select;
        let manifest = Manifest::read(workdir.as_ref());
        let stream = text(&select.denylist_stream).or_else(|| {
            let build = build.as_ref().filter(|_| image.is_none());
            build.and_then(|build| build.stream.clone().or(manifest.stream))
        });
        let firmware = platform::firmware(global)?;
        let selection = Selection {
            patterns,
            tags: select.tags.clone(),
            no_net: select.no_net,
            platform: platform.name.to_owned(),
            arch: arch.clone(),
            distro: distro.name.clone(),
            firmware: firmware_name(firmware, &arch).to_owned(),
            stream,
            os_version: manifest.os_version,
            run_platform_independent: select.run_platform_independent,
            denylist,
            denied: select.denylist_test.clone(),
            run_denied: select.run_denied,
            shard: shard(select.sharding.as_deref())?,
            multiply: suite.multiply,
            now: chrono::Utc::now(),
        };
        let machines = Machines {
            jobs: match global.machines.jobs {
                Jobs::Auto => kolea_engine::host_cpus(),
                Jobs::Count(count) => count,
            },
            firmware,
            tpm: platform::tpm(invocation),
            memory_mib: global.qemu.qemu_memory.and_then(|memory| memory.0),
            disk_size: text(&global.qemu.qemu_size),
            primary_disk: platform::primary_disk(global)?,
            mounts: global.qemu.qemu_bind_ro.clone(),
            pxe_kernel_args: Some(global.qemu.pxe_kargs.join(" "))
                .filter(|args| !args.trim().is_empty()),
            accel: match global.qemu.accel {
                AccelArg::Auto => Accel::Auto,
                AccelArg::Kvm => Accel::Kvm,
                AccelArg::Tcg => Accel::Tcg,
            },
            provisioning: provision::resolve(global, &distro, &platform)?,
            ssh_key: path(&global.provision.ssh_key).map(Path::to_path_buf),
            append: append::read(&global.machines).map_err(Failure::usage)?,
            oscontainer: oscontainer(global)?,
            shell: global.machines.ssh_on_test_failure,
            extend_timeouts_percent: global.machines.extend_timeout_percentage,
        };
        let output = Output::resolve(global, workdir.as_ref());
        Ok(Settings {
            workdir,
            build,
            image,
            metal_image: path(&global.target.metal_image).map(Path::to_path_buf),
            platform,
            distro,
            selection,
            exttest: suite.exttest.clone(),
            butane_program: path(&global.machines.butane_program).map(Path::to_path_buf),
            machines,
            output,
        })
    }

    /// What machines boot from, unless their tests say, if that is no disk.
    pub fn boot_from(&self) -> Option<BootFrom> {
        self.platform.boot_from
    }

    /// The live ISO: the one that was named, or the build's; none if there is neither.
    pub fn live_iso(&self) -> Result<Option<PathBuf>, Failure> {
        match (&self.platform.iso, &self.build) {
            (Some(iso), _) => Ok(Some(iso.clone())),
            (None, Some(build)) => build.live_iso().transpose().map_err(Failure::usage),
            (None, None) => Ok(None),
        }
    }

    /// The disk image that live systems install from a server to a disk with such sectors.
    pub fn metal_image(&self, sectors: Sectors) -> Option<PathBuf> {
        Build::metal_image_of(self.build.as_ref(), self.metal_image.as_deref(), sectors)
    }

    /// Why there is no live ISO, if there is none that can be used.
    pub fn why_no_iso(&self) -> Option<String> {
        match self.live_iso() {
            Ok(Some(_)) => None,
            Ok(None) => Some("name one by --qemu-iso".to_owned()),
            Err(failure) => Some(format!("{:#}", failure.error)),
        }
    }

    /// The image: the one that was named, or the build's; none if there is neither. On platform `qemu-iso` it is the live ISO.
    pub fn image(&self) -> Result<Option<PathBuf>, Failure> {
        if self.boot_from().is_some() {
            return self.live_iso();
        }
        match (&self.image, &self.build) {
            (Some(image), _) => Ok(Some(image.clone())),
            (None, Some(build)) => build.qemu_image().map(Some).map_err(Failure::usage),
            (None, None) => Ok(None),
        }
    }

    /// Says which combinations of flags do not do what they may be meant to, given these tests.
    pub fn warn(&self, invocation: &Invocation, tests: &[TestCase]) {
        warnings::print(self, invocation, tests);
    }
}

impl Output {
    fn resolve(global: &GlobalArgs, workdir: Option<&Workdir>) -> Output {
        let output = &global.output;
        Output {
            dir: path(&output.output_dir).map(Path::to_path_buf),
            parent: workdir.map_or_else(|| PathBuf::from("_kola_temp"), Workdir::output),
            tapfile: path(&output.tapfile).map(Path::to_path_buf),
            warn_exit_77: output.on_warn_failure_exit_77,
            basename: text(&global.machines.basename),
        }
    }
}

/// A value, unless it is empty, which is as good as none.
pub fn text(value: &Option<String>) -> Option<String> {
    value.clone().filter(|value| !value.is_empty())
}

/// A path, unless it is empty.
pub fn path(value: &Option<PathBuf>) -> Option<&Path> {
    value.as_deref().filter(|path| !path.as_os_str().is_empty())
}

/// The architecture: `--arch`, or the host's.
pub fn arch(global: &GlobalArgs) -> String {
    text(&global.target.arch).unwrap_or_else(|| kolea_qemu::host_arch().to_owned())
}

/// The build, by kola's rules: `--build` needs a working directory and finds one in the current directory; without it, the
/// latest is taken if there is one.
fn build(
    global: &GlobalArgs,
    workdir: Option<Workdir>,
    arch: &str,
) -> anyhow::Result<(Option<Workdir>, Option<Build>)> {
    let id = text(&global.target.build);
    let workdir = match (workdir, &id) {
        (None, Some(_)) => Some(Workdir {
            path: PathBuf::from("."),
        }),
        (workdir, _) => workdir,
    };
    let found = match &workdir {
        Some(workdir) => Build::find(workdir, id.as_deref(), arch)?,
        None => None,
    };
    Ok((workdir, found))
}

/// The image is named by `--qemu-image`, or by the first word that looks like a file rather than a pattern, or else by a
/// variable or the settings file.
fn image_and_patterns(invocation: &Invocation, words: &[String]) -> (Option<PathBuf>, Vec<String>) {
    let mut patterns = words.to_vec();
    let named = path(&invocation.cli.global.target.qemu_image).map(Path::to_path_buf);
    let by_flag = *invocation.origin("qemu-image") == crate::layers::Origin::Flag;
    if named.is_some() && by_flag {
        return (named, patterns);
    }
    let looks_like_file = |text: &String| {
        let path = Path::new(text);
        path.extension().is_some_and(|suffix| {
            ["qcow2", "img", "raw", "iso"]
                .iter()
                .any(|known| suffix == *known)
        }) || text.contains('/') && path.exists()
    };
    let image = patterns
        .iter()
        .position(looks_like_file)
        .map(|index| PathBuf::from(patterns.remove(index)));
    (image.or(named), patterns)
}

/// What machines are rebased to; a file has to be there.
fn oscontainer(global: &GlobalArgs) -> Result<Option<String>, Failure> {
    let container = text(&global.machines.oscontainer);
    if let Some(file) = container
        .as_ref()
        .filter(|name| name.ends_with(".ociarchive"))
        && !Path::new(file).is_file()
    {
        return Err(Failure::usage(anyhow::anyhow!(
            "--oscontainer: there is no file {file}"
        )));
    }
    Ok(container)
}

/// A report that cannot be written would be missed at the end of a run only.
pub fn check_writable(file: Option<&Path>, flag: &str) -> Result<(), Failure> {
    let Some(file) = file else { return Ok(()) };
    let parent = file
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if parent.is_dir() && !file.is_dir() {
        return Ok(());
    }
    Err(Failure::usage(anyhow::anyhow!(
        "{flag} {} cannot be written: {}",
        file.display(),
        if file.is_dir() {
            "it is a directory".to_owned()
        } else {
            format!("there is no directory {}", parent.display())
        }
    )))
}

fn shard(text: Option<&str>) -> Result<Option<Shard>, Failure> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    text.parse()
        .map(Some)
        .map_err(|error| Failure::usage(anyhow::anyhow!("--sharding: {error}")))
}

fn firmware_name(firmware: Option<Firmware>, arch: &str) -> &'static str {
    let own = if arch == "aarch64" {
        Firmware::Uefi
    } else {
        Firmware::Bios
    };
    firmware.unwrap_or(own).name()
}

/// The name of the program for a distribution that nothing tells.
fn is_kola() -> bool {
    Program::current() == Program::Kola
}
