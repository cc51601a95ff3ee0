//! Connections that the proxy made lately. Their requests are counted one by one, by the proxy: the kernel
//! of the pod that is asked tells of them as well, and they must not count twice.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// For how long one is recent: open connections are looked at every five seconds.
const RECENT: Duration = Duration::from_secs(30);
/// How many are remembered. One that is forgotten counts twice.
const MAX: usize = 65_536;

/// The proxy's ends of them.
#[derive(Clone, Debug, Default)]
pub struct Recent(Arc<Mutex<Made>>);

#[derive(Debug, Default)]
struct Made {
    all: BTreeMap<SocketAddr, Instant>,
    tidied: Option<Instant>,
}

impl Recent {
    /// One was made.
    pub(crate) fn add(&self, local: SocketAddr) {
        let now = Instant::now();
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = |tidied: Instant| now.duration_since(tidied) >= RECENT;
        if made.tidied.is_none_or(is_due) {
            made.tidied = Some(now);
            made.all
                .retain(|_, since| now.duration_since(*since) < RECENT);
        }
        if made.all.len() < MAX {
            made.all.insert(local, now);
        }
    }

    /// Whether it was the proxy that made this one; it is forgotten.
    pub fn take(&self, local: SocketAddr) -> bool {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        made.all.remove(&local).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_taken_once() {
        let (recent, local) = (Recent::default(), SocketAddr::from(([10, 0, 0, 1], 40_000)));
        assert!(!recent.take(local));
        recent.clone().add(local);
        assert!(recent.take(local));
        assert!(!recent.take(local));
    }
}
