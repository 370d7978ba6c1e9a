//! The embed areas for kernel arguments, one in the configuration of each boot loader, and what is done to the arguments.

use serde::{Deserialize, Serialize};

use crate::error::IsoError;
use crate::ignition::MAX_INFO;
use crate::volume::Iso;

/// In the system area, before the header of the area for Ignition: magic, size, offset of the defaults, offsets of the areas.
const LEGACY_HEADER: u64 = 32768 - 24 - 72;
const LEGACY_MAGIC: &[u8] = b"coreKarg";
const LEGACY_OFFSETS: usize = 6;
/// coreos-installer takes no larger areas.
const MAX_SIZE: u64 = 2048;
/// The boot loaders of an image with their copies are fewer.
const MAX_FILES: usize = 64;

/// The areas for kernel arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KargsArea {
    /// The size of each area, in bytes, with the character that ends the arguments.
    pub size: usize,
    /// The arguments that the image was built with.
    pub default: String,
    /// The arguments that it has.
    pub current: String,
    /// Where the areas are, in the order of their offsets.
    pub places: Vec<KargsPlace>,
}

/// One of the areas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KargsPlace {
    /// The file that has it; none if only a header says where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Where it begins, in bytes from the beginning of the image.
    pub offset: u64,
    /// What fills it.
    #[serde(skip)]
    pub pad: char,
    /// What ends the arguments.
    #[serde(skip)]
    pub end: char,
}

/// `kargs.json`. What is written is as coreos-installer does it.
#[derive(Deserialize, Serialize)]
struct Info {
    default: String,
    files: Vec<InfoFile>,
    size: u64,
}

#[derive(Deserialize, Serialize)]
struct InfoFile {
    path: String,
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pad: Option<char>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<char>,
}

/// All bytes of `kargs.json` with other arguments as those that the image was built with, and where they go.
///
/// # Errors
/// The image has no such file, or they don't fit.
pub(crate) fn with_default(
    iso: &Iso,
    directories: &[String],
    default: &str,
) -> Result<(u64, Vec<u8>), IsoError> {
    for directory in directories {
        let path = format!("/{directory}/kargs.json");
        if let Some(entry) = iso.find(&path)? {
            let damaged = |why: String| IsoError::damaged(&entry.path, why);
            let json = iso.contents(&entry, MAX_INFO)?;
            let mut info: Info =
                serde_json::from_slice(&json).map_err(|error| damaged(error.to_string()))?;
            info.default = default.to_owned();
            let mut bytes =
                serde_json::to_vec_pretty(&info).map_err(|error| damaged(error.to_string()))?;
            if bytes.len() > json.len() {
                let (needed, size) = (bytes.len(), json.len());
                return Err(damaged(format!(
                    "other arguments take {needed} bytes, and it has {size}"
                )));
            }
            bytes.resize(json.len(), b' ');
            return Ok((entry.offset, bytes));
        }
    }
    Err(IsoError::NoFile(format!(
        "{}/kargs.json",
        directories.join("/kargs.json, ")
    )))
}

impl KargsArea {
    /// Finds them: by `kargs.json` in one of those directories of the root, or by the header that images of 2021 have in their
    /// system area.
    ///
    /// # Errors
    /// There are none, they differ, or what says where they are makes no sense.
    pub fn find(iso: &Iso, directories: &[String]) -> Result<KargsArea, IsoError> {
        for directory in directories {
            let path = format!("/{directory}/kargs.json");
            if let Some(entry) = iso.find(&path)? {
                let json = iso.contents(&entry, MAX_INFO)?;
                let info: Info = serde_json::from_slice(&json)
                    .map_err(|error| IsoError::damaged(&entry.path, error.to_string()))?;
                return KargsArea::by_info(iso, &entry.path, info);
            }
        }
        if let Some(area) = KargsArea::by_header(iso)? {
            return Ok(area);
        }
        let looked_for: Vec<String> = directories
            .iter()
            .map(|directory| format!("/{directory}/kargs.json"))
            .collect();
        Err(IsoError::NoKargsArea {
            looked_for: format!("no {}", looked_for.join(", no ")),
        })
    }

