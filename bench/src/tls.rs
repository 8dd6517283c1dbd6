//! TLS 1.3 in front of the provider, as the real one has it. It runs in this process, so that none of its work counts.

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject},
};
use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::Connector;

/// Where our server and the relays in Rust look for who may vouch for it, and where bun and Node do.
const TRUSTED: [&str; 2] = ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"];

/// As long as it lives.
pub(crate) struct Front {
    address: SocketAddr,
    folder: TempDir,
    _runtime: Runtime,
}

impl Front {
    pub(crate) fn start(provider: SocketAddr) -> anyhow::Result<Self> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("trusted.pem"), made.cert.pem())?;
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let proof = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())?;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        // As `localhost` may be ::1 or 127.0.0.1, whichever it is first.
        let listener = runtime.block_on(TcpListener::bind("localhost:0"))?;
        let address = listener.local_addr()?;
        runtime.spawn(forward(listener, TlsAcceptor::from(Arc::new(proof)), provider));
        Ok(Self { address, folder, _runtime: runtime })
    }

    pub(crate) fn url(&self) -> String {
        format!("wss://localhost:{}/stocks", self.address.port())
    }

    /// The variables of a process that trusts it.
    pub(crate) fn trust(&self) -> impl Iterator<Item = (&'static str, PathBuf)> {
        let path = self.folder.path().join("trusted.pem");
        TRUSTED.into_iter().map(move |name| (name, path.clone()))
    }

    /// What connects a client in this process to it.
    pub(crate) fn connector(&self) -> anyhow::Result<Connector> {
        trusting(&self.folder.path().join("trusted.pem"))
    }
}

async fn forward(listener: TcpListener, acceptor: TlsAcceptor, provider: SocketAddr) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let mut client = acceptor.accept(stream).await?;
            let mut server = TcpStream::connect(provider).await?;
            server.set_nodelay(true)?;
            copy_bidirectional(&mut client, &mut server).await
        });
    }
}

/// What connects this process to it, when it was started with [`Front::trust`].
pub(crate) fn connector() -> anyhow::Result<Option<Connector>> {
    env::var_os(TRUSTED[0]).map(|path| trusting(&PathBuf::from(path))).transpose()
}

fn trusting(path: &Path) -> anyhow::Result<Connector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(path)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Connector::Rustls(Arc::new(config)))
}
