//! A TCP proxy that delays what passes, forgets connections as a firewall does, without a word to either end, or takes none.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;

pub(crate) struct Proxy {
    pub(crate) port: u16,
    faults: Arc<Faults>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Faults {
    delay_ms: AtomicU64,
    /// Connections that were made before this one are forgotten.
    forgotten: AtomicU64,
    /// New connections are hung up on.
    shut: AtomicBool,
}

impl Proxy {
    /// In front of a port of this machine.
    pub(crate) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let faults = Arc::new(Faults::default());
        let task = tokio::spawn(accept(listener, to, Arc::clone(&faults)));
        Self { port, faults, _task: AbortOnDropHandle::new(task) }
    }

    /// What comes from now on takes so long, each way.
    pub(crate) fn delay(&self, delay: Duration) {
        self.faults.delay_ms.store(delay.as_millis() as u64, SeqCst);
    }

    /// Lets nobody in from now on, or everybody again. The connections that there are stay.
    pub(crate) fn shut(&self, is_shut: bool) {
        self.faults.shut.store(is_shut, SeqCst);
    }

    /// Nothing passes any more on the connections that there are. New ones are as they should be.
    pub(crate) fn forget_connections(&self) {
        self.faults.forgotten.fetch_add(1, SeqCst);
    }
}

async fn accept(listener: TcpListener, to: u16, faults: Arc<Faults>) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        if faults.shut.load(SeqCst) {
            continue;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let made = faults.forgotten.load(SeqCst);
        tokio::spawn(pass(from_client, to_server, Arc::clone(&faults), made));
        tokio::spawn(pass(from_server, to_client, Arc::clone(&faults), made));
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin + Send + 'static,
    mut to: impl AsyncWrite + Unpin + Send + 'static,
    faults: Arc<Faults>,
    made: u64,
) {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(100_000);
    let delays = Arc::clone(&faults);
    tokio::spawn(async move {
        let mut buffer = vec![0; 65_536];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let due = Instant::now() + Duration::from_millis(delays.delay_ms.load(SeqCst));
            if sender.send((due, buffer[..length].to_vec())).await.is_err() {
                return;
            }
        }
    });
    while let Some((due, bytes)) = receiver.recv().await {
        sleep_until(due).await;
        if faults.forgotten.load(SeqCst) == made && to.write_all(&bytes).await.is_err() {
            return;
        }
    }
    if faults.forgotten.load(SeqCst) != made {
        // Not even that it was closed gets through.
        std::future::pending::<()>().await;
    }
}
