use std::fs;

use tempfile::TempDir;

use super::*;

async fn refusal(path: &Path) -> String {
    let qemu_img = tools::find("qemu-img", "qemu-utils").unwrap();
    inspect(path, Arch::X86_64, &qemu_img)
        .await
        .unwrap_err()
        .to_string()
        .replace(&path.display().to_string(), "IMAGE")
}

/// A raw disk of `mib` MiB with a GPT header that says so, and maybe one partition with the given contents.
fn raw_disk(dir: &TempDir, mib: u64, esp: Option<&[u8]>) -> PathBuf {
    let path = dir.path().join("disk.raw");
    let mut disk = vec![0_u8; usize::try_from(mib << 20).unwrap()];
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk[512..520].copy_from_slice(b"EFI PART");
    let last = (mib << 20) / 512 - 1;
    disk[544..552].copy_from_slice(&last.to_le_bytes());
    disk[584..592].copy_from_slice(&2_u64.to_le_bytes()); // entries start here
    disk[592..596].copy_from_slice(&4_u32.to_le_bytes());
    disk[596..600].copy_from_slice(&128_u32.to_le_bytes());
    if let Some(contents) = esp {
        let entry = 1024 + 128;
        disk[entry..entry + 16].copy_from_slice(&esp::TYPE_GUID);
        disk[entry + 32..entry + 40].copy_from_slice(&64_u64.to_le_bytes());
        disk[entry + 40..entry + 48].copy_from_slice(&1000_u64.to_le_bytes());
        disk[64 * 512..64 * 512 + contents.len()].copy_from_slice(contents);
    }
    fs::write(&path, disk).unwrap();
    path
}

async fn qemu_img(args: &[&str]) {
    let qemu_img = tools::find("qemu-img", "qemu-utils").unwrap();
    let output = tools::output(&qemu_img, args).await.unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
async fn what_is_no_image_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    assert_eq!(
        refusal(&missing).await,
        "cannot use image IMAGE: there is no such file; build or download it first"
    );
    assert_eq!(
        refusal(dir.path()).await,
        "cannot use image IMAGE: it is a directory; name the image file in it"
    );
    let file = dir.path().join("file");
    for (contents, reason) in [
        (&b""[..], "it is empty; build or download it again"),
        (
            b"Hello, world, this is no image",
            "it is not a disk image: neither qcow2 nor a raw disk with a partition table",
        ),
        (
            b"\xfd7zXZ\0\0\0",
            "it is compressed; unpack it first, with xz -d",
        ),
        (b"QFI\xfb\0\0\0\x03", "; is it truncated, or no disk image?"),
    ] {
        fs::write(&file, contents).unwrap();
        assert!(
            refusal(&file).await.contains(reason),
            "{}",
            refusal(&file).await
        );
    }
}

#[tokio::test]
async fn truncated_images_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let raw = raw_disk(&dir, 4, None);
    let qcow2 = dir.path().join("disk.qcow2");
    qemu_img(&[
        "convert",
        "-O",
        "qcow2",
        raw.to_str().unwrap(),
        qcow2.to_str().unwrap(),
    ])
    .await;
    let tool = tools::find("qemu-img", "qemu-utils").unwrap();
    for (path, format) in [(&raw, "raw"), (&qcow2, "qcow2")] {
        let image = inspect(path, Arch::X86_64, &tool).await.unwrap();
        assert_eq!(
            (image.format.as_str(), image.virtual_size),
            (format, 4 << 20)
        );
        let file = File::options().write(true).open(path).unwrap();
        let size = file.metadata().unwrap().len();
        file.set_len(size - 65536).unwrap();
        let refusal = refusal(path).await;
        assert!(refusal.contains("it is truncated"), "{refusal}");
    }
}

#[tokio::test]
async fn the_boot_loader_tells_the_architecture() {
    let dir = tempfile::tempdir().unwrap();
    let mut contents = vec![0_u8; 4096];
    contents[2048..2059].copy_from_slice(b"BOOTAA64EFI");
    let raw = raw_disk(&dir, 4, Some(&contents));
    let refusal = refusal(&raw).await;
    assert!(
        refusal.contains("it boots aarch64 machines, not x86_64"),
        "{refusal}"
    );
    let tool = tools::find("qemu-img", "qemu-utils").unwrap();
    inspect(&raw, Arch::Aarch64, &tool).await.unwrap();
    // Architectures without UEFI have no loader of their own to look for.
    inspect(&raw, Arch::S390x, &tool).await.unwrap_err();
}

#[test]
fn a_digest_follows_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::new(dir.path().join("cache"));
    let file = dir.path().join("file");
    fs::write(&file, "abc").unwrap();
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(digest(&file, &cache).unwrap(), abc);
    assert_eq!(digest(&file, &cache).unwrap(), abc);
    fs::write(&file, "abcd").unwrap();
    assert_ne!(digest(&file, &cache).unwrap(), abc);
}
