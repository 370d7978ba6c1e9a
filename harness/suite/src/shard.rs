//! A part of a suite: `--sharding hash:m/n`.

use std::fmt;
use std::str::FromStr;

use kolea_model::SkipReason;

/// Part `index` of `count`, by the hash of the tests' names: every name is in exactly one part, whatever other tests
/// there are, so that parts run on different hosts make one whole.
///
/// kola hashes the names of its buckets, which say nothing about the tests in them; here each test is hashed by its own
/// name, which for a copy (`--multiply`) is the copy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which part, counted from 1.
    pub index: u64,
    /// How many parts there are; at least 1.
    pub count: u64,
}

/// Why a text names no part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// It is of another form.
    #[error("`{0}` is not of the form hash:M/N, as in hash:1/3")]
    Form(String),
    /// The numbers make no sense.
    #[error("`{0}`: in hash:M/N, N is at least 1 and M is from 1 to N")]
    Range(String),
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Shard, ShardError> {
        let form = || ShardError::Form(text.to_owned());
        let (index, count) = text
            .strip_prefix("hash:")
            .and_then(|parts| parts.split_once('/'))
            .ok_or_else(form)?;
        // read with their signs, so that -1 is told to be too small
        let number = |text: &str| text.parse::<i64>().map_err(|_| form());
        let (index, count) = (number(index)?, number(count)?);
        match (u64::try_from(index), u64::try_from(count)) {
            (Ok(index), Ok(count)) if (1..=count).contains(&index) => Ok(Shard { index, count }),
            _ => Err(ShardError::Range(text.to_owned())),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hash:{}/{}", self.index, self.count)
    }
}

impl Shard {
    /// The part, counted from 1, that a test of that name is in.
    pub fn of(&self, name: &str) -> u64 {
        fnv1(name) % self.count.max(1) + 1
    }

    /// Whether a test of that name is in this part.
    pub fn contains(&self, name: &str) -> bool {
        self.of(name) == self.index
    }

    /// Why a test of that name does not run in this part; none if it does.
    pub(crate) fn exclusion(&self, name: &str) -> Option<SkipReason> {
        (!self.contains(name)).then(|| SkipReason::Deselected {
            rule: format!(
                "--sharding {self}: it is in {}/{}",
                self.of(name),
                self.count
            ),
        })
    }
}

/// FNV-1 with 64 bits, which is Go's `fnv.New64` (<https://www.rfc-editor.org/rfc/rfc9923>).
fn fnv1(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        hash.wrapping_mul(0x0000_0100_0000_01b3) ^ u64::from(byte)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_hash_is_fnv_1() {
        // The vectors of Go's hash/fnv/fnv_test.go.
        for (text, hash) in [
            ("", 0xcbf2_9ce4_8422_2325),
            ("a", 0xaf63_bd4c_8601_b7be),
            ("ab", 0x0832_6707_b4eb_37b8),
            ("abc", 0xd8dc_ca18_6baf_adcb),
        ] {
            assert_eq!(fnv1(text), hash, "{text}");
        }
    }

    #[test]
    fn the_notation_is_kolas() {
        let parse = |text: &str| text.parse::<Shard>();
        assert_eq!(parse("hash:2/3"), Ok(Shard { index: 2, count: 3 }));
        for text in ["hash:1/1", "hash:3/3"] {
            assert_eq!(parse(text).map(|shard| shard.to_string()), Ok(text.into()));
        }
        for text in ["hash:0/3", "hash:4/3", "hash:1/0", "hash:-1/3", "hash:1/-3"] {
            assert_eq!(parse(text), Err(ShardError::Range(text.into())), "{text}");
        }
        for text in [
            "",
            "1/3",
            "hash:1",
            "hash:a/3",
            "hash:1/3/5",
            "count:1/3",
            "hash:1/ 3",
        ] {
            assert_eq!(parse(text), Err(ShardError::Form(text.into())), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_test_is_in_exactly_one_part(name in "\\PC{0,30}", count in 1u64..40) {
            let parts = (1..=count).filter(|index| Shard { index: *index, count }.contains(&name));
            prop_assert_eq!(parts.count(), 1);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*|hash:[0-9/+-]{0,50}") {
            let _ = text.parse::<Shard>();
        }
    }
}
