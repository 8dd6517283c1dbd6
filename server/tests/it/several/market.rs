//! The simulated market with its limit of three, and a gate in front of it for each server, which counts who comes when.

use simulator::SimulatorConfig;
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Instant,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// The market, in this process.
pub(super) struct Market {
    pub(super) address: SocketAddr,
    shutdown: CancellationToken,
}

impl Market {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let config = SimulatorConfig { connections_max: 3, tick_rate: 50.0, ..SimulatorConfig::default() };
        tokio::spawn(simulator::serve(config, listener, shutdown.clone()));
        Self { address, shutdown }
    }

    /// How many sessions are in.
    pub(super) async fn sessions(&self) -> usize {
        let answer = reqwest::get(format!("http://{}/control", self.address)).await.unwrap();
        let shown: serde_json::Value = answer.json().await.unwrap();
        shown["connections"].as_array().unwrap().len()
    }
}

impl Drop for Market {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A server's way to the market.
pub(super) struct Gate {
    address: SocketAddr,
    arrivals: Arc<Mutex<Vec<Instant>>>,
    open: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

impl Gate {
    pub(super) async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (arrivals, open): (Arc<Mutex<Vec<Instant>>>, Arc<AtomicUsize>) = Default::default();
        let (noted, counted) = (Arc::clone(&arrivals), Arc::clone(&open));
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                noted.lock().unwrap().push(Instant::now());
                let counted = Arc::clone(&counted);
                tokio::spawn(async move {
                    counted.fetch_add(1, SeqCst);
                    if let Ok(mut server) = TcpStream::connect(to).await {
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    }
                    counted.fetch_sub(1, SeqCst);
                });
            }
        });
        Self { address, arrivals, open, _task: AbortOnDropHandle::new(task) }
    }

    pub(super) fn url(&self) -> String {
        format!("ws://{}/stocks", self.address)
    }

    /// How often its server connected so far.
    pub(super) fn arrivals(&self) -> usize {
        self.arrivals.lock().unwrap().len()
    }

    /// When.
    pub(super) fn arrival_times(&self) -> Vec<Instant> {
        self.arrivals.lock().unwrap().clone()
    }

    /// How many connections of its server are open.
    pub(super) fn open(&self) -> usize {
        self.open.load(SeqCst)
    }
}
