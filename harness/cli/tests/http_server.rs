//! `http-server` by plain requests.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::kolea;

struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(dir: &std::path::Path) -> Server {
        let mut child = kolea()
            .current_dir(dir)
            .args(["http-server", "-P", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
        Server { child, port }
    }

    /// The whole answer. The path is sent as it is.
    fn ask(&self, method: &str, path: &str, header: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\n"
        )
        .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_current_directory_is_served_and_nothing_else() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("secret"), "secret").unwrap();
    let root = temp.path().join("root");
    std::fs::create_dir_all(root.join("sub dir")).unwrap();
    std::fs::create_dir(root.join("site")).unwrap();
    std::fs::write(root.join("file.txt"), "0123456789").unwrap();
    std::fs::write(root.join("site/index.html"), "the index").unwrap();
    std::fs::write(root.join("sub dir/x&y"), "z").unwrap();
    let mut server = Server::start(&root);

    let file = server.ask("GET", "/file.txt", "");
    assert!(
        file.starts_with("HTTP/1.1 200") && file.ends_with("\r\n\r\n0123456789"),
        "{file}"
    );
    let head = server.ask("HEAD", "/file.txt", "");
    assert!(
        head.contains("content-length: 10") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    let range = server.ask("GET", "/file.txt", "Range: bytes=2-4\r\n");
    assert!(
        range.starts_with("HTTP/1.1 206") && range.ends_with("\r\n\r\n234"),
        "{range}"
    );
    let listing = server.ask("GET", "/", "");
    assert!(
        listing.contains("<a href=\"./sub%20dir/\">sub dir/</a>"),
        "{listing}"
    );
    assert!(server.ask("GET", "/sub%20dir/", "").contains("x&amp;y"));
    assert!(server.ask("GET", "/site/", "").ends_with("the index"));
    let redirect = server.ask("GET", "/site", "");
    assert!(redirect.contains("location: /site/"), "{redirect}");
    for path in [
        "/away",
        "/../secret",
        "/%2e%2e/secret",
        "/sub%20dir/../../secret",
        "/..",
        "/%2e%2e/",
    ] {
        let answer = server.ask("GET", path, "");
        assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
        assert!(!answer.contains("secret"), "{path}: {answer}");
    }

    kill(
        Pid::from_raw(i32::try_from(server.child.id()).unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_port_in_use_is_told() {
    let temp = tempfile::tempdir().unwrap();
    let server = Server::start(temp.path());
    let port = server.port.to_string();
    let output = kolea()
        .args(["http-server", "--port", &port])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let (_, stderr) = support::texts(&output);
    assert!(
        stderr.contains(&format!("cannot listen on port {port}")),
        "{stderr}"
    );
}