    fn by_info(iso: &Iso, info_path: &str, info: Info) -> Result<KargsArea, IsoError> {
        let damaged = |why: String| IsoError::damaged(info_path, why);
        let size = checked_size(info_path, info.size)?;
        if info.default.len() > size {
            let length = info.default.len();
            return Err(damaged(format!(
                "`default` has {length} bytes, and `size` is {size}"
            )));
        }
        if info.files.is_empty() || info.files.len() > MAX_FILES {
            let number = info.files.len();
            return Err(damaged(format!("{number} files with kernel arguments")));
        }
        let mut places = Vec::new();
        for file in info.files {
            let path = path_in(&file.path);
            let entry = iso
                .find(&path)?
                .filter(|entry| !entry.is_dir)
                .ok_or_else(|| damaged(format!("there is no file {path}")))?;
            let (pad, end) = (file.pad.unwrap_or('#'), file.end.unwrap_or('\n'));
            if !pad.is_ascii() || !end.is_ascii() {
                return Err(damaged("`pad` and `end` must be ASCII".to_owned()));
            }
            let offset = entry.offset.checked_add(file.offset);
            places.push(KargsPlace {
                file: Some(entry.path),
                offset: offset.ok_or_else(|| damaged(format!("offset {}", file.offset)))?,
                pad,
                end,
            });
        }
        KargsArea::read(iso, size, info.default, places)
    }

    fn by_header(iso: &Iso) -> Result<Option<KargsArea>, IsoError> {
        let header = iso.read("the system area", LEGACY_HEADER, 72)?;
        if !header.starts_with(LEGACY_MAGIC) {
            return Ok(None);
        }
        let mut numbers = header[LEGACY_MAGIC.len()..]
            .chunks_exact(8)
            .filter_map(|eight| Some(u64::from_le_bytes(*eight.first_chunk()?)));
        let size = checked_size("the header coreKarg", numbers.next().unwrap_or(0))?;
        let place = |offset: u64| KargsPlace {
            file: None,
            offset,
            pad: '#',
            end: '\n',
        };
        let default = place(numbers.next().unwrap_or(0)).read(iso, size)?;
        let places: Vec<KargsPlace> = numbers
            .take(LEGACY_OFFSETS)
            .take_while(|offset| *offset != 0)
            .map(place)
            .collect();
        if places.is_empty() {
            return Err(IsoError::damaged("the header coreKarg", "it has no areas"));
        }
        KargsArea::read(iso, size, default, places).map(Some)
    }

    fn read(
        iso: &Iso,
        size: usize,
        default: String,
        mut places: Vec<KargsPlace>,
    ) -> Result<KargsArea, IsoError> {
        places.sort_by_key(|place| place.offset);
        let mut current: Option<String> = None;
        for place in &places {
            let kargs = place.read(iso, size)?;
            match &current {
                Some(other) if *other != kargs => {
                    return Err(IsoError::damaged(
                        format!("the kernel arguments at {}", place.offset),
                        format!("they are {kargs:?}, and elsewhere {other:?}"),
                    ));
                }
                _ => current = Some(kargs),
            }
        }
        Ok(KargsArea {
            size,
            default,
            current: current.unwrap_or_default(),
            places,
        })
    }

    /// All bytes of each area with those arguments in it.
    ///
    /// # Errors
    /// They don't fit, or could not be read again.
    pub fn fill(&self, kargs: &str) -> Result<Vec<(u64, Vec<u8>)>, IsoError> {
        let kargs = kargs.trim();
        check(kargs)?;
        // One byte is for the character that ends them.
        let needed = kargs.len() + 1;
        if needed > self.size {
            return Err(IsoError::KargsTooLong {
                needed,
                size: self.size,
            });
        }
        let mut filled = Vec::new();
        for place in &self.places {
            let mut bytes = kargs.as_bytes().to_vec();
            bytes.push(place.end as u8);
            bytes.resize(self.size, place.pad as u8);
            if place.parse(&bytes).as_deref() != Some(kargs) {
                return Err(IsoError::BadKarg {
                    argument: kargs.to_owned(),
                    why: "it ends with the character that fills the embed area",
                });
            }
            filled.push((place.offset, bytes));
        }
        Ok(filled)
    }
}

