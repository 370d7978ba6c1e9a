//! `kolea run`: everything that can be wrong is found before a machine boots; then the engine runs, events flow to the sink,
//! and the reports are made of what the sink recorded.

mod needs;
mod plan;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use kolea_engine::{Case, Control, EventSender, Expected, RunOptions};
use kolea_machine::Platform;
use kolea_model::{ExitCode, RunInfo, Sectors, SkipReason};
use kolea_qemu::{QemuOptions, QemuPlatform, TemplateCache};
use kolea_report::{Record, Terminal, TerminalOptions};
use kolea_suite::Selected;

use super::{Failure, Outcome};
use crate::args::{Invocation, RunFlags};
use crate::durations::{Durations, Stream, Times};
use crate::output_dir::OutputDir;
use crate::program::{Program, say, warn};
use crate::settings::Settings;
use crate::sink::{EVENTS_FILE, Sink};
use crate::tests::LoadedSuite;
use crate::{paths, properties, settings, shell, signals};

pub use needs::{container, unsupported};

/// Runs the subcommand.
pub fn main(invocation: &Invocation, words: &[String], flags: &RunFlags) -> Outcome {
    let settings = Settings::resolve(invocation, words, &flags.suite)?;
    let suite = LoadedSuite::of(&settings)?;
    start(invocation, &settings, &suite, flags)
}

/// Runs what the settings select of the suite.
pub fn start(
    invocation: &Invocation,
    settings: &Settings,
    suite: &LoadedSuite,
    flags: &RunFlags,
) -> Outcome {
    if let Some(contradiction) = flags.templates.contradiction() {
        return Err(Failure::usage(anyhow!(contradiction)));
    }
    settings::check_writable(settings.output.tapfile.as_deref(), "--tapfile")?;
    settings::check_writable(settings::path(&flags.profile), "--profile")?;
    settings.warn(invocation, &suite.tests);
    let mut selected = kolea_suite::select(suite.tests.clone(), &settings.selection)
        .map_err(Failure::selection)?;
    needs::set_aside(&mut selected, settings)?;
    let errors = suite.print_problems_of(&selected.run, &settings.selection);
    if errors > 0 {
        return Err(Failure::usage(anyhow!(
            "{errors} error{} in the tests to be run (above); nothing was booted",
            if errors == 1 { "" } else { "s" }
        )));
    }

    let path = settings::path(&flags.durations).map(Path::to_path_buf);
    let asked_for_durations = path.is_some();
    let durations =
        Durations::new(path.unwrap_or_else(|| paths::cache_dir().join("durations.json")));
    let mut cases = cases(&selected);
    let stream = |accelerator: Option<&str>, image: &Path| {
        let distro = settings.distro.name.as_deref();
        let arch = &settings.selection.arch;
        Stream::new(distro.unwrap_or(UNKNOWN), arch, accelerator, image)
    };
    if flags.dry_run {
        // What cannot be used is not needed for a plan.
        let expected = match settings.image() {
            Ok(Some(image)) => durations.expected(&stream(None, &image)),
            _ => Expected::default(),
        };
        plan::print(&cases, &selected, &options(settings, flags, expected));
        return Ok(ExitCode::Pass);
    }

    let image = settings.image()?.ok_or_else(|| {
        Failure::usage(anyhow!(
            "no image: name one, as in `{} run IMAGE.qcow2` or `--qemu-image IMAGE.qcow2`",
            Program::current().name()
        ))
    })?;
    let iso = match selected
        .run
        .iter()
        .any(|test| test.needs.boot_from.is_some())
    {
        true => settings.live_iso()?,
        false => None,
    };
    let container = needs::container(&selected.run, settings.build.as_ref())?;
    let runtime =
        tokio::runtime::Runtime::new().context("cannot start the asynchronous runtime")?;
    let platform = runtime
        .block_on(QemuPlatform::new(QemuOptions {
            template_cache: flags.templates.keeps().then(|| TemplateCache {
                dir: paths::cache_dir().join("templates"),
                limit_mib: flags.templates.template_cache_size,
            }),
            ..qemu(settings, &image, iso.as_deref())
        }))
        .map_err(Failure::usage)?;
    needs::set_aside_on(&platform, &mut selected, settings)?;
    cases.retain(|case| selected.run.contains(&case.test));
    runtime
        .block_on(platform.check_image(selected.run.iter().map(|test| &test.needs)))
        .map_err(Failure::usage)?;
    let accelerator = platform.facts().properties.get("accelerator").cloned();
    let stream = stream(accelerator.as_deref(), &image);

    let output_path = match &settings.output.dir {
        Some(path) => path.clone(),
        None => OutputDir::default_path(&settings.output.parent, &settings.selection.platform)
            .map_err(Failure::usage)?,
    };
    let output = OutputDir::prepare(&output_path).map_err(Failure::usage)?;
    let options = RunOptions {
        output_dir: output.path.clone(),
        container,
        ..options(settings, flags, durations.expected(&stream))
    };
    let skipped = selected
        .skipped
        .into_iter()
        .map(|(test, reason)| (test.name, reason))
        .collect();
    let (exit, record) = runtime.block_on(run(
        Arc::new(platform),
        cases,
        skipped,
        options,
        settings.machines.shell,
    ))?;

    note_durations(&durations, &stream, &record, asked_for_durations);
    let reported = write_reports(&output.path, &record, settings, flags);
    // What still hangs about (a name look-up, say) must not delay the end.
    runtime.shutdown_background();
    reported?;
    Ok(exit)
}

