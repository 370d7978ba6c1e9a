//! The compiled-in tests as `cargo test`, nextest and IDEs see them: one trial each, run by kolea's own engine on the
//! fixture image (or on the image named by `KOLEA_IMAGE`).

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use kolea_engine::{Case, Control, EventSender, RunOptions};
use kolea_machine::NativeTest;
use kolea_machine::profile::Profile;
use kolea_model::{EventKind, Verdict};
use kolea_qemu::{Accel, QemuOptions, QemuPlatform};
use libtest_mimic::{Arguments, Failed, Trial};

/// What these are about `multipath.single-disk` is, too, but for kernel arguments that are added later.
const SLOW: &[&str] = &["multipath.day1", "multipath.day2", "multipath.partition"];

fn main() -> ExitCode {
    // QEMU calls us so.
    if let Some(code) = kolea_serve::relay::run_if_asked(std::env::args_os().skip(1)) {
        return code;
    }
    let arguments = Arguments::from_args();
    let trials = kolea_suites::all()
        .iter()
        // Live systems, and what they install, are the business of `kolea testiso` and its test.
        .filter(|test| !test.tags.contains(&kolea_suites::ISO_TAG))
        .filter(|test| cfg!(feature = "all-tests") || !SLOW.contains(&test.name))
        .map(|test| Trial::test(test.name, move || run(test)))
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn image() -> PathBuf {
    std::env::var_os("KOLEA_IMAGE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/fixtures/fixture-x86_64.qcow2"),
        PathBuf::from,
    )
}

fn run(test: &'static NativeTest) -> Result<(), Failed> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(run_on_fixture(test))
}

async fn run_on_fixture(test: &'static NativeTest) -> Result<(), Failed> {
    let image = image();
    if !image.exists() {
        return Err(format!("{} is missing: run fixtures/build", image.display()).into());
    }
    let output_dir = tempfile::tempdir()?;
    let profile = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/profile.toml");
    let profile = Profile::load(&profile)?;
    let platform = QemuPlatform::new(QemuOptions {
        image,
        arch: "x86_64".to_owned(),
        accel: Accel::Auto,
        firmware: None,
        memory_mib: None,
        disk_size: None,
        mounts: Vec::new(),
        profile: profile.clone(),
        // What was found out about the host and the image for one test holds for the others.
        cache_dir: Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"),
        template_cache: None,
        work_dir: None,
        ..QemuOptions::default()
    })
    .await?;
    let options = RunOptions {
        jobs: 1,
        infra_retries: 1,
        output_dir: output_dir.path().to_owned(),
        profile,
        console_rules: true,
        ..RunOptions::default()
    };
    let case = Case {
        test: test.test_case(),
        native: Some(*test),
    };
    let (events, mut received) = EventSender::channel();
    let exit = kolea_engine::run(
        Arc::new(platform),
        vec![case],
        Vec::new(),
        options,
        events,
        Control::new(),
    )
    .await;
    let (mut story, mut passed) = (String::new(), exit == kolea_model::ExitCode::Pass);
    while let Some(event) = received.recv().await {
        match event.kind {
            EventKind::AttemptFinished { output, .. } => story.push_str(&output),
            EventKind::TestFinished { verdict, .. } if verdict != Verdict::Pass => {
                // The fixture has all that any of them needs.
                passed &= std::env::var_os("KOLEA_IMAGE").is_some();
                story = format!("{verdict}\n{story}");
            }
            _ => {}
        }
    }
    if passed { Ok(()) } else { Err(story.into()) }
}
