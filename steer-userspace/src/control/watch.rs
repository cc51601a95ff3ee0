//! Watches files and directories, and tells when something is complete: a file that is being
//! written is waited for, so that half a file is never read.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::{Instant, timeout, timeout_at},
};

/// A burst of changes (a checkout, a ConfigMap that is swapped) is one change.
const QUIET: Duration = Duration::from_millis(1);
/// A file that was begun and never closed is read all the same after this long.
const UNFINISHED_MAX: Duration = Duration::from_secs(1);

/// Tells of changes below some paths.
pub struct Watch {
    _watcher: RecommendedWatcher,
    events: UnboundedReceiver<Event>,
    unfinished: BTreeSet<PathBuf>,
    /// Something changed and was not told yet: until then what follows belongs to it. Kept here, not
    /// in a future: who waits for a change also waits for other things, and drops the future for them.
    due: Option<Instant>,
}

impl Watch {
    /// Watches directories with all below them, and files through their directory (an editor
    /// replaces a file by renaming another over it).
    pub fn new(paths: &[PathBuf]) -> Result<Self, notify::Error> {
        let (sender, events) = unbounded_channel();
        let mut watcher = notify::recommended_watcher(move |event| {
            if let Ok(event) = event {
                // The receiver is gone only when the agent stops.
                let _stopped = sender.send(event);
            }
        })?;
        for path in paths {
            if path.is_dir() {
                watcher.watch(path, RecursiveMode::Recursive)?;
            } else {
                let parent = path
                    .parent()
                    .filter(|parent| !parent.as_os_str().is_empty());
                watcher.watch(
                    parent.unwrap_or(Path::new(".")),
                    RecursiveMode::NonRecursive,
                )?;
            }
        }
        Ok(Self {
            _watcher: watcher,
            events,
            unfinished: BTreeSet::new(),
            due: None,
        })
    }

    /// Returns when something changed and nothing is half-written. Safe to cancel.
    pub async fn changed(&mut self) {
        while self.due.is_none() {
            let Some(event) = self.events.recv().await else {
                return std::future::pending().await;
            };
            if self.note(&event) {
                self.due = Some(Instant::now() + UNFINISHED_MAX);
            }
        }
        while let Some(deadline) = self.due
            && Instant::now() < deadline
        {
            let next = if self.unfinished.is_empty() {
                timeout(QUIET, self.events.recv()).await
            } else {
                timeout_at(deadline, self.events.recv()).await
            };
            match next {
                Ok(Some(event)) => {
                    self.note(&event);
                }
                Ok(None) | Err(_) => break,
            }
        }
        self.due = None;
        self.unfinished.clear();
    }

    /// Whether the event is a change that can be read; notes files that are being written.
    fn note(&mut self, event: &Event) -> bool {
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Remove(_)
            | EventKind::Modify(ModifyKind::Name(_) | ModifyKind::Metadata(_)) => {
                self.unfinished.retain(|path| !event.paths.contains(path));
                true
            }
            EventKind::Create(_) => {
                // A regular file is told once more when it is closed; a link or directory is not.
                let written = |path: &&PathBuf| {
                    path.symlink_metadata()
                        .is_ok_and(|found| found.file_type().is_file())
                };
                self.unfinished
                    .extend(event.paths.iter().filter(written).cloned());
                event
                    .paths
                    .iter()
                    .any(|path| !self.unfinished.contains(path))
            }
            EventKind::Modify(_) => {
                self.unfinished.extend(event.paths.iter().cloned());
                false
            }
            EventKind::Any | EventKind::Access(_) | EventKind::Other => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, future::poll_fn, io::Write as _, task::Poll};

    use super::*;

    async fn soon(watch: &mut Watch) -> bool {
        timeout(Duration::from_millis(300), watch.changed())
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn half_a_file_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = Watch::new(&[dir.path().to_owned()]).unwrap();
        let mut file = fs::File::create(dir.path().join("a.yaml")).unwrap();
        file.write_all(b"half").unwrap();
        assert!(!soon(&mut watch).await, "told of half a file");
        drop(file);
        assert!(soon(&mut watch).await, "not told of the whole file");
        assert!(!soon(&mut watch).await, "told twice");
    }

    #[tokio::test]
    async fn a_change_outlives_a_wait_that_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = Watch::new(&[dir.path().to_owned()]).unwrap();
        fs::write(dir.path().join("a.yaml"), "a").unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut given_up = Box::pin(watch.changed());
        let first = poll_fn(|context| Poll::Ready(given_up.as_mut().poll(context))).await;
        assert!(first.is_pending(), "told before it was quiet");
        drop(given_up);
        assert!(soon(&mut watch).await, "lost");
    }

    #[tokio::test]
    async fn renames_links_and_removals_are_told() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.yaml"), "a").unwrap();
        let mut watch = Watch::new(&[dir.path().join("a.yaml")]).unwrap();
        fs::write(dir.path().join(".a.swp"), "b").unwrap();
        fs::rename(dir.path().join(".a.swp"), dir.path().join("a.yaml")).unwrap();
        assert!(soon(&mut watch).await, "rename");
        std::os::unix::fs::symlink("a.yaml", dir.path().join("b.yaml")).unwrap();
        assert!(soon(&mut watch).await, "link");
        fs::remove_file(dir.path().join("a.yaml")).unwrap();
        assert!(soon(&mut watch).await, "removal");
    }

    #[tokio::test]
    async fn new_directories_are_watched() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = Watch::new(&[dir.path().to_owned()]).unwrap();
        fs::create_dir(dir.path().join("more")).unwrap();
        assert!(soon(&mut watch).await, "directory");
        fs::write(dir.path().join("more/b.yaml"), "b").unwrap();
        assert!(soon(&mut watch).await, "file in it");
    }
}
