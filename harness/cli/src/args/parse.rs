//! From words to [`Cli`]: the derived command, with pflag's habits, and with the values of the file and of variables as
//! defaults.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches};

use super::{Cli, EXIT_CODES, Foreign, foreign, pflag};
use crate::layers::{Layers, Origin};
use crate::program::Program;

/// Subcommands to which the flags of runs mean nothing: they take them, as kola's do, and do not show them.
const SMALL: &[&str] = &[
    "lint",
    "iso",
    "report",
    "check-console",
    "http-server",
    "ncpu",
    "version",
    "exit-codes",
    "spawn",
    "bootchart",
    "run-upgrade",
];

/// Help without a subcommand. The flags of all subcommands are in theirs.
const HELP: &str = "\
{about-with-newline}
{usage-heading} {usage}

Commands:
{subcommands}

`{name} help COMMAND` shows a command's flags. Those of runs can be set by a variable, too (KOLEA_QEMU_MEMORY=2048), or in \
kolea.toml (qemu-memory = 2048); `{name} config` shows all of them.
";

/// A command line that was understood.
#[derive(Debug)]
pub struct Invocation {
    /// Its words.
    pub cli: Cli,
    /// Flags of features that are not built in, and that were given something to do.
    pub foreign: Vec<&'static Foreign>,
    /// Every setting of the subcommand by its long name, with value and origin.
    pub settings: BTreeMap<String, Setting>,
}

/// A setting, for `kolea config`, and for decisions that depend on who said something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The values as text; none if there is neither a value nor a default.
    pub values: Vec<String>,
    /// Where they come from.
    pub origin: Origin,
    /// Whether it is shown even if nobody gave it a value.
    pub shown: bool,
}

impl Invocation {
    /// Where the setting's value comes from.
    pub fn origin(&self, long: &str) -> &Origin {
        self.settings
            .get(long)
            .map_or(&Origin::Default, |setting| &setting.origin)
    }

    /// Whether somebody gave the setting a value.
    pub fn given(&self, long: &str) -> bool {
        *self.origin(long) != Origin::Default
    }
}

/// The whole command, without the values of file and variables.
pub fn command(program: Program) -> Command {
    let mut command = foreign::add(Cli::command())
        .name(program.name())
        .bin_name(program.name())
        .help_template(HELP)
        .mut_args(|arg| pflag::adapt(arg).global(true))
        .mut_subcommands(|sub| sub.mut_args(pflag::adapt));
    for name in ["run", "rerun"] {
        command = command.mut_subcommand(name, |sub| sub.after_help(EXIT_CODES));
    }
    command
}

/// Understands a command line by [`command`], or says what is wrong with it; `--help` and the like are among the errors, as clap
/// has it.
pub fn parse(
    command: Command,
    words: Vec<OsString>,
    layers: &Layers,
) -> Result<Invocation, clap::Error> {
    let mut command = hide_in_small(layers.defaults_of(command), &words);
    let words = pflag::subcommand_first(&command, words);
    let matches = command.try_get_matches_from_mut(words)?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    Ok(Invocation {
        cli,
        foreign: foreign::given(&matches),
        settings: settings(&command, &matches, layers),
    })
}

/// Hides the flags of all subcommands where they mean nothing. Only for subcommands that are among the words: there are many
/// flags, and most command lines name one subcommand.
fn hide_in_small(mut command: Command, words: &[OsString]) -> Command {
    let named = SMALL
        .iter()
        .filter(|name| words.iter().any(|word| word == **name));
    for name in named {
        // A hidden copy of its own keeps the visible one from being inherited.
        let hidden: Vec<Arg> = command
            .get_arguments()
            .filter(|arg| arg.get_id() != "config")
            .map(|arg| arg.clone().hide(true))
            .collect();
        command = command.mut_subcommand(name, |sub| {
            let own = |arg: &Arg| sub.get_arguments().any(|own| own.get_id() == arg.get_id());
            let hidden: Vec<Arg> = hidden.into_iter().filter(|arg| !own(arg)).collect();
            sub.args(hidden)
        });
    }
    command
}

fn settings(command: &Command, matches: &ArgMatches, layers: &Layers) -> BTreeMap<String, Setting> {
    let mut settings = BTreeMap::new();
    let mut add = |args: &mut dyn Iterator<Item = &Arg>, matches: &ArgMatches| {
        for arg in args {
            let Some(long) = arg.get_long().filter(|long| is_setting(long)) else {
                continue;
            };
            let id = arg.get_id().as_str();
            let values: Vec<String> = matches
                .get_raw(id)
                .into_iter()
                .flatten()
                .map(|value| value.to_string_lossy().into_owned())
                .collect();
            let origin = match matches.value_source(id) {
                Some(ValueSource::CommandLine) => Origin::Flag,
                _ => layers.origin(long),
            };
            settings.insert(
                long.to_owned(),
                Setting {
                    values,
                    origin,
                    shown: !arg.is_hide_set(),
                },
            );
        }
    };
    add(&mut command.get_arguments(), matches);
    if let Some((name, matches)) = matches.subcommand()
        && let Some(sub) = command.find_subcommand(name)
    {
        let own = sub.get_arguments().filter(|arg| !arg.is_global_set());
        add(&mut own.into_iter(), matches);
    }
    settings
}

/// Whether a flag can be set elsewhere than on the command line.
pub fn is_setting(long: &str) -> bool {
    !["help", "version", "config", "json", "why"].contains(&long)
}