/// What durations are kept under where only the booted machine can tell the distribution.
const UNKNOWN: &str = "unknown";

/// The platform as the settings have it, without a place for templates. `iso`: the live ISO for tests that boot from one.
pub fn qemu(settings: &Settings, image: &Path, iso: Option<&Path>) -> QemuOptions {
    let machines = &settings.machines;
    QemuOptions {
        image: image.to_path_buf(),
        boot_from: settings.boot_from(),
        iso: iso.map(Path::to_path_buf),
        metal: settings.metal_image(Sectors::default()),
        metal_4k: settings.metal_image(Sectors::Native4k),
        arch: settings.selection.arch.clone(),
        accel: machines.accel,
        firmware: machines.firmware,
        tpm: machines.tpm,
        memory_mib: machines.memory_mib,
        disk_size: machines.disk_size.clone(),
        mounts: machines.mounts.clone(),
        pxe_kernel_args: machines.pxe_kernel_args.clone(),
        primary_disk: machines.primary_disk.clone(),
        provisioning: machines.provisioning,
        ssh_key: machines.ssh_key.clone(),
        profile: settings.distro.profile.clone(),
        cache_dir: paths::cache_dir(),
        ..QemuOptions::default()
    }
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

fn options(settings: &Settings, flags: &RunFlags, expected: Expected) -> RunOptions {
    let machines = &settings.machines;
    RunOptions {
        jobs: machines.jobs,
        rerun: flags.rerun,
        infra_retries: flags.infra_retries,
        timeout_factor: flags.timeout_factor,
        extend_timeouts_percent: machines.extend_timeouts_percent,
        memory_budget_mib: None,
        output_dir: PathBuf::new(),
        profile: settings.distro.profile.clone(),
        info: RunInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: std::env::args().collect(),
            distro: settings.distro.name.clone().unwrap_or_default(),
            properties: properties::of(settings),
            ..RunInfo::default()
        },
        expected,
        append: machines.append.clone(),
        container: None,
        oscontainer: machines.oscontainer.clone(),
        detect_distro: settings.distro.name.is_none(),
        failure_shell: None,
        templates: !flags.templates.no_templates,
        keep_templates: flags.templates.keeps(),
        verify_templates_percent: flags.templates.verify_templates,
        buckets: flags.templates.buckets(),
        warn_exit_77: settings.output.warn_exit_77,
        console_rules: !flags.skip_console_warnings,
    }
}

/// Losing durations costs order, nothing else; but a file that was asked for is missed.
fn note_durations(durations: &Durations, stream: &Stream, record: &Record, asked: bool) {
    if let Err(error) = durations.note(stream, &Times::of(record)) {
        let path = durations.path().display();
        if asked {
            warn(format_args!("cannot write durations to {path}: {error}"));
        } else {
            tracing::debug!("cannot write durations to {path}: {error}");
        }
    }
}

async fn run(
    platform: Arc<dyn Platform>,
    cases: Vec<Case>,
    skipped: Vec<(String, SkipReason)>,
    mut options: RunOptions,
    shell: bool,
) -> anyhow::Result<(ExitCode, Record)> {
    let terminal = Terminal::new(TerminalOptions::detect(options.output_dir.clone()));
    if shell {
        // That there can be none has been said.
        options.failure_shell = shell::on_terminal(terminal.handle()).ok();
    }
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

fn write_reports(
    dir: &Path,
    record: &Record,
    settings: &Settings,
    flags: &RunFlags,
) -> anyhow::Result<()> {
    // The error says all of it: what, where, why, and what to do.
    let written = kolea_report::write_all(dir, record).map_err(|error| anyhow!("{error}"))?;
    properties::write(dir, record)
        .with_context(|| format!("cannot write properties.json to {}", dir.display()))?;
    if let Some(tapfile) = &settings.output.tapfile {
        std::fs::copy(&written.tap, tapfile)
            .with_context(|| format!("cannot write the TAP report to {}", tapfile.display()))?;
    }
    if let Some(profile) = settings::path(&flags.profile) {
        kolea_report::write_trace(&dir.join(EVENTS_FILE), profile)
            .map_err(|error| anyhow!("{error}"))?;
    }
    say(format_args!("junit:  {}", written.junit.display()));
    say(format_args!("report: {}", written.json.display()));
    Ok(())
}
