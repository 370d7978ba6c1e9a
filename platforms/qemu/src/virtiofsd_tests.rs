use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// A script in place of virtiofsd: it notes its arguments, and then does what `serve` says. `$sandbox` is the one asked for.
fn fake(dir: &Path, help: &str, serve: &str) -> PathBuf {
    let path = dir.join("virtiofsd");
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = --help ]; then echo '{help}'; exit; fi\n\
         echo \"$*\" >>'{0}/arguments'\n\
         case \"$*\" in *=namespace*) sandbox=namespace ;; *=chroot*) sandbox=chroot ;; *) sandbox=none ;; esac\n\
         {serve}\n",
        dir.display()
    );
    // Written under another name: a thread that forks meanwhile must not keep it open for writing.
    fs::write(dir.join("script"), script).unwrap();
    let copied = std::process::Command::new("install")
        .args(["-m", "755"])
        .args([&dir.join("script"), &path])
        .status();
    assert!(copied.unwrap().success());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o755);
    path
}

fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

const HELP: &str = "--fd <FD> --shared-dir <SHARED_DIR> --readonly";

fn known(sandbox: Sandbox, readonly: bool, root: bool) -> Virtiofsd {
    Virtiofsd {
        program: "virtiofsd".into(),
        readonly,
        sandbox,
        root,
    }
}

fn mount(host: &Path) -> HostMount {
    HostMount {
        host: host.to_owned(),
        guest: "/mnt".to_owned(),
        writable: false,
    }
}

fn line(virtiofsd: &Virtiofsd) -> String {
    let args = virtiofsd.arguments(Path::new("/a b,c"), false);
    let args: Vec<_> = args.iter().map(|arg| arg.to_str().unwrap()).collect();
    args.join("|")
}

#[test]
fn it_shares_one_directory_read_only_and_locked_in() {
    assert_eq!(
        line(&known(Sandbox::Namespace, true, false)),
        "--fd=3|--shared-dir|/a b,c|--sandbox=namespace|--log-level=error|--readonly"
    );
    assert_eq!(
        line(&known(Sandbox::Chroot, false, true)),
        "--fd=3|--shared-dir|/a b,c|--sandbox=chroot|--log-level=error|--modcaps=-mknod:-setfcap"
    );
    let writable = known(Sandbox::Namespace, true, false).arguments(Path::new("/a"), true);
    assert!(!writable.contains(&"--readonly".into()));
}

#[tokio::test]
async fn the_strictest_sandbox_that_works_is_taken() {
    let root = nix::unistd::Uid::effective().is_root();
    let without_namespaces = if root { Sandbox::Chroot } else { Sandbox::None };
    for (serve, sandbox) in [
        ("exit 0", Sandbox::Namespace),
        ("[ $sandbox != namespace ]", without_namespaces),
        ("[ $sandbox = none ]", Sandbox::None),
    ] {
        let dir = dir();
        let program = fake(dir.path(), HELP, serve);
        let scratch = dir.path().join("scratch");
        fs::create_dir(&scratch).unwrap();
        let found = Virtiofsd::at(program.clone(), &scratch).await.unwrap();
        assert_eq!(
            found,
            Virtiofsd {
                program,
                ..known(sandbox, true, root)
            }
        );
        assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn old_ones_are_told_apart() {
    let dir = dir();
    let program = fake(dir.path(), "--shared-dir <SHARED_DIR>", "exit 0");
    let found = Virtiofsd::at(program, dir.path()).await.unwrap();
    assert!(!found.readonly);
    let program = fake(dir.path(), "-o source=PATH", "exit 0");
    assert_eq!(Virtiofsd::at(program, dir.path()).await, None);
}

#[tokio::test]
async fn the_socket_is_connected_before_it_starts_and_has_no_name() {
    let dir = dir();
    // Deeper than the path of a socket may be long.
    let files = dir.path().join("d".repeat(200));
    fs::create_dir(&files).unwrap();
    // The shell does not know sockets, but whether descriptor 3 is one.
    let serve = "readlink /proc/self/fd/3 >\"$(dirname \"$0\")/listener\"; exec sleep 600";
    let virtiofsd = Virtiofsd {
        program: fake(dir.path(), HELP, serve),
        ..known(Sandbox::Namespace, true, false)
    };
    let log = dir.path().join("log");
    let shared = dir.path().join("a b");
    let (helper, ours) = virtiofsd.start(&mount(&shared), &files, log).await.unwrap();
    let listener = dir.path().join("listener");
    let read = async {
        loop {
            match fs::read_to_string(&listener) {
                Ok(text) if !text.is_empty() => break text,
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let text = timeout(PATIENCE, read).await.unwrap();
    assert!(text.starts_with("socket:"), "{text}");
    assert!(UnixStream::from(ours).peer_addr().is_ok());
    assert_eq!(fs::read_dir(&files).unwrap().count(), 0);
    timeout(PATIENCE, helper.stop()).await.unwrap();
    let arguments = fs::read_to_string(dir.path().join("arguments")).unwrap();
    assert!(
        arguments.contains(&format!("--shared-dir {} --sandbox=", shared.display())),
        "{arguments}"
    );
}

#[tokio::test]
async fn one_that_cannot_be_started_is_told_with_its_directory() {
    let dir = dir();
    let virtiofsd = Virtiofsd {
        program: dir.path().join("none"),
        ..known(Sandbox::None, true, false)
    };
    let srv = mount(Path::new("/srv"));
    let start = virtiofsd.start(&srv, dir.path(), dir.path().join("log"));
    let error = start.await.unwrap_err().to_string();
    assert!(error.contains("/none for /srv: "), "{error}");
}
