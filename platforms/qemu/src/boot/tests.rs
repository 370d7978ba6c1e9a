//! Images that are made up: a GPT and an ext4 file system by `mke2fs -d`.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::*;
use crate::disk::{Backing, create_overlay};
use crate::gpt::testing::table;
use crate::image::Image;
use crate::tools;

const LINUX: [u8; 16] = [0xaf; 16];
const ENTRY: &str = "title X\nversion 1\noptions root=x $ignition_firstboot\nlinux /v\n";
const MIB: u64 = 1 << 20;

/// What a boot file system is made of.
struct Recipe<'a> {
    sector: usize,
    /// Name of the partition, and label of the file system.
    names: (&'a str, &'a str),
    /// The program that makes the file system, with its options.
    mkfs: &'a [&'a str],
    files: &'a [(&'a str, &'a str)],
    format: &'a str,
}

/// As Fedora CoreOS has it.
const COREOS: Recipe<'static> = Recipe {
    sector: 512,
    names: ("boot", "boot"),
    mkfs: &["mke2fs", "-q", "-t", "ext4", "-b", "1024"],
    files: &[
        ("loader.1/entries/ostree-1-fedora-coreos.conf", ENTRY),
        ("ignition.firstboot", ""),
        ("grub2/grub.cfg", "blscfg\n"),
        ("ostree/vmlinuz", "kernel"),
    ],
    format: "qcow2",
};

struct Made {
    dir: TempDir,
    image: Image,
}

fn run(program: &str, args: &[&str]) -> String {
    let found =
        tools::find(program, "").unwrap_or_else(|_| PathBuf::from(format!("/usr/sbin/{program}")));
    let output = Command::new(&found).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Recipe<'_> {
    /// A disk of 64 MiB whose second partition has the file system.
    fn make(&self) -> Made {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let tree = path("tree");
        fs::create_dir(&tree).unwrap();
        for (name, text) in self.files {
            fs::create_dir_all(tree.join(name).parent().unwrap()).unwrap();
            fs::write(tree.join(name), text).unwrap();
        }
        if tree.join("loader.1").exists() {
            symlink("loader.1", tree.join("loader")).unwrap();
        }
        let system = path("system");
        File::create(&system).unwrap().set_len(40 * MIB).unwrap();
        let mut args = self.mkfs[1..].to_vec();
        let (tree, file) = (tree.to_str().unwrap(), system.to_str().unwrap());
        if self.mkfs[0] == "mke2fs" {
            args.extend(["-L", self.names.1, "-d", tree]);
        }
        args.push(file);
        run(self.mkfs[0], &args);

        let sectors = |mib: u64| mib * MIB / self.sector as u64;
        let partitions = [
            ("EFI-SYSTEM", [1; 16], sectors(1), sectors(2) - 1),
            (self.names.0, LINUX, sectors(2), sectors(42) - 1),
        ];
        let raw = path("disk.raw");
        let disk = File::create(&raw).unwrap();
        disk.set_len(64 * MIB).unwrap();
        disk.write_all_at(&table(self.sector, &partitions), 0)
            .unwrap();
        disk.write_all_at(&fs::read(&system).unwrap(), 2 * MIB)
            .unwrap();
        let image = path("im,age");
        let (from, to) = (raw.to_str().unwrap(), image.to_str().unwrap());
        run("qemu-img", &["convert", "-O", self.format, from, to]);
        let image = Image {
            path: image,
            format: self.format.to_owned(),
            virtual_size: 64 * MIB,
            sector_size: None,
        };
        Made { dir, image }
    }
}

impl Made {
    async fn open(&self) -> Result<BootPartition, BootError> {
        let qemu_img = tools::find("qemu-img", "qemu-utils").unwrap();
        BootPartition::open(&self.image, &qemu_img, self.dir.path()).await
    }

    async fn refusal(&self) -> String {
        let error = self.open().await.unwrap_err();
        let message = error.to_string();
        let start = format!(
            "cannot set kernel arguments on image {}: ",
            self.image.path.display()
        );
        message.strip_prefix(&start).unwrap().to_owned()
    }

