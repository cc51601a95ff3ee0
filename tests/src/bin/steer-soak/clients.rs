//! Clients that do not stop, and the judgement of what they saw.

use std::net::SocketAddr;

use anyhow::Result;
use steer_tests::{
    client::{Attempt, Running, Storm, Until},
    lab::Lab,
};

use crate::field::{ALLOWED, CATALOG, REFUSED, STEADY};

/// What came of all connections.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Counts {
    pub(crate) connects: u64,
    pub(crate) failed: u64,
    pub(crate) astray: u64,
    /// The largest distance of a window's connections from their exact share.
    pub(crate) split_error: u64,
}

/// The storms.
pub(crate) struct Clients {
    split: Running,
    others: Vec<Running>,
}

impl Clients {
    /// One client of the split service, whose every ten connections in a row are nine and one; others
    /// as fast as they can.
    pub(crate) fn start(lab: &Lab) -> Result<Self> {
        let storm = |target: SocketAddr, rate| Storm {
            until: Until::Told,
            rate,
            ..Storm::new(target, 0)
        };
        let client = lab.pod("client")?;
        let webapp = lab.pod("webapp")?;
        let split = storm(CATALOG, Some(400)).start(client)?;
        let others = vec![
            storm(STEADY, Some(400)).start(webapp)?,
            storm(ALLOWED, Some(200)).start(client)?,
            storm(REFUSED, Some(200)).start(client)?,
            storm(REFUSED, Some(200)).start(webapp)?,
        ];
        Ok(Self { split, others })
    }

    /// Stops them and judges.
    pub(crate) fn finish(self) -> Result<(Counts, Vec<Attempt>)> {
        let split = self.split.finish()?;
        let mut counts = Counts {
            split_error: split_error(&split),
            ..Counts::default()
        };
        let mut strange = Vec::new();
        let mut judge = |attempts: Vec<Attempt>| {
            for attempt in attempts {
                counts.connects += 1;
                let (failed, astray) = verdict(&attempt);
                counts.failed += u64::from(failed);
                counts.astray += u64::from(astray);
                if failed || astray {
                    strange.push(attempt);
                }
            }
        };
        judge(split);
        for running in self.others {
            judge(running.finish()?);
        }
        Ok((counts, strange))
    }
}

/// Whether an attempt failed that should not, and whether it came where it should not.
fn verdict(attempt: &Attempt) -> (bool, bool) {
    let wanted: &[&str] = match attempt.target {
        CATALOG => &["catalog-v1", "catalog-v2"],
        STEADY => &["forum"],
        ALLOWED => &["outside"],
        _ => &[],
    };
    if wanted.is_empty() {
        let refused = attempt.error.as_deref() == Some("ECONNREFUSED");
        return (false, !refused);
    }
    match attempt.identity() {
        Some(identity) => (false, !wanted.contains(&identity)),
        None => (true, false),
    }
}

/// Of any ten connections in a row one goes to v2.
fn split_error(attempts: &[Attempt]) -> u64 {
    let is_second = |attempt: &Attempt| attempt.identity() == Some("catalog-v2");
    let count = |window: &[Attempt]| window.iter().filter(|&one| is_second(one)).count();
    let errors = attempts.windows(10).map(|window| count(window).abs_diff(1));
    errors.max().unwrap_or_default() as u64
}
