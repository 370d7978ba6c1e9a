//! What holds for every image, however damaged, and for every config and argument.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use kolea_iso::sample::Sample;
use kolea_iso::{Archive, IgnitionArea, Iso, KargsArea, KargsEdit, inspect};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

fn directories() -> Vec<String> {
    vec!["coreos".to_owned(), "nestos".to_owned()]
}

/// Looks at all of an image. What is found must be consistent.
fn look_at(image: Vec<u8>) {
    let Ok(iso) = Iso::new(image) else { return };
    if let Ok(inspection) = inspect(&iso, &directories()) {
        for problem in &inspection.problems {
            assert_eq!(problem.lines().count(), 1, "{problem:?}");
        }
    }
    if let Ok(area) = IgnitionArea::find(&iso, &directories())
        && let Ok((archive, _)) = area.read(&iso)
        && let Ok((bytes, usage)) = area.fill(&archive)
    {
        assert_eq!((bytes.len() as u64, usage.size), (area.size, bytes.len()));
    }
    if let Ok(area) = KargsArea::find(&iso, &directories())
        && let Ok(filled) = area.fill(&area.current)
    {
        assert!(filled.iter().all(|(_, bytes)| bytes.len() == area.size));
    }
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..5000_u64,
        Just(u64::MAX),
        Just(u64::from(u32::MAX)),
        Just(1 << 63),
        any::<u64>(),
    ]
}

fn path() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("images/ignition.img".to_owned()),
        Just("/isolinux/isolinux.cfg".to_owned()),
        Just("EFI/sample/grub.cfg".to_owned()),
        "[a-z/.\n]{0,20}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_images_are_read_or_refused(
        rock_ridge: bool,
        damage in vec((30_000..62_000_usize, any::<u8>()), 1..40),
    ) {
        let mut sample = Sample::live("coreos");
        sample.rock_ridge = rock_ridge;
        let mut image = sample.build();
        for (at, byte) in damage {
            image[at] = byte;
        }
        look_at(image);
    }

    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in vec(any::<u8>(), 0..8192), mark: bool) {
        if mark && bytes.len() > 2048 {
            bytes[..7].copy_from_slice(b"\x01CD001\x01");
            bytes[128..130].copy_from_slice(&[0, 8]);
            bytes[80..84].fill(0);
        }
        let mut image = vec![0; 32768];
        image.extend(bytes);
        look_at(image);
    }

    #[test]
    fn infos_are_read_or_refused(
        file in path(),
        offset in proptest::option::of(number()),
        length in proptest::option::of(number()),
        places in vec((path(), number(), any::<char>(), any::<char>()), 0..4),
        size in number(),
        default in "[ -~]{0,40}",
    ) {
        let files: Vec<_> = places
            .into_iter()
            .map(|(path, offset, pad, end)| {
                serde_json::json!({"path": path, "offset": offset, "pad": pad, "end": end})
            })
            .collect();
        let mut sample = Sample::live("coreos");
        let info = serde_json::json!({"file": file, "offset": offset, "length": length});
        sample.file("/coreos/igninfo.json", info.to_string());
        let kargs = serde_json::json!({"default": default, "files": files, "size": size});
        sample.file("/coreos/kargs.json", kargs.to_string());
        look_at(sample.build());
    }

    #[test]
    fn legacy_headers_are_read_or_refused(numbers in vec(number(), 10)) {
        let mut sample = Sample::live("coreos");
        for path in ["/coreos/igninfo.json", "/coreos/kargs.json", "/images/ignition.img"] {
            sample.files.remove(path);
        }
        let mut image = sample.build();
        let mut header = b"coreKarg".to_vec();
        header.extend(numbers[..8].iter().flat_map(|number| number.to_le_bytes()));
        header.extend(b"coreiso+");
        header.extend(numbers[8..].iter().flat_map(|number| number.to_le_bytes()));
        image[32768 - header.len()..32768].copy_from_slice(&header);
        look_at(image);
    }

    #[test]
    fn archives_are_read_or_refused(mut bytes in vec(any::<u8>(), 0..400), kind in 0..5_usize) {
        let magic: &[u8] = [&b""[..], b"070701", b"\x1f\x8b\x08\0", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"][kind];
        if bytes.len() >= magic.len() {
            bytes[..magic.len()].copy_from_slice(magic);
        }
        if let Err(error) = Archive::parse(&bytes) {
            prop_assert_eq!(error.lines().count(), 1);
        }
    }

    #[test]
    fn damaged_archives_are_read_or_refused(damage in vec((0..400_usize, any::<u8>()), 1..5)) {
        let mut archive = Archive::default();
        archive.files.insert("etc/a".to_owned(), b"contents".to_vec());
        let mut bytes = archive.to_bytes().unwrap();
        for (at, byte) in damage {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        let _ = Archive::parse(&bytes);
    }

    #[test]
    fn kernel_arguments_are_read_as_they_were_written(append in vec("[!-~]{1,20}( [!-~]{1,5})?", 0..5)) {
        let iso = Iso::new(Sample::live("coreos").build()).unwrap();
        let area = KargsArea::find(&iso, &directories()).unwrap();
        let edit = KargsEdit { append: append.clone(), ..KargsEdit::default() };
        let edited = edit.apply(&area.current).unwrap();
        let filled = area.fill(&edited.kargs).unwrap();
        let mut sample = Sample::live("coreos").build();
        for (offset, bytes) in filled {
            sample[offset as usize..][..bytes.len()].copy_from_slice(&bytes);
        }
        let again = KargsArea::find(&Iso::new(sample).unwrap(), &directories()).unwrap();
        prop_assert_eq!(&again.current, &edited.kargs);
        let delete = KargsEdit { delete: append, ..KargsEdit::default() };
        prop_assert!(delete.apply(&again.current).unwrap().kargs.len() <= again.current.len());
    }
}

proptest! {
    // xz clears its tables for each block, which takes a while.
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_again(
        files in btree_map("[a-z]{1,5}(/[a-z]{1,5}){0,3}\\.x", vec(any::<u8>(), 0..200), 1..6),
        zeros in 0..100_usize,
    ) {
        let archive = Archive { files };
        let mut bytes = archive.to_bytes().unwrap();
        bytes.resize(bytes.len() + zeros, 0);
        prop_assert_eq!(Archive::parse(&bytes).unwrap(), archive);
    }
}
