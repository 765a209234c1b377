//! How many connections there are, in total and from each address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Limits;
use crate::metrics::Metrics;

/// The count of all connections.
#[derive(Debug)]
pub(super) struct Slots {
    counts: Mutex<Counts>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection in the count, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    address: IpAddr,
    slots: Arc<Slots>,
}

impl Slots {
    pub(super) fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            counts: Mutex::default(),
            metrics,
        })
    }

    /// Takes a slot, or names the limit that is reached.
    pub(super) fn take(
        self: &Arc<Self>,
        address: IpAddr,
        limits: &Limits,
    ) -> Result<Slot, &'static str> {
        let mut counts = self.lock();
        if counts.total >= limits.max_connections {
            return Err("max_connections");
        }
        let here = counts.by_address.entry(address).or_default();
        if *here >= limits.max_connections_per_address {
            return Err("max_connections_per_address");
        }
        *here += 1;
        counts.total += 1;
        self.metrics.connections.inc();
        Ok(Slot {
            address,
            slots: self.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.slots.lock();
        counts.total -= 1;
        if let Some(here) = counts.by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                counts.by_address.remove(&self.address);
            }
        }
        self.slots.metrics.connections.dec();
    }
}
