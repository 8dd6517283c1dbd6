//! The connection manager of a server that may or may not collect at the moment.

use crate::{
    bus::TickBus,
    tasks::Tasks,
    universe::ConnectionPlan,
    upstream::{Endpoint, Manager, Policy},
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync;

/// What is to run, and the manager that runs it while this server collects. Cheap to clone.
#[derive(Clone)]
pub struct Connections(Arc<Inner>);

struct Inner {
    bus: Arc<dyn TickBus>,
    metrics_interval: Duration,
    tasks: Tasks,
    /// One starts, ends or changes it at a time.
    wanted: sync::Mutex<(Vec<ConnectionPlan>, Endpoint)>,
    running: Mutex<Option<Manager>>,
}

impl Connections {
    /// Nothing runs yet.
    #[must_use]
    pub fn new(
        plans: Vec<ConnectionPlan>,
        endpoint: Endpoint,
        bus: Arc<dyn TickBus>,
        metrics_interval: Duration,
        tasks: &Tasks,
    ) -> Self {
        let wanted = sync::Mutex::new((plans, endpoint));
        Self(Arc::new(Inner { bus, metrics_interval, tasks: tasks.clone(), wanted, running: Mutex::default() }))
    }

    /// The manager, while there is one.
    #[must_use]
    pub fn manager(&self) -> Option<Manager> {
        self.running().clone()
    }

    /// Another configuration: in force at once where the connections run, else when they start.
    pub async fn apply(&self, plans: Vec<ConnectionPlan>, endpoint: Endpoint) {
        let mut wanted = self.0.wanted.lock().await;
        *wanted = (plans.clone(), endpoint.clone());
        if let Some(manager) = self.manager() {
            manager.apply(plans, endpoint).await;
        }
    }

    /// Starts them, unless they run.
    pub async fn start(&self) {
        let wanted = self.0.wanted.lock().await;
        if self.manager().is_none() {
            let Inner { bus, metrics_interval, tasks, .. } = &*self.0;
            let (plans, endpoint) = wanted.clone();
            let manager = Manager::start(plans, endpoint, Arc::clone(bus), Policy::default(), *metrics_interval, tasks);
            *self.running() = Some(manager);
        }
    }

    /// Ends them, with a goodbye to the provider; resolves when they have ended.
    pub async fn end(&self) {
        let _wanted = self.0.wanted.lock().await;
        let running = self.running().take();
        if let Some(manager) = running {
            manager.end().await;
        }
    }

    /// Waits until what they handed to the bus is on its way.
    pub async fn flush(&self) {
        self.0.bus.flushed().await;
    }

    fn running(&self) -> MutexGuard<'_, Option<Manager>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
