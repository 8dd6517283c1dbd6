//! The bus inside the process: a mailbox and nothing else.

use super::{
    TickBus,
    mailbox::{Inbox, Outbox, mailbox},
};
use app::model::{
    status::{BusKind, BusStatus, StatusReport},
    tick::Tick,
};
use std::sync::Arc;

struct MemoryBus(Outbox);

pub(super) fn open() -> (Arc<dyn TickBus>, Inbox) {
    let (outbox, inbox) = mailbox();
    outbox.put_bus(BusStatus { kind: BusKind::Memory, connected: true, ..BusStatus::default() });
    (Arc::new(MemoryBus(outbox)), inbox)
}

impl TickBus for MemoryBus {
    fn publish_ticks(&self, ticks: &[Tick]) {
        self.0.put_ticks(ticks);
    }

    fn publish_status(&self, status: Arc<StatusReport>) {
        self.0.put_status(status);
    }
}
