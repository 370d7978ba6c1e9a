//! What every machine is given besides its tests: appended configs, the image's container, another version of its system.

use std::path::PathBuf;
use std::time::Duration;

use kolea_fake::{FakePlatform, Rebase, Step};
use kolea_model::{EventKind, ExitCode, Phase, UserConfig, bucket_name};

use crate::rig::Rig;

const APPENDED: &str =
    r#"{"ignition":{"version":"3.0.0"},"storage":{"files":[{"path":"/etc/a"}]}}"#;
const SAME_PATH: &str =
    r#"{"ignition":{"version":"3.1.0"},"storage":{"files":[{"path":"/etc/a"}]}}"#;
const OTHER_PATH: &str =
    r#"{"ignition":{"version":"3.1.0"},"storage":{"files":[{"path":"/etc/b"}]}}"#;

fn appended() -> Vec<UserConfig> {
    vec![UserConfig {
        path: PathBuf::from("append.ign"),
        text: APPENDED.into(),
    }]
}

fn configs(platform: &FakePlatform, owner: &str) -> Vec<Vec<String>> {
    let provisions = platform.provisions(owner);
    let texts = |provision: &kolea_machine::Provision| {
        let configs = provision.configs.iter();
        configs.map(|config| config.text.to_string()).collect()
    };
    provisions.iter().map(texts).collect()
}

#[tokio::test(start_paused = true)]
async fn appended_configs_come_before_the_tests_on_every_machine() {
    let platform = FakePlatform::new();
    let rig = Rig::new(platform.clone())
        .exclusive("plain")
        .exclusive("own");
    let report = rig
        .config(OTHER_PATH)
        .options(|options| options.append = appended())
        .run()
        .await;
    assert_eq!(report.exit, ExitCode::Pass);
    assert_eq!(configs(&platform, "plain"), [[APPENDED]]);
    assert_eq!(configs(&platform, "own"), [[APPENDED, OTHER_PATH]]);
    assert!(report.warnings().is_empty());
}

#[tokio::test(start_paused = true)]
async fn appended_configs_are_part_of_what_a_template_is_of() {
    let platform = FakePlatform::new();
    let run = |append: Vec<UserConfig>| {
        let rig = Rig::new(platform.clone())
            .templates()
            .exclusive("a")
            .exclusive("b");
        rig.options(|options| (options.append, options.keep_templates) = (append, true))
            .run()
    };
    run(Vec::new()).await;
    let report = run(appended()).await;
    assert_eq!(report.templates(), [("template/default", vec!["a", "b"])]);
    assert_eq!(
        configs(&platform, "template/default"),
        [vec![], vec![APPENDED]]
    );
    run(appended()).await;
    assert_eq!(platform.stats().templates, 2);
}

#[tokio::test(start_paused = true)]
async fn who_replaces_an_appended_file_shares_with_nobody_and_is_named() {
    let platform = FakePlatform::new();
    let rig = Rig::new(platform)
        .shared("a")
        .shared("b")
        .config(OTHER_PATH)
        .shared("c");
    let report = rig
        .config(SAME_PATH)
        .options(|options| options.append = appended())
        .run()
        .await;
    assert_eq!(report.origins("c"), ["boot"]);
    assert_eq!(report.origins(&bucket_name(0)), ["boot"]);
    assert_eq!(
        report.warnings(),
        ["config.ign replaces what the appended config says about /etc/a"]
    );
}

#[tokio::test(start_paused = true)]
async fn the_container_is_brought_to_whoever_asks_for_it() {
    let platform = FakePlatform::new();
    let rig = Rig::new(platform.clone())
        .with("a", |test| test.inject_container = true)
        .exclusive("b")
        .with("m1", |test| {
            (test.exclusive, test.inject_container) = (false, true);
        })
        .shared("m2");
    let container = rig.dir.path().join("os.ociarchive");
    std::fs::write(&container, vec![7; 1000]).unwrap();
    let report = rig
        .options(|options| options.container = Some(container))
        .run()
        .await;
    assert_eq!(report.exit, ExitCode::Pass);
    // Once for each machine, however many tests it has.
    assert_eq!(platform.stats().copied, 2000);
    let line = "Environment=KOLA_EXT_OSTREE_OCIARCHIVE=/home/core/os.ociarchive\n";
    let has_line = |owner: &str| -> Vec<bool> {
        let units = platform.provisions(owner).remove(0).units;
        units
            .iter()
            .map(|unit| unit.contents.contains(line))
            .collect()
    };
    assert_eq!(has_line("a"), [true]);
    assert_eq!(has_line("b"), [false]);
    assert_eq!(has_line(&bucket_name(0)), [true, false]);
}

