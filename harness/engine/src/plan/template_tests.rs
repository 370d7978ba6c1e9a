use kolea_model::ExternalTest;
use kolea_model::{TestCase, TestSource, UserConfig};
use proptest::prelude::*;

use super::*;
use crate::Expected;

fn case(name: &str) -> Case {
    let source = TestSource::External(ExternalTest {
        executable: format!("/tests/{name}").into(),
        data: None,
    });
    Case {
        test: TestCase::new(name, source),
        native: None,
    }
}

fn shared(name: &str) -> Case {
    let mut case = case(name);
    case.test.exclusive = false;
    case
}

fn config(mut case: Case, text: &str) -> Case {
    case.test.config = Some(UserConfig {
        path: "config.ign".into(),
        text: text.into(),
    });
    case
}

/// Whatever a config says, it writes nothing.
fn no_claims(_: &UserConfig) -> BTreeSet<String> {
    BTreeSet::new()
}

fn options(jobs: usize, buckets: Buckets) -> RunOptions {
    RunOptions {
        jobs,
        buckets,
        templates: true,
        ..RunOptions::default()
    }
}

fn layout(cases: &[Case], options: &RunOptions) -> Layout {
    Planner::with(cases, options, None, &no_claims).layout(&BTreeSet::new())
}

fn groups(layout: &Layout) -> Vec<&str> {
    let mut names: Vec<&str> = layout
        .machines
        .iter()
        .map(|machine| machine.name.as_str())
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn where_most_wait_the_template_is_made_first() {
    let cases = [
        config(case("a"), "1"),
        config(case("b"), "1"),
        case("c"),
        case("d"),
        case("e"),
    ];
    let layout = layout(&cases, &options(2, Buckets::Auto));
    let names: Vec<&str> = layout
        .templates
        .iter()
        .map(|template| template.name.as_str())
        .collect();
    assert_eq!(names, ["template/default", "template/a"]);
    let plan = layout.describe(&cases);
    assert_eq!(plan.templates[0].groups, ["c", "d", "e"]);
    assert_eq!(plan.templates[1].groups, ["a", "b"]);
}

#[test]
fn a_template_that_is_there_is_used_by_a_single_test_too() {
    let cases = [case("a")];
    let options = options(1, Buckets::Auto);
    let planner = Planner::new(&cases, &options, None);
    assert_eq!(planner.orders().len(), 1);
    assert_eq!(planner.layout(&BTreeSet::new()).templates.len(), 0);
    let layout = planner.layout(&BTreeSet::from([0]));
    assert!(layout.templates[0].cached && layout.machines[0].template == Some(0));
}

#[test]
fn a_bucket_is_split_where_that_costs_little() {
    let bucket = |own: f64, jobs: usize, clone: f64| {
        let names = ["a", "b", "c", "d"];
        let cases: Vec<Case> = names.iter().map(|name| shared(name)).collect();
        let expected = Expected {
            tests: names.iter().map(|name| ((*name).to_owned(), own)).collect(),
            boot: Some(20.0),
            clone: Some(clone),
        };
        let options = RunOptions {
            expected,
            ..options(jobs, Buckets::Auto)
        };
        layout(&cases, &options).machines.len()
    };
    // In one machine: 20 + 40 s. In clones: 20 + 2 · (10 + 1) s.
    assert_eq!(bucket(10.0, 2, 1.0), 4);
    // In one machine: 20 + 4 s. In clones, one after the other: 20 + 4 · (1 + 10) s.
    assert_eq!(bucket(1.0, 1, 10.0), 1);
    // The clones cost 2 s of 60.
    assert_eq!(bucket(10.0, 1, 0.5), 4);
}

#[test]
fn a_few_configs_do_not_keep_the_others_from_clones_of_their_own() {
    let names: Vec<String> = (0..40).map(|number| format!("plain-{number:02}")).collect();
    let mut cases: Vec<Case> = names.iter().map(|name| shared(name)).collect();
    for number in 0..6 {
        cases.push(config(
            shared(&format!("with-{number}")),
            &number.to_string(),
        ));
    }
    let auto = layout(&cases, &options(4, Buckets::Auto));
    // As many templates as configs would take longer than one machine for all of them.
    let mut expected = vec!["non-exclusive-test-bucket-0"];
    expected.extend(names.iter().map(String::as_str));
    assert_eq!(groups(&auto), expected);
    let always = layout(&cases, &options(4, Buckets::Always));
    assert_eq!(groups(&always), ["non-exclusive-test-bucket-0"]);
}

#[test]
fn what_can_not_be_cloned_goes_on_sharing() {
    // Each has its own config, so none would have a template.
    let cases: Vec<Case> = ["a", "b", "c"]
        .iter()
        .map(|name| config(shared(name), name))
        .collect();
    let auto = layout(&cases, &options(4, Buckets::Auto));
    assert_eq!(groups(&auto), ["non-exclusive-test-bucket-0"]);
    let never = layout(&cases, &options(4, Buckets::Never));
    assert_eq!(groups(&never), ["a", "b", "c"]);
    // Those that want to boot share with their like, so that the others are not kept from being clones.
    let mut cases = vec![shared("a"), shared("b"), shared("c"), shared("d")];
    cases[0].test.fresh_boot = true;
    cases[2].test.fresh_boot = true;
    let auto = layout(&cases, &options(4, Buckets::Auto));
    assert_eq!(groups(&auto), ["b", "d", "non-exclusive-test-bucket-0"]);
    let bucket = auto.machines.iter().find(|machine| machine.shared).unwrap();
    assert_eq!(bucket.why.as_deref(), Some("a asks for a fresh boot"));
}

#[test]
fn a_lower_bound_is_given_where_everything_is_known() {
    let cases = [case("a"), case("b")];
    let mut options = options(2, Buckets::Auto);
    options.expected.tests = [("a".to_owned(), 3.0), ("b".to_owned(), 5.0)].into();
    options.expected.boot = Some(20.0);
    assert_eq!(plan(&cases, &options).lower_bound_seconds, None);
    options.expected.clone = Some(1.0);
    // The template, and the longer of both tests in its clone.
    assert_eq!(plan(&cases, &options).lower_bound_seconds, Some(26.0));
    options.templates = false;
    assert_eq!(plan(&cases, &options).lower_bound_seconds, Some(25.0));
}

prop_compose! {
    fn some_case()(
        exclusive in any::<bool>(),
        fresh in proptest::bool::weighted(0.2),
        unchecked in proptest::bool::weighted(0.2),
        memory in proptest::option::of(1u64..3),
        text in proptest::option::of(0u8..4),
    ) -> Case {
        let mut case = if exclusive { case("") } else { shared("") };
        case.test.fresh_boot = fresh;
        case.test.needs.skip_base_checks = unchecked;
        case.test.needs.memory_mib = memory;
        match text {
            Some(text) => config(case, &text.to_string()),
            None => case,
        }
    }
}

proptest! {
    #[test]
    fn clones_share_what_their_tests_want_alike(
        mut cases in proptest::collection::vec(some_case(), 0..25),
        jobs in 1usize..5,
        keep in any::<bool>(),
        mode in 0usize..3,
        cached in proptest::collection::btree_set(0usize..8, 0..4),
    ) {
        for (index, case) in cases.iter_mut().enumerate() {
            case.test.name = format!("t{index:02}");
        }
        let buckets = [Buckets::Always, Buckets::Auto, Buckets::Never][mode];
        let options = RunOptions { keep_templates: keep, ..options(jobs, buckets) };
        let planner = Planner::with(&cases, &options, None, &no_claims);
        let cached: BTreeSet<usize> = cached.into_iter().filter(|index| *index < planner.orders().len()).collect();
        let layout = planner.layout(&cached);
        let mut seen: Vec<usize> = layout.machines.iter().flat_map(|machine| machine.members.clone()).collect();
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..cases.len()).collect::<Vec<_>>());
        let names: BTreeSet<&str> = layout.templates.iter().map(|template| template.name.as_str()).collect();
        prop_assert_eq!(names.len(), layout.templates.len());
        for machine in &layout.machines {
            let tests = || machine.members.iter().map(|index| &cases[*index].test);
            prop_assert!(buckets != Buckets::Never || !machine.shared);
            prop_assert_eq!(machine.why.is_some(), tests().any(|test| test.fresh_boot || test.needs.skip_base_checks));
            let Some(template) = machine.template else { continue };
            prop_assert!(machine.why.is_none());
            let order = &planner.orders()[layout.templates[template].order];
            let wanted: Vec<_> = merged_configs(&[], tests()).into_iter().map(|config| config.text).collect();
            let given: Vec<_> = order.provision.configs.iter().map(|config| config.text.clone()).collect();
            prop_assert_eq!(wanted, given);
            prop_assert!(tests().all(|test| test.needs.memory_mib.unwrap_or_default() == order.spec.memory_mib));
        }
        for (index, template) in layout.templates.iter().enumerate() {
            let users = layout.machines.iter().filter(|machine| machine.template == Some(index)).count();
            prop_assert!(users > 1 || template.cached || (keep && users == 1));
            prop_assert_eq!(template.cached, cached.contains(&template.order));
        }
    }
}
