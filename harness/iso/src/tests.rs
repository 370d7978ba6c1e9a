//! Embedding and inspection on whole images, made by [`crate::sample`].

use std::path::Path;

use super::*;
use crate::sample::{IGNITION_SIZE, KARGS, KARGS_SIZE, Sample};

const CONFIG: &[u8] = br#"{"ignition":{"version":"3.3.0"}}"#;

fn directories() -> Vec<String> {
    vec!["coreos".to_owned(), "nestos".to_owned()]
}

fn request() -> EmbedRequest {
    EmbedRequest {
        directories: directories(),
        ..EmbedRequest::default()
    }
}

fn embed_config(config: &[u8], replace: bool) -> EmbedRequest {
    EmbedRequest {
        ignition: Some(IgnitionChange::Embed {
            config: config.to_vec(),
            replace,
        }),
        ..request()
    }
}

fn append(kargs: &str) -> EmbedRequest {
    EmbedRequest {
        kargs: Some(KargsChange::Edit(KargsEdit {
            append: vec![kargs.to_owned()],
            ..KargsEdit::default()
        })),
        ..request()
    }
}

fn iso_in(dir: &Path, sample: &Sample) -> std::path::PathBuf {
    let path = dir.join("sample.iso");
    std::fs::write(&path, sample.build()).unwrap();
    path
}

fn config_in(path: &Path) -> Option<Vec<u8>> {
    let iso = Iso::open(path).unwrap();
    let area = IgnitionArea::find(&iso, &directories()).unwrap();
    let (archive, _) = area.read(&iso).unwrap();
    IgnitionArea::config(&archive).map(<[u8]>::to_vec)
}

fn kargs_in(path: &Path) -> String {
    let iso = Iso::open(path).unwrap();
    KargsArea::find(&iso, &directories()).unwrap().current
}

/// Where two images differ: the first place, and the one behind the last.
fn difference(one: &[u8], other: &[u8]) -> Option<(usize, usize)> {
    assert_eq!(one.len(), other.len());
    let differs = |at: &usize| one[*at] != other[*at];
    let first = (0..one.len()).find(differs)?;
    let last = (0..one.len()).rfind(differs)?;
    Some((first, last + 1))
}

#[test]
fn a_config_is_embedded_shown_replaced_and_removed() {
    for (directory, rock_ridge) in [("coreos", true), ("coreos", false), ("nestos", false)] {
        let dir = tempfile::tempdir().unwrap();
        let mut sample = Sample::live(directory);
        sample.rock_ridge = rock_ridge;
        let iso = iso_in(dir.path(), &sample);
        let before = std::fs::read(&iso).unwrap();
        let out = dir.path().join("out.iso");

        let embedded = embed(&iso, &out, &embed_config(CONFIG, false)).unwrap();
        let usage = embedded.ignition.unwrap();
        assert_eq!(usage.size, IGNITION_SIZE);
        assert_eq!(
            std::fs::read(&iso).unwrap(),
            before,
            "the original is as it was"
        );
        assert_eq!(config_in(&out).unwrap(), CONFIG);
        let after = std::fs::read(&out).unwrap();
        let area = IgnitionArea::find(&Iso::open(&out).unwrap(), &directories()).unwrap();
        let (first, end) = difference(&before, &after).unwrap();
        assert_eq!(
            (first as u64, end as u64),
            (area.offset, area.offset + usage.used as u64)
        );

        let error = embed_in_place(&out, &embed_config(b"{}", false)).unwrap_err();
        assert!(matches!(error, IsoError::AlreadyEmbedded));
        embed_in_place(&out, &embed_config(b"{}", true)).unwrap();
        assert_eq!(config_in(&out).unwrap(), b"{}");

        let remove = EmbedRequest {
            ignition: Some(IgnitionChange::Remove),
            ..request()
        };
        for _ in 0..2 {
            embed_in_place(&out, &remove).unwrap();
            assert_eq!(difference(&before, &std::fs::read(&out).unwrap()), None);
        }
    }
}

fn embed_keyfiles(names: &[&str], replace: bool) -> EmbedRequest {
    let keyfiles = names
        .iter()
        .map(|name| (name.to_string(), format!("id={name}\n").into_bytes()));
    EmbedRequest {
        network: Some(NetworkChange::Embed {
            keyfiles: keyfiles.collect(),
            replace,
        }),
        ..request()
    }
}

