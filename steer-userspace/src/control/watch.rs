//! Watches files and directories, and tells when something is complete, and which files are being
//! written: half a file is never read.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    fs::Metadata,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::{Instant, timeout_at},
};

/// A burst of changes (a checkout, a ConfigMap that is swapped) is one change.
const QUIET: Duration = Duration::from_millis(1);
/// How long a change waits for files that are being written beside it.
const BURST_MAX: Duration = Duration::from_millis(100);
/// A file that was begun and not closed counts as finished after so long without a write: links
/// are made without being closed, and events may be lost.
const UNFINISHED_MAX: Duration = Duration::from_secs(10);

/// A file that was written to so lately may be in the middle of it, unless its end was told: what
/// is told comes a moment later.
const YOUNG: Duration = Duration::from_millis(20);

/// Tells of changes below some paths.
pub struct Watch {
    _watcher: RecommendedWatcher,
    events: UnboundedReceiver<Event>,
    /// Files that are being written, and when they last were.
    unfinished: BTreeMap<PathBuf, Instant>,
    /// Files of which it was told lately that they are whole.
    finished: BTreeMap<PathBuf, Instant>,
    /// When the first change was noted that was not yet told of.
    noted: Option<Instant>,
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
            unfinished: BTreeMap::new(),
            finished: BTreeMap::new(),
            noted: None,
        })
    }

    /// Returns when something changed. Safe to cancel: what was noted is told the next time.
    pub async fn changed(&mut self) {
        loop {
            let next = match self.due() {
                None => self.events.recv().await,
                Some(due) => match timeout_at(due, self.events.recv()).await {
                    Ok(next) => next,
                    Err(_elapsed) => {
                        self.noted = None;
                        return;
                    }
                },
            };
            let Some(event) = next else {
                return std::future::pending().await;
            };
            if self.note(&event) {
                self.noted = self.noted.or_else(|| Some(Instant::now()));
            }
        }
    }

    /// When what was noted is to be told.
    fn due(&self) -> Option<Instant> {
        let latest = self.noted? + BURST_MAX;
        Some(if self.unfinished.is_empty() {
            latest.min(Instant::now() + QUIET)
        } else {
            latest
        })
    }

    /// How far the writing of files is.
    pub fn progress(&mut self) -> Progress {
        while let Ok(event) = self.events.try_recv() {
            if self.note(&event) {
                self.noted = self.noted.or_else(|| Some(Instant::now()));
            }
        }
        self.unfinished
            .retain(|_, written| written.elapsed() < UNFINISHED_MAX);
        self.finished.retain(|_, closed| closed.elapsed() < YOUNG);
        let ids = |paths: &BTreeMap<PathBuf, Instant>| {
            let found = paths.keys().filter_map(|path| path.metadata().ok());
            found.map(|found| id(&found)).collect()
        };
        Progress {
            unfinished: ids(&self.unfinished),
            finished: ids(&self.finished),
            passed_over: Cell::new(false),
        }
    }

    /// Something was passed over: `changed` returns when it can be read.
    pub fn again(&mut self) {
        self.noted = self.noted.or_else(|| Some(Instant::now()));
    }

    /// Whether the event is a change that can be read; notes files that are being written.
    fn note(&mut self, event: &Event) -> bool {
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Remove(_)
            | EventKind::Modify(ModifyKind::Name(_) | ModifyKind::Metadata(_)) => {
                let now = Instant::now();
                for path in &event.paths {
                    self.unfinished.remove(path);
                    self.finished.insert(path.clone(), now);
                }
                true
            }
            EventKind::Create(_) => {
                // A regular file is told once more when it is closed; a link or directory is not.
                let written = |path: &&PathBuf| {
                    path.symlink_metadata()
                        .is_ok_and(|found| found.file_type().is_file())
                };
                let fresh: Vec<_> = event.paths.iter().filter(written).cloned().collect();
                let is_whole = fresh.len() < event.paths.len();
                self.begin(fresh);
                is_whole
            }
            EventKind::Modify(_) => {
                self.begin(event.paths.clone());
                false
            }
            // Events were lost: what is half-written is not known any more.
            EventKind::Other if event.need_rescan() => {
                self.unfinished.clear();
                true
            }
            EventKind::Any | EventKind::Access(_) | EventKind::Other => false,
        }
    }

    fn begin(&mut self, paths: Vec<PathBuf>) {
        let now = Instant::now();
        for path in paths {
            self.finished.remove(&path);
            self.unfinished.insert(path, now);
        }
    }
}

/// How far the writing of files was at one moment.
#[derive(Debug)]
pub struct Progress {
    unfinished: BTreeSet<FileId>,
    finished: BTreeSet<FileId>,
    passed_over: Cell<bool>,
}

/// A file, by whatever name: device and inode.
type FileId = (u64, u64);

fn id(found: &Metadata) -> FileId {
    (found.dev(), found.ino())
}

impl Progress {
    /// Whether a file that changed is, or may be, being written.
    pub fn is_unfinished(&self, found: &Metadata) -> bool {
        if self.unfinished.contains(&id(found)) {
            return true;
        }
        let written = found.modified().ok();
        let age = written.and_then(|at| SystemTime::now().duration_since(at).ok());
        let is_young = age.is_some_and(|age| age < YOUNG) && !self.finished.contains(&id(found));
        self.passed_over.set(self.passed_over.get() || is_young);
        is_young
    }

    /// Whether a file was passed over for its age alone, so that nothing more will be told of it.
    pub fn passed_over(&self) -> bool {
        self.passed_over.get()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use futures::FutureExt as _;
    use tokio::time::timeout;

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
        assert_eq!(watch.progress().unfinished.len(), 1);
        drop(file);
        assert!(soon(&mut watch).await, "not told of the whole file");
        assert!(watch.progress().unfinished.is_empty());
        assert!(!soon(&mut watch).await, "told twice");
    }

    #[tokio::test]
    async fn others_do_not_wait_for_half_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = Watch::new(&[dir.path().to_owned()]).unwrap();
        let mut file = fs::File::create(dir.path().join("a.yaml")).unwrap();
        file.write_all(b"half").unwrap();
        fs::write(dir.path().join("b.yaml"), "b").unwrap();
        assert!(soon(&mut watch).await, "not told of the other");
        assert_eq!(
            watch.progress().unfinished.len(),
            1,
            "half a file would be read"
        );
    }

    #[tokio::test]
    async fn what_is_not_told_yet_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yaml");
        let mut watch = Watch::new(&[dir.path().to_owned()]).unwrap();
        let before = watch.progress();
        fs::write(&path, "a").unwrap();
        assert!(before.is_unfinished(&path.metadata().unwrap()) && before.passed_over());
        assert!(soon(&mut watch).await);
        let after = watch.progress();
        assert!(!after.is_unfinished(&path.metadata().unwrap()) && !after.passed_over());
        watch.again();
        assert!(soon(&mut watch).await);
    }

    #[tokio::test]
    async fn nothing_is_lost_by_cancelling() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = Watch::new(&[dir.path().to_owned()]).unwrap();
        fs::write(dir.path().join("a.yaml"), "a").unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        // It has noted the change and waits for more of them.
        assert!(watch.changed().now_or_never().is_none());
        assert!(soon(&mut watch).await, "the change is lost");
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
