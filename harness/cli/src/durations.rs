//! How long tests and machines took in earlier runs, so that the longest can be started first and costs be compared.
//!
//! The file holds a stream for each kind of run, since what is long on one image or accelerator may be short on another.

mod stream;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use kolea_engine::Expected;
use kolea_model::{Origin, Verdict};
use kolea_report::Record;
use serde::{Deserialize, Serialize};

pub use stream::Stream;

/// The only version of the format that is read; whatever else is there is as good as nothing.
const VERSION: u32 = 2;

/// What is in the file.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Contents {
    version: u32,
    streams: BTreeMap<String, Times>,
}

/// What runs of one stream took, or a single run, in seconds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Times {
    /// The tests themselves, from a machine that is ready to the verdict.
    #[serde(default)]
    tests: BTreeMap<String, f64>,
    /// From the start of a machine's process to ready, by booting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boot: Option<f64>,
    /// The same for clones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clone: Option<f64>,
}

/// The file.
#[derive(Clone, Debug)]
pub struct Durations {
    path: PathBuf,
}

impl Durations {
    /// The file of that name.
    pub fn new(path: PathBuf) -> Durations {
        Durations { path }
    }

    /// What a run of that stream may expect; nothing if nothing is known.
    pub fn expected(&self, stream: &Stream) -> Expected {
        let mut contents = self.read();
        // The highest name is as good as any where the accelerator is not known.
        let key = contents
            .streams
            .keys()
            .rev()
            .find(|key| stream.matches(key))
            .cloned();
        let times = key
            .and_then(|key| contents.streams.remove(&key))
            .unwrap_or_default();
        Expected {
            tests: times.tests,
            boot: times.boot,
            clone: times.clone,
        }
    }

    /// Adds what a run took. Another run that does so at the same time waits for this, so that nothing is lost; readers
    /// see the old file or the new one.
    pub fn note(&self, stream: &Stream, run: &Times) -> io::Result<()> {
        let parent = self
            .path
            .parent()
            .filter(|path| !path.as_os_str().is_empty());
        fs::create_dir_all(parent.unwrap_or(Path::new(".")))?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.beside("lock"))?;
        lock.lock()?;
        let mut contents = self.read();
        contents.version = VERSION;
        contents.streams.entry(stream.key()).or_default().add(run);
        let mut text = serde_json::to_vec_pretty(&contents)?;
        text.push(b'\n');
        let partial = self.beside("new");
        fs::write(&partial, text)?;
        fs::rename(&partial, &self.path)
    }

    /// The file's path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self) -> Contents {
        let read =
            || -> io::Result<Contents> { Ok(serde_json::from_slice(&fs::read(&self.path)?)?) };
        match read() {
            Ok(contents) if contents.version == VERSION => contents,
            Ok(_) => Contents::default(),
            Err(error) => {
                tracing::debug!("cannot use {}: {error}", self.path.display());
                Contents::default()
            }
        }
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(".");
        path.push(suffix);
        path.into()
    }
}

impl Times {
    /// What a run took, as far as it came to something.
    pub fn of(record: &Record) -> Times {
        let mut times = Times::default();
        for test in &record.tests {
            // What the harness cut short says nothing about the test.
            let whole = test.attempts.iter().rev().find(|attempt| {
                attempt.own_seconds > 0.0
                    && !matches!(
                        attempt.verdict,
                        Verdict::Infra { .. } | Verdict::Lost { .. }
                    )
            });
            if let Some(attempt) = whole {
                times.tests.insert(test.name.clone(), attempt.own_seconds);
            }
        }
        let median_of = |clones: bool| {
            let machines = record.machines.iter();
            median(
                machines
                    .filter(|machine| matches!(machine.origin, Origin::Clone { .. }) == clones)
                    .filter_map(|machine| machine.boot_seconds)
                    .collect(),
            )
        };
        times.boot = median_of(false);
        times.clone = median_of(true);
        times
    }

    /// Each value goes halfway to the run's.
    fn add(&mut self, run: &Times) {
        for (test, seconds) in &run.tests {
            self.tests
                .entry(test.clone())
                .and_modify(|known| *known = f64::midpoint(*known, *seconds))
                .or_insert(*seconds);
        }
        self.boot = halfway(self.boot, run.boot);
        self.clone = halfway(self.clone, run.clone);
    }
}

fn halfway(known: Option<f64>, new: Option<f64>) -> Option<f64> {
    match (known, new) {
        (Some(known), Some(new)) => Some(f64::midpoint(known, new)),
        (known, new) => new.or(known),
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Stream {
        Stream::new(
            "fcos",
            "x86_64",
            Some("tcg"),
            Path::new("/images/fcos-40.20240101.qcow2"),
        )
    }

    fn run(test: &str, seconds: f64) -> Times {
        Times {
            tests: BTreeMap::from([(test.to_owned(), seconds)]),
            boot: Some(seconds * 2.0),
            clone: None,
        }
    }

    #[test]
    fn durations_are_kept_and_smoothed_by_stream() {
        let temp = tempfile::tempdir().unwrap();
        let durations = Durations::new(temp.path().join("below/durations.json"));
        durations.note(&stream(), &run("a", 10.0)).unwrap();
        durations.note(&stream(), &run("a", 20.0)).unwrap();
        let kvm = Stream::new("fcos", "x86_64", Some("kvm"), Path::new("fcos-40.1.qcow2"));
        durations.note(&kvm, &run("a", 1.0)).unwrap();
        let expected = durations.expected(&stream());
        assert_eq!(expected.tests["a"], 15.0);
        assert_eq!((expected.boot, expected.clone), (Some(30.0), None));
        assert_eq!(durations.expected(&kvm).tests["a"], 1.0);
        let next = Stream::new("fcos", "x86_64", None, Path::new("fcos-41.20260101.qcow2"));
        assert_eq!(durations.expected(&next).tests["a"], 15.0);
        let other = Stream::new("rhcos", "x86_64", None, Path::new("fcos-41.20260101.qcow2"));
        assert_eq!(durations.expected(&other), Expected::default());
    }

    #[test]
    fn an_old_or_broken_file_is_as_good_as_none_and_is_replaced() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("durations.json");
        let durations = Durations::new(path.clone());
        for text in [
            "garbage",
            "",
            r#"{"a": 10.5}"#,
            r#"{"version": 3, "streams": {}}"#,
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(durations.expected(&stream()), Expected::default(), "{text}");
            durations.note(&stream(), &run("a", 10.0)).unwrap();
            assert_eq!(durations.expected(&stream()).tests["a"], 10.0, "{text}");
        }
    }

    #[test]
    fn runs_at_once_lose_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let durations = Durations::new(temp.path().join("durations.json"));
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let durations = durations.clone();
                scope.spawn(move || {
                    for index in 0..10 {
                        let run = run(&format!("{thread}.{index}"), 1.0);
                        durations.note(&stream(), &run).unwrap();
                    }
                });
            }
        });
        assert_eq!(durations.expected(&stream()).tests.len(), 80);
    }

    #[test]
    fn the_median_is_of_what_there_is() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
    }
}
