//! Contents as `data:` URLs (Butane's `base/util/url.go`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Crc;
use miniz_oxide::deflate::core::{
    CompressionStrategy, CompressorOxide, TDEFLFlush, compress_to_output,
    create_comp_flags_from_zip_params,
};

/// By how much Go's gzip stream of a text is longer: Go closes a stream with an empty stored block.
const GO_CLOSING_BLOCK: usize = 5;

/// The header and trailer of gzip, and the shortest block of Deflate.
const LEAST_GZIP: usize = 10 + 8 + 2;

/// From this length on, fixed codes are not tried: those made for the text are shorter.
const LONGEST_FIXED: usize = 1024;

/// A `data:` URL of some contents, and what the `compression` beside it must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DataUrl {
    pub url: String,
    /// `gzip`, or empty if not compressed: it must be said, or a config merged into this one would inherit another's. None if the
    /// config itself says how the contents are compressed.
    pub compression: Option<&'static str>,
}

/// The shortest of the escaped text, base64, and base64 of the text compressed. The last only if it `may_compress` and the config
/// does not say itself that the contents are compressed.
///
/// The choice is Go's except where the lengths are within a few bytes of each other, since no two compressors make the same stream.
pub(crate) fn data_url(contents: &[u8], compression: Option<&str>, may_compress: bool) -> DataUrl {
    let own = compression.is_some_and(|own| !own.is_empty());
    let mut best = format!(",{}", escape(contents));
    let mut said = (!own).then_some("");
    let encoded = base64_length(contents.len());
    if ";base64,".len() + encoded < best.len() {
        best = format!(";base64,{}", STANDARD.encode(contents));
    }
    // the `gzip` of the `compression` counts
    let gzip_length =
        |bytes: usize| ";base64,".len() + base64_length(bytes + GO_CLOSING_BLOCK) + "gzip".len();
    // most contents are so short that compressing them is a waste of time
    if !own && may_compress && gzip_length(LEAST_GZIP) < best.len() {
        let gzipped = gzip(contents);
        if gzip_length(gzipped.len()) < best.len() {
            best = format!(";base64,{}", STANDARD.encode(gzipped));
            said = Some("gzip");
        }
    }
    DataUrl {
        url: format!("data:{best}"),
        compression: said,
    }
}

/// The escaped text as the first version of Butane's spec had it, which knew nothing else.
pub(crate) fn escaped_url(contents: &[u8]) -> String {
    format!("data:,{}", escape(contents))
}

fn base64_length(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

fn gzip(contents: &[u8]) -> Vec<u8> {
    // no name, no date, the best compression, an unknown system (RFC 1952)
    let mut stream = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];
    let mut body = deflate(contents, CompressionStrategy::Default);
    // the library makes Huffman codes of their own for all but the shortest texts; Go takes the fixed ones where that is shorter
    if body.len() < LONGEST_FIXED {
        let fixed = deflate(contents, CompressionStrategy::Fixed);
        if fixed.len() < body.len() {
            body = fixed;
        }
    }
    stream.extend(body);
    let mut crc = Crc::new();
    crc.update(contents);
    stream.extend(crc.sum().to_le_bytes());
    stream.extend(crc.amount().to_le_bytes());
    stream
}

fn deflate(contents: &[u8], strategy: CompressionStrategy) -> Vec<u8> {
    const BEST: i32 = 9;
    let flags = create_comp_flags_from_zip_params(BEST, 0, strategy as i32);
    let mut deflated = Vec::new();
    // what is written to memory cannot fail
    compress_to_output(
        &mut CompressorOxide::new(flags),
        contents,
        TDEFLFlush::Finish,
        |bytes| {
            deflated.extend_from_slice(bytes);
            true
        },
    );
    deflated
}

