//! What the egress guard refused, or would have: told in the log, counted, and kept in a file for
//! `steer learn`.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Write as _,
    net::IpAddr,
    path::Path,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use steer_common::{
    Proto, Reason,
    egress::{Event, EventKind},
};

use crate::desired::model::PodRef;

/// So many different ones are kept; the rest is counted.
const KEPT_MAX: usize = 4096;
/// How often the file is written.
const WRITE_EVERY: Duration = Duration::from_secs(1);
pub(super) const FILE: &str = "refusals.json";

/// Who could not reach what, and why.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// The pod, if it is known.
    pub pod: Option<PodRef>,
    /// Its egress policy.
    pub policy: String,
    /// The name: what the first bytes said, or what DNS last gave the address to.
    pub name: Option<String>,
    /// The address.
    pub address: IpAddr,
    /// The port; 0 for protocols without.
    pub port: u16,
    /// IANA's protocol number.
    pub protocol: u32,
    /// Why.
    pub reason: String,
    /// Whether it was refused, and not only told.
    pub refused: bool,
}

impl Refusal {
    /// Whether a TCP connection was refused.
    pub(super) fn is_of_tcp(&self) -> bool {
        self.refused && self.protocol == Proto::Tcp as u32
    }
}

/// A refusal, and how often.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Counted {
    /// Which.
    #[serde(flatten)]
    pub refusal: Refusal,
    /// How often it was reported.
    pub count: u64,
    /// The last process, if it is known.
    pub process: Option<String>,
}

/// Those since the agent started.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    kept: BTreeMap<Refusal, (u64, Option<String>)>,
    left_out: u64,
    written: Option<Instant>,
    dirty: bool,
}

impl Refusals {
    /// Counts one. It is told in the log the first, second, fourth, eighth time, and so on.
    pub(super) fn take(&mut self, refusal: Refusal, process: Option<String>) {
        self.dirty = true;
        if self.kept.len() >= KEPT_MAX && !self.kept.contains_key(&refusal) {
            self.left_out += 1;
            return;
        }
        let (count, last) = self.kept.entry(refusal.clone()).or_default();
        *count += 1;
        if process.is_some() {
            last.clone_from(&process);
        }
        if count.is_power_of_two() {
            tell(&refusal, *count, process.as_deref());
        }
    }

    /// Writes the file, now and then.
    pub(super) fn write(&mut self, state: &Path) -> io::Result<()> {
        let lately = self
            .written
            .is_some_and(|written| written.elapsed() < WRITE_EVERY);
        if !self.dirty || lately {
            return Ok(());
        }
        (self.dirty, self.written) = (false, Some(Instant::now()));
        let all: Vec<Counted> = self
            .kept
            .iter()
            .map(|(refusal, (count, process))| Counted {
                refusal: refusal.clone(),
                count: *count,
                process: process.clone(),
            })
            .collect();
        let mut fresh = tempfile::NamedTempFile::new_in(state)?;
        serde_json::to_writer(&mut fresh, &all)?;
        fresh.flush()?;
        fresh.persist(state.join(FILE))?;
        Ok(())
    }
}

fn tell(refusal: &Refusal, count: u64, process: Option<&str>) {
    let pod = refusal
        .pod
        .as_ref()
        .map_or_else(|| "?".to_owned(), ToString::to_string);
    let name = refusal.name.as_deref().unwrap_or("?");
    let reason = refusal.reason.as_str();
    let peer = std::net::SocketAddr::new(refusal.address, refusal.port);
    let process = process.unwrap_or("?");
    let policy = refusal.policy.as_str();
    let what = if refusal.refused {
        "refused"
    } else {
        "would be refused"
    };
    tracing::warn!(pod, process, name, %peer, policy, reason, count, "egress: {what}");
}

/// A record of the ring, put into words. The pod, its policy and the name of an address are looked
/// up by others.
pub(super) fn refusal(
    event: &Event,
    pod: Option<PodRef>,
    policy: String,
    seen: Option<String>,
) -> (Refusal, Option<String>) {
    let length = (event.name_len as usize).min(event.name.len());
    let said: String = event.name[..length]
        .iter()
        .rev()
        .map(|&b| char::from(b))
        .collect();
    let known = Reason::ALL
        .into_iter()
        .find(|reason| reason.index() == event.reason);
    let refusal = Refusal {
        pod,
        policy,
        name: Some(said).filter(|said| !said.is_empty()).or(seen),
        address: event.peer.addr.to_ip(),
        port: event.peer.port.number(),
        protocol: event.proto,
        reason: known.map_or("unknown", Reason::name).to_owned(),
        refused: event.kind == EventKind::Refused as u32,
    };
    let end = event.comm.iter().position(|&byte| byte == 0);
    let comm = &event.comm[..end.unwrap_or(event.comm.len())];
    let process =
        (event.pid != 0).then(|| format!("{}[{}]", String::from_utf8_lossy(comm), event.pid));
    (refusal, process)
}

/// What an agent wrote last; nothing if nothing was refused.
pub fn read_refusals(state: &Path) -> io::Result<Vec<Counted>> {
    match fs::read(state.join(FILE)) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(port: u16) -> Refusal {
        Refusal {
            pod: None,
            policy: "*".to_owned(),
            name: None,
            address: "192.0.2.1".parse().unwrap(),
            port,
            protocol: 6,
            reason: "not_in_registry".to_owned(),
            refused: true,
        }
    }

    #[test]
    fn what_is_the_same_is_counted() {
        let mut refusals = Refusals::default();
        for port in [80, 443, 80] {
            refusals.take(one(port), Some("curl[7]".to_owned()));
        }
        let state = tempfile::tempdir().unwrap();
        refusals.write(state.path()).unwrap();
        let read = read_refusals(state.path()).unwrap();
        let counts: Vec<_> = read
            .iter()
            .map(|found| (found.refusal.port, found.count))
            .collect();
        assert_eq!(counts, [(80, 2), (443, 1)]);
        assert_eq!(read[0].process.as_deref(), Some("curl[7]"));
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let mut refusals = Refusals::default();
        for port in 0..u16::try_from(KEPT_MAX).unwrap() + 3 {
            refusals.take(one(port), None);
        }
        assert_eq!((refusals.kept.len(), refusals.left_out), (KEPT_MAX, 3));
    }
}
