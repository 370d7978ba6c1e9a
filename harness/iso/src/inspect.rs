//! What an image is: everything that can be told without booting it.

use serde::Serialize;
use serde_json::Value;

use crate::bootloader::{self, MenuEntry};
use crate::directory::Entry;
use crate::el_torito::BootCatalog;
use crate::error::IsoError;
use crate::ignition::{IgnitionArea, MAX_INFO, Usage};
use crate::kargs::{KargsArea, KargsPlace};
use crate::kernel;
use crate::miniso::{self, Miniso};
use crate::partitions::Partitions;
use crate::volume::{Iso, Volume};

/// Directories that have a `grub.cfg`, besides those below /EFI.
const GRUB: &[&str] = &["/boot/grub", "/boot/grub2", "/grub", "/grub2"];
const SYSLINUX: &[&str] = &[
    "/isolinux/isolinux.cfg",
    "/syslinux/isolinux.cfg",
    "/boot/isolinux/isolinux.cfg",
    "/isolinux.cfg",
];
/// Where kernel and initramfs are if no boot loader says so, as on s390x.
const KERNELS: &[&str] = &["/images/pxeboot/kernel.img", "/images/pxeboot/vmlinuz"];
const INITRAMFS: &str = "/images/pxeboot/initrd.img";
/// The root file system of live images: CoreOS's, Fedora's, Debian's; and the installer's of Fedora's kin.
const ROOTFS: &[&str] = &[
    "/images/pxeboot/rootfs.img",
    "/LiveOS/squashfs.img",
    "/LiveOS/rootfs.img",
    "/live/filesystem.squashfs",
    "/images/install.img",
];
/// Files that only images for s390x have.
const S390X: &[&str] = &["/generic.ins", "/images/redhat.exec"];

/// What an image is.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The size of the file, in bytes.
    pub size: u64,
    /// The volume.
    pub volume: Volume,
    /// Whether it has names for Windows.
    pub joliet: bool,
    /// The operating system.
    pub os: OsReport,
    /// The boot catalog.
    pub boot_catalog: Option<BootCatalog>,
    /// The partition tables.
    pub partitions: Partitions,
    /// The boot menus.
    pub menu: Vec<MenuEntry>,
    /// The kernel.
    pub kernel: Option<BootFile>,
    /// The initramfs, without the one that is for the Ignition config.
    pub initramfs: Option<BootFile>,
    /// The root file system.
    pub rootfs: Option<BootFile>,
    /// The embed area for an Ignition config.
    pub ignition: Option<IgnitionReport>,
    /// The embed areas for kernel arguments.
    pub kargs: Option<KargsReport>,
    /// What the image says it can do, by `features.json`.
    pub features: Option<Value>,
    /// What a minimal ISO is made from.
    pub miniso: Option<Miniso>,
    /// What could not be told, and why.
    pub problems: Vec<String>,
}

/// The operating system of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OsReport {
    /// What the boot menu shows first.
    pub title: Option<String>,
    /// Its architecture by its RPM name, as the kernel says.
    pub architecture: Option<String>,
    /// The directory in the root that tells live images of CoreOS's kind, such as `coreos`.
    pub directory: Option<String>,
    /// What `.treeinfo` says.
    pub treeinfo: Option<TreeInfo>,
}

/// `.treeinfo` of Fedora's kin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TreeInfo {
    /// The name of the product.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture.
    pub arch: String,
}

/// A file that is booted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BootFile {
    /// Its path in the image.
    pub path: String,
    /// Its size, in bytes.
    pub size: u64,
}

/// The embed area for an Ignition config.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IgnitionReport {
    /// The file that has it.
    pub file: Option<String>,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How full it is.
    #[serde(flatten)]
    pub usage: Usage,
    /// The size of the config in it, in bytes; none if there is none.
    pub config: Option<usize>,
    /// Paths of the other files in it, such as network settings.
    pub others: Vec<String>,
}

