//! Settings from elsewhere than the command line: `KOLEA_*` variables, and the file `kolea.toml`. A flag beats a variable, and
//! a variable beats the file. Their values become the defaults of the flags of the same names, so every value is read in one way.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command, ValueHint};
use toml::de::{DeTable, DeValue};

use crate::args;
use crate::program::warn;

/// The file that is read if no other is named.
const FILE: &str = "kolea.toml";
/// What the names of variables begin with.
const PREFIX: &str = "KOLEA_";
/// Variables that are no settings: the file's name, a filter for the log, and what this project's own scripts use.
const OTHER_VARIABLES: &[&str] = &["KOLEA_CONFIG", "KOLEA_LOG", "KOLEA_IMAGE"];

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// This variable.
    Variable(String),
    /// A line of a file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag => f.write_str("flag"),
            Origin::Variable(name) => f.write_str(name),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// The values of variables and file, by the long names of the flags.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    values: BTreeMap<String, (Vec<String>, Origin)>,
}

impl Layers {
    /// Reads the file, then the variables. `command` knows the settings, and `words` is the command line, for `--config`.
    pub fn load(
        command: &Command,
        words: &[OsString],
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> anyhow::Result<Layers> {
        let known = Known::new(command);
        let variables: BTreeMap<String, OsString> = variables
            .filter(|(_, value)| !value.is_empty())
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| name.starts_with(PREFIX))
            .collect();
        let mut layers = Layers::default();
        let named = named_file(words).or_else(|| {
            let variable = variables.get("KOLEA_CONFIG");
            variable.map(PathBuf::from)
        });
        let path = match named {
            Some(path) => Some(path),
            None => Some(PathBuf::from(FILE)).filter(|path| path.exists()),
        };
        if let Some(path) = path {
            layers.file(&known, &path)?;
        }
        for (name, value) in &variables {
            layers.variable(&known, name, value)?;
        }
        Ok(layers)
    }

    /// The command, with the values that its flags have if they are not given.
    pub fn defaults_of(&self, command: Command) -> Command {
        if self.values.is_empty() {
            return command;
        }
        let with_defaults = |command: Command| command.mut_args(|arg| self.apply(arg));
        with_defaults(command).mut_subcommands(with_defaults)
    }

    fn apply(&self, arg: Arg) -> Arg {
        match arg.get_long().and_then(|long| self.values.get(long)) {
            Some((values, _)) if !values.is_empty() => arg.default_values(values.clone()),
            _ => arg,
        }
    }

    /// Where that value comes from.
    pub fn origin(&self, long: &str) -> Origin {
        self.values
            .get(long)
            .map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    fn file(&mut self, known: &Known<'_>, path: &Path) -> anyhow::Result<()> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read settings from {shown}"))?;
        let line_of = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
        let table = DeTable::parse(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(span.start));
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            anyhow!("{shown}:{line}: this is not TOML: {message}")
        })?;
        let dir = path.parent().unwrap_or(Path::new(""));
        for (key, value) in table.get_ref() {
            let line = line_of(key.span().start);
            let place = || format!("{shown}:{line}");
            let long = key.get_ref().as_ref();
            let arg = known
                .get(long)
                .ok_or_else(|| anyhow!("{}: {}", place(), known.unknown("setting", long)))?;
            let values = match value.get_ref() {
                DeValue::Array(items) if is_list(arg) => items
                    .iter()
                    .map(|item| scalar(item.get_ref()))
                    .collect::<Option<Vec<_>>>(),
                DeValue::Array(_) => bail!("{}: {long} takes one value, not a list", place()),
                value => scalar(value).map(|value| vec![value]),
            };
            let values = values.ok_or_else(|| {
                anyhow!("{}: {long} takes text, a number, true or false", place())
            })?;
            let values: Vec<String> = values.iter().map(|value| below(dir, arg, value)).collect();
            for value in &values {
                check(arg, long, value).with_context(place)?;
            }
            let path = path.to_path_buf();
            self.values
                .insert(long.to_owned(), (values, Origin::File { path, line }));
        }
        Ok(())
    }

    fn variable(&mut self, known: &Known<'_>, name: &str, value: &OsStr) -> anyhow::Result<()> {
        if OTHER_VARIABLES.contains(&name) {
            return Ok(());
        }
        let long = name[PREFIX.len()..].to_ascii_lowercase().replace('_', "-");
        let Some(arg) = known.get(&long) else {
            warn(format_args!(
                "variable {name} has no effect: {}",
                known.unknown("setting", &long)
            ));
            return Ok(());
        };
        let value = value
            .to_str()
            .ok_or_else(|| anyhow!("variable {name} is not UTF-8"))?;
        let values: Vec<String> = if is_list(arg) && !is_pair(&long) {
            value.split(',').map(str::to_owned).collect()
        } else {
            vec![value.to_owned()]
        };
        for value in &values {
            check(arg, &long, value).with_context(|| format!("variable {name}"))?;
        }
        self.values
            .insert(long, (values, Origin::Variable(name.to_owned())));
        Ok(())
    }
}

