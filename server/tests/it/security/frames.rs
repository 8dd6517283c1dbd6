//! Frames that the WebSocket library answers or swallows by itself: they count like all others.

use crate::util::{Client, Socket, TestServer};
use app::model::{protocol::Frame, time::UnixMillis};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame as RawFrame,
        coding::{Data, OpCode},
    },
};

fn part(kind: Data, is_last: bool) -> Message {
    Message::Frame(RawFrame::message("", OpCode::Data(kind), is_last))
}

fn pong(payload: &'static str) -> Message {
    Message::Frame(RawFrame::pong(payload))
}

/// Sends until the server has heard enough; answers its close code.
async fn flood(mut socket: Socket, first: Option<Message>, then: &[Message]) -> u16 {
    for message in first.iter().chain(then.iter().cycle()).take(1_000) {
        if socket.send(message.clone()).await.is_err() {
            break;
        }
    }
    socket.close_code().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_frame_counts() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    let mut watching = admin.socket(None).await;
    let kinds: [(&str, Option<Message>, Vec<Message>); 5] = [
        ("empty pongs", None, vec![pong("")]),
        ("pongs", None, vec![pong("not asked for")]),
        ("pings", None, vec![Message::Frame(RawFrame::ping(""))]),
        ("empty parts of a message", Some(part(Data::Text, false)), vec![part(Data::Continue, false)]),
        ("empty messages in two parts", None, vec![part(Data::Text, false), part(Data::Continue, true)]),
    ];
    for (what, first, then) in kinds {
        let socket = admin.socket(None).await;
        assert_eq!(flood(socket, first, &then).await, 4008, "{what}");
    }
    // What a browser does by itself costs it nothing that it would miss.
    for _ in 0..20 {
        watching.send(pong("")).await.unwrap();
    }
    watching.event_named("tick_update").await;
}

/// For so long, in seconds: `ATTACK_SECONDS`, a short burst unless it is set.
fn attack_length() -> Duration {
    let seconds = std::env::var("ATTACK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    Duration::from_secs(seconds)
}

/// How late frames of ticks arrive, in milliseconds, sorted.
async fn lags(socket: &mut Socket) -> Vec<i64> {
    let mut lags = Vec::new();
    let until = Instant::now() + attack_length();
    while Instant::now() < until {
        if let Frame::Ticks(ticks) = socket.frame().await {
            lags.push(UnixMillis::now().millis_since(ticks.at));
        }
    }
    lags.sort_unstable();
    lags
}

/// Pongs as fast as they go, from a socket that comes back whenever it is closed. A thread of its own: an attacker's machine
/// is not ours.
fn keep_flooding(admin: Client, sent: Arc<AtomicU64>, until: std::time::Instant) -> std::thread::JoinHandle<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let pongs = [0x8a, 0x80, 0, 0, 0, 0].repeat(10_000);
    let host = admin.base.trim_start_matches("http://").to_owned();
    let handshake = format!(
        "GET /admin-ws HTTP/1.1\r\nhost: {host}\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\ncookie: {}\r\n\r\n",
        admin.cookie.as_ref().unwrap()
    );
    let attack = async move {
        while std::time::Instant::now() < until {
            let mut socket = tokio::net::TcpStream::connect(&host).await.unwrap();
            socket.write_all(handshake.as_bytes()).await.unwrap();
            let mut answer = [0; 12];
            if socket.read_exact(&mut answer).await.is_err() || &answer != b"HTTP/1.1 101" {
                sleep(Duration::from_millis(50)).await;
                continue;
            }
            // What comes is taken, so that the server does not close for that.
            let (mut reading, mut writing) = socket.into_split();
            let taking = tokio::spawn(async move { tokio::io::copy(&mut reading, &mut tokio::io::sink()).await });
            let left = until.saturating_duration_since(std::time::Instant::now());
            let _ = timeout(left, async {
                while let Ok(bytes) = writing.write(&pongs).await {
                    sent.fetch_add(bytes as u64 / 6, Relaxed);
                }
            })
            .await;
            taking.abort();
        }
    };
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(attack);
    })
}

/// The 99th of 100 frames of a socket that nobody disturbs, in milliseconds late: without and under four floods.
async fn frames_under_flood() -> [i64; 2] {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    for id in 1..=3 {
        admin.wait_for_state(id, "connected").await;
    }
    let mut watching = admin.socket(Some("tickstock.v1.bin")).await;
    let quiet = lags(&mut watching).await;
    let sent = Arc::new(AtomicU64::new(0));
    let until = std::time::Instant::now() + attack_length();
    let floods: Vec<_> = (0..4).map(|_| keep_flooding(admin.clone(), Arc::clone(&sent), until)).collect();
    let attacked = lags(&mut watching).await;
    for flood in floods {
        tokio::task::spawn_blocking(|| flood.join().unwrap()).await.unwrap();
    }

    let at = |lags: &[i64], share: f64| lags[((lags.len() - 1) as f64 * share) as usize];
    let told = |lags: &[i64]| [0.5, 0.99, 1.0].map(|share| at(lags, share));
    println!(
        "{} pongs sent in {:?}; lag of frames p50, p99, worst: quiet {:?} ms, attacked {:?} ms; {} and {} frames",
        sent.load(Relaxed),
        attack_length(),
        told(&quiet),
        told(&attacked),
        quiet.len(),
        attacked.len(),
    );
    assert!(attacked.len() * 2 > quiet.len(), "{} frames, {} without the attack", attacked.len(), quiet.len());
    [at(&quiet, 0.99), at(&attacked, 0.99)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_floods_of_pongs_do_not_hold_up_the_frames_of_others() {
    let mut worse = Vec::new();
    // Whatever else shares the machine makes frames late as well, now and then; the floods would every time.
    for _ in 0..3 {
        let [quiet, attacked] = frames_under_flood().await;
        if attacked < 20.max(quiet * 2) {
            return;
        }
        worse.push((quiet, attacked));
    }
    panic!("p99 of others' frames in ms, without and under the attack: {worse:?}");
}
