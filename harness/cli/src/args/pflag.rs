//! Habits of pflag, the flag parser of kola, that clap does not have by itself.

use std::any::TypeId;
use std::ffi::OsString;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Arg, ArgAction, Command};

/// Gives a flag pflag's habits: what is true or false may be given as `--flag`, `--flag=true` or `--flag=false`, and a path
/// may be empty, which is as good as not given.
pub fn adapt(arg: Arg) -> Arg {
    if arg.is_positional() {
        return arg;
    }
    let type_id = arg.get_value_parser().type_id();
    let arg = match arg.get_action() {
        ArgAction::SetTrue => arg.action(ArgAction::Set).default_value("false"),
        _ if type_id == TypeId::of::<bool>() => arg,
        _ if type_id == TypeId::of::<std::path::PathBuf>() => {
            return arg.value_parser(OsStringValueParser::new().map(std::path::PathBuf::from));
        }
        _ => return arg,
    };
    arg.value_parser(parse_bool)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_name("BOOL")
        .hide_default_value(true)
}

/// What Go's `strconv.ParseBool` takes.
fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// Moves the flags before the subcommand behind its name, so that a flag can be repeated on both sides of it, and a
/// subcommand's own can stand before it. kola's parser does the same. `command` knows which flags have a value as a word of its
/// own.
pub fn subcommand_first(command: &Command, words: Vec<OsString>) -> Vec<OsString> {
    let own = command.get_subcommands().flat_map(Command::get_arguments);
    let with_word: Vec<&Arg> = command
        .get_arguments()
        .chain(own)
        .filter(|arg| arg.get_action().takes_values() && !arg.is_require_equals_set())
        .collect();
    let long = |name: &str| with_word.iter().any(|arg| arg.get_long() == Some(name));
    let short = |name: char| with_word.iter().any(|arg| arg.get_short() == Some(name));
    let mut index = 1;
    while let Some(word) = words.get(index) {
        let Some(word) = word.to_str() else { break };
        if word == "--" {
            break;
        } else if let Some(flag) = word.strip_prefix("--") {
            index += if long(flag) { 2 } else { 1 };
        } else if let Some(cluster) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            // The rest of the word is the value, unless the flag is the last letter.
            let at = cluster.char_indices().find(|(_, char)| short(*char));
            let value_follows = at.is_some_and(|(at, char)| at + char.len_utf8() == cluster.len());
            index += if value_follows { 2 } else { 1 };
        } else {
            if command.find_subcommand(word).is_none() {
                break;
            }
            let mut moved = words;
            let name = moved.remove(index);
            moved.insert(1, name);
            return moved;
        }
    }
    words
}
