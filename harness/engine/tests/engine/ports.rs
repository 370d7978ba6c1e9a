//! Tests that want the same port of the host.

use std::collections::BTreeSet;
use std::time::Duration;

use kolea_fake::{FakePlatform, Step};
use kolea_model::{EventKind, ExitCode, bucket_name};

use crate::rig::{Report, Rig};

fn slow(platform: FakePlatform, names: &[&str]) -> FakePlatform {
    let sleep = || vec![vec![Step::Sleep(Duration::from_secs(10))]];
    names
        .iter()
        .fold(platform, |platform, name| platform.test(name, sleep()))
}

/// Which groups ran at the same time, in pairs.
fn together(report: &Report) -> BTreeSet<(String, String)> {
    let mut running: BTreeSet<String> = BTreeSet::new();
    let mut pairs = BTreeSet::new();
    for kind in report.kinds() {
        match kind {
            EventKind::GroupStarted { group, .. } => {
                pairs.extend(running.iter().map(|other| {
                    let (one, two) = (other.min(group), other.max(group));
                    (one.clone(), two.clone())
                }));
                running.insert(group.clone());
            }
            EventKind::GroupFinished { group, .. } => {
                running.remove(group);
            }
            _ => {}
        }
    }
    pairs
}

fn pair(one: &str, two: &str) -> (String, String) {
    (one.to_owned(), two.to_owned())
}

#[tokio::test(start_paused = true)]
async fn never_run_at_the_same_time_and_hold_up_nobody_else() {
    for templates in [false, true] {
        let platform = slow(FakePlatform::new(), &["a", "b", "c", "d"]);
        let port = |ports: &[u16]| {
            let ports = ports.to_vec();
            |test: &mut kolea_model::TestCase| test.host_ports = ports
        };
        let rig = Rig::new(platform)
            .with("a", port(&[2049]))
            .with("b", port(&[2049, 80]))
            .with("c", port(&[80]))
            .exclusive("d");
        let report = rig
            .options(|options| options.templates = templates)
            .run()
            .await;
        assert_eq!(report.exit, ExitCode::Pass);
        let together = together(&report);
        assert!(together.contains(&pair("a", "c")) && together.contains(&pair("a", "d")));
        assert!(!together.contains(&pair("a", "b")) && !together.contains(&pair("b", "c")));
        let (wall, _) = report.run_seconds();
        assert!((20.0..21.0).contains(&wall), "{wall}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bucket_takes_those_of_all_its_members() {
    let platform = slow(FakePlatform::new(), &["a", "b", "x", "y"]);
    let rig = Rig::new(platform)
        .with("a", |test| {
            (test.exclusive, test.host_ports) = (false, vec![1]);
        })
        .with("b", |test| {
            (test.exclusive, test.host_ports) = (false, vec![2]);
        })
        .with("x", |test| test.host_ports = vec![2])
        .with("y", |test| test.host_ports = vec![3]);
    let report = rig.run().await;
    let together = together(&report);
    let bucket = bucket_name(0);
    assert!(!together.contains(&pair(&bucket, "x")), "{together:?}");
    assert!(together.contains(&pair(&bucket, "y")));
    assert_eq!(report.machines(), 3);
}
