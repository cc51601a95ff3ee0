//! The connections that are followed. Those that have said nothing for longest are forgotten first: one that is open
//! still is followed again from its next request on.

use std::{collections::HashMap, mem};

use tokio::sync::mpsc::Sender;

use super::heard::{Progress, Waiting};

/// How many have spoken lately, at most; as many again have before that. Each has buffers of some kilobytes.
const LATELY_MAX: usize = 1_024;

/// One connection.
#[derive(Default)]
pub(super) struct Followed {
    pub(super) progress: Progress,
    pub(super) pieces: Option<Sender<Waiting>>,
}

/// All of them, by the cookies of their sockets.
#[derive(Default)]
pub(super) struct Connections {
    lately: HashMap<u64, Followed>,
    before: HashMap<u64, Followed>,
}

impl Connections {
    /// One that speaks.
    pub(super) fn speaks(&mut self, socket: u64) -> &mut Followed {
        if self.lately.len() >= LATELY_MAX && !self.lately.contains_key(&socket) {
            self.age();
        }
        let before = &mut self.before;
        let known = self.lately.entry(socket);
        known.or_insert_with(|| before.remove(&socket).unwrap_or_default())
    }

    /// Forgets those that have said nothing since the last time.
    pub(super) fn age(&mut self) {
        self.before = mem::take(&mut self.lately);
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(all: &Connections) -> usize {
        all.lately.len() + all.before.len()
    }

    #[test]
    fn who_speaks_is_kept_however_many_others_come() {
        let mut all = Connections::default();
        let sockets = 10 * LATELY_MAX as u64;
        for other in 1..sockets {
            let own = all.speaks(0);
            assert_eq!(own.progress == Progress::Deaf, other > 1);
            own.progress = Progress::Deaf;
            all.speaks(other);
            assert!(known(&all) <= 2 * LATELY_MAX);
        }
        // The first of the others are forgotten, the last are not.
        assert!(!all.lately.contains_key(&1) && !all.before.contains_key(&1));
        assert!(all.lately.contains_key(&(sockets - 1)));
    }

    #[test]
    fn who_is_silent_is_forgotten_after_two_rounds() {
        let mut all = Connections::default();
        all.speaks(1);
        all.speaks(2);
        all.age();
        all.speaks(2);
        all.age();
        assert_eq!(known(&all), 1);
        all.age();
        assert_eq!(known(&all), 0);
    }
}
