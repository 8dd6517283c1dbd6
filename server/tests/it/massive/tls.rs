//! A provider at a `wss://` address whose certificate is signed by none of the web's authorities: a relay inside a company.

use super::serve;
use crate::util::{Monitor, certificate, eventually};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use simulator::SimulatorConfig;
use std::{net::SocketAddr, path::Path, sync::Arc};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// TLS in front of `provider`, with the certificate in a folder; answers its port.
async fn front(provider: SocketAddr, folder: &Path) -> u16 {
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let chain = vec![CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap()];
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("localhost:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut client = acceptor.accept(stream).await.ok()?;
                let mut server = TcpStream::connect(provider).await.ok()?;
                copy_bidirectional(&mut client, &mut server).await.ok()
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_with_a_certificate_of_its_own_is_trusted_when_this_machine_trusts_it() {
    let (provider, _shutdown) = serve(SimulatorConfig { tick_rate: 20.0, ..SimulatorConfig::default() }).await;
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let address = format!("wss://localhost:{}/stocks", front(provider, folder.path()).await);
    let authorities = folder.path().join("cert.pem").display().to_string();
    let variables = [
        ("MARKET_FEED", "massive"),
        ("MASSIVE_API_KEY", "any"),
        ("MASSIVE_WEBSOCKET_URL", &address),
        ("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL,MSFT"),
    ];

    let distrustful = Monitor::start_silent(&variables);
    let why = "Cannot connect: TLS: the certificate's issuer is not trusted";
    eventually("it says why it does not connect", || async { distrustful.log_tail().contains(why).then_some(()) })
        .await;
    drop(distrustful);

    let trusting: Vec<_> = variables.into_iter().chain([("SSL_CERT_FILE", authorities.as_str())]).collect();
    let monitor = Monitor::start_silent(&trusting);
    eventually("ticks come through TLS", || async {
        monitor.ticks().await.first().is_some_and(|ticks| *ticks > 0).then_some(())
    })
    .await;
}
