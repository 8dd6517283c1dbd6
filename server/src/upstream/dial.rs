//! Opens a socket, and says in plain words why that failed or how one broke. What a library calls it nobody has to know.

use super::{loss::Loss, trust::connector};
use crate::{
    bus::TickBus,
    text::{self, tidy},
};
use app::model::time::{UnixMillis, format_seconds};
use std::{
    io,
    time::{Duration, SystemTime},
};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
    tungstenite::{
        Error as WsError,
        error::{CapacityError, ProtocolError, TlsError},
        http::{HeaderMap, Response, StatusCode, header},
        protocol::WebSocketConfig,
    },
};

/// Official clients stop at 1 MiB; a little more is read, endlessly much is not.
const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Asked of the system at once. The library zeroes what is free of its buffer before every read: with its default of 128 KiB
/// that costs more than reading a frame.
const READ_BYTES: usize = 16 << 10;

/// The longest wait that a provider can ask for: a mistake there must not keep us away for days.
const WAIT_MAX: Duration = Duration::from_secs(3600);
/// The wait after "too many requests" when the provider names none.
const WAIT_UNNAMED: Duration = Duration::from_secs(60);
/// The provider's own words in an answer, at most.
const WORDS_BYTES_MAX: usize = 200;

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Resolves when there is the right to connect. Which one it is may change meanwhile.
pub(super) async fn until_held(bus: &dyn TickBus) {
    while let Some(right) = bus.right() {
        let mut changes = right.changes();
        if right.epoch(Instant::now()).is_some() {
            return;
        }
        if changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Opens a socket: TCP, TLS and the WebSocket handshake, all within `patience`.
pub(super) async fn dial(url: &str, patience: Duration) -> Result<Socket, Loss> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let connected = async { connect_async_tls_with_config(url, Some(config), true, connector(url).await).await };
    match timeout(patience, connected).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(WsError::Http(response))) => Err(refusal(&response, SystemTime::now())),
        Ok(Err(error)) => Err(Loss::unreachable(format!("Cannot connect: {}", describe(&error)))),
        Err(_) => Err(Loss::unreachable(format!("No answer within {} s", patience.as_secs()))),
    }
}

/// The handshake was answered with something else than a WebSocket.
fn refusal(response: &Response<Option<Vec<u8>>>, now: SystemTime) -> Loss {
    let (status, headers) = (response.status(), response.headers());
    let wait = asked_wait(status, headers, now);
    let meaning = match (status.as_u16(), wait) {
        (429, _) => "too many connections or attempts".to_owned(),
        (_, Some(_)) => "it is out of order for a while".to_owned(),
        (200..=299, _) => {
            "there is a web page at this address and no WebSocket; check MASSIVE_WEBSOCKET_URL".to_owned()
        }
        (300..=399, _) => match location(headers) {
            Some(location) => format!("it refers to {location}; set MASSIVE_WEBSOCKET_URL to where the WebSocket is"),
            None => "it refers to another address and does not say which; check MASSIVE_WEBSOCKET_URL".to_owned(),
        },
        (401 | 407, _) => {
            "it wants a sign-in before the WebSocket, which the provider does not; is a proxy in between?".to_owned()
        }
        (403, _) => "it does not let this machine or account in".to_owned(),
        (404 | 410, _) => "there is no WebSocket at this address; check MASSIVE_WEBSOCKET_URL".to_owned(),
        (400..=499, _) => "it does not take our request for a WebSocket; check MASSIVE_WEBSOCKET_URL".to_owned(),
        _ => "it is out of order".to_owned(),
    };
    let status =
        status.canonical_reason().map_or(status.as_str().to_owned(), |reason| format!("{} {reason}", status.as_str()));
    let words = words(response);
    let said = words.as_ref().map(|words| format!("; the provider says: {words}")).unwrap_or_default();
    let asked = match wait {
        Some(wait) => {
            let until = UnixMillis::from(now + wait).clock();
            format!(", and we wait {} until {until} UTC", format_seconds(wait.as_secs()))
        }
        None => String::new(),
    };
    let reason = format!("Cannot connect: the answer is HTTP {status}: {meaning}{asked}{said}");
    Loss { words, wait, ..Loss::unreachable(reason) }
}