/// All files in the embed area.
fn files_in(path: &Path) -> Vec<String> {
    let iso = Iso::open(path).unwrap();
    let area = IgnitionArea::find(&iso, &directories()).unwrap();
    area.read(&iso).unwrap().0.files.into_keys().collect()
}

#[test]
fn keyfiles_and_a_config_leave_each_other_alone() {
    let dir = tempfile::tempdir().unwrap();
    let iso = iso_in(dir.path(), &Sample::live("nestos"));
    let before = std::fs::read(&iso).unwrap();
    let remove_keyfiles = EmbedRequest {
        network: Some(NetworkChange::Remove),
        ..request()
    };
    let remove_config = EmbedRequest {
        ignition: Some(IgnitionChange::Remove),
        ..request()
    };

    embed_in_place(&iso, &embed_keyfiles(&["b", "a"], false)).unwrap();
    embed_in_place(&iso, &embed_config(CONFIG, false)).unwrap();
    let (a, b, c) = (
        "etc/coreos-firstboot-network/a",
        "etc/coreos-firstboot-network/b",
        "etc/coreos-firstboot-network/c",
    );
    assert_eq!(files_in(&iso), ["config.ign", a, b]);
    let error = embed_in_place(&iso, &embed_keyfiles(&["c"], false)).unwrap_err();
    assert!(matches!(error, IsoError::NetworkAlreadyEmbedded), "{error}");
    embed_in_place(&iso, &embed_keyfiles(&["c"], true)).unwrap();
    assert_eq!(files_in(&iso), ["config.ign", c]);
    let image = Iso::open(&iso).unwrap();
    let area = IgnitionArea::find(&image, &directories()).unwrap();
    let (archive, _) = area.read(&image).unwrap();
    assert_eq!(keyfiles(&archive), [("c", &b"id=c\n"[..])].into());
    embed_in_place(&iso, &remove_config).unwrap();
    assert_eq!(files_in(&iso), [c]);
    for _ in 0..2 {
        embed_in_place(&iso, &remove_keyfiles).unwrap();
        assert_eq!(difference(&before, &std::fs::read(&iso).unwrap()), None);
    }

    // Both at once are the same as one after the other.
    let both = EmbedRequest {
        ignition: embed_config(CONFIG, false).ignition,
        ..embed_keyfiles(&["a"], false)
    };
    let mut at_once = Vec::new();
    embed_to_writer(&iso, &mut at_once, &both).unwrap();
    embed_in_place(&iso, &embed_keyfiles(&["a"], false)).unwrap();
    embed_in_place(&iso, &embed_config(CONFIG, false)).unwrap();
    assert!(at_once == std::fs::read(&iso).unwrap());
    embed_in_place(&iso, &remove_keyfiles).unwrap();
    assert_eq!(files_in(&iso), ["config.ign"]);
}

