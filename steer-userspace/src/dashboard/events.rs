//! The last events of this node's agent, for as long as it runs and whenever it runs again.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::UnixStream,
    time::sleep,
};

use crate::control::{EVENTS_SOCKET, Happened};

/// How many are shown.
const KEPT_MAX: usize = 60;
/// When to look for an agent again.
const RETRY_EVERY: Duration = Duration::from_secs(5);

/// The last ones, the latest last.
#[derive(Clone, Debug, Default)]
pub(super) struct Events(Arc<Mutex<VecDeque<Happened>>>);

impl Events {
    /// Those of the agent with this state directory.
    pub(super) fn follow(state: &Path) -> Self {
        let this = Self::default();
        tokio::spawn(this.clone().listen(state.join(EVENTS_SOCKET)));
        this
    }

    /// The last ones.
    pub(super) fn last(&self) -> Vec<Happened> {
        self.kept().iter().cloned().collect()
    }

    async fn listen(self, path: PathBuf) {
        loop {
            if let Ok(stream) = UnixStream::connect(&path).await {
                // It begins with those that it kept.
                self.kept().clear();
                let mut lines = BufReader::new(stream).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    self.take(&line);
                }
            }
            sleep(RETRY_EVERY).await;
        }
    }

    fn take(&self, line: &str) {
        // An empty line ends those that were kept.
        let Ok(happened) = serde_json::from_str(line) else {
            return;
        };
        let mut kept = self.kept();
        if kept.len() == KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(happened);
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, VecDeque<Happened>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_kept() {
        let events = Events::default();
        events.take("");
        for answers in 0..100 {
            events.take(&format!(
                r#"{{"time":"2026-11-29T16:00:00Z","event":"learned","answers":{answers}}}"#
            ));
        }
        let last = events.last();
        assert_eq!(last.len(), KEPT_MAX);
        let text = serde_json::to_string(last.last().unwrap()).unwrap();
        assert!(text.contains(r#""answers":99"#), "{text}");
    }
}
