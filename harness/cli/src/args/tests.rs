use super::*;
use crate::layers::{Layers, Origin};
use crate::program::Program;

fn invoke(words: &[&str]) -> Result<Invocation, clap::Error> {
    let words = words.iter().map(Into::into).collect();
    parse(command(Program::Kolea), words, &Layers::default())
}

fn ok(words: &[&str]) -> Invocation {
    invoke(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

fn run(words: &[&str]) -> RunArgs {
    match ok(words).cli.command {
        Command::Run(args) => *args,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_command_line_is_consistent() {
    for program in [Program::Kolea, Program::Kola] {
        command(program).debug_assert();
    }
}

#[test]
fn flags_stand_before_and_after_the_subcommand_and_add_up() {
    let invocation = ok(&[
        "kolea",
        "-p=qemu",
        "--tag",
        "a",
        "-v",
        "run",
        "--tag=b,c",
        "-vd",
        "--tag",
        "!d",
        "x",
    ]);
    let global = &invocation.cli.global;
    assert_eq!(global.target.platform.as_deref(), Some("qemu"));
    assert_eq!(global.select.tags, ["a", "b", "c", "!d"]);
    assert_eq!(global.log.verbosity(), 2);
    assert!(global.log.debug);
    let own = run(&["kolea", "-E", "run", "--rerun", "run", "x"]);
    assert_eq!(own.positional, ["x"]);
    assert_eq!(own.flags.suite.exttest, [PathBuf::from("run")]);
    assert!(own.flags.rerun);
    let names = run(&["kolea", "--workdir", "run", "run", "run"]);
    assert_eq!(names.positional, ["run"]);
}

#[test]
fn what_is_true_or_false_takes_a_value_behind_an_equals_sign_only() {
    for (word, value) in [
        ("--rerun", true),
        ("--rerun=true", true),
        ("--rerun=1", true),
        ("--rerun=T", true),
        ("--rerun=false", false),
        ("--rerun=0", false),
    ] {
        assert_eq!(run(&["kolea", "run", word]).flags.rerun, value, "{word}");
    }
    let args = run(&["kolea", "run", "--rerun", "false"]);
    assert!(args.flags.rerun);
    assert_eq!(args.positional, ["false"]);
    assert!(invoke(&["kolea", "run", "--rerun=maybe"]).is_err());
    let both = run(&["kolea", "run", "--rerun", "--rerun=false"]);
    assert!(!both.flags.rerun);
    assert!(ok(&["kolea", "run"]).cli.global.qemu.qemu_swtpm);
    let without = ok(&["kolea", "--qemu-swtpm=false", "run"]);
    assert!(!without.cli.global.qemu.qemu_swtpm);
    assert!(without.given("qemu-swtpm"));
}

#[test]
fn a_single_value_is_the_last_one_and_may_be_empty() {
    let invocation = ok(&[
        "kolea",
        "run",
        "--qemu-image=",
        "--qemu-memory=",
        "--qemu-firmware=",
        "--build",
        "-1",
        "--arch",
        "x86_64",
        "--arch=aarch64",
        "--denylist-test=a,b",
        "--denylist-test",
        "c",
    ]);
    let global = &invocation.cli.global;
    assert_eq!(crate::settings::path(&global.target.qemu_image), None);
    assert_eq!(global.qemu.qemu_memory.and_then(|memory| memory.0), None);
    assert_eq!(global.target.build.as_deref(), Some("-1"));
    assert_eq!(global.target.arch.as_deref(), Some("aarch64"));
    assert_eq!(global.select.denylist_test, ["a", "b", "c"]);
}

#[test]
fn mounts_keep_their_comma() {
    let words = [
        "kolea",
        "run",
        "--qemu-bind-ro",
        "/a,/b",
        "--qemu-bind-ro=c,/d",
    ];
    let mounts = ok(&words).cli.global.qemu.qemu_bind_ro;
    let pairs: Vec<_> = mounts
        .iter()
        .map(|mount| (mount.host.to_str().unwrap(), mount.guest.as_str()))
        .collect();
    assert_eq!(pairs, [("/a", "/b"), ("c", "/d")]);
    for wrong in ["/a", "/a,b", ",/b"] {
        assert!(invoke(&["kolea", "run", "--qemu-bind-ro", wrong]).is_err());
    }
}

/// Command lines of pipelines that use kola.
#[test]
fn command_lines_of_kolas_users_are_understood() {
    for words in [
        "kola run rpmostree.status --rerun --allow-rerun-success=tags=needs-internet --build=latest --on-warn-failure-exit-77 --arch=x86_64 --tag=!reprovision --parallel=5",
        "kola run -b nestos --qemu-image nestos.qcow2",
        "kola -p qemu --output-dir tmp/kola run --parallel auto --no-net basic",
        "kola run --parallel=8 --sharding hash:1/3 --denylist-test ext.a --qemu-memory 4096 --qemu-firmware uefi",
        "kola run --append-butane a.bu --append-ignition b.ign --oscontainer quay.io/a/b:c --debug-systemd-unit a.service",
        "kola -p aws --aws-ami ami-1 --aws-region us-east-1 --aws-type m5.large run",
        "kola run -p gcp --gcp-image x --gcp-service-auth --gcp-json-key k",
        "kola run --qemu-multipath --qemu-native-4k=false --qemu-512e --qemu-nvme --inst-insecure --pxe-kargs a,b",
        "kola run-upgrade -v --find-parent-image --qemu-image-dir tmp/cache --output-dir tmp/kola-upgrade",
        "kola list --json -p qemu -b fcos",
        "kola rerun --output-dir tmp/kola",
        "kola qemuexec --add-ignition autologin -m 2048 -- -nographic",
        "kola spawn -k --detach",
        "kola testiso -S --qemu-iso x.iso",
        "kola check-console -v console.txt",
        "kola http-server -P 0",
        "kola ncpu",
    ] {
        ok(&words.split(' ').collect::<Vec<_>>());
    }
}

#[test]
fn flags_of_what_is_not_built_in_are_noted_if_they_would_do_something() {
    let names = |words: &[&str]| -> Vec<&str> {
        let foreign = ok(words).foreign;
        foreign.iter().map(|flag| flag.name).collect()
    };
    assert_eq!(
        names(&["kolea", "--aws-ami=x", "run", "--qemu-cex", "--stream="]),
        ["qemu-cex", "aws-ami"]
    );
    assert!(
        names(&[
            "kolea",
            "run",
            "--qemu-cex=false",
            "--gcp-service-auth=false"
        ])
        .is_empty()
    );
}

#[test]
fn what_means_nothing_to_a_subcommand_is_taken_and_not_shown() {
    let help = |name: &str| {
        let error = invoke(&["kolea", name, "--help"]).unwrap_err();
        error.to_string()
    };
    assert!(!help("ncpu").contains("--qemu-memory"));
    assert!(help("ncpu").contains("--config"));
    ok(&["kolea", "ncpu", "--qemu-memory", "4"]);
    let run = help("run");
    assert!(run.contains("--qemu-memory") && run.contains("Exit codes:"));
    assert!(!run.contains("--aws-ami") && !run.contains("--qemu-cex"));
}

#[test]
fn origins_are_known() {
    let invocation = ok(&["kolea", "run", "--rerun"]);
    assert_eq!(*invocation.origin("rerun"), Origin::Flag);
    assert_eq!(*invocation.origin("accel"), Origin::Default);
    assert_eq!(invocation.settings["accel"].values, ["auto"]);
}

#[test]
fn log_levels_are_kolas() {
    let level = |words: &[&str]| ok(words).cli.global.log.level();
    assert_eq!(level(&["kolea", "ncpu"]), "warn");
    assert_eq!(level(&["kolea", "-v", "ncpu"]), "info");
    assert_eq!(level(&["kolea", "ncpu", "-vvv"]), "trace");
    assert_eq!(level(&["kolea", "ncpu", "-d"]), "debug");
    assert_eq!(level(&["kolea", "ncpu", "-d=false"]), "warn");
    assert_eq!(level(&["kolea", "ncpu", "--log-level", "error"]), "error");
    assert_eq!(level(&["kolea", "ncpu", "--log-level=TRACE"]), "trace");
    assert!(invoke(&["kolea", "ncpu", "--log-level=LOUD"]).is_err());
}
