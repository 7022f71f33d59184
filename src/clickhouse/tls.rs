//! The HTTP client under the crate: rustls with the system's certificate authorities or the one that was named.

use std::time::Duration;

use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::clickhouse::Error;
use crate::config::Server;

/// ClickHouse closes idle connections after 10 s (3 s before 23.11); ours go before.
const IDLE_TIMEOUT: Duration = Duration::from_secs(2);
/// So that a statement of hours survives a firewall, and a dead peer is noticed.
const KEEPALIVE: Duration = Duration::from_secs(30);

pub(crate) fn client(
    server: &Server,
    connect_timeout: Duration,
) -> Result<clickhouse::Client, Error> {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(connect_timeout));
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_nodelay(true);
    connector.enforce_http(false);
    let config = rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .map_err(|error| tls_error(error.to_string()))?
    .with_root_certificates(roots(server)?)
    .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    let http = HttpClient::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .build(connector);
    Ok(clickhouse::Client::with_http_client(http))
}

/// The certificate authorities to trust; none are read for plain HTTP.
fn roots(server: &Server) -> Result<rustls::RootCertStore, Error> {
    let mut roots = rustls::RootCertStore::empty();
    if !server.url.starts_with("https:") {
        return Ok(roots);
    }
    if let Some(path) = &server.ca_file {
        let certificates = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| {
                tls_error(format!(
                    "the CA file {path} could not be read as PEM: {error}"
                ))
            })?;
        if certificates.is_empty() {
            return Err(tls_error(format!(
                "the CA file {path} holds no certificate"
            )));
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|error| {
                tls_error(format!(
                    "a certificate of the CA file {path} is not usable: {error}"
                ))
            })?;
        }
        return Ok(roots);
    }
    let native = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(native.certs);
    if added == 0 {
        return Err(tls_error(
            "the system has no certificate authorities; name one with `ca_file` in housewright.toml or HOUSEWRIGHT_CA_FILE".to_owned(),
        ));
    }
    Ok(roots)
}

fn tls_error(reason: String) -> Error {
    Error::Tls { reason }
}