#[tokio::test(start_paused = true)]
async fn clones_get_the_container_too_and_none_is_no_panic() {
    for given in [true, false] {
        let platform = FakePlatform::new();
        let inject = |test: &mut kolea_model::TestCase| test.inject_container = true;
        let rig = Rig::new(platform.clone())
            .templates()
            .with("a", inject)
            .with("b", inject);
        let container = rig.dir.path().join("os.ociarchive");
        std::fs::write(&container, "x").unwrap();
        let report = rig
            .options(|options| options.container = given.then_some(container))
            .run()
            .await;
        assert_eq!(report.exit, ExitCode::Pass);
        assert_eq!(platform.stats().copied, if given { 2 } else { 0 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_that_is_gone_says_so() {
    let rig = Rig::new(FakePlatform::new()).with("a", |test| test.inject_container = true);
    let report = rig
        .options(|options| options.container = Some(PathBuf::from("/nowhere/os.ociarchive")))
        .run()
        .await;
    let line = report.line("a");
    assert!(
        line.contains("cannot read `/nowhere/os.ociarchive` to copy it"),
        "{line}"
    );
    assert_eq!(report.exit, ExitCode::Infra);
}

fn phases(rig_report: &crate::rig::Report, owner: &str) -> Vec<Phase> {
    let phases = rig_report.kinds().filter_map(|kind| match kind {
        EventKind::PhaseChanged { group, phase, .. } if group == owner => Some(*phase),
        _ => None,
    });
    phases.collect()
}

#[tokio::test(start_paused = true)]
async fn machines_are_rebased_before_their_tests_and_no_test_pays_for_it() {
    let platform = FakePlatform::new()
        .rebase(Rebase::Slow(Duration::from_secs(1000)))
        .test("a", vec![vec![Step::Sleep(Duration::from_secs(30))]]);
    let rig = Rig::new(platform.clone()).with("a", |test| {
        test.timeout = Some(Duration::from_secs(60));
    });
    let report = rig
        .options(|options| options.oscontainer = Some("quay.io/x:y".into()))
        .run()
        .await;
    assert_eq!(report.line("a"), "pass");
    assert_eq!(
        phases(&report, "a")[..7],
        [
            Phase::Preparing,
            Phase::Booting,
            Phase::Checking,
            Phase::Rebasing,
            Phase::Rebooting,
            Phase::Checking,
            Phase::Installing
        ]
    );
    assert_eq!(
        platform.rebases(),
        ["rpm-ostree rebase --experimental 'ostree-unverified-registry:quay.io/x:y'"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_template_is_rebased_once_and_not_for_later_runs() {
    let platform = FakePlatform::new();
    let run = |oscontainer: Option<&str>| {
        let rig = Rig::new(platform.clone())
            .templates()
            .exclusive("a")
            .exclusive("b");
        let oscontainer = oscontainer.map(str::to_owned);
        rig.options(|options| (options.oscontainer, options.keep_templates) = (oscontainer, true))
            .run()
    };
    run(None).await;
    assert_eq!(platform.stats().kept, 1);
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("os.ociarchive");
    std::fs::write(&archive, "image").unwrap();
    for count in 1..=2 {
        let report = run(archive.to_str()).await;
        assert_eq!(report.exit, ExitCode::Pass);
        assert_eq!(report.origins("a"), ["template/default"]);
        assert_eq!(platform.rebases().len(), count);
    }
    let stats = platform.stats();
    assert_eq!((stats.kept, stats.templates, stats.copied), (1, 3, 10));
    assert_eq!(
        platform.rebases()[0],
        "rpm-ostree rebase --experimental 'ostree-unverified-image:oci-archive:/var/tmp/os.ociarchive' \
         && rm -f \"${KOLET_ROOT-}\"/var/tmp/'os.ociarchive'"
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_rebased_fails_its_tests_and_says_why() {
    for (rebase, reason) in [
        (
            Rebase::Fails("Pulling\nerror: no such tag\n".into()),
            "machine preparation failed: rpm-ostree rebase ostree-unverified-registry:q/x (status 1): Pulling; error: no such tag",
        ),
        (
            Rebase::Breaks("sshd-keygen.service".into()),
            "machine preparation failed: not healthy after the rebase to q/x: failed units: sshd-keygen.service",
        ),
    ] {
        for templates in [false, true] {
            let rig = Rig::new(FakePlatform::new().rebase(rebase.clone()));
            let report = rig
                .exclusive("a")
                .exclusive("b")
                .options(|options| {
                    (options.oscontainer, options.templates) = (Some("q/x".into()), templates);
                })
                .run()
                .await;
            assert_eq!(report.exit, ExitCode::Fail);
            for test in ["a", "b"] {
                assert!(report.line(test).ends_with(reason), "{}", report.line(test));
            }
        }
    }
}