/// RFC 2396's escaping: all but its unreserved characters.
fn escape(contents: &[u8]) -> String {
    let mut escaped = String::with_capacity(contents.len() * 2);
    for &byte in contents {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            escaped.push('%');
            escaped.push(char::from(DIGITS[usize::from(byte >> 4)]));
            escaped.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use proptest::prelude::*;
    use std::io::Read;

    fn contents_of(made: &DataUrl) -> Vec<u8> {
        let rest = made.url.strip_prefix("data:").unwrap();
        let bytes = match rest.strip_prefix(";base64,") {
            Some(encoded) => STANDARD.decode(encoded).unwrap(),
            None => {
                let mut bytes = Vec::new();
                let mut rest = rest.strip_prefix(',').unwrap().bytes();
                while let Some(byte) = rest.next() {
                    bytes.push(if byte == b'%' {
                        let digits = [rest.next().unwrap(), rest.next().unwrap()];
                        u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                    } else {
                        byte
                    });
                }
                bytes
            }
        };
        if made.compression == Some("gzip") {
            let mut plain = Vec::new();
            GzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap();
            plain
        } else {
            bytes
        }
    }

    #[test]
    fn the_shortest_wins() {
        let short = data_url(b"hello world\n", None, true);
        assert_eq!(short.url, "data:,hello%20world%0A");
        assert_eq!(short.compression, Some(""));
        assert_eq!(data_url(b"", None, true).url, "data:,");
        // Butane's own example: 20 bytes that are no text
        let random = b"\xc0\x9cl\x01\x89i\xa5\xbfW\xe4\x1b\xf4J_\xb79P\xa3#\xa7";
        let made = data_url(random, None, true);
        assert_eq!(made.url, "data:;base64,wJxsAYlppb9X5Bv0Sl+3OVCjI6c=");
        assert_eq!(made.compression, Some(""));
        let long = "z".repeat(500);
        let made = data_url(long.as_bytes(), None, true);
        assert_eq!(made.compression, Some("gzip"));
        assert!(made.url.starts_with("data:;base64,H4sI"));
        assert_eq!(contents_of(&made), long.as_bytes());
    }

    /// Facts: two streams of Go's in Butane's `base/v0_5/translate_test.go`.
    #[test]
    fn streams_are_nearly_as_long_as_those_of_go() {
        let path = format!("tree/{}file", "subdir/".repeat(9));
        for (contents, go) in [
            ("z".repeat(149), "H4sIAAAAAAAC/6oajAAQAAD//5tA8d+VAAAA"),
            (
                path,
                "H4sIAAAAAAAC/yopSk3VLy5NSsksIptKy8xJBQQAAP//gkRzjkgAAAA=",
            ),
        ] {
            let go = STANDARD.decode(go).unwrap();
            let mut plain = String::new();
            GzDecoder::new(&go[..]).read_to_string(&mut plain).unwrap();
            assert_eq!(plain, contents);
            let ours = gzip(contents.as_bytes()).len() + GO_CLOSING_BLOCK;
            assert!(ours.abs_diff(go.len()) <= 2, "{ours} {contents}");
            assert_eq!(
                data_url(contents.as_bytes(), None, true).compression,
                Some("gzip")
            );
        }
    }

    #[test]
    fn what_the_config_compressed_is_not_compressed_again() {
        let long = "z".repeat(500);
        let made = data_url(long.as_bytes(), Some("gzip"), true);
        assert_eq!(made.url, format!("data:,{long}"));
        assert_eq!(made.compression, None);
        let made = data_url(long.as_bytes(), Some(""), true);
        assert_eq!(made.compression, Some("gzip"));
        let made = data_url(long.as_bytes(), None, false);
        assert_eq!((made.url.len(), made.compression), (506, Some("")));
    }

    proptest! {
        #[test]
        fn contents_come_back(contents: Vec<u8>, repeats in 1..20usize) {
            let contents = contents.repeat(repeats);
            let made = data_url(&contents, None, true);
            prop_assert_eq!(contents_of(&made), contents.clone());
            prop_assert!(made.url.len() <= escaped_url(&contents).len());
        }
    }
}
