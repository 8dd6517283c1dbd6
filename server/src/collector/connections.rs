//! The connection manager of a server that may or may not collect at the moment.

use super::relay::Relay;
use crate::{
    bus::{LastTick, TickBus},
    tasks::Tasks,
    universe::ConnectionPlan,
    upstream::{Endpoint, Manager, Policy},
};
use app::model::connection::ConnectionId;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync, time::Instant};

/// What is to run, and the manager that runs it while this server collects. Cheap to clone.
#[derive(Clone)]
pub struct Connections(Arc<Inner>);

struct Inner {
    relay: Arc<Relay>,
    metrics_interval: Duration,
    tasks: Tasks,
    /// One starts, ends or changes it at a time.
    wanted: sync::Mutex<Wanted>,
    running: Mutex<Option<Manager>>,
}

struct Wanted {
    plans: Vec<ConnectionPlan>,
    endpoint: Endpoint,
    /// Those that another server let in, while that one still collects.
    guests: Option<Guests>,
}

struct Guests {
    manager: Manager,
    ids: Vec<ConnectionId>,
}

impl Wanted {
    fn guest_plans(&self) -> Vec<ConnectionPlan> {
        let is_guest = |id| self.guests.as_ref().is_some_and(|guests| guests.ids.contains(&id));
        self.plans.iter().filter(|plan| is_guest(plan.id)).cloned().collect()
    }
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
        let wanted = sync::Mutex::new(Wanted { plans, endpoint, guests: None });
        let relay = Arc::new(Relay::new(bus));
        Self(Arc::new(Inner { relay, metrics_interval, tasks: tasks.clone(), wanted, running: Mutex::default() }))
    }

    /// The manager, while there is one.
    #[must_use]
    pub fn manager(&self) -> Option<Manager> {
        self.running().clone()
    }

    /// Another configuration: in force at once where the connections run, else when they start.
    pub async fn apply(&self, plans: Vec<ConnectionPlan>, endpoint: Endpoint) {
        let mut wanted = self.0.wanted.lock().await;
        (wanted.plans, wanted.endpoint) = (plans.clone(), endpoint.clone());
        if let Some(manager) = self.manager() {
            manager.apply(plans, endpoint).await;
        }
    }

    /// Starts them, unless they run.
    pub async fn start(&self) {
        let wanted = self.0.wanted.lock().await;
        if self.manager().is_none() {
            let manager = self.run(wanted.plans.clone(), wanted.endpoint.clone());
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

    /// Where their ticks go.
    #[must_use]
    pub fn bus(&self) -> Arc<dyn TickBus> {
        Arc::<Relay>::clone(&self.0.relay)
    }

    /// Waits until what they handed to the bus is on its way.
    pub async fn flush(&self) {
        self.0.relay.flushed().await;
    }

    /// How many the provider's account allows.
    pub(super) async fn places(&self) -> usize {
        self.0.wanted.lock().await.plans.len()
    }

    pub(super) fn relay(&self) -> &Relay {
        &self.0.relay
    }

    /// Lets a connection in before this server collects, until then. What comes over it is kept.
    pub(super) async fn let_in(&self, id: ConnectionId, epoch: u64, until: Instant) {
        let mut wanted = self.0.wanted.lock().await;
        if self.manager().is_some() {
            return;
        }
        let manager = match &mut wanted.guests {
            Some(guests) => {
                guests.ids.push(id);
                guests.manager.clone()
            }
            None => {
                self.0.relay.keep();
                self.0.relay.invitation().grant(epoch, until);
                let manager = self.run(Vec::new(), wanted.endpoint.clone());
                wanted.guests = Some(Guests { manager: manager.clone(), ids: vec![id] });
                manager
            }
        };
        manager.apply(wanted.guest_plans(), wanted.endpoint.clone()).await;
    }

    /// This server collects: those that were let in stay, and what came over them behind `last` is passed on. Answers those that were
    /// never lost; `None`: there are none, or nobody knows what was published of it, and they have ended.
    pub(super) async fn stay(&self, last: &[LastTick]) -> Option<Vec<ConnectionId>> {
        let mut wanted = self.0.wanted.lock().await;
        let guests = wanted.guests.take()?;
        let unbroken = guests.manager.running().into_iter().filter(|(_, losses)| *losses == Some(0)).map(|(id, _)| id);
        let unbroken = unbroken.collect();
        if !self.0.relay.pass_on(last) {
            self.show_out(guests).await;
            return None;
        }
        // Whoever waits for the invitation has the lease by now.
        self.0.relay.invitation().revoke();
        guests.manager.apply(wanted.plans.clone(), wanted.endpoint.clone()).await;
        *self.running() = Some(guests.manager);
        Some(unbroken)
    }

    /// Those that were let in end again.
    pub(super) async fn turn_out(&self) {
        let mut wanted = self.0.wanted.lock().await;
        if let Some(guests) = wanted.guests.take() {
            self.show_out(guests).await;
        }
    }

    async fn show_out(&self, guests: Guests) {
        self.0.relay.invitation().revoke();
        guests.manager.end().await;
        self.0.relay.forget();
    }

    fn run(&self, plans: Vec<ConnectionPlan>, endpoint: Endpoint) -> Manager {
        let Inner { metrics_interval, tasks, .. } = &*self.0;
        Manager::start(plans, endpoint, self.bus(), Policy::default(), *metrics_interval, tasks)
    }

    fn running(&self) -> MutexGuard<'_, Option<Manager>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
