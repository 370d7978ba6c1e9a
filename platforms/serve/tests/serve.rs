//! The server as a client sees it, and the record that it keeps.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kolea_serve::{CA_PATH, Content, Fault, Server, Site};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The guest's address of the server: nobody is there in these tests, but the certificate is for it.
const GUESTS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 10);

struct Rig {
    site: Arc<Site>,
    server: Server,
    dir: tempfile::TempDir,
}

impl Rig {
    async fn new() -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let site = Arc::new(Site::new(GUESTS).unwrap());
        let server = Server::start(Arc::clone(&site), &dir.path().join("requests.txt"))
            .await
            .unwrap();
        Rig { site, server, dir }
    }

    fn http(&self) -> SocketAddr {
        self.server.addresses().http
    }

    /// The answer's head and body.
    async fn get(&self, path: &str, headers: &str) -> (String, Vec<u8>) {
        let stream = TcpStream::connect(self.http()).await.unwrap();
        ask(stream, "GET", path, headers).await
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("requests.txt")).unwrap()
    }

    /// Waits until that many requests are recorded: that is when the server is done with them, a moment after the client.
    async fn recorded(&self, count: usize) {
        timeout(Duration::from_secs(10), async {
            while self.site.requests().len() < count {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }
}

async fn ask(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    method: &str,
    path: &str,
    headers: &str,
) -> (String, Vec<u8>) {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nUser-Agent: me/1\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // TLS calls it an error that the server just closes the connection.
    let _ = stream.read_to_end(&mut answer).await;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.expect("an answer");
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    (head, answer[end + 4..].to_vec())
}

fn connector(trusted: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(trusted.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn bytes_files_and_directories_are_served() {
    let rig = Rig::new().await;
    let big: Vec<u8> = (0..1_000_000_u32).map(|byte| (byte % 251) as u8).collect();
    let file = rig.dir.path().join("big");
    std::fs::write(&file, &big).unwrap();
    let all = rig.dir.path().join("all");
    std::fs::create_dir_all(all.join("sub")).unwrap();
    std::fs::write(all.join("inner"), "inner").unwrap();
    rig.site.put("/config.ign", "{}");
    rig.site.put("/rootfs", Content::File(file));
    rig.site.put("/all", Content::Directory(all));

    let (head, body) = rig.get("/config.ign", "").await;
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(head.contains("content-length: 2"), "{head}");
    assert_eq!(body, b"{}");
    assert_eq!(rig.get("/rootfs", "").await.1, big);
    let (head, body) = rig.get("/rootfs", "Range: bytes=999990-\r\n").await;
    assert!(head.starts_with("HTTP/1.1 206"), "{head}");
    assert!(
        head.contains("content-range: bytes 999990-999999/1000000"),
        "{head}"
    );
    assert_eq!(body, big[999_990..]);
    assert_eq!(rig.get("/all/inner", "").await.1, b"inner");
    for missing in [
        "/",
        "/nothing",
        "/all/nothing",
        "/all/sub/",
        // That file is there, in the directory above.
        "/all/../big",
        "/all/%2e%2e/big",
        "/all/..%2fbig",
    ] {
        let (head, _) = rig.get(missing, "").await;
        assert!(head.starts_with("HTTP/1.1 404"), "{missing}: {head}");
    }
    let stream = TcpStream::connect(rig.http()).await.unwrap();
    let (head, _) = ask(stream, "PUT", "/config.ign", "").await;
    assert!(head.starts_with("HTTP/1.1 405"), "{head}");

    rig.recorded(12).await;
    let requests = rig.site.requests();
    let range = requests
        .iter()
        .find(|request| request.range.is_some())
        .unwrap();
    assert_eq!((range.status, range.bytes), (Some(206), 10));
    let log = rig.log();
    assert!(
        log.contains(" http GET /config.ign 200 2 bytes in "),
        "{log}"
    );
    assert!(
        log.contains(" http GET /rootfs bytes=999990- 206 10 bytes in "),
        "{log}"
    );
    assert!(log.contains(" \"me/1\"\n"), "{log}");
}

#[tokio::test]
async fn only_who_trusts_the_authority_gets_a_secret() {
    let rig = Rig::new().await;
    rig.site.put("/config.ign", "secret");
    let (_, pem) = rig.get(CA_PATH, "").await;
    assert_eq!(pem, rig.site.ca_pem().as_bytes());

    let pem = String::from_utf8(pem).unwrap();
    let name = ServerName::from(std::net::IpAddr::from(GUESTS));
    let https = rig.server.addresses().https;
    let stream = TcpStream::connect(https).await.unwrap();
    let stream = connector(&pem).connect(name.clone(), stream).await.unwrap();
    assert_eq!(ask(stream, "GET", "/config.ign", "").await.1, b"secret");

    let other = Site::new(GUESTS).unwrap();
    let stream = TcpStream::connect(https).await.unwrap();
    let refused = connector(other.ca_pem()).connect(name, stream).await;
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");

    timeout(Duration::from_secs(10), async {
        while !rig.log().contains(" https no TLS: ") {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert!(rig.log().contains(" https GET /config.ign 200 6 bytes"));
}

#[tokio::test]
async fn faults_are_what_was_asked_for() {
    let rig = Rig::new().await;
    let body = "0123456789".repeat(100);
    for path in ["/503", "/slow", "/truncated", "/altered"] {
        rig.site.put(path, body.clone());
    }
    rig.site.fault("/503", Fault::Unavailable(2));
    rig.site.fault("/slow", Fault::Slow(2000));
    rig.site.fault("/truncated", Fault::Truncated(123));
    rig.site.fault("/altered", Fault::Altered);

    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(rig.get("/503", "").await.0[9..12].to_owned());
    }
    assert_eq!(statuses, ["503", "503", "200"]);
    // Half a second each.
    let large = rig.dir.path().join("large");
    std::fs::write(&large, vec![7; 2_000_000]).unwrap();
    rig.site.put("/slow-file", Content::File(large));
    rig.site.fault("/slow-file", Fault::Slow(4_000_000));
    for (path, length) in [("/slow", 1000), ("/slow-file", 2_000_000)] {
        let begun = Instant::now();
        assert_eq!(rig.get(path, "").await.1.len(), length);
        let took = begun.elapsed().as_secs_f64();
        assert!((0.4..2.0).contains(&took), "{path}: {took}");
    }
    let (head, truncated) = rig.get("/truncated", "").await;
    assert!(head.contains("content-length: 1000"), "{head}");
    assert_eq!(truncated, &body.as_bytes()[..123]);
    let altered = rig.get("/altered", "").await.1;
    assert_ne!(altered, body.as_bytes());
    assert_eq!(altered[1..], body.as_bytes()[1..]);

    rig.recorded(7).await;
    assert!(
        rig.log().contains("/truncated 200 123 of 1000 bytes in "),
        "{}",
        rig.log()
    );
}

#[tokio::test]
async fn a_silent_server_does_not_answer_until_either_gives_up() {
    let rig = Rig::new().await;
    rig.site.fault("/silent", Fault::Silent);
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(rig.http()).await.unwrap();
        stream
            .write_all(b"GET /silent HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        let answer = timeout(Duration::from_millis(200), stream.read(&mut [0; 1])).await;
        assert!(answer.is_err());
        streams.push(stream);
    }
    assert!(rig.site.requests().is_empty());
    streams.pop();
    rig.recorded(1).await;
    let log = rig.dir.path().join("requests.txt");
    rig.server.stop().await;
    // The other end is told, and the record is complete.
    assert_eq!(streams[0].read(&mut [0; 1]).await.unwrap(), 0);
    let requests = rig.site.requests();
    assert_eq!((requests.len(), requests[1].status), (2, None));
    let log = std::fs::read_to_string(log).unwrap();
    assert_eq!(log.matches("/silent unanswered for ").count(), 2, "{log}");
}

/// Nothing else happens, so the clock goes on to what is waited for.
#[tokio::test(start_paused = true)]
async fn who_says_nothing_for_a_minute_is_closed() {
    let rig = Rig::new().await;
    rig.site.put("/a", "a");
    let addresses = rig.server.addresses();
    for (address, request) in [
        (addresses.http, ""),
        (addresses.https, ""),
        (addresses.http, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"),
    ] {
        let begun = tokio::time::Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer.is_empty(), request.is_empty());
        let waited = begun.elapsed().as_secs();
        assert!((60..70).contains(&waited), "{address}: {waited}");
    }
}

#[tokio::test]
async fn nothing_listens_once_a_server_is_dropped() {
    let rig = Rig::new().await;
    let address = rig.http();
    let mut open = TcpStream::connect(address).await.unwrap();
    drop(rig.server);
    // Its tasks end when the runtime gets to them.
    assert_eq!(open.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert!(TcpStream::connect(address).await.is_err());
}