    /// Edits an overlay; returns the file system on it, which is sound.
    async fn edit(&self, edits: &Edits) -> Result<PathBuf, BootError> {
        let partition = self.open().await?;
        let overlay = self.dir.path().join("over,lay.qcow2");
        let qemu_img = tools::find("qemu-img", "qemu-utils").unwrap();
        let backing = Backing {
            path: &self.image.path,
            format: &self.image.format,
        };
        create_overlay(&qemu_img, backing, None, &overlay)
            .await
            .unwrap();
        partition.edit(edits, &overlay, self.dir.path()).await?;

        let overlay = overlay.to_str().unwrap();
        run("qemu-img", &["check", "-q", overlay]);
        let raw = self.dir.path().join("after.raw");
        run(
            "qemu-img",
            &["convert", "-O", "raw", overlay, raw.to_str().unwrap()],
        );
        let system = self.dir.path().join("after");
        let disk = fs::read(raw).unwrap();
        let (start, end) = (2 << 20, 42 << 20);
        fs::write(&system, &disk[start..end]).unwrap();
        run("e2fsck", &["-fn", system.to_str().unwrap()]);
        // Only what changed is in the overlay.
        assert!(fs::metadata(overlay).unwrap().len() < 2 * MIB);
        Ok(system)
    }
}

fn cat(system: &Path, path: &str) -> String {
    run(
        "debugfs",
        &["-R", &format!("cat {path}"), system.to_str().unwrap()],
    )
}

fn edits(always: Option<&str>, first_boot: Option<&str>) -> Edits {
    Edits {
        kernel_args: always.map(str::to_owned),
        firstboot_kernel_args: first_boot.map(str::to_owned),
        ignition: None,
    }
}

