//! What happens on a node, told as it happens: the agent reads the kernel's rings, so it is the agent that
//! tells, at a Unix socket of its state directory. Whoever reads too slowly misses some, and is told how many.

use std::{
    collections::VecDeque,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::AsyncWriteExt as _,
    net::{UnixListener, UnixStream},
    sync::{
        Semaphore,
        broadcast::{Receiver, Sender, channel, error::RecvError},
    },
    time::timeout,
};

use super::refusals::Refusal;
use crate::proxy::Mirrored;

/// The socket.
pub const NAME: &str = "events.sock";

/// How many are kept for who comes later.
const KEPT_MAX: usize = 256;
/// How many a reader may be behind.
const BEHIND_MAX: usize = 1_024;
/// How many readers there may be.
const READERS_MAX: usize = 16;
/// How long a reader may take for one.
const WRITE_MAX: Duration = Duration::from_secs(5);

/// Something that happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Happened {
    /// When (RFC 3339).
    pub time: jiff::Timestamp,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// Traffic was refused.
    Refused {
        /// Whose, to where, and why.
        #[serde(flatten)]
        refusal: Refusal,
        /// The process, if it is known.
        process: Option<String>,
    },
    /// It would have been refused, but for the policy's mode.
    WouldRefuse {
        /// Whose, to where, and why.
        #[serde(flatten)]
        refusal: Refusal,
        /// The process, if it is known.
        process: Option<String>,
    },
    /// Another configuration is in force.
    Reconfigured {
        /// Its generation.
        generation: u32,
        /// Services that changed.
        services_changed: usize,
        /// Writes to maps.
        writes: usize,
    },
    /// What is written is not in force.
    ConfigurationRefused {
        /// The generation that stays in force.
        generation: u32,
        /// Why.
        reasons: Vec<String>,
    },
    /// Addresses of allowed names were learned from DNS answers, since the last time.
    Learned {
        /// How many answers.
        answers: u64,
    },
    /// Requests were copied, or were not, since the last time.
    Mirrored {
        /// Copies that were answered.
        answered: u64,
        /// Copies that were not, or were not begun.
        lost: u64,
    },
    /// On new connections of a route with `split: auto`, something else is split from now on.
    SplitChanged {
        /// The service's host.
        host: String,
        /// Its port.
        port: u16,
        /// Whose connections.
        client: String,
        /// What is split: `connection` or `request`.
        by: String,
        /// Of how many requests shares were last taken while connections were split.
        requests: Option<u64>,
        /// How far the farthest of them was from its weight, in percentage points.
        points: Option<f64>,
    },
    /// This reader was too slow.
    Missed {
        /// So many.
        events: u64,
    },
}

/// Tells what happens.
pub(super) struct Events {
    path: PathBuf,
    shared: Arc<Shared>,
    mirrored: Mirrored,
    learned: Option<u64>,
}

struct Shared {
    kept: Mutex<VecDeque<Arc<str>>>,
    readers: Sender<Arc<str>>,
}

impl Events {
    /// Listens in a state directory. Only the agent's own user may read.
    pub(super) fn start(state: &Path) -> io::Result<Self> {
        let path = state.join(NAME);
        // The lock is ours: one that an earlier agent left is nobody's.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = std::os::unix::net::UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            kept: Mutex::default(),
            readers: channel(BEHIND_MAX).0,
        });
        let told = Arc::clone(&shared);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        thread::Builder::new()
            .name("steer-events".to_owned())
            .spawn(move || runtime.block_on(serve(listener, told)))?;
        Ok(Self {
            path,
            shared,
            mirrored: Mirrored::default(),
            learned: None,
        })
    }

    /// Something happened.
    pub(super) fn tell(&self, what: What) {
        let Some(line) = line(what) else { return };
        let mut kept = self.shared.kept();
        if kept.len() == KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&line));
        // Nobody may be listening.
        let _readers = self.shared.readers.send(line);
    }

    /// What became of traffic that was refused, or would have been.
    pub(super) fn refused(&self, refusal: &Refusal, process: Option<&String>) {
        let (refusal, process) = (refusal.clone(), process.cloned());
        self.tell(if refusal.refused {
            What::Refused { refusal, process }
        } else {
            What::WouldRefuse { refusal, process }
        });
    }

    /// What became of copies so far; it is told if there are more.
    pub(super) fn mirrored(&mut self, now: Mirrored) {
        let lost = |all: &Mirrored| {
            all.failed + all.slow + all.busy + all.too_long + all.cut + all.other_protocol
        };
        let before = std::mem::replace(&mut self.mirrored, now);
        let answered = now.answered.saturating_sub(before.answered);
        let lost = lost(&now).saturating_sub(lost(&before));
        if answered + lost > 0 {
            self.tell(What::Mirrored { answered, lost });
        }
    }

    /// How many answers have taught so far; it is told if there are more.
    pub(super) fn learned(&mut self, now: u64) {
        let before = self.learned.replace(now);
        let answers = before.map_or(0, |before| now.saturating_sub(before));
        if answers > 0 {
            self.tell(What::Learned { answers });
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // One that stays is taken away by the next agent.
        let _stays = fs::remove_file(&self.path);
    }
}

