//! `steer get workloads`: the pods that the kernel knows as clients.

use serde::Serialize;

use super::Filter;
use crate::cli::{instance::Seen, output::Row};

#[derive(Serialize)]
pub(super) struct Workload {
    namespace: String,
    pod: String,
    /// What its class stands for: `*` is everyone for whom no rule says otherwise.
    client: String,
    class: u32,
    /// Of its network namespace.
    cookie: u64,
    /// Its egress policy.
    egress: String,
}

/// One row for each network namespace.
pub(super) fn rows(seen: &Seen, filter: &Filter<'_>) -> Vec<Workload> {
    let row = |(&cookie, source): (&u64, &steer_common::service::Source)| {
        let pod = seen.names.workloads.get(&source.workload);
        let text = |part: Option<&String>| part.cloned().unwrap_or_else(|| "?".to_owned());
        Workload {
            namespace: text(pod.map(|pod| &pod.namespace)),
            pod: text(pod.map(|pod| &pod.name)),
            client: seen.class(source.class.number()),
            class: source.class.number(),
            cookie,
            egress: seen.policy(source.policy.number()),
        }
    };
    let mut rows: Vec<Workload> = seen
        .live
        .sources
        .iter()
        .map(row)
        .filter(|row| filter.takes_names(&row.namespace, &row.pod))
        .collect();
    rows.sort_by(|a, b| (&a.namespace, &a.pod, a.cookie).cmp(&(&b.namespace, &b.pod, b.cookie)));
    rows
}

impl Row for Workload {
    fn headers(wide: bool) -> Vec<&'static str> {
        let mut headers = vec!["NAMESPACE", "POD NAME", "CLIENT"];
        if wide {
            headers.extend(["CLASS", "NETNS COOKIE", "EGRESS"]);
        }
        headers
    }

    fn cells(&self, wide: bool) -> Vec<String> {
        let mut cells = vec![
            self.namespace.clone(),
            self.pod.clone(),
            self.client.clone(),
        ];
        if wide {
            cells.extend([
                self.class.to_string(),
                self.cookie.to_string(),
                self.egress.clone(),
            ]);
        }
        cells
    }
}