fn checked_size(what: &str, size: u64) -> Result<usize, IsoError> {
    match usize::try_from(size) {
        Ok(checked) if size <= MAX_SIZE => Ok(checked),
        _ => Err(IsoError::damaged(
            what,
            format!("areas of {size} bytes for kernel arguments, at most {MAX_SIZE} make sense"),
        )),
    }
}

/// A path in a JSON file, which need not begin with a slash.
pub(crate) fn path_in(path: &str) -> String {
    let plain = path.replace(|c: char| c.is_control(), "_");
    format!("/{}", plain.trim_start_matches('/'))
}

impl KargsPlace {
    fn read(&self, iso: &Iso, size: usize) -> Result<String, IsoError> {
        let bytes = iso.read(
            "an embed area for kernel arguments",
            self.offset,
            size as u64,
        )?;
        self.parse(&bytes).ok_or_else(|| {
            IsoError::damaged(
                format!("the kernel arguments at {}", self.offset),
                "they are not UTF-8",
            )
        })
    }

    fn parse(&self, bytes: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(bytes).ok()?;
        let text = text.trim_end_matches(self.pad).trim_end_matches(self.end);
        Some(text.trim().to_owned())
    }
}

/// What is done to kernel arguments, in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KargsEdit {
    /// Arguments to take out, `KEY` or `KEY=VALUE`.
    pub delete: Vec<String>,
    /// Arguments to add at the end.
    pub append: Vec<String>,
    /// Arguments to add at the end if they are not there.
    pub append_if_missing: Vec<String>,
    /// Values to replace, `KEY=OLD=NEW`.
    pub replace: Vec<String>,
}

/// Kernel arguments after an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// The arguments.
    pub kargs: String,
    /// Of those to delete and replace, what was not there.
    pub missing: Vec<String>,
}

impl KargsEdit {
    /// Does it. As in coreos-installer an argument is a text between blanks: no quotes, and of two equal ones side by side only
    /// the first is found.
    ///
    /// # Errors
    /// An argument is empty, has a character that the boot loaders' files can't have, or is not `KEY=OLD=NEW`.
    pub fn apply(&self, current: &str) -> Result<Edited, IsoError> {
        let mut kargs = format!(" {current} ");
        let mut missing = Vec::new();
        let mut change = |kargs: &mut String, asked: &str, old: String, new: &str| {
            if kargs.contains(&old) {
                *kargs = kargs.replace(&old, new);
            } else {
                missing.push(asked.to_owned());
            }
        };
        for argument in &self.delete {
            let argument = checked(argument)?;
            change(&mut kargs, argument, format!(" {argument} "), " ");
        }
        for argument in &self.append {
            kargs.push_str(checked(argument)?);
            kargs.push(' ');
        }
        for argument in &self.append_if_missing {
            let argument = checked(argument)?;
            if !kargs.contains(&format!(" {argument} ")) {
                kargs.push_str(argument);
                kargs.push(' ');
            }
        }
        for asked in &self.replace {
            let parts: Vec<&str> = checked(asked)?.split('=').collect();
            let [key, old, new] = parts[..] else {
                return Err(not_a_replacement(asked));
            };
            if key.is_empty() || old.is_empty() || new.is_empty() {
                return Err(not_a_replacement(asked));
            }
            let new = format!(" {key}={new} ");
            change(&mut kargs, asked, format!(" {key}={old} "), &new);
        }
        Ok(Edited {
            kargs: kargs.trim().to_owned(),
            missing,
        })
    }
}

