//! A server: two listeners, for one site.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::connections::accept;
use crate::log::Log;
use crate::{ServeError, Site};

/// Where a server listens on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerAddresses {
    /// For HTTP.
    pub http: SocketAddr,
    /// For HTTPS.
    pub https: SocketAddr,
}

/// Answers for one site, on ports of the loopback interface that the kernel picks. Dropping it closes all connections.
#[derive(Debug)]
pub struct Server {
    addresses: ServerAddresses,
    /// The listeners end when this is dropped.
    running: watch::Sender<()>,
    tasks: JoinSet<()>,
}

impl Server {
    /// Listens from now on, and adds a line to the log for each request.
    pub async fn start(site: Arc<Site>, log: &Path) -> Result<Server, ServeError> {
        let log = Arc::new(Log::create(log)?);
        let (plain, http) = listen().await?;
        let (secure, https) = listen().await?;
        let tls = TlsAcceptor::from(site.tls());
        let mut tasks = JoinSet::new();
        let (running, end) = watch::channel(());
        for (listener, tls) in [(plain, None), (secure, Some(tls))] {
            let (site, log) = (Arc::clone(&site), Arc::clone(&log));
            tasks.spawn(accept(listener, tls, site, log, end.clone()));
        }
        Ok(Server {
            addresses: ServerAddresses { http, https },
            running,
            tasks,
        })
    }

    /// Closes all connections, and waits until every request is recorded as far as it got.
    pub async fn stop(mut self) {
        drop(self.running);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::warn!("a server ended before its machine did: {error}");
            }
        }
    }

    /// Where it listens.
    pub fn addresses(&self) -> ServerAddresses {
        self.addresses
    }
}

async fn listen() -> Result<(TcpListener, SocketAddr), ServeError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listening = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    listening
        .await
        .map_err(|source| ServeError::Listen { address, source })
}
