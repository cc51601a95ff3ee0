//! Connections of the proxy's own whose requests have lines of their own in the log of the pod that was
//! asked: that pod's kernel would tell of them once more.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many are remembered. One that is forgotten has a line too many.
const MAX: usize = 65_536;

/// The proxy's ends of them.
#[derive(Clone, Debug, Default)]
pub struct Told(Arc<Mutex<BTreeSet<SocketAddr>>>);

impl Told {
    /// A request that came over it has its line.
    pub(super) fn add(&self, local: SocketAddr) {
        let mut all = self.all();
        if all.len() < MAX {
            all.insert(local);
        }
    }

    /// Whether requests of a connection that has ended had lines; forgets it.
    pub fn take(&self, local: SocketAddr) -> bool {
        self.all().remove(&local)
    }

    fn all(&self) -> MutexGuard<'_, BTreeSet<SocketAddr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
