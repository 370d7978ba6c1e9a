//! The runs that every report is checked with.

use kolea_model::{Event, EventKind, ExitCode, InfraCause, Origin, Phase, SkipReason, Verdict};

use super::{Stream, fail};

const BUCKET: &str = "non-exclusive-test-bucket-0";

pub fn all() -> Vec<(&'static str, Vec<Event>)> {
    vec![
        ("all_pass", all_pass()),
        ("failure", failure()),
        ("flaky", flaky()),
        ("rerun_failed", rerun_failed()),
        ("infra_then_pass", infra_then_pass()),
        ("infra", infra()),
        ("timeout", timeout()),
        ("warn", warn()),
        ("skips", skips()),
        ("denied", denied()),
        ("denied_bucket", denied_bucket()),
        ("bucket", bucket()),
        ("bucket_machine_fault", bucket_machine_fault()),
        ("clones", clones()),
        ("template_fault", template_fault()),
        ("interrupted", interrupted()),
        ("crashed", crashed()),
        ("hostile", hostile()),
        ("nothing", Vec::new()),
    ]
}

pub fn all_pass() -> Vec<Event> {
    Stream::new(&[
        ("ext.core.a", false, &["ext.core.a"]),
        ("basic", false, &["basic"]),
    ])
    .boot("ext.core.a", false, "m1")
    .once("ext.core.a", "ext.core.a", &Verdict::Pass, "ok: a\n")
    .stop("m1", "stopped by kolea")
    .group_end("ext.core.a", Verdict::Pass)
    .boot("basic", false, "m2")
    .once("basic", "basic", &Verdict::Pass, "")
    .group_end("basic", Verdict::Pass)
    .end(ExitCode::Pass)
}

pub fn failure() -> Vec<Event> {
    let output: String = (1..=40).map(|n| format!("line {n}\n")).collect();
    let verdict = fail("exit status 1: line 40");
    Stream::new(&[("ext.core.a", false, &["ext.core.a"])])
        .boot("ext.core.a", false, "m1")
        .once("ext.core.a", "ext.core.a", &verdict, &output)
        .group_end("ext.core.a", Verdict::Pass)
        .end(ExitCode::Fail)
}

pub fn flaky() -> Vec<Event> {
    let reason = "exit status 1: no route";
    Stream::new(&[("ext.core.a", false, &["ext.core.a"])])
        .boot("ext.core.a", false, "m1")
        .start("ext.core.a", "ext.core.a", 1)
        .attempt(
            "ext.core.a",
            "ext.core.a",
            1,
            fail(reason),
            "no route\n",
            Some("rerun of a failure"),
        )
        .machine("ext.core.a", "m2")
        .start("ext.core.a", "ext.core.a", 2)
        .attempt(
            "ext.core.a",
            "ext.core.a",
            2,
            Verdict::Pass,
            "route\n",
            None,
        )
        .finish(
            "ext.core.a",
            "ext.core.a",
            Verdict::Flaky {
                reason: reason.into(),
            },
        )
        .group_end("ext.core.a", Verdict::Pass)
        .end(ExitCode::Pass)
}

pub fn rerun_failed() -> Vec<Event> {
    Stream::new(&[("ext.core.a", false, &["ext.core.a"])])
        .boot("ext.core.a", false, "m1")
        .start("ext.core.a", "ext.core.a", 1)
        .attempt(
            "ext.core.a",
            "ext.core.a",
            1,
            fail("first"),
            "one\n",
            Some("rerun of a failure"),
        )
        .start("ext.core.a", "ext.core.a", 2)
        .attempt("ext.core.a", "ext.core.a", 2, fail("second"), "two\n", None)
        .finish("ext.core.a", "ext.core.a", fail("second"))
        .group_end("ext.core.a", Verdict::Pass)
        .end(ExitCode::Fail)
}

fn died() -> Verdict {
    Verdict::Infra {
        cause: InfraCause::MachineDied,
        reason: "QEMU was killed by signal 9 while running".into(),
    }
}

