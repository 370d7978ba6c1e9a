//! `kolea config`: every setting, its value, and where that comes from.

use std::io::{self, Write};

use anyhow::Context;
use kolea_model::ExitCode;
use serde::Serialize;

use super::Outcome;
use crate::args::{ConfigArgs, Invocation, Setting};
use crate::layers::Origin;

/// Runs the subcommand.
pub fn main(invocation: &Invocation, args: &ConfigArgs) -> Outcome {
    let shown: Vec<(&String, &Setting)> = invocation
        .settings
        .iter()
        .filter(|(_, setting)| setting.shown || setting.origin != Origin::Default)
        .collect();
    let text = if args.json {
        json(&shown).context("cannot write the settings as JSON")?
    } else {
        table(&shown)
    };
    // A closed pipe is no error.
    let _ = writeln!(io::stdout().lock(), "{text}");
    Ok(ExitCode::Pass)
}

fn table(settings: &[(&String, &Setting)]) -> String {
    let values: Vec<String> = settings
        .iter()
        .map(|(_, setting)| match setting.values.as_slice() {
            [] => "-".to_owned(),
            values => values.join(", "),
        })
        .collect();
    let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
    let names = width(&mut settings.iter().map(|(name, _)| name.len()));
    let wide = width(&mut values.iter().map(|value| value.chars().count()));
    let lines: Vec<String> = settings
        .iter()
        .zip(&values)
        .map(|((name, setting), value)| format!("{name:names$}  {value:wide$}  {}", setting.origin))
        .collect();
    lines.join("\n")
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    values: &'a [String],
    origin: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
}

fn json(settings: &[(&String, &Setting)]) -> serde_json::Result<String> {
    let rows: Vec<Row<'_>> = settings
        .iter()
        .map(|(name, setting)| {
            let origin = match &setting.origin {
                Origin::Flag => "flag",
                Origin::Variable(_) => "variable",
                Origin::File { .. } => "file",
                Origin::Default => "default",
            };
            let place = matches!(setting.origin, Origin::Variable(_) | Origin::File { .. });
            Row {
                name,
                values: &setting.values,
                origin,
                place: place.then(|| setting.origin.to_string()),
            }
        })
        .collect();
    serde_json::to_string_pretty(&rows)
}
