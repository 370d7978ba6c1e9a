use super::*;

fn qemu() -> std::path::PathBuf {
    tools::find(Arch::X86_64.program(), Arch::X86_64.package()).unwrap()
}

#[test]
fn the_factor_has_bounds() {
    let ms = Duration::from_millis;
    assert!((factor(ms(36), ms(10)) - 10.0).abs() < 1e-9);
    assert!((factor(ms(1), ms(10)) - 4.0).abs() < 1e-9);
    assert!((factor(ms(1000), ms(0)) - 20.0).abs() < 1e-9);
}

#[tokio::test]
async fn an_answer_is_found_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::new(dir.path().join("cache"));
    let qemu_path = qemu();
    let choose = |wanted| choose(wanted, Arch::X86_64, &qemu_path, dir.path(), &cache);
    let first = choose(Accel::Auto).await.unwrap();
    assert!(!first.reason.is_empty());
    assert!((1.0..=20.0).contains(&first.timeout_factor));
    match first.accelerator {
        Accelerator::Kvm => assert!((first.timeout_factor - 1.0).abs() < 1e-9),
        Accelerator::Tcg => {
            assert!(first.reason.starts_with("KVM does not work: "), "{first:?}");
            let refusal = choose(Accel::Kvm).await.unwrap_err().to_string();
            assert!(refusal.starts_with("cannot use KVM: "), "{refusal}");
        }
    }
    assert_eq!(choose(Accel::Auto).await.unwrap(), first);

    let forced = choose(Accel::Tcg).await.unwrap();
    assert_eq!(forced.accelerator, Accelerator::Tcg);
    assert_eq!(forced.reason, "asked for by --accel tcg");
}

#[tokio::test]
async fn a_qemu_that_dies_or_hangs_is_no_kvm() {
    let run = |script: &str| {
        let args = strings(&["-c", script]);
        async move {
            let any = |_| true;
            run(
                "/bin/sh".as_ref(),
                &args,
                Duration::from_millis(300),
                any,
                any,
            )
            .await
        }
    };
    let dead = run("echo 'qemu-system-x86_64: no such MSR' >&2; kill -ABRT $$").await;
    let dead = dead.unwrap_err();
    assert!(dead.lasting);
    assert!(dead.reason.contains("signal: 6"), "{}", dead.reason);
    assert!(dead.reason.ends_with(": no such MSR"), "{}", dead.reason);

    let hung = run("exec sleep 60").await.unwrap_err();
    assert!(!hung.lasting);
    assert_eq!(hung.reason, "a test guest was not through after 0 s");
}

#[test]
fn kvm_is_tried_with_the_machine_that_tests_get() {
    let line = |arch| {
        let args = paused(arch);
        crate::command_line::shell_quoted("qemu".as_ref(), &args)
    };
    let rest = "-nodefaults -display none -S -qmp stdio";
    let machines = [
        (Arch::Aarch64, "virt,gic-version=max", 64),
        (Arch::Ppc64le, "pseries,kvm-type=HV,ic-mode=xics", 512),
        (Arch::S390x, "s390-ccw-virtio", 64),
    ];
    for (arch, machine, mib) in machines {
        assert_eq!(
            line(arch),
            format!("qemu -machine {machine} -accel kvm -cpu host -m {mib} {rest}")
        );
    }
}