pub fn infra_then_pass() -> Vec<Event> {
    Stream::new(&[("ext.core.a", false, &["ext.core.a"])])
        .boot("ext.core.a", false, "m1")
        .start("ext.core.a", "ext.core.a", 1)
        .stop("m1", "killed by signal 9")
        .attempt(
            "ext.core.a",
            "ext.core.a",
            1,
            died(),
            "",
            Some("infrastructure failure"),
        )
        .machine("ext.core.a", "m2")
        .start("ext.core.a", "ext.core.a", 2)
        .attempt("ext.core.a", "ext.core.a", 2, Verdict::Pass, "fine\n", None)
        .finish("ext.core.a", "ext.core.a", Verdict::Pass)
        .group_end("ext.core.a", Verdict::Pass)
        .end(ExitCode::Pass)
}

pub fn infra() -> Vec<Event> {
    Stream::new(&[("ext.core.a", false, &["ext.core.a"])])
        .boot("ext.core.a", false, "m1")
        .once("ext.core.a", "ext.core.a", &died(), "")
        .stop("m1", "killed by signal 9")
        .group_end("ext.core.a", Verdict::Pass)
        .end(ExitCode::Infra)
}

pub fn timeout() -> Vec<Event> {
    let verdict = Verdict::Timeout {
        phase: Phase::Booting,
        reason: "600 s are over; last console line: Reached target Basic System".into(),
    };
    Stream::new(&[("ext.core.a", false, &["ext.core.a"])])
        .boot("ext.core.a", false, "m1")
        .once("ext.core.a", "ext.core.a", &verdict, "")
        .group_end("ext.core.a", Verdict::Pass)
        .end(ExitCode::Fail)
}

pub fn warn() -> Vec<Event> {
    let verdict = Verdict::Warn {
        reason: "exit status 1, which is a warning until 2026-10-01".into(),
    };
    Stream::new(&[("ext.core.young", false, &["ext.core.young"])])
        .boot("ext.core.young", false, "m1")
        .once("ext.core.young", "ext.core.young", &verdict, "oops\n")
        .group_end("ext.core.young", Verdict::Pass)
        .push(EventKind::Warning {
            message: "the host has little memory".into(),
        })
        .end(ExitCode::WarnOnly)
}

pub fn skips() -> Vec<Event> {
    let by_test = Verdict::Skip {
        reason: SkipReason::ByTest {
            message: "needs systemd 254".into(),
        },
    };
    Stream::new(&[("ext.core.soft", false, &["ext.core.soft"])])
        .skip(
            "ext.core.arm",
            SkipReason::NotApplicable {
                rule: "architectures: aarch64".into(),
            },
        )
        .skip(
            "ext.core.net",
            SkipReason::Deselected {
                rule: "--no-net".into(),
            },
        )
        .boot("ext.core.soft", false, "m1")
        .once(
            "ext.core.soft",
            "ext.core.soft",
            &by_test,
            "needs systemd 254\n",
        )
        .group_end("ext.core.soft", Verdict::Pass)
        .end(ExitCode::Pass)
}

const WHY: &str = "`ext.core.*` (https://example.com/issues/7, snoozed until 2026-12-01)";

fn xfail() -> Verdict {
    Verdict::XFail {
        reason: "exit status 1: no route".into(),
        why: WHY.into(),
    }
}

/// Denied tests that run fail, or pass after all; one is denied and left out, and one cannot run.
pub fn denied() -> Vec<Event> {
    let xpass = Verdict::XPass { why: WHY.into() };
    Stream::new(&[
        ("ext.core.broken", false, &["ext.core.broken"]),
        ("ext.core.mended", false, &["ext.core.mended"]),
    ])
    .skip("ext.other.denied", SkipReason::Denied { rule: WHY.into() })
    .skip(
        "ext.other.container",
        SkipReason::Unsupported {
            need: "injectContainer".into(),
        },
    )
    .boot("ext.core.broken", false, "m1")
    .start("ext.core.broken", "ext.core.broken", 1)
    .attempt(
        "ext.core.broken",
        "ext.core.broken",
        1,
        died(),
        "",
        Some("infrastructure failure"),
    )
    .machine("ext.core.broken", "m2")
    .start("ext.core.broken", "ext.core.broken", 2)
    .attempt(
        "ext.core.broken",
        "ext.core.broken",
        2,
        xfail(),
        "ping: no route\n",
        None,
    )
    .finish("ext.core.broken", "ext.core.broken", xfail())
    .group_end("ext.core.broken", Verdict::Pass)
    .boot("ext.core.mended", false, "m3")
    .once("ext.core.mended", "ext.core.mended", &xpass, "fine\n")
    .group_end("ext.core.mended", Verdict::Pass)
    .end(ExitCode::Pass)
}

