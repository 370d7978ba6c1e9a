use super::*;
use crate::program::Program;

fn load(file: Option<&str>, variables: &[(&str, &str)]) -> Result<(Layers, PathBuf), String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kolea.toml");
    let mut words: Vec<OsString> = vec!["kolea".into(), "run".into()];
    if let Some(text) = file {
        std::fs::write(&path, text).unwrap();
        words.push("--config".into());
        words.push(path.clone().into());
    }
    let variables = variables
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let dir = dir.path().to_path_buf();
    Layers::load(&args::command(Program::Kolea), &words, variables)
        .map(|layers| (layers, dir.clone()))
        .map_err(|error| format!("{error:#}").replace(dir.to_str().unwrap(), "DIR"))
}

fn parsed(layers: &Layers, words: &[&str]) -> args::Invocation {
    let words = ["kolea", "run"].iter().chain(words).map(Into::into);
    args::parse(args::command(Program::Kolea), words.collect(), layers).unwrap()
}

#[test]
fn a_flag_beats_a_variable_and_a_variable_beats_the_file() {
    let file = "qemu-memory = 1024\ntag = [\"a\", \"b\"]\nrerun = true\nno-net = true\n";
    let variables = [
        ("KOLEA_QEMU_MEMORY", "2048"),
        ("KOLEA_TAG", "c,!d"),
        ("KOLEA_NO_NET", "false"),
    ];
    let (layers, _) = load(Some(file), &variables).unwrap();
    let invocation = parsed(&layers, &["--tag", "e"]);
    let values = |name: &str| invocation.settings[name].values.clone();
    assert_eq!(values("qemu-memory"), ["2048"]);
    assert_eq!(
        *invocation.origin("qemu-memory"),
        Origin::Variable("KOLEA_QEMU_MEMORY".to_owned())
    );
    assert_eq!(invocation.cli.global.select.tags, ["e"]);
    assert!(!invocation.cli.global.select.no_net);
    assert_eq!(values("rerun"), ["true"]);
    assert!(matches!(
        invocation.origin("rerun"),
        Origin::File { line: 3, .. }
    ));
    let tags = parsed(&layers, &[]).cli.global.select.tags;
    assert_eq!(tags, ["c", "!d"]);
}

#[test]
fn settings_of_one_subcommand_do_not_disturb_another() {
    let (layers, _) = load(Some("rerun = true\naccel = \"tcg\"\n"), &[]).unwrap();
    let words = ["kolea", "list"].iter().map(Into::into).collect();
    args::parse(args::command(Program::Kolea), words, &layers).unwrap();
}

#[test]
fn paths_in_the_file_are_relative_to_it() {
    let file = "exttest = [\"tests\", \"/abs\"]\nqemu-image = \"a.qcow2\"\nworkdir = \"none\"\n\
                distro = \"my.toml\"\nqemu-bind-ro = [\"data,/srv\"]\noscontainer = \"quay.io/a\"\n";
    let (layers, dir) = load(Some(file), &[]).unwrap();
    let settings = parsed(&layers, &[]).settings;
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    assert_eq!(
        settings["exttest"].values,
        [path("tests"), "/abs".to_owned()]
    );
    assert_eq!(settings["qemu-image"].values, [path("a.qcow2")]);
    assert_eq!(settings["workdir"].values, ["none"]);
    assert_eq!(settings["distro"].values, [path("my.toml")]);
    assert_eq!(settings["qemu-bind-ro"].values, [path("data,/srv")]);
    assert_eq!(settings["oscontainer"].values, ["quay.io/a"]);
}

#[test]
fn faults_of_the_file_have_a_line() {
    for (file, expected) in [
        (
            "rerun = true\n\nqemu-memroy = 5\n",
            "DIR/kolea.toml:3: there is no setting `qemu-memroy`; did you mean `qemu-memory`?",
        ),
        (
            "help = true\n",
            "DIR/kolea.toml:1: there is no setting `help`",
        ),
        (
            "\nqemu-memory = true\n",
            "DIR/kolea.toml:2: invalid value 'true' for '--qemu-memory",
        ),
        ("accel = \"hvf\"\n", "[possible values: auto, kvm, tcg]"),
        ("rerun = \"maybe\"\n", "must be true or false"),
        (
            "accel = [\"tcg\"]\n",
            "DIR/kolea.toml:1: accel takes one value, not a list",
        ),
        (
            "accel = {a = 1}\n",
            "DIR/kolea.toml:1: accel takes text, a number, true or false",
        ),
        (
            "rerun = true\nrerun = true\n",
            "DIR/kolea.toml:2: this is not TOML",
        ),
        ("= 5\n", "DIR/kolea.toml:1: this is not TOML"),
    ] {
        let error = load(Some(file), &[]).unwrap_err();
        assert!(error.contains(expected), "{file}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn faults_of_variables_name_them() {
    let error = load(None, &[("KOLEA_QEMU_MEMORY", "lots")]).unwrap_err();
    assert!(
        error.starts_with("variable KOLEA_QEMU_MEMORY: invalid value 'lots'"),
        "{error}"
    );
    // Others may use such names, too.
    let (layers, _) = load(
        None,
        &[
            ("KOLEA_COLOUR", "red"),
            ("KOLEA_LOG", "debug"),
            ("KOLEA_TAG", ""),
        ],
    )
    .unwrap();
    assert!(layers.values.is_empty());
}

#[test]
fn a_file_that_was_named_has_to_be_there() {
    let command = args::command(Program::Kolea);
    for words in [
        &["kolea", "--config=/nowhere/k.toml", "run"][..],
        &["kolea", "run", "--config", "/nowhere/k.toml"],
    ] {
        let words: Vec<OsString> = words.iter().map(Into::into).collect();
        let error = Layers::load(&command, &words, std::iter::empty()).unwrap_err();
        assert!(format!("{error:#}").contains("/nowhere/k.toml"));
    }
    let variable = ("KOLEA_CONFIG".into(), "/nowhere/k.toml".into());
    let words = ["kolea".into(), "run".into()];
    assert!(Layers::load(&command, &words, std::iter::once(variable)).is_err());
}
