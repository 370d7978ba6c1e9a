//! The answer to one request.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::header::{CONTENT_LENGTH, RANGE, USER_AGENT};
use axum::http::{HeaderName, Method, Request, Response, StatusCode, Uri};
use axum::response::IntoResponse;
use futures_util::{StreamExt, stream};
use tower_http::services::{ServeDir, ServeFile};

use crate::log::Log;
use crate::{Content, Fault, Site, log};

/// How many pieces a slow body has in a second, at least.
const BEATS: u64 = 10;

/// What all answers over one connection have in common.
#[derive(Clone, Debug)]
pub struct Desk {
    pub site: Arc<Site>,
    pub log: Arc<Log>,
    pub client: SocketAddr,
    pub scheme: &'static str,
}

impl Desk {
    /// Answers. Dropping the future, or the answer's body, records the request as far as it got.
    pub async fn respond<B>(self, request: Request<B>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let fault = self.site.take_fault(&path, request.uri().query());
        let known = fault.as_ref().ok().copied().flatten();
        let mut entry = Entry::new(self, &request, known);
        let response = match fault {
            Err(why) => (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
            Ok(Some(Fault::Silent)) => std::future::pending().await,
            Ok(Some(Fault::Unavailable(_))) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Ok(_) => answer(&entry.desk.site, &path, &request).await,
        };
        entry.request.status = Some(response.status().as_u16());
        let announced = response.headers().get(CONTENT_LENGTH);
        entry.request.announced = announced
            .and_then(|length| length.to_str().ok())
            .and_then(|length| length.parse().ok());
        response.map(|body| entry.follow(body))
    }
}

/// What is there.
async fn answer<B>(site: &Site, path: &str, request: &Request<B>) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let Some((content, below)) = site.content(path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut plain = Request::new(());
    *plain.method_mut() = request.method().clone();
    *plain.headers_mut() = request.headers().clone();
    let served = match content {
        // With its length, however it is cut up on the way.
        Content::Bytes(bytes) => {
            return ([(CONTENT_LENGTH, bytes.len())], Body::from(bytes)).into_response();
        }
        Content::File(file) => ServeFile::new(file).try_call(plain).await,
        Content::Directory(directory) => {
            *plain.uri_mut() = below.parse().unwrap_or(Uri::from_static("/"));
            ServeDir::new(directory)
                .append_index_html_on_directories(false)
                .try_call(plain)
                .await
        }
    };
    match served {
        Ok(response) => response.map(Body::new),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            StatusCode::NOT_FOUND.into_response()
        }
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("cannot read it: {error}\n"),
        )
            .into_response(),
    }
}

/// A request on its way to the record, where it gets when this is dropped.
struct Entry {
    desk: Desk,
    request: log::Request,
    begun: Instant,
}

impl Entry {
    fn new<B>(desk: Desk, request: &Request<B>, fault: Option<Fault>) -> Entry {
        let header = |name: HeaderName| {
            let value = request.headers().get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        Entry {
            request: log::Request {
                time: chrono::Local::now(),
                client: desk.client.to_string(),
                scheme: desk.scheme,
                method: request.method().to_string(),
                path: request.uri().to_string(),
                range: header(RANGE),
                agent: header(USER_AGENT),
                status: None,
                bytes: 0,
                announced: None,
                took: Duration::ZERO,
                fault,
            },
            desk,
            begun: Instant::now(),
        }
    }

    /// The body with its fault, counted.
    fn follow(self, body: Body) -> Body {
        let follower = Follower {
            rate: match self.request.fault {
                // Or nothing would ever come.
                Some(Fault::Slow(rate)) => Some(rate.max(1)),
                _ => None,
            },
            entry: self,
            body: body.into_data_stream(),
            waiting: Bytes::new(),
        };
        Body::from_stream(stream::unfold(follower, |mut follower| async {
            let piece = follower.next().await?;
            Some((piece, follower))
        }))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.request.took = self.begun.elapsed();
        self.desk.log.line(&self.request);
        self.desk.site.record(self.request.clone());
    }
}

/// A body on its way to the client.
struct Follower {
    entry: Entry,
    body: BodyDataStream,
    /// Bytes a second, if it is to be slow.
    rate: Option<u64>,
    /// What was read and is not sent yet.
    waiting: Bytes,
}

impl Follower {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        while self.waiting.is_empty() {
            match self.body.next().await? {
                Ok(bytes) => self.waiting = bytes,
                Err(error) => return Some(Err(io::Error::other(error))),
            }
        }
        let sent = self.entry.request.bytes;
        let mut size = self.waiting.len();
        match self.entry.request.fault {
            Some(Fault::Truncated(after)) => {
                let left = usize::try_from(after.saturating_sub(sent)).unwrap_or(usize::MAX);
                if left == 0 {
                    // What was handed over is written before the next piece is asked for, unless the client is slow.
                    tokio::task::yield_now().await;
                    return Some(Err(io::Error::other("truncated on request")));
                }
                size = size.min(left);
            }
            Some(Fault::Altered) if sent == 0 => {
                let mut altered = self.waiting.to_vec();
                altered[0] ^= 1;
                self.waiting = altered.into();
            }
            _ => {}
        }
        if let Some(rate) = self.rate {
            let most = usize::try_from(rate.div_ceil(BEATS)).unwrap_or(usize::MAX);
            size = size.min(most);
            tokio::time::sleep(Duration::from_secs_f64(size as f64 / rate as f64)).await;
        }
        let piece = self.waiting.split_to(size);
        self.entry.request.bytes += piece.len() as u64;
        Some(Ok(piece))
    }
}
