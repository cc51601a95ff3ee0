//! Connections that the proxy made lately. Their requests are counted one by one, by the proxy: the kernel
//! of the pod that is asked tells of them as well, and they must not count twice.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
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
    all: BTreeMap<SocketAddr, Duration>,
    tidied: Duration,
}

impl Recent {
    /// One was made, at a time of a clock that all who tell of some share.
    pub(crate) fn add(&self, local: SocketAddr, now: Duration) {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(made.tidied) >= RECENT {
            made.tidied = now;
            made.all
                .retain(|_, since| now.saturating_sub(*since) < RECENT);
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
        recent.clone().add(local, Duration::ZERO);
        assert!(recent.take(local));
        assert!(!recent.take(local));
    }

    #[test]
    fn one_is_forgotten_after_a_while() {
        let local = |port| SocketAddr::from(([10, 0, 0, 1], port));
        let recent = Recent::default();
        recent.add(local(1), Duration::ZERO);
        recent.add(local(2), RECENT / 2);
        recent.add(local(3), RECENT);
        assert!(!recent.take(local(1)));
        assert!(recent.take(local(2)) && recent.take(local(3)));
    }
}
