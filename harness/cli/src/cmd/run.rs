//! `kolea run`: everything that can be wrong is found before a machine boots; then the engine runs, events flow to the sink,
//! and the reports are made of what the sink recorded.

mod plan;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use kolea_engine::{Case, Control, EventSender, Expected, RunOptions};
use kolea_machine::Platform;
use kolea_machine::profile::Profile;
use kolea_model::{ExitCode, Firmware, RunInfo, SkipReason};
use kolea_qemu::{Accel, QemuOptions, QemuPlatform, TemplateCache};
use kolea_report::{Record, Terminal, TerminalOptions};
use kolea_suite::{Selected, Selection};

use super::{Failure, Outcome};
use crate::args::{AccelArg, FirmwareArg, Jobs, RunArgs};
use crate::durations::{Durations, Stream, Times};
use crate::output_dir::OutputDir;
use crate::sink::{EVENTS_FILE, Sink};
use crate::tests::LoadedSuite;
use crate::{paths, properties, signals};

/// Runs the subcommand.
pub fn main(args: &RunArgs) -> Outcome {
    if args.platform != "qemu" {
        return Err(Failure::usage(anyhow!(
            "platform `{}` is not built in; the only one is `qemu`",
            args.platform
        )));
    }
    let profile = Profile::builtin(&args.suite.distro).ok_or_else(|| {
        Failure::usage(anyhow!(
            "unknown distribution `{}`; known are {}",
            args.suite.distro,
            Profile::names().join(", ")
        ))
    })?;
    let (image, patterns) = split_positional(args);
    let arch = args
        .suite
        .arch
        .clone()
        .unwrap_or_else(|| std::env::consts::ARCH.to_owned());

    let suite = LoadedSuite::load(&args.suite.exttest)?;
    let selected = kolea_suite::select(
        suite.tests.clone(),
        &Selection {
            patterns,
            tags: args.suite.tags.clone(),
            no_net: args.suite.no_net,
            platform: args.platform.clone(),
            arch: arch.clone(),
            distro: Some(args.suite.distro.clone()),
            now: chrono::Utc::now(),
            ..Selection::default()
        },
    )
    .map_err(Failure::selection)?;
    let errors = suite.print_problems_of(&selected.run);
    if errors > 0 {
        return Err(Failure::usage(anyhow!(
            "{errors} error{} in the tests to be run (above); nothing was booted",
            if errors == 1 { "" } else { "s" }
        )));
    }

    let path = args.durations.clone();
    let durations =
        Durations::new(path.unwrap_or_else(|| paths::cache_dir().join("durations.json")));
    let cases = cases(&selected);
    if args.dry_run {
        let expected = image.map_or_else(Expected::default, |image| {
            durations.expected(&Stream::new(&args.suite.distro, &arch, None, &image))
        });
        plan::print(&cases, &selected, &options(args, profile, expected));
        return Ok(ExitCode::Pass);
    }

    let image = image.ok_or_else(|| {
        Failure::usage(anyhow!(
            "no image: name one, as in `kolea run IMAGE.qcow2` or `--qemu-image IMAGE.qcow2`"
        ))
    })?;
    let qemu = QemuOptions {
        image: image.clone(),
        arch: arch.clone(),
        accel: match args.accel {
            AccelArg::Auto => Accel::Auto,
            AccelArg::Kvm => Accel::Kvm,
            AccelArg::Tcg => Accel::Tcg,
        },
        firmware: args.qemu_firmware.map(|firmware| match firmware {
            FirmwareArg::Bios => Firmware::Bios,
            FirmwareArg::Uefi => Firmware::Uefi,
        }),
        memory_mib: args.qemu_memory,
        disk_size: None,
        mounts: Vec::new(),
        profile: profile.clone(),
        cache_dir: paths::cache_dir(),
        work_dir: None,
        template_cache: args.templates.keeps().then(|| TemplateCache {
            dir: paths::cache_dir().join("templates"),
            limit_mib: args.templates.template_cache_size,
        }),
    };
    let runtime =
        tokio::runtime::Runtime::new().context("cannot start the asynchronous runtime")?;
    let platform = runtime
        .block_on(QemuPlatform::new(qemu))
        .map_err(Failure::usage)?;
    let accelerator = platform.facts().properties.get("accelerator").cloned();
    let stream = Stream::new(&args.suite.distro, &arch, accelerator.as_deref(), &image);

    let output_path = match &args.output_dir {
        Some(path) => path.clone(),
        None => OutputDir::default_path(&args.platform).map_err(Failure::usage)?,
    };
    let output = OutputDir::prepare(&output_path).map_err(Failure::usage)?;
    let options = RunOptions {
        output_dir: output.path.clone(),
        ..options(args, profile, durations.expected(&stream))
    };
    let skipped = selected
        .skipped
        .into_iter()
        .map(|(test, reason)| (test.name, reason))
        .collect();
    let (exit, record) = runtime.block_on(run(Arc::new(platform), cases, skipped, options))?;

    note_durations(&durations, &stream, &record, args.durations.is_some());
    let reported = write_reports(&output.path, &record, args);
    // What still hangs about (a name look-up, say) must not delay the end.
    runtime.shutdown_background();
    reported?;
    Ok(exit)
}

