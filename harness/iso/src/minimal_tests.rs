use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use liblzma::write::XzEncoder;

use super::*;
use crate::embed::{EmbedRequest, IgnitionChange, KargsChange, embed_in_place};
use crate::sample::{KARGS, Sample};

/// What `miniso.dat` has room for.
const ROOM: usize = 4096;

/// Where files are in an image, and how long they are.
fn places(image: &[u8]) -> BTreeMap<String, (u64, u64)> {
    let files = Iso::new(image.to_vec()).unwrap().walk().unwrap();
    let files = files.into_iter().filter(|entry| !entry.is_dir);
    files
        .map(|entry| (entry.path, (entry.offset, entry.size)))
        .collect()
}

fn number(number: u64, out: &mut Vec<u8>) {
    match number {
        0..=250 => out.push(number as u8),
        251..=0xffff => {
            out.push(251);
            out.extend((number as u16).to_le_bytes());
        }
        _ => {
            out.push(252);
            out.extend((number as u32).to_le_bytes());
        }
    }
}

/// What `coreos-installer dev pack-minimal-iso` writes.
fn pack(full: &[u8], minimal: &[u8]) -> Vec<u8> {
    let there = places(full);
    let mut both: Vec<(u64, u64, u64)> = places(minimal)
        .iter()
        .map(|(path, (at, size))| (*at, there[path].0, *size))
        .collect();
    both.sort_unstable();
    let mut packed = b"MINISO\0\0\x01\x060.27.0".to_vec();
    number(both.len() as u64, &mut packed);
    let mut xz = XzEncoder::new(Vec::new(), 9);
    let mut at = 0;
    for (own, other, size) in both {
        for value in [own / 2048, other / 2048, size] {
            number(value, &mut packed);
        }
        xz.write_all(&minimal[at..own as usize]).unwrap();
        at = (own + size) as usize;
    }
    xz.write_all(&minimal[at..]).unwrap();
    let xz = xz.finish().unwrap();
    packed.extend(Sha256::digest(minimal));
    number(xz.len() as u64, &mut packed);
    packed.extend(xz);
    packed
}

struct Dir {
    dir: tempfile::TempDir,
    minimal: Vec<u8>,
}

impl Dir {
    /// With a full image, the `miniso.dat` of which is changed before it is written.
    fn new(change: impl FnOnce(&mut Vec<u8>)) -> Dir {
        let mut sample = Sample::live("coreos");
        sample.file("/images/pxeboot/rootfs.img", vec![7; 100_000]);
        let mut minimal = sample.clone();
        minimal.files.remove("/images/pxeboot/rootfs.img");
        let minimal = minimal.build();
        sample.file("/coreos/miniso.dat", vec![0; ROOM]);
        let mut packed = pack(&sample.build(), &minimal);
        change(&mut packed);
        packed.resize(ROOM, 0);
        sample.file("/coreos/miniso.dat", packed);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("full.iso"), sample.build()).unwrap();
        Dir { dir, minimal }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn extract(&self, url: Option<&str>) -> Result<(), IsoError> {
        let minimal = Minimal {
            directories: vec!["nestos".to_owned(), "coreos".to_owned()],
            rootfs_url: url.map(str::to_owned),
        };
        extract_minimal(&self.path("full.iso"), &self.path("out.iso"), &minimal)
    }

    #[track_caller]
    fn refuses(&self, why: &str) {
        let error = self.extract(None).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        let left = std::fs::read_dir(self.dir.path()).unwrap().count();
        assert_eq!(left, 1, "something was left");
    }
}

fn change(dir: &Dir, request: EmbedRequest) {
    let directories = vec!["coreos".to_owned()];
    let request = EmbedRequest {
        directories,
        ..request
    };
    embed_in_place(&dir.path("full.iso"), &request).unwrap();
}

#[test]
fn a_minimal_iso_is_what_was_packed_but_for_its_arguments() {
    let dir = Dir::new(|_| {});
    dir.extract(Some("http://host/rootfs.img")).unwrap();
    let out = std::fs::read(dir.path("out.iso")).unwrap();
    assert_eq!(out.len(), dir.minimal.len());
    let iso = Iso::new(out.clone()).unwrap();
    let area = KargsArea::find(&iso, &["coreos".to_owned()]).unwrap();
    let without = KARGS.replace("coreos.liveiso=sample ", "");
    assert_eq!(area.default, without);
    assert_eq!(
        area.current,
        format!("{without} coreos.live.rootfs_url=http://host/rootfs.img")
    );
    // Nothing else is different: the areas, and the JSON file.
    let files = places(&out);
    let mut expected = dir.minimal.clone();
    for path in [
        "/EFI/sample/grub.cfg",
        "/isolinux/isolinux.cfg",
        "/coreos/kargs.json",
    ] {
        let (at, size) = files[path];
        let range = at as usize..(at + size) as usize;
        expected[range.clone()].copy_from_slice(&out[range]);
    }
    assert!(out == expected);

    let again = dir.extract(None).unwrap_err().to_string();
    assert!(again.starts_with("cannot create "), "{again}");
    std::fs::remove_file(dir.path("out.iso")).unwrap();
    dir.extract(None).unwrap();
    let iso = Iso::open(&dir.path("out.iso")).unwrap();
    let area = KargsArea::find(&iso, &["coreos".to_owned()]).unwrap();
    assert_eq!((&area.current, &area.default), (&without, &without));
}

#[test]
fn what_was_packed_wrongly_is_told() {
    Dir::new(|packed| packed.clear()).refuses("it is empty, or no such file");
    Dir::new(|packed| packed[8] = 2).refuses("its format is 2 of installer 0.27.0, and 1 is known");
    Dir::new(|packed| packed[16] = 251).refuses("overlap");
    let hash = |packed: &Vec<u8>| packed.windows(6).position(|six| six == b"\xfd7zXZ\0");
    // The last byte of the digest is before the length of what xz has packed, which takes three bytes.
    Dir::new(|packed| {
        let at = hash(packed).unwrap() - 4;
        packed[at] ^= 1;
    })
    .refuses("what comes out is not what was packed");
    Dir::new(|packed| {
        let at = hash(packed).unwrap();
        packed[at] = 0;
    })
    .refuses("it cannot be unpacked");
    let dir = Dir::new(|_| {});
    std::fs::write(dir.path("full.iso"), Sample::live("coreos").build()).unwrap();
    dir.refuses("it has no miniso.dat (no /nestos/miniso.dat, no /coreos/miniso.dat)");
}

#[test]
fn an_image_with_something_put_in_is_refused() {
    let dir = Dir::new(|_| {});
    let ignition = IgnitionChange::Embed {
        config: b"{}".to_vec(),
        replace: false,
    };
    change(
        &dir,
        EmbedRequest {
            ignition: Some(ignition),
            ..EmbedRequest::default()
        },
    );
    dir.refuses("since it has an Ignition config");
    let dir = Dir::new(|_| {});
    let edit = KargsEdit {
        append: vec!["a".to_owned()],
        ..KargsEdit::default()
    };
    change(
        &dir,
        EmbedRequest {
            kargs: Some(KargsChange::Edit(edit)),
            ..EmbedRequest::default()
        },
    );
    dir.refuses("since it has kernel arguments");
}