/// How long to stay away, when the provider says so or means it.
fn asked_wait(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let named = headers.get(header::RETRY_AFTER).and_then(|value| read_wait(value.to_str().ok()?, headers, now));
    match status {
        StatusCode::TOO_MANY_REQUESTS => Some(named.unwrap_or(WAIT_UNNAMED)),
        StatusCode::SERVICE_UNAVAILABLE => named,
        _ => None,
    }
    .map(|wait| wait.clamp(Duration::from_secs(1), WAIT_MAX))
}

/// `Retry-After` is a number of seconds or a date (RFC 9110, 10.2.3). A date is held against the provider's own clock.
fn read_wait(text: &str, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse().map_or(WAIT_MAX, Duration::from_secs));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let theirs = headers.get(header::DATE).and_then(|value| httpdate::parse_http_date(value.to_str().ok()?).ok());
    Some(date.duration_since(theirs.unwrap_or(now)).unwrap_or_default())
}

/// Where it refers to, without what may hold a secret.
fn location(headers: &HeaderMap) -> Option<String> {
    let location = headers.get(header::LOCATION)?.to_str().ok()?;
    let plain = location.split(['?', '#']).next().unwrap_or_default();
    let plain = match plain.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            format!("{scheme}://{}{path}", authority.rsplit('@').next().unwrap_or_default())
        }
        None => plain.to_owned(),
    };
    (!plain.is_empty()).then(|| tidy(&plain, WORDS_BYTES_MAX))
}

/// The body of the answer, where it is text for people.
fn words(response: &Response<Option<Vec<u8>>>) -> Option<String> {
    let kind = response.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    if !["text/plain", "application/json"].iter().any(|plain| kind.starts_with(plain)) {
        return None;
    }
    let text = String::from_utf8_lossy(response.body().as_deref()?);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let words = tidy(&line, WORDS_BYTES_MAX);
    (!words.is_empty()).then_some(words)
}

/// What broke a socket, without what a library adds of addresses; the key is in none of it, it travels inside the socket. Some
/// of it the other side chose: the names in its certificate, a header that it sent.
pub(super) fn describe(error: &WsError) -> String {
    tidy(&plain_words(error), text::BYTES_MAX)
}

fn plain_words(error: &WsError) -> String {
    match error {
        WsError::Io(error) => broken_line(error),
        WsError::Protocol(error) => broken_protocol(error),
        WsError::Tls(TlsError::InvalidDnsName) => {
            "TLS: the address has no name that a certificate could be for".to_owned()
        }
        WsError::Tls(TlsError::Rustls(error)) => broken_tls(error),
        WsError::Tls(error) => format!("TLS: {error}"),
        WsError::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            format!("a message of {size} bytes came, and at most {max_size} are read")
        }
        WsError::Capacity(CapacityError::TooManyHeaders) | WsError::AttackAttempt => {
            "the answer to the handshake is too long to be one".to_owned()
        }
        WsError::Utf8(_) => "a text message came that is not UTF-8".to_owned(),
        WsError::ConnectionClosed | WsError::AlreadyClosed => "it is closed already".to_owned(),
        WsError::WriteBufferFull(_) => "the provider stopped reading".to_owned(),
        WsError::HttpFormat(_) => "the answer to the handshake is not HTTP".to_owned(),
        WsError::Http(response) => format!("the answer is HTTP {}", response.status()),
        WsError::Url(error) => format!("the address cannot be used: {error}"),
    }
}

fn broken_line(error: &io::Error) -> String {
    if let Some(error) = error.get_ref().and_then(|error| error.downcast_ref()) {
        return broken_tls(error);
    }
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return "it ended without a close frame".to_owned();
    }
    // Without the system's number, which says the same once more.
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn broken_tls(error: &rustls::Error) -> String {
    use rustls::{CertificateError as C, Error as E};
    let words = match error {
        E::InvalidCertificate(C::UnknownIssuer) => "the certificate's issuer is not trusted",
        E::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => "the certificate has expired",
        E::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
            "the certificate is not valid yet; is this machine's clock right?"
        }
        E::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
            "the certificate is for another name"
        }
        E::InvalidCertificate(C::Revoked) => "the certificate was revoked",
        E::InvalidMessage(_) => "what answers there does not speak TLS; is it ws:// and not wss://?",
        E::AlertReceived(_) => return format!("TLS: the other end refuses it ({error})"),
        _ => return format!("TLS: {error}"),
    };
    format!("TLS: {words}")
}

