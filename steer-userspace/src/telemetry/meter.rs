//! What is counted, shared: the proxy tells of requests, the agent of connections, and scrapes read.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    counted::{Amount, Counted, Outcome},
    edge::Protocol,
};

/// A handle.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Mutex<Counted>>);

impl Meter {
    /// What is counted. Nobody holds it for longer than a copy takes.
    pub fn counted(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that counts there.
    pub fn new(counted: Counted) -> Self {
        Self(Arc::new(Mutex::new(counted)))
    }

    /// A request has ended.
    pub fn request(&self, outcome: &Outcome, amount: &Amount) {
        self.counted().request(outcome, amount);
    }

    /// Copies of requests of a pod, by the cookie of its namespace, were answered, so many alike.
    pub fn copied(&self, client: u64, to: SocketAddr, protocol: Protocol, code: u16, times: u64) {
        self.counted().copied(client, to, protocol, code, times);
    }

    /// Whether a pod of this node has an address.
    pub fn is_own(&self, address: SocketAddr) -> bool {
        self.counted().is_own(address)
    }
}
