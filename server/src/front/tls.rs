//! Certificate and key. Renewed files are taken without a restart, as certificates live for weeks.

use app::model::time::UnixMillis;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// How long a renewed certificate may go unnoticed; a look is two calls of `stat`.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Files in PEM form, from which the server speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// `TLS_CERT`: the certificate, then those that signed it.
    pub certificate: PathBuf,
    /// `TLS_KEY`: its private key.
    pub key: PathBuf,
}

/// What the server proves itself with. Its clones are renewed together. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct TlsKeys(watch::Receiver<Arc<ServerConfig>>);

/// Why certificate and key cannot be used. Names the variable; never what the file holds.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read, or holds no certificate.
    #[error("TLS_CERT={}: {cause}; expected a PEM file with the certificate, then those that signed it", .path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// The file cannot be read, or holds no key.
    #[error("TLS_KEY={}: {cause}; expected a PEM file with the private key, without a passphrase", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// They do not belong together, or the library knows no such kind.
    #[error("TLS_CERT and TLS_KEY cannot be used together: {0}")]
    Pair(rustls::Error),
}

impl TlsKeys {
    /// Reads the files. The future looks every few seconds whether they were renewed, until stopped.
    ///
    /// # Errors
    /// [`TlsError`] names the variable and what is wrong with its file.
    pub fn load(
        config: &TlsConfig,
        stop: CancellationToken,
    ) -> Result<(Self, impl Future<Output = ()> + Send + use<>), TlsError> {
        let written = last_written(config);
        let (sender, keys) = watch::channel(Arc::new(read(config)?));
        let renewal = Renewal { config: config.clone(), written, keys: sender };
        Ok((Self(keys), renewal.keep(stop)))
    }

    /// Can they be used as they are now?
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn check(config: &TlsConfig) -> Result<(), TlsError> {
        read(config).map(drop)
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.0.borrow()).into()
    }
}

impl std::fmt::Debug for TlsKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsKeys(…)")
    }
}

/// Takes the files when they were renewed.
struct Renewal {
    config: TlsConfig,
    /// When the files that are in use were written.
    written: [Option<SystemTime>; 2],
    keys: watch::Sender<Arc<ServerConfig>>,
}

impl Renewal {
    async fn keep(mut self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_INTERVAL)).await.is_some() {
            self.look();
        }
    }

    fn look(&mut self) {
        let now_written = last_written(&self.config);
        if now_written == self.written {
            return;
        }
        // One file may be new and the other not yet: the old pair serves until the new one is whole.
        match read(&self.config) {
            Ok(renewed) => {
                tracing::info!("Took the renewed certificate");
                self.keys.send_replace(Arc::new(renewed));
                self.written = now_written;
            }
            Err(error) => tracing::warn!("The renewed certificate cannot be used, the old one serves on: {error}"),
        }
    }
}

/// When the certificate ends; `None` when that cannot be read.
#[must_use]
pub fn certificate_end(config: &TlsConfig) -> Option<UnixMillis> {
    let first = CertificateDer::pem_file_iter(&config.certificate).ok()?.next()?.ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&first).ok()?;
    Some(UnixMillis(certificate.validity().not_after.timestamp() * 1000))
}

fn last_written(config: &TlsConfig) -> [Option<SystemTime>; 2] {
    let modified = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    [modified(&config.certificate), modified(&config.key)]
}

fn read(config: &TlsConfig) -> Result<ServerConfig, TlsError> {
    let bad_certificate = |cause: String| TlsError::Certificate { path: config.certificate.clone(), cause };
    let certificates = CertificateDer::pem_file_iter(&config.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|cause| bad_certificate(describe(&cause)))?;
    if certificates.is_empty() {
        return Err(bad_certificate("no certificate in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&config.key)
        .map_err(|cause| TlsError::Key { path: config.key.clone(), cause: describe(&cause) })?;
    let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Pair)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(TlsError::Pair)?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(server)
}

/// Without what stands in the file: it may be the key.
fn describe(error: &rustls::pki_types::pem::Error) -> String {
    use rustls::pki_types::pem::Error;
    match error {
        Error::Io(cause) => format!("cannot be read ({cause})"),
        Error::NoItemsFound => "nothing of the kind in it".to_owned(),
        _ => "not in PEM form".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn half_a_renewed_pair_is_not_taken_and_the_whole_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let config = TlsConfig { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
        let pair = || {
            let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            (pair.cert.pem(), pair.signing_key.serialize_pem())
        };
        let ((old_certificate, old_key), (certificate, key)) = (pair(), pair());
        let write = |name: &str, text: String, at: u64| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            let written = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
            fs::File::options().write(true).open(path).unwrap().set_modified(written).unwrap();
        };
        write("cert.pem", old_certificate, 1);
        write("key.pem", old_key, 1);
        let (keys, used) = watch::channel(Arc::new(read(&config).unwrap()));
        let mut renewal = Renewal { config, written: [None, None], keys };
        let mut is_taken = || {
            let before = Arc::clone(&used.borrow());
            renewal.look();
            !Arc::ptr_eq(&before, &used.borrow())
        };
        assert!(is_taken(), "both files are new");
        assert!(!is_taken(), "nothing changed");
        write("cert.pem", certificate, 2);
        assert!(!is_taken(), "the new certificate and the old key are no pair");
        assert!(!is_taken(), "still");
        write("key.pem", key, 3);
        assert!(is_taken());
    }
}
