use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn cpio(members: &[(&str, &str)]) -> Vec<u8> {
    let members = members.iter().map(|(path, contents)| {
        let mode = if contents.is_empty() {
            0o40_755
        } else {
            0o100_644
        };
        (
            NewcBuilder::new(path).mode(mode),
            Cursor::new(contents.as_bytes()),
        )
    });
    write_cpio(members, Vec::new()).unwrap()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn xz(plain: &[u8]) -> Vec<u8> {
    let mut encoder = XzEncoder::new(Vec::new(), 1);
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// A frame of one block that is not compressed.
fn zstd(plain: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0];
    frame.extend(&((plain.len() as u32) << 3 | 1).to_le_bytes()[..3]);
    frame.extend(plain);
    frame
}

fn files(archive: &Archive) -> Vec<(&str, &str)> {
    let files = archive.files.iter();
    files
        .map(|(path, contents)| (path.as_str(), std::str::from_utf8(contents).unwrap()))
        .collect()
}

#[test]
fn archives_of_all_kinds_are_read_one_after_the_other() {
    let mut area = vec![0; 8];
    area.extend(cpio(&[("a", "plain"), ("dir", ""), ("same", "first")]));
    area.extend([0; 3]);
    area.extend(gzip(&cpio(&[("dir/b", "gzip"), ("same", "second")])));
    area.extend(zstd(&cpio(&[("c", "zstd")])));
    area.extend(xz(
        &[cpio(&[("d", "xz"), ("same", "last")]), vec![0; 100]].concat()
    ));
    area.extend([0; 500]);
    let archive = Archive::parse(&area).unwrap();
    assert_eq!(
        files(&archive),
        [
            ("a", "plain"),
            ("c", "zstd"),
            ("d", "xz"),
            ("dir/b", "gzip"),
            ("same", "last")
        ]
    );
    assert_eq!(Archive::parse(&[0; 100]).unwrap(), Archive::default());
    assert_eq!(Archive::parse(&[]).unwrap(), Archive::default());
}

#[test]
fn what_is_written_is_read_again_with_its_directories() {
    let mut archive = Archive::default();
    for path in ["c/f", "c/a/b/f", "d", "c/g", "a/b/f", CONFIG] {
        archive
            .files
            .insert(path.to_owned(), path.as_bytes().to_vec());
    }
    let packed = archive.to_bytes().unwrap();
    assert_eq!(Archive::parse(&packed).unwrap(), archive);
    let (plain, rest) = unxz(&packed, MAX_UNPACKED).unwrap();
    assert_eq!(rest, b"");
    let mut members = Vec::new();
    let mut source = plain.as_slice();
    loop {
        let reader = NewcReader::new(source).unwrap();
        if reader.entry().is_trailer() {
            break;
        }
        members.push((reader.entry().name().to_owned(), reader.entry().mode()));
        source = reader.finish().unwrap();
    }
    let dir = |path: &str| (path.to_owned(), 0o40_755);
    let file = |path: &str| (path.to_owned(), 0o100_600);
    assert_eq!(
        members,
        [
            dir("a"),
            dir("a/b"),
            file("a/b/f"),
            dir("c"),
            dir("c/a"),
            dir("c/a/b"),
            file("c/a/b/f"),
            file("c/f"),
            file("c/g"),
            file(CONFIG),
            file("d"),
        ]
    );
    assert_eq!(Archive::default().to_bytes().unwrap(), b"");
}

const ROOM: usize = 100_000;

#[test]
fn what_is_no_archive_is_an_error_of_one_line() {
    let whole = cpio(&[("a", "contents")]);
    let bomb = vec![0; ROOM + 1];
    let half = cpio(&[("a", &"a".repeat(ROOM / 2))]);
    let mut long_name = whole.clone();
    long_name[94..102].copy_from_slice(b"ffffffff");
    let mut large = whole.clone();
    large[54..62].copy_from_slice(b"7fffffff");
    for (area, expected) in [
        (b"garbage".to_vec(), "invalid"),
        (whole[..whole.len() - 130].to_vec(), "cut off"),
        (whole[..whole.len() - 20].to_vec(), "invalid"),
        (long_name, "invalid"),
        (large, "cut off"),
        (gzip(b"garbage"), "invalid"),
        (gzip(&[whole.clone(), b"x".to_vec()].concat()), "follows"),
        (gzip(&whole)[..40].to_vec(), "unpacked"),
        (xz(&whole)[..40].to_vec(), "cut off"),
        (b"\xfd7zXZ\0garbage-garbage".to_vec(), "unpacked"),
        (zstd(&whole)[..40].to_vec(), "unpacked"),
        (b"\x28\xb5\x2f\xfd".to_vec(), "unpacked"),
        (gzip(&bomb), "too much"),
        (xz(&bomb), "too much"),
        ([gzip(&half), xz(&half)].concat(), "too much"),
    ] {
        let error = Archive::parse_within(&area, ROOM).unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
