//! Looks for pods on a thread of its own: a scan walks /proc, and the agent must not wait for it.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{
    desired::model::PodRef,
    node::discover::{Scan, Scanner},
};

/// How often new pods are looked for.
const SCAN_EVERY: Duration = Duration::from_millis(250);

/// The pods that are looked for, by address.
type Pods = BTreeMap<IpAddr, PodRef>;

/// The thread that scans.
pub(super) struct Scans {
    pods: Sender<Pods>,
    found: UnboundedReceiver<Scan>,
}

impl Scans {
    /// Starts it, in the network namespace of the calling thread.
    pub(super) fn start(scanner: Scanner) -> Self {
        let (pods, wanted) = channel();
        let (sender, found) = unbounded_channel();
        thread::spawn(move || scan(scanner, &wanted, &sender));
        Self { pods, found }
    }

    /// Says which pods there are; a scan follows at once, and is told even if it finds the same.
    pub(super) fn look_for(&self, pods: Pods) {
        // The thread ends only with the agent.
        let _ended = self.pods.send(pods);
    }

    /// The next scan that differs. Safe to cancel.
    pub(super) async fn next(&mut self) -> Scan {
        match self.found.recv().await {
            Some(found) => found,
            None => std::future::pending().await,
        }
    }
}

fn scan(mut scanner: Scanner, wanted: &Receiver<Pods>, found: &UnboundedSender<Scan>) {
    let mut pods = None;
    let mut told = None;
    loop {
        match wanted.recv_timeout(SCAN_EVERY) {
            Ok(fresh) => {
                pods = Some(fresh);
                told = None;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let Some(pods) = &pods else { continue };
        match scanner.scan(pods) {
            Ok(mut scan) => {
                scan.entered = 0;
                if told.as_ref() == Some(&scan) {
                    continue;
                }
                told = Some(scan.clone());
                if found.send(scan).is_err() {
                    return;
                }
            }
            Err(error) => tracing::warn!(%error, "looking for pods; the last scan stays in force"),
        }
    }
}
