//! The record of requests: in memory for the test, in a file for people.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, Local, SecondsFormat};

use crate::{Fault, ServeError};

/// A request that has come to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// When it arrived.
    pub time: DateTime<Local>,
    /// The client's address on this host: one port a connection.
    pub client: String,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Such as `GET`.
    pub method: String,
    /// The path, with what follows a `?`, as the client wrote it.
    pub path: String,
    /// The part that was asked for (`Range`).
    pub range: Option<String>,
    /// What the client calls itself (`User-Agent`).
    pub agent: Option<String>,
    /// The status; none if it was never answered.
    pub status: Option<u16>,
    /// How much of the body was handed to the connection, in bytes.
    pub bytes: u64,
    /// How much of it was announced (`Content-Length`).
    pub announced: Option<u64>,
    /// How long it took, until the last of it was handed over.
    pub took: Duration,
    /// What went wrong with it, on request.
    pub fault: Option<Fault>,
}

/// As a line of the log.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.time.to_rfc3339_opts(SecondsFormat::Millis, true);
        write!(
            f,
            "{time} {} {} {} {}",
            self.client, self.scheme, self.method, self.path
        )?;
        if let Some(range) = &self.range {
            write!(f, " {range}")?;
        }
        match self.status {
            Some(status) => write!(f, " {status} {}", self.bytes)?,
            None => return write!(f, " unanswered for {:.3} s", self.took.as_secs_f64()),
        }
        if let Some(announced) = self.announced
            && announced != self.bytes
            && self.method != "HEAD"
        {
            write!(f, " of {announced}")?;
        }
        write!(f, " bytes in {:.3} s", self.took.as_secs_f64())?;
        if let Some(agent) = &self.agent {
            write!(f, " {agent:?}")?;
        }
        match self.fault {
            Some(fault) => write!(f, " ({fault})"),
            None => Ok(()),
        }
    }
}

/// The file.
#[derive(Debug)]
pub struct Log(Mutex<File>);

impl Log {
    /// Makes the file.
    pub fn create(path: &Path) -> Result<Log, ServeError> {
        match File::options().create(true).append(true).open(path) {
            Ok(file) => Ok(Log(Mutex::new(file))),
            Err(source) => Err(ServeError::Log {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Adds a line. That it can't be written (a full disk) does not end a test.
    pub fn line(&self, line: impl fmt::Display) {
        let mut file = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Err(error) = file.write_all(format!("{line}\n").as_bytes()) {
            tracing::warn!("cannot write the log of a server's requests: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_was_asked_and_what_came_of_it() {
        let mut request = Request {
            time: DateTime::parse_from_rfc3339("2026-01-02T03:04:05.678+01:00")
                .unwrap()
                .into(),
            client: "127.0.0.1:1234".to_owned(),
            scheme: "https",
            method: "GET".to_owned(),
            path: "/rootfs.img".to_owned(),
            range: Some("bytes=10-".to_owned()),
            agent: Some("curl/8.0".to_owned()),
            status: Some(206),
            bytes: 5,
            announced: Some(90),
            took: Duration::from_millis(1500),
            fault: Some(Fault::Truncated(5)),
        };
        let line = request.to_string();
        let (_, line) = line.split_once(' ').unwrap();
        assert_eq!(
            line,
            "127.0.0.1:1234 https GET /rootfs.img bytes=10- 206 5 of 90 bytes in 1.500 s \"curl/8.0\" (truncated after 5 bytes)"
        );
        request.status = None;
        request.announced = None;
        request.agent = None;
        request.fault = Some(Fault::Silent);
        let line = request.to_string();
        assert!(line.ends_with("bytes=10- unanswered for 1.500 s"), "{line}");
    }
}