#[tokio::test]
async fn an_ostree_entry_and_the_stamp_get_their_arguments() {
    for (sector, format, mkfs) in [
        (512, "qcow2", COREOS.mkfs),
        (
            4096,
            "qcow2",
            &["mke2fs", "-q", "-t", "ext4", "-b", "4096"][..],
        ),
        (
            512,
            "raw",
            // As old releases have it.
            &["mke2fs", "-q", "-t", "ext4", "-O", "^metadata_csum,^64bit"][..],
        ),
    ] {
        let made = Recipe {
            sector,
            format,
            mkfs,
            ..COREOS
        }
        .make();
        let before = fs::read(&made.image.path).unwrap();
        let long = "a=b ".repeat(300);
        let edits = edits(Some(&format!("{long}quiet")), Some("rd.neednet=1"));
        let system = made.edit(&edits).await.unwrap();
        let entry = cat(&system, "/loader/entries/ostree-1-fedora-coreos.conf");
        assert_eq!(
            entry,
            ENTRY.replace("firstboot\n", &format!("firstboot {long}quiet\n"))
        );
        assert_eq!(
            cat(&system, "/ignition.firstboot"),
            "set ignition_network_kcmdline=\"rd.neednet=1\"\n"
        );
        assert_eq!(cat(&system, "/ostree/vmlinuz"), "kernel");
        assert!(before == fs::read(&made.image.path).unwrap());
        let left: Vec<_> = fs::read_dir(made.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("boot-"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test]
async fn owner_mode_and_label_stay() {
    let made = COREOS.make();
    let file = "/loader.1/entries/ostree-1-fedora-coreos.conf";
    let label = made.dir.path().join("label");
    fs::write(&label, b"system_u:object_r:boot_t:s0\0").unwrap();
    // In the image, as only root could have it in the tree.
    let raw = made.dir.path().join("disk.raw");
    let system = made.dir.path().join("system");
    for command in [
        format!("set_inode_field {file} mode 0100640"),
        format!("set_inode_field {file} uid 3"),
        format!("set_inode_field {file} gid 70000"),
        format!("ea_set -f {} {file} security.selinux", label.display()),
    ] {
        run("debugfs", &["-w", "-R", &command, system.to_str().unwrap()]);
    }
    let disk = File::options().write(true).open(&raw).unwrap();
    disk.write_all_at(&fs::read(&system).unwrap(), 2 * MIB)
        .unwrap();
    let image = made.image.path.to_str().unwrap();
    run(
        "qemu-img",
        &["convert", "-O", "qcow2", raw.to_str().unwrap(), image],
    );
    let system = made.edit(&edits(Some("a"), None)).await.unwrap();
    let stat = run(
        "debugfs",
        &["-R", &format!("stat {file}"), system.to_str().unwrap()],
    );
    for wanted in [
        "Mode:  0640",
        "User:     3   Group: 70000",
        "system_u:object_r:boot_t:s0\\000",
        "Links: 1",
    ] {
        assert!(stat.contains(wanted), "{wanted}: {stat}");
    }
}

#[tokio::test]
async fn a_grub_configuration_with_one_kernel_will_do_and_the_label_too() {
    let made = Recipe {
        names: ("", "boot"),
        files: &[("grub2/grub.cfg", "linux /v $ignition_firstboot\nboot\n")],
        ..COREOS
    }
    .make();
    let system = made.edit(&edits(Some("a b"), None)).await.unwrap();
    assert_eq!(
        cat(&system, "/grub2/grub.cfg"),
        "linux /v $ignition_firstboot a b\nboot\n"
    );
    let error = made.edit(&edits(None, Some("a"))).await.unwrap_err();
    assert!(
        error.to_string().contains("has no ignition.firstboot"),
        "{error}"
    );
}

#[tokio::test]
async fn a_config_for_ignition_is_put_in_its_place() {
    let made = COREOS.make();
    let edits = Edits {
        ignition: Some("{}".to_owned()),
        ..edits(Some("a"), None)
    };
    let system = made.edit(&edits).await.unwrap();
    assert_eq!(cat(&system, "/ignition/config.ign"), "{}");
}

#[tokio::test]
async fn an_unknown_layout_is_told_with_what_was_found() {
    let other = Recipe {
        names: ("root", "root"),
        ..COREOS
    };
    assert_eq!(
        other.make().refusal().await,
        "no partition is called boot, and no ext4 file system has that label; partitions found: 1 EFI-SYSTEM, 2 root"
    );
    let two = Recipe {
        files: &[
            ("loader.1/entries/ostree-1-a.conf", ENTRY),
            ("loader.1/entries/ostree-2-a.conf", ENTRY),
        ],
        ..COREOS
    };
    assert_eq!(
        two.make().refusal().await,
        "exactly one entry /loader/entries/ostree*.conf is expected, and 2 were found there; it has: ostree-1-a.conf, ostree-2-a.conf"
    );
    let none = Recipe {
        files: &[("loader.1/entries/0123-6.1.conf", ENTRY)],
        ..COREOS
    };
    assert!(none.make().refusal().await.contains("and 0 were found"));
    let empty = Recipe {
        files: &[("EFI/x", "")],
        ..COREOS
    };
    assert_eq!(
        empty.make().refusal().await,
        "its boot file system has neither /loader/entries/ostree*.conf nor /grub2/grub.cfg; it has: lost+found, EFI"
    );
    let menu = Recipe {
        files: &[("grub/grub.cfg", "linux a\nlinux b\n")],
        ..COREOS
    };
    assert_eq!(
        menu.make().refusal().await,
        "/grub/grub.cfg is not understood: it has 2 `linux` commands, and one is expected"
    );
    let fat = Recipe {
        mkfs: &["mkfs.vfat"],
        ..COREOS
    };
    assert_eq!(
        fat.make().refusal().await,
        "partition 2 boot is FAT; only ext4 can be changed"
    );
}

#[tokio::test]
async fn an_image_without_a_gpt_or_with_an_unclean_file_system_is_refused() {
    let made = COREOS.make();
    fs::write(&made.image.path, vec![0; 1 << 20]).unwrap();
    let image = Image {
        format: "raw".to_owned(),
        virtual_size: MIB,
        sector_size: None,
        path: made.image.path.clone(),
    };
    let made = Made { image, ..made };
    assert_eq!(
        made.refusal().await,
        "it has no GPT; expected is one with an ext4 partition called boot"
    );
    let made = Recipe {
        format: "raw",
        ..COREOS
    }
    .make();
    let disk = File::options().write(true).open(&made.image.path).unwrap();
    disk.write_all_at(&[0xc6], 2 * MIB + 1024 + 0x60).unwrap();
    let refusal = made.refusal().await;
    assert!(refusal.contains("not unmounted cleanly"), "{refusal}");
}

#[test]
fn arguments_of_run_and_test_add_up() {
    assert_eq!(joined(None, None), None);
    assert_eq!(joined(Some(" "), None), None);
    assert_eq!(joined(Some("a"), Some("b c")).as_deref(), Some("a b c"));
}
