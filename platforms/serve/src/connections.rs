//! The connections of one listener.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{Local, SecondsFormat};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::log::Log;
use crate::respond::Desk;
use crate::site::Site;

/// How long to wait when no connection can be accepted (too many open files).
const RESPITE: Duration = Duration::from_millis(100);

/// How long a client may say nothing between requests, or in a handshake. One that was reset never says anything again.
const PATIENCE: Duration = Duration::from_secs(60);

/// Accepts connections, with TLS if there is an acceptor, until nobody has the other end of `end` any more; then it closes them all.
pub async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    site: Arc<Site>,
    log: Arc<Log>,
    mut end: watch::Receiver<()>,
) {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Err(_) = end.changed() => break,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, client) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("the server cannot accept a connection: {error}");
                tokio::time::sleep(RESPITE).await;
                continue;
            }
        };
        let desk = Desk {
            site: Arc::clone(&site),
            log: Arc::clone(&log),
            client,
            scheme,
        };
        connections.spawn(converse(stream, tls.clone(), desk));
    }
    drop(listener);
    connections.shutdown().await;
}

async fn converse(stream: TcpStream, tls: Option<TlsAcceptor>, desk: Desk) {
    let Some(tls) = tls else {
        return serve(stream, desk).await;
    };
    let shaken = timeout(PATIENCE, tls.accept(stream)).await;
    match shaken.map_err(io::Error::from).flatten() {
        Ok(stream) => serve(stream, desk).await,
        Err(error) => desk.log.line(refusal(desk.client, &error)),
    }
}

/// A client that does not trust the authority says so in the handshake, and never gets to a request.
fn refusal(client: SocketAddr, error: &io::Error) -> String {
    let time = Local::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    format!("{time} {client} https no TLS: {error}")
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, desk: Desk) {
    let service = service_fn(|request| {
        let desk = desk.clone();
        async move { Ok::<_, Infallible>(desk.respond(request).await) }
    });
    // How a connection ended is in the record of its requests.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
