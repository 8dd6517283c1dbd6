//! A certificate that nobody but a test trusts.

use rustls::pki_types::CertificateDer;
use std::path::Path;

/// Writes a certificate for `localhost` and its key into a folder, as `cert.pem` and `key.pem`.
pub(crate) fn certificate(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}
