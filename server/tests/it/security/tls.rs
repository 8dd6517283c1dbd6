//! TLS in the server itself: cookies, headers and the socket over it, and certificates that are renewed.

use crate::util::{PASSWORD, PATIENCE, TestServer, certificate, email_of, eventually};
use futures_util::StreamExt;
use rustls::pki_types::{CertificateDer, ServerName};
use server::auth::Role;
use std::{net::SocketAddr, sync::Arc};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

async fn server(folder: &TempDir) -> TestServer {
    let path = |name| folder.path().join(name).display().to_string();
    TestServer::start([("TLS_CERT", path("cert.pem").as_str()), ("TLS_KEY", path("key.pem").as_str())]).await
}

pub(super) async fn connect(address: SocketAddr, trusted: &CertificateDer<'static>) -> TlsStream<TcpStream> {
    try_connect(address, trusted).await.unwrap()
}

/// Fails when the server proves itself with another certificate.
async fn try_connect(address: SocketAddr, trusted: &CertificateDer<'static>) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), socket).await
}

pub(super) async fn ask(mut stream: TlsStream<TcpStream>, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that ends without a TLS goodbye is an error after the answer.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an answer in time");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_the_cookie_is_bound_to_the_host_and_browsers_are_told_to_use_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let trusted = certificate(folder.path());
    let server = server(&folder).await;
    let form = format!("email={}&password={}", email_of(Role::Admin), PASSWORD.replace(' ', "+"));
    let request = format!(
        "POST /login HTTP/1.1\r\nhost: localhost\r\norigin: https://localhost\r\nconnection: close\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    );
    let answer = ask(connect(server.address, &trusted).await, &request).await;
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    assert!(answer.contains("strict-transport-security: max-age=31536000; includeSubDomains"), "{answer}");
    let cookie = answer.split("set-cookie: ").nth(1).expect("a cookie").split("\r\n").next().unwrap();
    let name = format!("__Host-tickstock_session_{}", server.address.port());
    assert!(cookie.starts_with(&format!("{name}=")), "{cookie}");
    for flag in ["HttpOnly", "SameSite=Strict", "Secure", "Path=/"] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");

    let from_http = request.replace("origin: https://localhost", "origin: http://localhost:443");
    let answer = ask(connect(server.address, &trusted).await, &from_http).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "a page without TLS is another origin: {answer}");

    // The live socket, over the same door.
    let pair = cookie.split(';').next().unwrap();
    let signed_in = pair.to_owned();
    let mut handshake = tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(format!(
        "wss://localhost:{}/admin-ws",
        server.address.port()
    ))
    .unwrap();
    handshake.headers_mut().insert("cookie", pair.parse().unwrap());
    let stream = connect(server.address, &trusted).await;
    let (mut socket, _) = tokio_tungstenite::client_async(handshake, stream).await.unwrap();
    let first = timeout(PATIENCE, socket.next()).await.expect("in time").unwrap().unwrap();
    assert!(first.to_text().unwrap().contains("connection_status_update"), "{first}");

    // A browser ignores a removal of a `__Host-` cookie that is not itself fit to be one.
    let sign_out = |cookie: &str| {
        format!(
            "POST /logout HTTP/1.1\r\nhost: localhost\r\norigin: https://localhost\r\nconnection: close\r\n\
             cookie: {cookie}\r\ncontent-length: 0\r\n\r\n"
        )
    };
    let forgotten = format!("{name}={}", "A".repeat(22));
    for cookie in [signed_in, forgotten] {
        let answer = ask(connect(server.address, &trusted).await, &sign_out(&cookie)).await;
        let mut removals = answer.split("set-cookie: ").skip(1).map(|rest| rest.split("\r\n").next().unwrap());
        let removal = removals.next().expect(&answer);
        assert_eq!(
            removal,
            format!("{name}=; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=0"),
            "whoever's it is"
        );
        assert_eq!(removals.next(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_no_tls_or_nothing_at_all_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let trusted = certificate(folder.path());
    let server = server(&folder).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(b"GET /login HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, plain.read_to_end(&mut answer)).await.expect("an end in time");
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1 200"));
    let request = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let answer = ask(connect(server.address, &trusted).await, request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_taken_while_the_server_runs() {
    const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let (folder, renewal) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let old = certificate(folder.path());
    let server = server(&folder).await;
    let opened_before = connect(server.address, &old).await;

    let new = certificate(renewal.path());
    let take = |name| std::fs::copy(renewal.path().join(name), folder.path().join(name)).unwrap();
    take("cert.pem");
    take("key.pem");
    let renewed =
        eventually("the renewed certificate", || async { try_connect(server.address, &new).await.ok() }).await;
    assert!(ask(renewed, HEALTH).await.starts_with("HTTP/1.1 200"));
    assert!(try_connect(server.address, &old).await.is_err(), "the old one has gone");
    let answer = ask(opened_before, HEALTH).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "who was connected stays so: {answer}");
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_and_never_quoted() {
    use server::{config::TlsConfig, front::TlsKeys};
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("rubbish.pem"), "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END ROSE-----\n").unwrap();
    std::fs::write(path("empty.pem"), "").unwrap();
    for (certificate, key, word) in [
        ("none.pem", "key.pem", "TLS_CERT="),
        ("empty.pem", "key.pem", "TLS_CERT="),
        ("cert.pem", "none.pem", "TLS_KEY="),
        ("cert.pem", "rubbish.pem", "TLS_KEY="),
        ("cert.pem", "cert.pem", "TLS_KEY="),
    ] {
        let files = TlsConfig { certificate: path(certificate), key: path(key) };
        let error = TlsKeys::load(&files, Default::default()).map(|(keys, _)| keys).expect_err(word).to_string();
        assert!(error.starts_with(word) && !error.contains("c2VjcmV0"), "{error}");
    }
    let other = tempfile::tempdir().unwrap();
    certificate(other.path());
    let files = TlsConfig { certificate: path("cert.pem"), key: other.path().join("key.pem") };
    let error = TlsKeys::load(&files, Default::default()).map(|(keys, _)| keys).expect_err("no pair").to_string();
    assert!(error.starts_with("TLS_CERT and TLS_KEY cannot be used together"), "{error}");
}
