//! Who may vouch for a provider at a `wss://` address.

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use std::sync::Arc;
use tokio::{sync::OnceCell, task::spawn_blocking};
use tokio_tungstenite::Connector;
use tracing::warn;

/// What checks the certificate of whoever answers at `url`; `None` where there is no TLS.
///
/// It accepts Mozilla's authorities and those that this machine trusts: a relay inside a company has its certificate from one of the
/// company's own. `SSL_CERT_FILE` and `SSL_CERT_DIR` say where the machine's are, as for OpenSSL. They are read once, for the first
/// connection, on a thread of their own.
pub(super) async fn connector(url: &str) -> Option<Connector> {
    static TRUSTED: OnceCell<Arc<ClientConfig>> = OnceCell::const_new();

    if !url.get(..4)?.eq_ignore_ascii_case("wss:") {
        return None;
    }
    let read = || async { spawn_blocking(|| Arc::new(trusted())).await };
    // It fails when the server ends, and nobody connects then.
    let trusted = TRUSTED.get_or_try_init(read).await.ok()?;
    Some(Connector::Rustls(Arc::clone(trusted)))
}

fn trusted() -> ClientConfig {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        warn!("Not all authorities that this machine trusts can be read: {error}");
    }
    roots.add_parsable_certificates(found.certs);
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
