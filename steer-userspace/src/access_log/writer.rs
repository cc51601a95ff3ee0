//! Lines on their way out. Whoever has one hands it over and goes on: what does not fit is counted.
//!
//! A line waits in memory until the thread has written it; if who reads them is slow, lines are lost and
//! not requests. A file is opened anew when another one stands at its path: whoever rotates it need
//! not tell.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use serde::Serialize;

/// How many bytes of lines may wait.
const WAITING_MAX: usize = 4 << 20;
/// How much is written at once.
const BATCH: usize = 64 << 10;
/// Names of the agent's own output.
const STDOUT: [&str; 2] = ["/dev/stdout", "-"];

/// Where lines go.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Target {
    /// The agent's own output.
    #[default]
    Stdout,
    /// A file, which is made if it is not there.
    File(PathBuf),
}

impl Target {
    /// As `accessLogFile` names it.
    pub fn new(path: &str) -> Self {
        if STDOUT.contains(&path) {
            Self::Stdout
        } else {
            Self::File(PathBuf::from(path))
        }
    }
}

/// What became of lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counted {
    /// Written.
    pub written: u64,
    /// Lost: too many waited, or they could not be written.
    pub lost: u64,
}

/// A thread that writes lines, which ends with the last copy of this.
#[derive(Clone, Debug)]
pub struct Writer {
    lines: Sender<String>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    target: Mutex<Target>,
    waiting: AtomicUsize,
    written: AtomicU64,
    lost: AtomicU64,
    /// Whether somebody was told that lines cannot be written.
    told: AtomicBool,
}

impl Writer {
    /// Starts it.
    pub fn start() -> io::Result<Self> {
        let (lines, wanted) = channel();
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        thread::Builder::new()
            .name("steer-log".to_owned())
            .spawn(move || write_all(&wanted, &own))?;
        Ok(Self { lines, shared })
    }

    /// Where lines go from now on.
    pub fn aim(&self, target: Target) {
        let mut own = self.shared.target();
        *own = target;
    }

    /// Hands a line over, if there is room for it. Never waits.
    pub fn hand_over(&self, line: String) {
        let length = line.len();
        let waiting = self.shared.waiting.fetch_add(length, Ordering::Relaxed);
        // An end of the thread is a loss like any other.
        if waiting + length > WAITING_MAX || self.lines.send(line).is_err() {
            self.shared.waiting.fetch_sub(length, Ordering::Relaxed);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What became of lines so far.
    pub fn counted(&self) -> Counted {
        Counted {
            written: self.shared.written.load(Ordering::Relaxed),
            lost: self.shared.lost.load(Ordering::Relaxed),
        }
    }

    /// Waits a while until what was handed over is written.
    pub fn flush(&self, most: Duration) {
        const STEP: Duration = Duration::from_millis(5);
        let mut left = most;
        while self.shared.waiting.load(Ordering::Relaxed) > 0 && left > Duration::ZERO {
            thread::sleep(STEP);
            left = left.saturating_sub(STEP);
        }
    }
}

impl Shared {
    fn target(&self) -> std::sync::MutexGuard<'_, Target> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is open.
enum Output {
    Stdout,
    File { path: PathBuf, file: File },
}

fn write_all(wanted: &Receiver<String>, shared: &Shared) {
    let mut output = None;
    while let Ok(first) = wanted.recv() {
        let mut batch = first;
        let mut count = 1;
        while batch.len() < BATCH
            && let Ok(next) = wanted.try_recv()
        {
            batch.push_str(&next);
            count += 1;
        }
        let written = write(&mut output, &shared.target().clone(), batch.as_bytes());
        shared.waiting.fetch_sub(batch.len(), Ordering::Relaxed);
        match written {
            Ok(()) => {
                shared.written.fetch_add(count, Ordering::Relaxed);
                shared.told.store(false, Ordering::Relaxed);
            }
            Err(error) => {
                output = None;
                shared.lost.fetch_add(count, Ordering::Relaxed);
                if !shared.told.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "lines of the access log cannot be written");
                }
            }
        }
    }
}

fn write(output: &mut Option<Output>, target: &Target, lines: &[u8]) -> io::Result<()> {
    if !output.as_ref().is_some_and(|output| output.is(target)) {
        *output = Some(Output::open(target)?);
    }
    match output {
        Some(Output::File { file, .. }) => file.write_all(lines),
        Some(Output::Stdout) | None => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(lines)?;
            stdout.flush()
        }
    }
}

impl Output {
    fn open(target: &Target) -> io::Result<Self> {
        match target {
            Target::Stdout => Ok(Self::Stdout),
            Target::File(path) => Ok(Self::File {
                path: path.clone(),
                file: OpenOptions::new().append(true).create(true).open(path)?,
            }),
        }
    }

    /// Whether lines for `target` still belong here.
    fn is(&self, target: &Target) -> bool {
        match (self, target) {
            (Self::Stdout, Target::Stdout) => true,
            (Self::File { path, file }, Target::File(wanted)) => {
                path == wanted && is_at(file, wanted)
            }
            (Self::Stdout, Target::File(_)) | (Self::File { .. }, Target::Stdout) => false,
        }
    }
}

/// Whether a path still names a file that is open.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(own), Ok(there)) = (file.metadata(), path.metadata()) else {
        return false;
    };
    (own.dev(), own.ino()) == (there.dev(), there.ino())
}