impl Shared {
    fn kept(&self) -> std::sync::MutexGuard<'_, VecDeque<Arc<str>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(what: What) -> Option<Arc<str>> {
    let happened = Happened {
        time: jiff::Timestamp::now(),
        what,
    };
    let text = serde_json::to_string(&happened).ok()?;
    Some(Arc::from(text + "\n"))
}

async fn serve(listener: std::os::unix::net::UnixListener, shared: Arc<Shared>) {
    let Ok(listener) = UnixListener::from_std(listener) else {
        return;
    };
    let slots = Arc::new(Semaphore::new(READERS_MAX));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                // Nothing may be between what was kept and what comes.
                let (kept, coming) = {
                    let kept = shared.kept();
                    (kept.clone(), shared.readers.subscribe())
                };
                tokio::spawn(async move {
                    // A reader that goes, or is stuck, is let go.
                    let _gone = hand_out(stream, kept, coming).await;
                    drop(slot);
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// What was kept, an empty line, and what comes.
async fn hand_out(
    mut stream: UnixStream,
    kept: VecDeque<Arc<str>>,
    mut coming: Receiver<Arc<str>>,
) -> io::Result<()> {
    for line in kept {
        write(&mut stream, &line).await?;
    }
    write(&mut stream, "\n").await?;
    loop {
        let next = match coming.recv().await {
            Ok(line) => Some(line),
            Err(RecvError::Lagged(events)) => line(What::Missed { events }),
            Err(RecvError::Closed) => return Ok(()),
        };
        if let Some(line) = next {
            write(&mut stream, &line).await?;
        }
    }
}

async fn write(stream: &mut UnixStream, line: &str) -> io::Result<()> {
    let written = timeout(WRITE_MAX, stream.write_all(line.as_bytes())).await;
    written.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

#[cfg(test)]
mod tests {
    use std::{io::BufReader, os::unix::net::UnixStream};

    use super::*;

    fn reconfigured(generation: u32) -> What {
        What::Reconfigured {
            generation,
            services_changed: 1,
            writes: 2,
        }
    }

    fn next(reader: &mut impl io::BufRead) -> String {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line
    }

    #[test]
    fn a_reader_gets_what_was_kept_and_what_comes() {
        let state = tempfile::tempdir().unwrap();
        let events = Events::start(state.path()).unwrap();
        events.tell(reconfigured(1));
        let mode = fs::metadata(state.path().join(NAME)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        let stream = UnixStream::connect(state.path().join(NAME)).unwrap();
        let mut reader = BufReader::new(stream);
        let first: Happened = serde_json::from_str(&next(&mut reader)).unwrap();
        assert_eq!(first.what, reconfigured(1));
        assert_eq!(next(&mut reader), "\n");
        events.tell(reconfigured(2));
        let second: Happened = serde_json::from_str(&next(&mut reader)).unwrap();
        assert_eq!(second.what, reconfigured(2));
        drop(events);
        assert!(!state.path().join(NAME).exists());
    }

    #[test]
    fn only_what_is_new_is_told() {
        let state = tempfile::tempdir().unwrap();
        let mut events = Events::start(state.path()).unwrap();
        let copies = Mirrored {
            answered: 3,
            busy: 1,
            ..Mirrored::default()
        };
        events.mirrored(copies);
        events.mirrored(copies);
        // What an earlier agent saw is not new.
        events.learned(7);
        events.learned(9);
        let kept: Vec<Happened> = events
            .shared
            .kept()
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let told: Vec<&What> = kept.iter().map(|happened| &happened.what).collect();
        assert_eq!(
            told,
            [
                &What::Mirrored {
                    answered: 3,
                    lost: 1
                },
                &What::Learned { answers: 2 }
            ]
        );
    }
}