fn not_a_replacement(argument: &str) -> IsoError {
    IsoError::BadKarg {
        argument: argument.to_owned(),
        why: "a replacement is KEY=OLD=NEW, and no part of it has a `=`",
    }
}

fn checked(argument: &str) -> Result<&str, IsoError> {
    let trimmed = argument.trim();
    if trimmed.is_empty() {
        return Err(IsoError::BadKarg {
            argument: argument.to_owned(),
            why: "it is empty",
        });
    }
    check(trimmed)?;
    Ok(trimmed)
}

/// A line break would end the boot loader's command, and a NUL its file.
fn check(kargs: &str) -> Result<(), IsoError> {
    if kargs.contains(|c: char| c.is_control()) {
        return Err(IsoError::BadKarg {
            argument: kargs.to_owned(),
            why: "it has a line break or another control character",
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn edits_are_done_in_order() {
        let edit = KargsEdit {
            delete: words("quiet nothere"),
            append: words("a=1 b"),
            append_if_missing: words("b console=tty0 c"),
            replace: words("mitigations=auto,nosmt=auto console=none=tty1 a=1=2"),
        };
        let edited = edit
            .apply("quiet mitigations=auto,nosmt console=tty0")
            .unwrap();
        assert_eq!(edited.kargs, "mitigations=auto console=tty0 a=2 b c");
        assert_eq!(edited.missing, ["nothere", "console=none=tty1"]);
        assert_eq!(KargsEdit::default().apply("").unwrap().kargs, "");
    }

    #[test]
    fn only_whole_arguments_are_found() {
        let delete = |text: &str| KargsEdit {
            delete: vec![text.to_owned()],
            ..KargsEdit::default()
        };
        for (argument, expected) in [
            ("foo", "bar foobar"),
            (" bar ", "foo foobar"),
            ("foobar", "foo bar"),
            ("foo bar", "foobar"),
            ("oba", "foo bar foobar"),
        ] {
            assert_eq!(
                delete(argument).apply("foo bar foobar").unwrap().kargs,
                expected
            );
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let replace = |text: &str| KargsEdit {
            replace: vec![text.to_owned()],
            ..KargsEdit::default()
        };
        for text in ["a", "a=b", "=b=c", "a==c", "a=b=", "root=UUID=x=y"] {
            let error = replace(text).apply("a=b").unwrap_err().to_string();
            assert!(error.contains("KEY=OLD=NEW"), "{text}: {error}");
        }
        let append = |text: &str| KargsEdit {
            append: vec![text.to_owned()],
            ..KargsEdit::default()
        };
        for (text, expected) in [("", "empty"), ("  ", "empty"), ("a\nb", "line break")] {
            let error = append(text).apply("a=b").unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert_eq!(error.lines().count(), 1);
        }
    }

    fn area(pad: char, end: char) -> KargsArea {
        KargsArea {
            size: 8,
            default: String::new(),
            current: String::new(),
            places: vec![KargsPlace {
                file: None,
                offset: 100,
                pad,
                end,
            }],
        }
    }

    #[test]
    fn areas_are_filled() {
        let filled = area('#', '\n').fill(" a=1 ").unwrap();
        assert_eq!(filled, [(100, b"a=1\n####".to_vec())]);
        let filled = area('\0', '\0').fill("a=1").unwrap();
        assert_eq!(filled, [(100, b"a=1\0\0\0\0\0".to_vec())]);
        assert_eq!(area('#', '\n').fill("1234567").unwrap()[0].1, b"1234567\n");
        assert_eq!(area('#', '\n').fill("a##").unwrap()[0].1, b"a##\n####");
        let error = area('#', '\n').fill("12345678").unwrap_err();
        assert!(matches!(
            error,
            IsoError::KargsTooLong { needed: 9, size: 8 }
        ));
        // what ends them would be taken for what fills the area
        assert!(area('#', '#').fill("a#").is_err());
    }
}