/// The embed areas for kernel arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KargsReport {
    /// The arguments.
    pub current: String,
    /// Those that the image was built with.
    pub default: String,
    /// How full each area is.
    #[serde(flatten)]
    pub usage: Usage,
    /// Where they are.
    pub places: Vec<KargsPlace>,
}

/// Tells what an image is. `directories` are those of the root that may have `igninfo.json` and its like, such as `coreos`.
///
/// # Errors
/// Its directories can't be read. What else is wrong is among [`Inspection::problems`].
pub fn inspect(iso: &Iso, directories: &[String]) -> Result<Inspection, IsoError> {
    let files = iso.walk()?;
    let mut problems = Vec::new();
    let mut or_problem = Problems(&mut problems);

    let mut boot_catalog = or_problem.ask(iso.boot_catalog()).flatten();
    for entry in boot_catalog
        .iter_mut()
        .flat_map(|catalog| &mut catalog.entries)
    {
        let file = files
            .iter()
            .find(|file| !file.is_dir && file.size > 0 && file.offset == entry.offset);
        entry.file = file.map(|file| file.path.clone());
    }
    let partitions = or_problem.ask(iso.partitions()).unwrap_or_default();
    let menu = menu(iso, &files, &mut or_problem);
    let ignition = or_problem.ask(ignition(iso, directories)).flatten();
    let kargs = or_problem.ask(kargs(iso, directories)).flatten();
    let (kernel, initramfs) = boot_files(iso, &menu, ignition.as_ref(), &mut or_problem);
    let directory = directories
        .iter()
        .find(|name| matches!(iso.find(name), Ok(Some(entry)) if entry.is_dir));
    let os = OsReport {
        title: menu
            .iter()
            .map(|entry| entry.title.clone())
            .find(|title| !title.is_empty()),
        architecture: architecture(iso, kernel.as_ref(), &mut or_problem),
        directory: directory.cloned(),
        treeinfo: treeinfo(iso, &mut or_problem),
    };
    let in_directory = |name: &str| {
        let path = format!("/{}/{name}", directory?);
        iso.find(&path).ok()?.filter(|entry| !entry.is_dir)
    };
    let features = in_directory("features.json").and_then(|entry| {
        let json = or_problem.ask(iso.contents(&entry, MAX_INFO))?;
        let parsed = serde_json::from_slice(&json);
        or_problem.ask(parsed.map_err(|error| IsoError::damaged(&entry.path, error.to_string())))
    });
    let miniso = in_directory("miniso.dat").and_then(|entry| {
        let head = iso.read(&entry.path, entry.offset, entry.size.min(miniso::HEAD));
        Miniso::parse(&or_problem.ask(head)?)
    });
    let rootfs = ROOTFS.iter().find_map(|path| boot_file(iso, path));
    Ok(Inspection {
        size: iso.size(),
        volume: iso.volume().clone(),
        joliet: iso.has_joliet(),
        os,
        boot_catalog,
        partitions,
        menu,
        kernel,
        initramfs,
        rootfs,
        ignition,
        kargs,
        features,
        miniso,
        problems,
    })
}

/// Where answers go that are errors.
struct Problems<'a>(&'a mut Vec<String>);

impl Problems<'_> {
    fn ask<T>(&mut self, answer: Result<T, IsoError>) -> Option<T> {
        answer.map_err(|error| self.0.push(error.to_string())).ok()
    }
}

