//! A throw-away certificate authority, and the one certificate that it signs.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use crate::ServeError;

/// The authority's name, which Ignition logs ("Adding … to list of CAs").
const NAME: &str = "kolea's throw-away CA";

/// An authority whose key exists in memory only, and not longer than this.
#[derive(Debug)]
pub struct Authority {
    /// Its certificate.
    pub pem: String,
    /// How a server that it has signed for speaks TLS.
    pub tls: Arc<ServerConfig>,
}

impl Authority {
    /// Makes one, and a certificate for a server at that address, or on this host.
    pub fn new(address: Ipv4Addr) -> Result<Authority, ServeError> {
        let fault = |error: rcgen::Error| ServeError::Certificate(error.to_string());
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, NAME);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().map_err(fault)?)
            .map_err(fault)?;

        let key = KeyPair::generate().map_err(fault)?;
        let mut params = CertificateParams::new(["localhost".to_owned()]).map_err(fault)?;
        params.distinguished_name.push(DnType::CommonName, "kolea");
        for address in [address, Ipv4Addr::LOCALHOST] {
            let name = SanType::IpAddress(IpAddr::V4(address));
            params.subject_alt_names.push(name);
        }
        let certificate = params.signed_by(&key, &issuer).map_err(fault)?;

        let fault = |error: tokio_rustls::rustls::Error| ServeError::Certificate(error.to_string());
        let mut tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(fault)?
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .map_err(fault)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Authority {
            pem: issuer.pem(),
            tls: Arc::new(tls),
        })
    }
}