/// The settings of all subcommands.
struct Known<'a> {
    command: &'a Command,
    args: BTreeMap<&'a str, &'a Arg>,
}

impl<'a> Known<'a> {
    fn new(command: &'a Command) -> Known<'a> {
        let run = command.find_subcommand("run");
        let args = command
            .get_arguments()
            .chain(run.into_iter().flat_map(Command::get_arguments))
            .filter_map(|arg| Some((arg.get_long()?, arg)))
            .filter(|(long, _)| args::is_setting(long))
            .collect();
        Known { command, args }
    }

    fn get(&self, long: &str) -> Option<&'a Arg> {
        self.args.get(long).copied()
    }

    /// That there is no such setting, and which may be meant: clap knows, since settings are flags.
    fn unknown(&self, what: &str, long: &str) -> String {
        let words = ["kolea", "run", &format!("--{long}")];
        let suggestion = match self.command.clone().try_get_matches_from(words) {
            Err(error) => match error.get(ContextKind::SuggestedArg) {
                Some(ContextValue::String(flag)) => Some(flag.trim_start_matches('-').to_owned()),
                _ => None,
            },
            Ok(_) => None,
        };
        match suggestion {
            Some(name) => format!("there is no {what} `{long}`; did you mean `{name}`?"),
            None => format!("there is no {what} `{long}`; `kolea config` shows them all"),
        }
    }
}

/// What `--config` names.
fn named_file(words: &[OsString]) -> Option<PathBuf> {
    let mut words = words.iter().skip(1).take_while(|word| *word != "--");
    let mut named = None;
    while let Some(word) = words.next() {
        if word == "--config" {
            named = words.next().map(PathBuf::from);
        } else if let Some(value) = word
            .to_str()
            .and_then(|word| word.strip_prefix("--config="))
        {
            named = Some(PathBuf::from(value));
        }
    }
    named.filter(|path| !path.as_os_str().is_empty())
}

fn is_list(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

/// Whether a comma belongs to the value.
fn is_pair(long: &str) -> bool {
    long == "qemu-bind-ro"
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .map(|number| number.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(yes) => Some(yes.to_string()),
        _ => None,
    }
}

/// A relative path in the file is relative to the file's directory.
fn below(dir: &Path, arg: &Arg, value: &str) -> String {
    let is_path = match arg.get_long() {
        _ if value.is_empty() => false,
        Some("workdir") => value != "none",
        Some("distro") => is_profile_path(value),
        Some("oscontainer") => value.ends_with(".ociarchive"),
        Some("qemu-bind-ro") => true,
        _ => arg.get_value_hint() == ValueHint::AnyPath,
    };
    if is_path {
        dir.join(value).to_string_lossy().into_owned()
    } else {
        value.to_owned()
    }
}

/// Whether `--distro` names a file rather than a distribution.
pub fn is_profile_path(distro: &str) -> bool {
    distro.contains('/') || distro.ends_with(".toml")
}

/// Reads a value as its flag would.
fn check(arg: &Arg, long: &str, value: &str) -> anyhow::Result<()> {
    let alone = Command::new("kolea")
        .no_binary_name(true)
        .arg(arg.clone().global(false));
    match alone.try_get_matches_from([format!("--{long}={value}")]) {
        Ok(_) => Ok(()),
        Err(error) => {
            let text = error.to_string();
            let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            let first = lines.next().unwrap_or_default();
            let first = first.strip_prefix("error: ").unwrap_or(first);
            match lines.next().filter(|line| line.starts_with('[')) {
                Some(possible) => bail!("{first} {possible}"),
                None => bail!("{first}"),
            }
        }
    }
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
