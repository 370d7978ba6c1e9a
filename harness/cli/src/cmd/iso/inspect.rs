//! `kolea iso inspect`.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use kolea_iso::{BootFile, Inspection, Iso};
use kolea_machine::profile::Profile;
use kolea_model::ExitCode;
use serde::Serialize;

use super::{directories, failure};
use crate::args::GlobalArgs;
use crate::cmd::Outcome;
use crate::program::say;

/// `kolea iso inspect`.
#[derive(Debug, Clone, Args)]
pub struct InspectArgs {
    /// As JSON
    #[arg(long)]
    json: bool,
    /// The image
    #[arg(value_name = "ISO")]
    iso: PathBuf,
}

#[derive(Serialize)]
struct Report {
    /// The profile's name.
    distribution: Option<String>,
    #[serde(flatten)]
    inspection: Inspection,
}

/// Runs the subcommand.
pub fn main(global: &GlobalArgs, args: &InspectArgs) -> Outcome {
    let directories = directories(global)?;
    let inspect = || kolea_iso::inspect(&Iso::open(&args.iso)?, &directories);
    let inspection = inspect().map_err(|error| failure(&args.iso, error))?;
    let profile = Profile::of_volume_label(&inspection.volume.label);
    let report = Report {
        distribution: profile.map(|profile| profile.name),
        inspection,
    };
    if args.json {
        let json = serde_json::to_string_pretty(&report);
        say(json.context("cannot write what the image is as JSON")?);
    } else {
        say(text(&report).trim_end());
    }
    Ok(ExitCode::Pass)
}

/// Lines with their heads, of which those that are equal are shown once.
#[derive(Default)]
struct Lines {
    text: String,
    last: &'static str,
}

impl Lines {
    fn add(&mut self, head: &'static str, line: impl std::fmt::Display) {
        let shown = if head == self.last { "" } else { head };
        self.last = head;
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{shown:<11}{line}");
    }
}

fn text(report: &Report) -> String {
    let Report {
        distribution,
        inspection: iso,
    } = report;
    let mut lines = Lines::default();
    lines.add("volume", &iso.volume.label);
    lines.add("size", bytes(iso.size));
    let os = &iso.os;
    let treeinfo = os.treeinfo.as_ref();
    let name = treeinfo
        .map(|info| format!("{} {}", info.name, info.version))
        .or_else(|| os.title.clone());
    if let Some(name) = name {
        lines.add("system", name);
    }
    if let Some(distribution) = distribution {
        lines.add("profile", distribution);
    }
    let architecture = os.architecture.as_ref();
    if let Some(architecture) = architecture.or(treeinfo.map(|info| &info.arch)) {
        lines.add("arch", architecture);
    }
    boots(&mut lines, iso);
    let file = |lines: &mut Lines, head, file: &Option<BootFile>| {
        if let Some(file) = file {
            lines.add(head, format_args!("{}, {}", file.path, bytes(file.size)));
        }
    };
    file(&mut lines, "kernel", &iso.kernel);
    file(&mut lines, "initramfs", &iso.initramfs);
    file(&mut lines, "rootfs", &iso.rootfs);
    areas(&mut lines, iso);
    if let Some(miniso) = &iso.miniso {
        let by = &miniso.packed_by;
        lines.add(
            "minimal",
            format_args!("can be made, format {} of installer {by}", miniso.version),
        );
    }
    let features = iso.features.as_ref().and_then(|value| value.as_object());
    let features: Vec<&str> = features
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    if !features.is_empty() {
        lines.add("features", features.join(", "));
    }
    for problem in &iso.problems {
        lines.add("problems", problem);
    }
    lines.text
}

fn boots(lines: &mut Lines, iso: &Inspection) {
    let catalog = iso.boot_catalog.iter();
    for entry in catalog.flat_map(|catalog| &catalog.entries) {
        let file = match &entry.file {
            Some(file) => file.clone(),
            None => format!("at {}", entry.offset),
        };
        lines.add("El Torito", format_args!("{}: {file}", entry.platform));
    }
    for partition in &iso.partitions.mbr {
        let active = if partition.active { ", active" } else { "" };
        lines.add(
            "MBR",
            format_args!(
                "{}: type {:#04x}{active}, {} at {}",
                partition.number,
                partition.kind,
                bytes(partition.size),
                partition.offset
            ),
        );
    }
    for partition in &iso.partitions.gpt {
        lines.add(
            "GPT",
            format_args!(
                "{}: {}, type {}, {} at {}",
                partition.number,
                partition.name,
                partition.kind,
                bytes(partition.size),
                partition.offset
            ),
        );
    }
}

fn areas(lines: &mut Lines, iso: &Inspection) {
    if let Some(area) = &iso.ignition {
        let config = match area.config {
            Some(size) => format!("a config of {}", bytes(size as u64)),
            None => "no config".to_owned(),
        };
        let usage = area.usage;
        let place = match &area.file {
            Some(file) => format!("in {file}"),
            None => "by a header".to_owned(),
        };
        lines.add(
            "Ignition",
            format_args!(
                "{config}; {} of {} bytes used, at {} {place}",
                usage.used, usage.size, area.offset
            ),
        );
        for path in &area.others {
            lines.add("Ignition", format_args!("with the file {path}"));
        }
    }
    if let Some(area) = &iso.kargs {
        lines.add("kargs", &area.current);
        if area.default != area.current {
            lines.add("kargs", format_args!("built with: {}", area.default));
        }
        let places: Vec<String> = area
            .places
            .iter()
            .map(|place| match &place.file {
                Some(file) => format!("at {} in {file}", place.offset),
                None => format!("at {}", place.offset),
            })
            .collect();
        let usage = area.usage;
        lines.add(
            "kargs",
            format_args!(
                "{} of {} bytes used, {}",
                usage.used,
                usage.size,
                places.join(", ")
            ),
        );
    } else if let Some(entry) = iso.menu.first() {
        lines.add("kargs", format_args!("{} (fixed)", entry.kargs));
    }
}

fn bytes(size: u64) -> String {
    match size {
        0..1024 => format!("{size} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", size as f64 / 1024.0),
        _ => format!("{:.1} MiB", size as f64 / 1_048_576.0),
    }
}
