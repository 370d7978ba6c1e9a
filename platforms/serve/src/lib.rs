//! The HTTP and HTTPS server that a test's machine fetches configs and files from.
//!
//! A [`Site`] is what one machine is served: contents by path, the faults that go with them, and a record of what was asked for. A
//! [`Server`] answers for one site, on this host's loopback interface. How a guest gets there is the platform's business (for QEMU,
//! [`relay`]).

mod authority;
mod connections;
mod content;
mod log;
pub mod relay;
mod respond;
mod server;
mod site;

pub use content::Content;
pub use kolea_model::ServerFault as Fault;
pub use log::Request;
pub use server::{Server, ServerAddresses};
pub use site::{CA_PATH, CONFIG_PATH, Site};

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The certificate authority or the server's certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(String),
    /// No port could be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The log of requests could not be made.
    #[error("cannot write {path}: {source}", path = path.display())]
    Log {
        /// The file.
        path: std::path::PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}