fn broken_protocol(error: &ProtocolError) -> String {
    use ProtocolError as P;
    match error {
        P::ResetWithoutClosingHandshake => "reset without a close frame",
        P::HandshakeIncomplete => "closed in the middle of the handshake",
        P::HttparseError(_) | P::WrongHttpVersion | P::JunkAfterRequest | P::InvalidHeader(_) => {
            "the answer to the handshake is not HTTP"
        }
        P::MissingConnectionUpgradeHeader
        | P::MissingUpgradeWebSocketHeader
        | P::SecWebSocketAcceptKeyMismatch
        | P::SecWebSocketSubProtocolError(_)
        | P::MissingSecWebSocketVersionHeader
        | P::MissingSecWebSocketKey => "the answer to the handshake is not that of a WebSocket; is a proxy in between?",
        P::ReceivedAfterClosing => "the provider went on sending after it had closed",
        P::InvalidCloseSequence => "the provider closed with a close frame that cannot be read",
        P::SendAfterClosing => "it is closed already",
        P::NonZeroReservedBits
        | P::UnmaskedFrameFromClient
        | P::MaskedFrameFromServer
        | P::FragmentedControlFrame
        | P::ControlFrameTooBig
        | P::UnknownControlFrameType(_)
        | P::UnknownDataFrameType(_)
        | P::UnexpectedContinueFrame
        | P::ExpectedFragment(_)
        | P::InvalidOpcode(_) => "what came is no WebSocket frame",
        P::WrongHttpMethod | P::CustomResponseSuccessful => "the handshake failed",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Duration = Duration::from_secs(1_769_007_600);

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Loss {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let response = response.body(Some(body.as_bytes().to_vec())).expect("an answer");
        refusal(&response, SystemTime::UNIX_EPOCH + NOW)
    }

    fn seconds(status: u16, headers: &[(&str, &str)]) -> Option<u64> {
        answer(status, headers, "").wait.map(|wait| wait.as_secs())
    }

    #[test]
    fn a_wait_is_read_in_both_forms_and_bounded() {
        for status in [429, 503] {
            assert_eq!(seconds(status, &[("retry-after", "120")]), Some(120));
            assert_eq!(seconds(status, &[("retry-after", " 7 ")]), Some(7));
            assert_eq!(seconds(status, &[("retry-after", "Wed, 21 Jan 2026 15:02:00 GMT")]), Some(120));
            assert_eq!(seconds(status, &[("retry-after", "0")]), Some(1));
            assert_eq!(seconds(status, &[("retry-after", "Wed, 21 Jan 2026 14:02:00 GMT")]), Some(1), "it is over");
            assert_eq!(seconds(status, &[("retry-after", "99999999999999999999999")]), Some(3_600));
            assert_eq!(seconds(status, &[("retry-after", "Wed, 21 Jan 2099 15:02:00 GMT")]), Some(3_600));
            let their_clock =
                [("date", "Wed, 21 Jan 2026 15:01:30 GMT"), ("retry-after", "Wed, 21 Jan 2026 15:02:00 GMT")];
            assert_eq!(seconds(status, &their_clock), Some(30), "by the provider's clock");
        }
        for rubbish in ["", "soon", "-5", "1.5", "12 s"] {
            let headers = [("retry-after", rubbish)];
            assert_eq!((seconds(429, &headers), seconds(503, &headers)), (Some(60), None), "{rubbish:?}");
        }
        assert_eq!((seconds(500, &[("retry-after", "9")]), seconds(429, &[])), (None, Some(60)));
    }

    #[test]
    fn every_refusal_says_what_it_was() {
        for (status, part) in [
            (101, "HTTP 101 Switching Protocols"),
            (200, "there is a web page at this address and no WebSocket"),
            (401, "HTTP 401 Unauthorized: it wants a sign-in"),
            (403, "HTTP 403 Forbidden: it does not let this machine or account in"),
            (404, "HTTP 404 Not Found: there is no WebSocket at this address"),
            (426, "it does not take our request"),
            (
                429,
                "HTTP 429 Too Many Requests: too many connections or attempts, and we wait 1 m 00 s until 15:01:00 UTC",
            ),
            (500, "HTTP 500 Internal Server Error: it is out of order"),
            (503, "HTTP 503 Service Unavailable: it is out of order"),
            (599, "HTTP 599: it is out of order"),
        ] {
            let reason = answer(status, &[], "").reason;
            assert!(reason.starts_with("Cannot connect: ") && reason.contains(part), "{reason}");
        }
        let moved = answer(308, &[("location", "wss://user:hush@new.example.com/stocks?key=hush#hush")], "");
        assert!(moved.reason.contains("it refers to wss://new.example.com/stocks;"), "{}", moved.reason);
        assert!(!moved.reason.contains("hush"), "{}", moved.reason);
    }

    #[test]
    fn the_providers_words_are_told_where_they_are_for_people() {
        let plain = answer(403, &[("content-type", "text/plain; charset=utf-8")], "Account\r\nsuspended.\u{7}");
        assert_eq!(plain.words.as_deref(), Some("Account suspended.\\u{7}"));
        assert!(plain.reason.ends_with("; the provider says: Account suspended.\\u{7}"), "{}", plain.reason);
        assert_eq!(answer(403, &[("content-type", "text/html")], "<html>").words, None);
    }

    #[test]
    fn what_a_library_calls_it_is_not_shown() {
        let errors = [
            WsError::AttackAttempt,
            WsError::Utf8("invalid utf-8 sequence".to_owned()),
            WsError::Protocol(ProtocolError::InvalidOpcode(3)),
            WsError::Protocol(ProtocolError::InvalidCloseSequence),
            WsError::Protocol(ProtocolError::SecWebSocketAcceptKeyMismatch),
            WsError::Capacity(CapacityError::TooManyHeaders),
            WsError::Io(std::io::Error::from_raw_os_error(104)),
        ];
        for error in errors {
            let (ours, library) = (describe(&error), error.to_string());
            assert!(!library.contains(&ours) || matches!(error, WsError::Io(_)), "{ours} / {library}");
            assert!(!ours.contains("ttack") && !ours.contains("httparse") && !ours.contains("os error"), "{ours}");
        }
    }

    #[test]
    fn what_is_wrong_with_tls_is_said_in_plain_words() {
        use rustls::{CertificateError, Error, InvalidMessage};
        for (error, words) in [
            (
                Error::InvalidCertificate(CertificateError::UnknownIssuer),
                "TLS: the certificate's issuer is not trusted",
            ),
            (Error::InvalidCertificate(CertificateError::Expired), "TLS: the certificate has expired"),
            (Error::InvalidCertificate(CertificateError::NotValidForName), "TLS: the certificate is for another name"),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "TLS: what answers there does not speak TLS; is it ws:// and not wss://?",
            ),
        ] {
            assert_eq!(describe(&WsError::Io(io::Error::new(io::ErrorKind::InvalidData, error.clone()))), words);
            assert_eq!(describe(&WsError::Tls(TlsError::Rustls(Box::new(error)))), words);
        }
        let cut_off =
            io::Error::new(io::ErrorKind::UnexpectedEof, "peer closed connection without sending TLS close_notify");
        assert_eq!(describe(&WsError::Io(cut_off)), "it ended without a close frame");
    }

    proptest! {
        /// Whatever a header holds: a wait within bounds, or none.
        #[test]
        fn no_wait_is_out_of_bounds(text in "[ -~]{0,40}", status in 100u16..600) {
            if let Some(wait) = answer(status, &[("retry-after", &text)], "").wait {
                prop_assert!((Duration::from_secs(1)..=WAIT_MAX).contains(&wait));
            }
        }
    }
}