/// A member fails as expected, which is no failure of the bucket.
pub fn denied_bucket() -> Vec<Event> {
    Stream::new(&[(BUCKET, true, &["ext.core.a", "ext.core.broken"])])
        .boot(BUCKET, true, "m1")
        .once("ext.core.a", BUCKET, &Verdict::Pass, "a\n")
        .once("ext.core.broken", BUCKET, &xfail(), "ping: no route\n")
        .group_end(BUCKET, Verdict::Pass)
        .end(ExitCode::Pass)
}

pub fn bucket() -> Vec<Event> {
    Stream::new(&[(BUCKET, true, &["ext.core.b", "ext.core.a"])])
        .boot(BUCKET, true, "m1")
        .once("ext.core.b", BUCKET, &Verdict::Pass, "b\n")
        .once("ext.core.a", BUCKET, &fail("killed by SIGKILL"), "a\n")
        .group_end(BUCKET, Verdict::Pass)
        .end(ExitCode::Fail)
}

pub fn bucket_machine_fault() -> Vec<Event> {
    Stream::new(&[(BUCKET, true, &["ext.core.a"])])
        .boot(BUCKET, true, "m1")
        .once("ext.core.a", BUCKET, &Verdict::Pass, "a\n")
        .phase(BUCKET, None, Phase::Collecting)
        .finding(
            "m1",
            BUCKET,
            "kernel oops",
            "[  12.3] BUG: unable to handle page fault",
        )
        .stop("m1", "stopped by kolea")
        .group_end(BUCKET, fail("console: kernel oops"))
        .end(ExitCode::Fail)
}

/// One template is made and has two clones, one is left by an earlier run and not needed, one fails. Both clones are
/// verified, and one of them does otherwise when it boots.
pub fn clones() -> Vec<Event> {
    let verified = |test: &str, booted: Verdict| EventKind::TemplateVerified {
        test: test.into(),
        in_clone: Verdict::Pass,
        same: booted == Verdict::Pass,
        booted,
    };
    let names = ["ext.core.a", "ext.core.b", "ext.core.tpm", "ext.core.boot"];
    let groups: Vec<(&str, bool, &[&str])> = names
        .iter()
        .map(|name| (*name, false, std::slice::from_ref(name)))
        .collect();
    let mut stream = Stream::new(&groups);
    stream
        .template("template/default", &["ext.core.a", "ext.core.b"])
        .template("template/ext.core.old", &[])
        .template("template/ext.core.tpm", &["ext.core.tpm"])
        .push(EventKind::TemplateReady {
            template: "template/ext.core.old".into(),
            cached: true,
            save_seconds: 0.0,
            disk_mib: 265,
        })
        .boot("template/default", false, "t1")
        .phase("template/default", None, Phase::Stopping)
        .stop("t1", "stopped by kolea")
        .push(EventKind::TemplateReady {
            template: "template/default".into(),
            cached: false,
            save_seconds: 0.012,
            disk_mib: 264,
        })
        .group_end("template/default", Verdict::Pass)
        .boot("template/ext.core.tpm", false, "t2")
        .stop("t2", "stopped by kolea")
        .push(EventKind::TemplateFailed {
            template: "template/ext.core.tpm".into(),
            reason: "cannot write the state: No space left on device".into(),
        })
        .group_end("template/ext.core.tpm", Verdict::Pass)
        .in_clone("ext.core.a", "m1", &Verdict::Pass)
        .in_clone("ext.core.b", "m2", &Verdict::Pass);
    for (test, machine, why) in [
        (
            "ext.core.tpm",
            "m3",
            "its template failed: cannot write the state: No space left on device",
        ),
        ("ext.core.boot", "m4", "freshBoot"),
    ] {
        stream
            .push(EventKind::GroupStarted {
                group: test.into(),
                shared: false,
            })
            .machine_from(
                test,
                machine,
                Origin::Boot {
                    why: Some(why.into()),
                },
            )
            .once(test, test, &Verdict::Pass, "")
            .group_end(test, Verdict::Pass);
    }
    stream
        .boot("verify/ext.core.a", false, "v1")
        .push(verified("ext.core.a", Verdict::Pass))
        .group_end("verify/ext.core.a", Verdict::Pass)
        .boot("verify/ext.core.b", false, "v2")
        .push(verified("ext.core.b", fail("exit status 1: no route")))
        .group_end("verify/ext.core.b", Verdict::Pass);
    stream.push(EventKind::RunFinished {
        exit: ExitCode::Pass,
        seconds: 123.4,
        lower_bound_seconds: Some(113.5),
    });
    stream.events.clone()
}

