//! Runs 1,000 fake tests in clones of a fake machine, 8 at a time, with all that `kolea run` does around them (events.jsonl,
//! the record, the reports), and prints what that cost as JSON: `{"tests":…,"cpu_seconds":…,"peak_rss_mib":…}`.

use std::error::Error;
use std::sync::Arc;
use std::{fs, io};

use kolea_engine::{Case, Control, EventSender, RunOptions, run};
use kolea_fake::{FakePlatform, Step};
use kolea_machine::profile::Profile;
use kolea_model::{ExitCode, ExternalTest, TestCase, TestSource, Verdict};
use kolea_report::{Fold, JsonlWriter, Limits, Reporter, write_all};

const TESTS: usize = 1000;

// As in the command: one thread.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let executable = dir.path().join("test.sh");
    fs::write(&executable, "#!/bin/sh\n")?;
    let mut platform = FakePlatform::new();
    let mut cases = Vec::new();
    for number in 0..TESTS {
        let name = format!("ext.scale.t{number:04}");
        let steps = vec![Step::PrintMany(20), Step::Reboot("again".to_owned())];
        platform = platform.test(&name, vec![steps]);
        let source = TestSource::External(ExternalTest {
            executable: executable.clone(),
            data: None,
        });
        let test = TestCase::new(name, source);
        cases.push(Case { test, native: None });
    }
    let options = RunOptions {
        jobs: 8,
        memory_budget_mib: Some(64 << 10),
        output_dir: dir.path().to_path_buf(),
        profile: Profile::builtin("fcos").ok_or("there is no profile fcos")?,
        templates: true,
        console_rules: true,
        ..RunOptions::default()
    };
    let (events, mut received) = EventSender::channel();
    let running = run(
        Arc::new(platform),
        cases,
        Vec::new(),
        options,
        events,
        Control::new(),
    );
    let mut file = JsonlWriter::create(&dir.path().join("events.jsonl"))?;
    let record = async {
        let mut fold = Fold::new(Limits::default());
        while let Some(event) = received.recv().await {
            file.event(&event)?;
            fold.push(&event);
        }
        Ok::<_, io::Error>(fold.finish())
    };
    let (exit, record) = tokio::join!(running, record);
    let record = record?;
    write_all(dir.path(), &record)?;
    let finished = record
        .tests
        .iter()
        .filter(|test| test.verdict == Verdict::Pass)
        .count();
    if exit != ExitCode::Pass || finished != TESTS {
        return Err(
            format!("{finished} of {TESTS} tests passed, and the run ended with {exit:?}").into(),
        );
    }
    let (cpu, rss) = (cpu_seconds()?, peak_rss_mib()?);
    println!("{{\"tests\":{finished},\"cpu_seconds\":{cpu:.3},\"peak_rss_mib\":{rss:.1}}}");
    Ok(())
}

/// User and system time of this process, in seconds (proc(5): `stat`, fields 14 and 15, in ticks of 10 ms).
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let mut fields = after_name.split_whitespace().skip(11);
    let mut next = || fields.next().unwrap_or_default().parse::<f64>();
    Ok((next()? + next()?) / 100.0)
}

/// The most memory that this process ever had, in MiB (proc(5): `VmHWM` in `status`).
fn peak_rss_mib() -> Result<f64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap_or_default().trim().trim_end_matches(" kB");
    Ok(kib.parse::<f64>()? / 1024.0)
}
