//! Bytes of connections that stay open: asked for now and then, on a thread of its own.

use std::{
    collections::BTreeMap,
    io,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use crate::{
    node::{
        connections::Insider,
        sockets::{Open, Sockets},
    },
    telemetry::{Meter, Sample},
};

/// How often bytes of open connections are counted.
const SAMPLE_EVERY: Duration = Duration::from_secs(5);

/// Namespaces, by their cookies.
type Namespaces = BTreeMap<u64, Insider>;

/// The thread.
pub(super) struct Sampler {
    wanted: Sender<Namespaces>,
}

impl Sampler {
    pub(super) fn start(meter: Meter) -> io::Result<Self> {
        let (wanted, namespaces) = channel();
        thread::Builder::new()
            .name("steer-sampler".to_owned())
            .spawn(move || run(&namespaces, &meter))?;
        Ok(Self { wanted })
    }

    /// Asks these from now on.
    pub(super) fn follow(&self, wanted: Namespaces) {
        // The thread ends only with this.
        let _ended = self.wanted.send(wanted);
    }
}

fn run(namespaces: &Receiver<Namespaces>, meter: &Meter) {
    let mut sockets = Sockets::default();
    let mut due = Instant::now() + SAMPLE_EVERY;
    loop {
        match namespaces.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(wanted) => {
                if let Err(error) = sockets.follow(&wanted) {
                    tracing::warn!(%error, "bytes of open connections are counted when they close");
                }
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let found = sockets.list();
        let all = found.iter();
        let samples: Vec<Sample> = all
            .flat_map(|(&cookie, open)| open.iter().map(move |one| sample(cookie, one)))
            .collect();
        let mut counted = meter.counted();
        counted.sampled(&samples, |namespace| found.contains_key(&namespace));
        drop(counted);
        due = Instant::now() + SAMPLE_EVERY;
    }
}

fn sample(namespace: u64, open: &Open) -> Sample {
    Sample {
        namespace,
        local: open.local,
        remote: open.remote,
        // The SYN counts as one.
        sent: open.sent.saturating_sub(1),
        received: open.received,
    }
}