/// The image is named by `--qemu-image`, or by the first positional that looks like a file rather than a pattern.
fn split_positional(args: &RunArgs) -> (Option<PathBuf>, Vec<String>) {
    let mut patterns = args.positional.clone();
    if args.qemu_image.is_some() {
        return (args.qemu_image.clone(), patterns);
    }
    let looks_like_file = |text: &String| {
        let path = Path::new(text);
        path.extension().is_some_and(|suffix| {
            ["qcow2", "img", "raw", "iso"]
                .iter()
                .any(|known| suffix == *known)
        }) || text.contains('/') && path.exists()
    };
    let image = patterns
        .iter()
        .position(looks_like_file)
        .map(|index| PathBuf::from(patterns.remove(index)));
    (image, patterns)
}

fn cases(selected: &Selected) -> Vec<Case> {
    selected
        .run
        .iter()
        .map(|test| Case {
            native: kolea_suites::all()
                .iter()
                .find(|native| native.name == test.name)
                .copied(),
            test: test.clone(),
        })
        .collect()
}

fn options(args: &RunArgs, profile: Profile, expected: Expected) -> RunOptions {
    RunOptions {
        jobs: match args.jobs {
            Jobs::Auto => kolea_engine::host_cpus(),
            Jobs::Count(count) => count,
        },
        rerun: args.rerun,
        infra_retries: args.infra_retries,
        timeout_factor: args.timeout_factor,
        extend_timeouts_percent: args.extend_timeout_percentage,
        memory_budget_mib: None,
        output_dir: PathBuf::new(),
        profile,
        info: RunInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: std::env::args().collect(),
            distro: args.suite.distro.clone(),
            ..RunInfo::default()
        },
        expected,
        append: Vec::new(),
        container: None,
        oscontainer: None,
        detect_distro: false,
        failure_shell: None,
        templates: !args.templates.no_templates,
        keep_templates: args.templates.keeps(),
        verify_templates_percent: args.templates.verify_templates,
        buckets: args.templates.buckets(),
        warn_exit_77: args.on_warn_failure_exit_77,
        console_rules: !args.skip_console_warnings,
    }
}

/// Losing durations costs order, nothing else; but a file that was asked for is missed.
fn note_durations(durations: &Durations, stream: &Stream, record: &Record, asked: bool) {
    if let Err(error) = durations.note(stream, &Times::of(record)) {
        let path = durations.path().display();
        if asked {
            eprintln!("kolea: warning: cannot write durations to {path}: {error}");
        } else {
            tracing::debug!("cannot write durations to {path}: {error}");
        }
    }
}

async fn run(
    platform: Arc<dyn Platform>,
    cases: Vec<Case>,
    skipped: Vec<(String, SkipReason)>,
    options: RunOptions,
) -> anyhow::Result<(ExitCode, Record)> {
    let terminal = Terminal::new(TerminalOptions::detect(options.output_dir.clone()));
    let sink = Sink::create(&options.output_dir, terminal)
        .with_context(|| format!("cannot write to {}", options.output_dir.display()))?;
    let (events, received) = EventSender::channel();
    let control = Control::new();
    let listener = signals::spawn(control.clone()).context("cannot catch signals")?;
    let sink = tokio::spawn(sink.run(received));
    let exit = kolea_engine::run(platform, cases, skipped, options, events, control).await;
    // The last senders go, so that the sink ends.
    listener.abort();
    let _ = listener.await;
    let record = sink.await.context("the event sink failed")?;
    Ok((exit, record))
}

fn write_reports(dir: &Path, record: &Record, args: &RunArgs) -> anyhow::Result<()> {
    // The error says all of it: what, where, why, and what to do.
    let written = kolea_report::write_all(dir, record).map_err(|error| anyhow!("{error}"))?;
    properties::write(dir, record)
        .with_context(|| format!("cannot write properties.json to {}", dir.display()))?;
    if let Some(tapfile) = &args.tapfile {
        std::fs::copy(&written.tap, tapfile)
            .with_context(|| format!("cannot write the TAP report to {}", tapfile.display()))?;
    }
    if let Some(profile) = &args.profile {
        kolea_report::write_trace(&dir.join(EVENTS_FILE), profile)
            .map_err(|error| anyhow!("{error}"))?;
    }
    println!("junit:  {}", written.junit.display());
    println!("report: {}", written.json.display());
    Ok(())
}