#[test]
fn keyfiles_need_an_initramfs_that_takes_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut sample = Sample::live("coreos");
    let refused = |sample: &Sample, expected: &str| {
        let iso = iso_in(dir.path(), sample);
        let error = embed_in_place(&iso, &embed_keyfiles(&["a"], false)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(files_in(&iso), [""; 0]);
    };
    sample.file("/coreos/features.json", r#"{"live-initrd-network": 1}"#);
    refused(&sample, "/coreos/features.json: invalid type");
    sample.file("/coreos/features.json", "{}");
    refused(&sample, "(/coreos/features.json does not have it)");
    sample.files.remove("/coreos/features.json");
    refused(
        &sample,
        "(no /coreos/features.json, no /nestos/features.json)",
    );
    let iso = iso_in(dir.path(), &Sample::live("coreos"));
    let error = embed_in_place(&iso, &embed_keyfiles(&["../a"], false)).unwrap_err();
    assert!(matches!(error, IsoError::KeyfileName(_)), "{error}");
    assert_eq!(files_in(&iso), [""; 0]);
}

#[test]
fn kernel_arguments_are_changed_in_all_places_and_reset() {
    let dir = tempfile::tempdir().unwrap();
    let iso = iso_in(dir.path(), &Sample::live("coreos"));
    let before = std::fs::read(&iso).unwrap();
    let embedded = embed_in_place(&iso, &append("console=ttyS0")).unwrap();
    let expected = format!("{KARGS} console=ttyS0");
    assert_eq!(embedded.kargs.unwrap().kargs, expected);
    assert_eq!(kargs_in(&iso), expected);
    let text = String::from_utf8_lossy(&std::fs::read(&iso).unwrap()).into_owned();
    assert_eq!(text.matches(&format!("{expected}\n#")).count(), 2);

    let both = EmbedRequest {
        ignition: embed_config(CONFIG, false).ignition,
        ..append("a=b")
    };
    let mut piped = Vec::new();
    embed_to_writer(&iso, &mut piped, &both).unwrap();
    embed_in_place(&iso, &both).unwrap();
    assert!(piped == std::fs::read(&iso).unwrap());

    let reset = EmbedRequest {
        ignition: Some(IgnitionChange::Remove),
        kargs: Some(KargsChange::Reset),
        ..request()
    };
    embed_in_place(&iso, &reset).unwrap();
    assert_eq!(difference(&before, &std::fs::read(&iso).unwrap()), None);
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let iso = iso_in(dir.path(), &Sample::live("coreos"));
    let before = std::fs::read(&iso).unwrap();
    // Numbers that xz can make no less of.
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(2 * IGNITION_SIZE)
    .collect();
    let error = embed_in_place(&iso, &embed_config(&noise, false)).unwrap_err();
    let IsoError::IgnitionTooLarge { needed, size } = error else {
        panic!("{error}");
    };
    assert_eq!(size, IGNITION_SIZE);
    assert!(needed > 2 * IGNITION_SIZE, "{needed}");

    // Each would fit without the other.
    let half = noise[..IGNITION_SIZE / 2 + 100].to_vec();
    let keyfiles = |contents: &Vec<u8>| NetworkChange::Embed {
        keyfiles: [("a".to_owned(), contents.clone())].into(),
        replace: false,
    };
    let both = EmbedRequest {
        network: Some(keyfiles(&half)),
        ..embed_config(&noise[IGNITION_SIZE..][..half.len()], false)
    };
    let error = embed_in_place(&iso, &both).unwrap_err();
    assert!(
        matches!(error, IsoError::IgnitionTooLarge { .. }),
        "{error}"
    );

    let most = "x".repeat(KARGS_SIZE - KARGS.len() - 2);
    let error = embed_in_place(&iso, &append(&format!("{most}y"))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the kernel arguments do not fit: they take 513 bytes, and the embed areas have 512"
    );
    let out = dir.path().join("out.iso");
    embed(&iso, &out, &append(&format!("{most}y"))).unwrap_err();
    embed(&iso, &iso, &append("a")).unwrap_err();
    embed(&iso, &dir.path().join("nowhere/out.iso"), &append("a")).unwrap_err();
    assert_eq!(difference(&before, &std::fs::read(&iso).unwrap()), None);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);

    embed(&iso, &out, &append(&most)).unwrap();
    assert_eq!(kargs_in(&out), format!("{KARGS} {most}"));
}

#[test]
fn the_boot_catalog_is_hidden() {
    let dir = tempfile::tempdir().unwrap();
    let iso = iso_in(dir.path(), &Sample::live("coreos"));
    let hide = EmbedRequest {
        hide_el_torito: true,
        ..request()
    };
    embed_in_place(&iso, &hide).unwrap();
    assert_eq!(std::fs::read(&iso).unwrap()[34823..][..9], *b"NO TORITO");
    let error = embed_in_place(&iso, &hide).unwrap_err();
    assert!(matches!(error, IsoError::NoElTorito));
}

#[test]
fn images_without_areas_say_what_was_looked_for() {
    let mut plain = Sample::default();
    plain.file("/README", "nothing");
    let dir = tempfile::tempdir().unwrap();
    let iso = iso_in(dir.path(), &plain);
    let error = embed_in_place(&iso, &embed_config(CONFIG, false)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the image has no embed area for an Ignition config (neither /coreos/igninfo.json nor /nestos/igninfo.json nor \
         /images/ignition.img); only live ISOs of CoreOS's kind have one"
    );
    let error = embed_in_place(&iso, &append("a")).unwrap_err();
    assert!(matches!(error, IsoError::NoKargsArea { .. }), "{error}");
    let inspection = inspect(&Iso::open(&iso).unwrap(), &directories()).unwrap();
    assert_eq!(inspection.ignition, None);
    assert_eq!(inspection.kargs, None);
    assert_eq!(inspection.problems, [""; 0]);
}

