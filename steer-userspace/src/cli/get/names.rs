//! `steer get names`: the addresses of names, and for how long they hold.

use std::collections::BTreeMap;

use serde::Serialize;
use steer_common::egress::{Learned, LearnedKey, learned::FOREVER_SECS};

use super::Filter;
use crate::cli::{instance::Seen, output::Row};

#[derive(Serialize)]
pub(super) struct Known {
    policy: String,
    /// The name that was asked for, as far as it is known; else what it fits.
    name: String,
    address: String,
    /// Who found it: `answer` is a DNS answer to a pod, `agent` the agent's own question.
    from: &'static str,
    /// Seconds; none if it does not end.
    left_secs: Option<u32>,
    /// The host whose ports it has.
    host: String,
}

/// One row for each address and host.
pub(super) fn rows(seen: &Seen, filter: &Filter<'_>) -> Vec<Known> {
    let live = &seen.live;
    let mut all = of(seen, &live.learned, "answer");
    all.extend(of(seen, &live.egress.resolved, "agent"));
    all.retain(|row| {
        let in_namespace = |wanted: &str| row.policy.contains(&format!("namespace={wanted}"));
        filter.namespace.is_none_or(in_namespace)
            && filter
                .name
                .is_none_or(|wanted| row.name.contains(wanted) || row.address.contains(wanted))
    });
    all.sort_by(|a, b| {
        let key = |row: &Known| {
            (
                row.policy.clone(),
                row.name.clone(),
                row.address.clone(),
                row.from,
            )
        };
        key(a).cmp(&key(b))
    });
    all
}

fn of(seen: &Seen, rows: &BTreeMap<LearnedKey, Learned>, from: &'static str) -> Vec<Known> {
    let mut found = Vec::new();
    for (key, learned) in rows {
        for grant in learned.grants.iter().filter(|grant| grant.host() != 0) {
            let until = grant.until_secs();
            let left = until.saturating_sub(seen.now_secs);
            if left == 0 {
                continue;
            }
            let host = seen.host(grant.host());
            let asked = seen.live.names_seen.get(key);
            let asked = asked.filter(|_| from == "answer" && host.starts_with('*'));
            found.push(Known {
                policy: seen.policy(key.policy),
                name: asked.unwrap_or(&host).clone(),
                address: key.addr.to_string(),
                from,
                left_secs: (until != FOREVER_SECS).then_some(left),
                host,
            });
        }
    }
    found
}

impl Row for Known {
    fn headers(wide: bool) -> Vec<&'static str> {
        let mut headers = vec!["POLICY", "NAME", "ADDRESS", "FROM", "LEFT"];
        if wide {
            headers.push("HOST");
        }
        headers
    }

    fn cells(&self, wide: bool) -> Vec<String> {
        let left = self.left_secs;
        let mut cells = vec![
            self.policy.clone(),
            self.name.clone(),
            self.address.clone(),
            self.from.to_owned(),
            left.map_or_else(|| "-".to_owned(), |secs| format!("{secs}s")),
        ];
        cells.extend(wide.then(|| self.host.clone()));
        cells
    }
}