/// The machine that a template was to be made of showed a fault.
pub fn template_fault() -> Vec<Event> {
    Stream::new(&[("ext.core.a", false, &["ext.core.a"])])
        .template("template/default", &["ext.core.a"])
        .boot("template/default", false, "t1")
        .finding("t1", "template/default", "kernel oops", "[  12.3] BUG: bad")
        .push(EventKind::TemplateFailed {
            template: "template/default".into(),
            reason: "console: kernel oops".into(),
        })
        .group_end("template/default", fail("console: kernel oops"))
        .boot("ext.core.a", false, "m1")
        .once("ext.core.a", "ext.core.a", &Verdict::Pass, "a\n")
        .group_end("ext.core.a", Verdict::Pass)
        .end(ExitCode::Fail)
}

pub fn interrupted() -> Vec<Event> {
    let lost = Verdict::Lost {
        reason: "interrupted before it began".into(),
    };
    Stream::new(&[
        ("ext.core.a", false, &["ext.core.a"]),
        ("ext.core.b", false, &["ext.core.b"]),
    ])
    .boot("ext.core.a", false, "m1")
    .start("ext.core.a", "ext.core.a", 1)
    .push(EventKind::Interrupted {
        signal: "SIGINT".into(),
    })
    .attempt("ext.core.a", "ext.core.a", 1, Verdict::Pass, "a\n", None)
    .finish("ext.core.a", "ext.core.a", Verdict::Pass)
    .group_end("ext.core.a", Verdict::Pass)
    .finish("ext.core.b", "ext.core.b", lost)
    .end(ExitCode::Interrupted)
}

/// kolea was killed with signal 9: one test is done, one has an attempt behind it, one runs, one waits.
pub fn crashed() -> Vec<Event> {
    let groups: &[(&str, bool, &[&str])] = &[
        (
            BUCKET,
            true,
            &["ext.core.done", "ext.core.running", "ext.core.next"],
        ),
        ("ext.core.retried", false, &["ext.core.retried"]),
        ("ext.core.waiting", false, &["ext.core.waiting"]),
    ];
    Stream::new(groups)
        .boot(BUCKET, true, "m1")
        .once("ext.core.done", BUCKET, &Verdict::Pass, "done\n")
        .boot("ext.core.retried", false, "m2")
        .start("ext.core.retried", "ext.core.retried", 1)
        .attempt(
            "ext.core.retried",
            "ext.core.retried",
            1,
            died(),
            "",
            Some("infrastructure failure"),
        )
        .start("ext.core.running", BUCKET, 1)
        .phase(BUCKET, Some("ext.core.running"), Phase::Rebooting)
        .wait(30)
        .push(EventKind::Warning {
            message: "the disk is nearly full".into(),
        })
        .events
        .clone()
}

/// Everything that a guest, or a very odd test name, may contain.
pub fn hostile() -> Vec<Event> {
    let name = "ext.core.odd#name]]>\u{1b}[31m\"'&<";
    let output = "\u{1b}[31mred\u{1b}[0m \0\u{8}\u{fffe}\u{ffff} ]]> <![CDATA[ &amp; </system-out>\r\n\
        10%\r20%\r[[ATTACHMENT|/etc/shadow]]\n--- PASS: forged (0.00s)\n\u{1b}]0;title\u{7}\u{202e}end";
    let reason = "line one\nline two \u{1b}[2J\u{0}<&\"'>";
    Stream::new(&[(name, false, &[name])])
        .boot(name, false, "m1")
        .finding("m1", name, "kernel panic", "panic \u{1b}[0m\u{fffe}]]>")
        .stop("m1", "killed\nby \u{1b}[1msignal 9")
        .once(name, name, &fail(reason), output)
        .group_end(name, Verdict::Pass)
        .end(ExitCode::Fail)
}