fn text(iso: &Iso, entry: &Entry) -> Result<String, IsoError> {
    let bytes = iso.contents(entry, MAX_INFO)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn menu(iso: &Iso, files: &[Entry], problems: &mut Problems<'_>) -> Vec<MenuEntry> {
    let mut menu = Vec::new();
    for file in files.iter().filter(|file| !file.is_dir) {
        let is = |known: &&str| known.eq_ignore_ascii_case(&file.path);
        let (directory, name) = file.path.rsplit_once('/').unwrap_or_default();
        let grub_directory = GRUB
            .iter()
            .any(|known| known.eq_ignore_ascii_case(directory))
            || directory.to_ascii_uppercase().starts_with("/EFI/");
        if name.eq_ignore_ascii_case("grub.cfg") && grub_directory {
            let text = problems.ask(text(iso, file)).unwrap_or_default();
            menu.extend(bootloader::grub(&file.path, &text));
        } else if SYSLINUX.iter().any(is) {
            let text = problems.ask(text(iso, file)).unwrap_or_default();
            menu.extend(bootloader::syslinux(&file.path, &text));
        }
    }
    menu
}

fn boot_file(iso: &Iso, path: &str) -> Option<BootFile> {
    let entry = iso.find(path).ok()??;
    (!entry.is_dir).then_some(BootFile {
        path: entry.path,
        size: entry.size,
    })
}

/// Kernel and initramfs of the first entry of the menus whose kernel is there, or where they are used to be.
fn boot_files(
    iso: &Iso,
    menu: &[MenuEntry],
    ignition: Option<&IgnitionReport>,
    problems: &mut Problems<'_>,
) -> (Option<BootFile>, Option<BootFile>) {
    for entry in menu {
        let Some(kernel) = boot_file(iso, &entry.kernel) else {
            problems.0.push(format!(
                "{} boots {}, which is not in the image",
                entry.config, entry.kernel
            ));
            continue;
        };
        let area = ignition.and_then(|area| area.file.as_deref());
        let mut initrds = entry.initrds.iter().filter_map(|path| boot_file(iso, path));
        let initramfs = initrds.find(|file| Some(file.path.as_str()) != area);
        return (Some(kernel), initramfs);
    }
    (
        KERNELS.iter().find_map(|path| boot_file(iso, path)),
        boot_file(iso, INITRAMFS),
    )
}

fn architecture(
    iso: &Iso,
    kernel: Option<&BootFile>,
    problems: &mut Problems<'_>,
) -> Option<String> {
    if S390X.iter().any(|path| boot_file(iso, path).is_some()) {
        return Some("s390x".to_owned());
    }
    let file = problems.ask(iso.file(&kernel?.path))?;
    let head = iso.read(&file.path, file.offset, file.size.min(kernel::HEAD));
    kernel::architecture(&problems.ask(head)?).map(str::to_owned)
}

fn treeinfo(iso: &Iso, problems: &mut Problems<'_>) -> Option<TreeInfo> {
    let entry = iso.find("/.treeinfo").ok()??;
    let text = problems.ask(text(iso, &entry))?;
    let mut info = TreeInfo::default();
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        }
        let Some((key, value)) = line.split_once('=').filter(|_| section == "general") else {
            continue;
        };
        let value = value.trim().replace(|c: char| c.is_control(), "_");
        match key.trim() {
            // Older ones have a family only.
            "family" if info.name.is_empty() => info.name = value,
            "name" => info.name = value,
            "version" => info.version = value,
            "arch" => info.arch = value,
            _ => {}
        }
    }
    Some(info)
}

fn ignition(iso: &Iso, directories: &[String]) -> Result<Option<IgnitionReport>, IsoError> {
    let area = match IgnitionArea::find(iso, directories) {
        Err(IsoError::NoIgnitionArea { .. }) => return Ok(None),
        area => area?,
    };
    let (archive, usage) = area.read(iso)?;
    Ok(Some(IgnitionReport {
        config: IgnitionArea::config(&archive).map(<[u8]>::len),
        others: archive.other_paths(),
        file: area.file,
        offset: area.offset,
        usage,
    }))
}

fn kargs(iso: &Iso, directories: &[String]) -> Result<Option<KargsReport>, IsoError> {
    let area = match KargsArea::find(iso, directories) {
        Err(IsoError::NoKargsArea { .. }) => return Ok(None),
        area => area?,
    };
    Ok(Some(KargsReport {
        usage: Usage {
            used: area.current.len() + 1,
            size: area.size,
        },
        current: area.current,
        default: area.default,
        places: area.places,
    }))
}