#[test]
fn areas_are_found_by_the_headers_of_old_images() {
    let mut sample = Sample::live("coreos");
    sample.files.remove("/coreos/igninfo.json");
    sample.files.remove("/coreos/kargs.json");
    let area = sample.files.remove("/images/ignition.img").unwrap();
    sample.file("/elsewhere", area);
    let defaults = format!("{KARGS}\n{}", "#".repeat(KARGS_SIZE));
    sample.file("/defaults", defaults);
    let mut image = sample.build();
    let iso = Iso::new(image.clone()).unwrap();
    let offset = |path: &str, text: &str| {
        let file = iso.file(path).unwrap();
        let contents = iso.contents(&file, 1 << 20).unwrap();
        let at = contents
            .windows(text.len())
            .position(|bytes| bytes == text.as_bytes());
        file.offset + at.unwrap() as u64
    };
    let elsewhere = iso.file("/elsewhere").unwrap();
    let mut header = b"coreKarg".to_vec();
    for number in [
        KARGS_SIZE as u64,
        offset("/defaults", KARGS),
        offset("/EFI/sample/grub.cfg", KARGS),
        offset("/isolinux/isolinux.cfg", KARGS),
        0,
        0,
        0,
        0,
    ] {
        header.extend(number.to_le_bytes());
    }
    header.extend(b"coreiso+");
    header.extend(elsewhere.offset.to_le_bytes());
    header.extend(elsewhere.size.to_le_bytes());
    assert_eq!(header.len(), 72 + 24);
    image[32768 - header.len()..][..header.len()].copy_from_slice(&header);

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("old.iso");
    std::fs::write(&path, &image).unwrap();
    let both = EmbedRequest {
        ignition: embed_config(CONFIG, false).ignition,
        ..append("a=b")
    };
    embed_in_place(&path, &both).unwrap();
    assert_eq!(config_in(&path).unwrap(), CONFIG);
    assert_eq!(kargs_in(&path), format!("{KARGS} a=b"));
}

