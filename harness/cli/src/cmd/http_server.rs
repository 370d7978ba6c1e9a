//! `kolea http-server`: the current directory over HTTP on all interfaces, with listings, as kola's does it.

mod listing;

use std::net::{Ipv6Addr, SocketAddr};

use anyhow::Context;
use axum::Router;
use kolea_model::ExitCode;
use tower_http::services::ServeDir;

use super::{Failure, Outcome};
use crate::args::HttpServerArgs;

/// Runs the subcommand until it is interrupted.
pub fn main(args: &HttpServerArgs) -> Outcome {
    let runtime =
        tokio::runtime::Runtime::new().context("cannot start the asynchronous runtime")?;
    runtime.block_on(serve(args.port))?;
    // A client that holds its connection open must not keep us.
    runtime.shutdown_background();
    Ok(ExitCode::Pass)
}

async fn serve(port: u16) -> Result<(), Failure> {
    let root = std::env::current_dir().context("cannot tell the current directory")?;
    // Takes IPv4 as well, where there is IPv6 at all.
    let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let listener = match tokio::net::TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(_) => tokio::net::TcpListener::bind(("0.0.0.0", port))
            .await
            .with_context(|| format!("cannot listen on port {port}"))
            .map_err(Failure::usage)?,
    };
    let port = listener
        .local_addr()
        .context("cannot tell the port")?
        .port();
    crate::program::say(format_args!("Serving HTTP on port {port}"));
    let files = ServeDir::new(&root).fallback(listing::service(root));
    let app = Router::new().fallback_service(files);
    tokio::select! {
        served = axum::serve(listener, app) => served.context("the server failed")?,
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(())
}
