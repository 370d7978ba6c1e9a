//! Live ISOs: an image with some of its parts made of the input. The first byte says which.
#![no_main]

use kolea_iso::sample::Sample;
use kolea_iso::{Archive, IgnitionArea, Iso, KargsArea, inspect};
use libfuzzer_sys::fuzz_target;

fn image(kind: u8, data: &[u8]) -> Vec<u8> {
    let mut sample = Sample::live("coreos");
    match kind % 8 {
        // All behind the system area, with the headers at the end of that.
        0 => {
            let mut image = vec![0; 32768 - 96];
            image.extend_from_slice(data);
            return image;
        }
        1 => sample.file("/coreos/igninfo.json", data),
        2 => sample.file("/coreos/kargs.json", data),
        3 => sample.file("/images/ignition.img", data),
        4 => sample.file("/EFI/sample/grub.cfg", data),
        5 => sample.file("/isolinux/isolinux.cfg", data),
        6 => {
            let (name, data) = data.split_at(data.len().min(1));
            let name = match name {
                [0] => "/coreos/features.json",
                [1] => "/coreos/miniso.dat",
                [2] => "/.treeinfo",
                _ => "/images/pxeboot/vmlinuz",
            };
            sample.file(name, data)
        }
        // Places and the bytes there, from the headers in the system area on.
        _ => {
            sample.rock_ridge = data.len() % 2 == 0;
            let mut image = sample.build();
            for change in data.chunks_exact(3) {
                let at = 32768 - 96 + usize::from(u16::from_le_bytes([change[0], change[1]]));
                if let Some(byte) = image.get_mut(at) {
                    *byte = change[2];
                }
            }
            return image;
        }
    };
    sample.build()
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    let directories = ["coreos".to_owned(), "nestos".to_owned()];
    let Ok(iso) = Iso::new(image(*kind, data)) else {
        return;
    };
    match inspect(&iso, &directories) {
        Ok(inspection) => {
            for problem in &inspection.problems {
                assert!(!problem.contains('\n'), "{problem}");
            }
        }
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
    }
    if let Ok(area) = IgnitionArea::find(&iso, &directories)
        && let Ok((archive, _)) = area.read(&iso)
        && let Ok((bytes, _)) = area.fill(&archive)
    {
        assert_eq!(bytes.len() as u64, area.size);
        assert_eq!(Archive::parse(&bytes), Ok(archive));
    }
    if let Ok(area) = KargsArea::find(&iso, &directories)
        && let Ok(filled) = area.fill(&area.current)
    {
        assert!(filled.iter().all(|(_, bytes)| bytes.len() == area.size));
    }
});