#[test]
fn infos_that_make_no_sense_are_errors_of_one_line() {
    let cases = [
        ("igninfo.json", "{", "EOF"),
        ("igninfo.json", "[]", "igninfo.json"),
        (
            "igninfo.json",
            r#"{"file": "images/nothing"}"#,
            "there is no file /images/nothing",
        ),
        ("igninfo.json", r#"{"file": "images"}"#, "there is no file"),
        (
            "igninfo.json",
            r#"{"file": "images/ignition.img", "offset": 9000}"#,
            "offset 9000 is beyond the end",
        ),
        (
            "igninfo.json",
            r#"{"file": "images/ignition.img", "offset": 18446744073709551615}"#,
            "beyond the end",
        ),
        (
            "igninfo.json",
            r#"{"file": "images/ignition.img", "length": 18446744073709551615}"#,
            "cannot have",
        ),
        ("kargs.json", "[]", "kargs.json"),
        (
            "kargs.json",
            r#"{"default": "", "files": [], "size": 9}"#,
            "0 files",
        ),
        (
            "kargs.json",
            r#"{"default": "", "files": [], "size": 9999}"#,
            "9999",
        ),
        (
            "kargs.json",
            r#"{"default": "abc", "files": [], "size": 2}"#,
            "`default`",
        ),
        (
            "kargs.json",
            r#"{"default": "", "files": [{"path": "no", "offset": 0}], "size": 9}"#,
            "there is no file /no",
        ),
        (
            "kargs.json",
            r#"{"default": "", "files": [{"path": "isolinux/isolinux.cfg", "offset": 18446744073709551615}], "size": 9}"#,
            "offset",
        ),
        (
            "kargs.json",
            r#"{"default": "", "files": [{"path": "isolinux/isolinux.cfg", "offset": 99999999999}], "size": 9}"#,
            "beyond the end",
        ),
        (
            "kargs.json",
            r#"{"default": "", "files": [{"path": "isolinux/isolinux.cfg", "offset": 0, "pad": "é"}], "size": 9}"#,
            "ASCII",
        ),
        (
            "kargs.json",
            r#"{"default": "", "files": [{"path": "isolinux/isolinux.cfg", "offset": 0}, {"path": "EFI/sample/grub.cfg", "offset": 0}], "size": 9}"#,
            "elsewhere",
        ),
    ];
    for (name, json, expected) in cases {
        let mut sample = Sample::live("coreos");
        sample.file(&format!("/coreos/{name}"), json);
        let iso = Iso::new(sample.build()).unwrap();
        let error = if name == "igninfo.json" {
            IgnitionArea::find(&iso, &directories()).unwrap_err()
        } else {
            KargsArea::find(&iso, &directories()).unwrap_err()
        };
        let error = error.to_string();
        assert!(error.contains(expected), "{json}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        let inspection = inspect(&iso, &directories()).unwrap();
        assert_eq!(inspection.problems, [error]);
    }
}

#[test]
fn other_files_are_no_images() {
    for (bytes, expected) in [
        (Vec::new(), "no primary volume descriptor"),
        (vec![0; 64 << 10], "no primary volume descriptor"),
        (
            Sample::live("coreos").build()[..50_000].to_vec(),
            "incomplete",
        ),
    ] {
        let error = Iso::new(bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let error = Iso::open(Path::new("/nowhere")).unwrap_err().to_string();
    assert!(error.starts_with("cannot open /nowhere: "), "{error}");
}

#[test]
fn an_inspection_tells_all() {
    let dir = tempfile::tempdir().unwrap();
    let mut sample = Sample::live("coreos");
    sample.file("/coreos/miniso.dat", b"MINISO\0\0\x01\x060.12.0".to_vec());
    sample.file(
        "/.treeinfo",
        "[header]\nversion = 1.2\n[general]\nfamily = F\nname = Sample Linux\nversion=7\narch = x86_64\n",
    );
    let iso = iso_in(dir.path(), &sample);
    embed_in_place(&iso, &embed_config(CONFIG, false)).unwrap();
    let inspection = inspect(&Iso::open(&iso).unwrap(), &directories()).unwrap();
    assert_eq!(inspection.problems, [""; 0]);
    assert_eq!(inspection.volume.label, "fedora-coreos-0.sample");
    let os = &inspection.os;
    assert_eq!(os.title.as_deref(), Some("Sample (Live)"));
    assert_eq!(os.architecture.as_deref(), Some("x86_64"));
    assert_eq!(os.directory.as_deref(), Some("coreos"));
    let treeinfo = os.treeinfo.clone().unwrap();
    assert_eq!(
        (treeinfo.name.as_str(), treeinfo.version.as_str()),
        ("Sample Linux", "7")
    );
    let boot: Vec<_> = inspection
        .boot_catalog
        .iter()
        .flat_map(|catalog| &catalog.entries)
        .map(|entry| (entry.platform.as_str(), entry.file.as_deref().unwrap()))
        .collect();
    assert_eq!(
        boot,
        [
            ("BIOS", "/isolinux/isolinux.bin"),
            ("UEFI", "/images/efiboot.img")
        ]
    );
    let path = |file: &Option<BootFile>| file.clone().unwrap().path;
    assert_eq!(path(&inspection.kernel), "/images/pxeboot/vmlinuz");
    assert_eq!(path(&inspection.initramfs), "/images/pxeboot/initrd.img");
    assert_eq!(path(&inspection.rootfs), "/images/pxeboot/rootfs.img");
    let ignition = inspection.ignition.unwrap();
    assert_eq!(ignition.file.as_deref(), Some("/images/ignition.img"));
    assert_eq!(ignition.config, Some(CONFIG.len()));
    assert!(ignition.usage.used > 0 && ignition.usage.size == IGNITION_SIZE);
    let kargs = inspection.kargs.unwrap();
    assert_eq!(
        (kargs.current.as_str(), kargs.default.as_str()),
        (KARGS, KARGS)
    );
    assert_eq!(kargs.places.len(), 2);
    assert_eq!(inspection.menu.len(), 2);
    assert_eq!(inspection.miniso.unwrap().packed_by, "0.12.0");
    assert_eq!(inspection.features.unwrap()["installer-config"], true);
}

#[test]
fn a_directory_within_itself_comes_to_an_end() {
    let mut sample = Sample::default();
    sample.file("/a/b/c", "x");
    let mut image = sample.build();
    let iso = Iso::new(image.clone()).unwrap();
    let (a, b) = (
        iso.find("/a").unwrap().unwrap(),
        iso.find("/a/b").unwrap().unwrap(),
    );
    // The record of b in a: its extent becomes a's.
    let record = image[a.offset as usize..][..2048]
        .windows(4)
        .position(|bytes| bytes == ((b.offset / 2048) as u32).to_le_bytes())
        .unwrap();
    let at = a.offset as usize + record;
    image[at..at + 4].copy_from_slice(&((a.offset / 2048) as u32).to_le_bytes());
    let walked = Iso::new(image).unwrap().walk().unwrap();
    assert_eq!(walked.len(), 2, "{walked:?}");
}
