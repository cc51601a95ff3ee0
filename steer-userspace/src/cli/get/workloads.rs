//! `steer get workloads`: the pods that the kernel knows as clients.

use serde::Serialize;

use super::Filter;
use crate::cli::{instance::Seen, output::Row};

#[derive(Serialize)]
pub(super) struct Workload {
    namespace: String,
    pod: String,
    client: String,
    class: u32,
    cookie: u64,
}

/// One row for each network namespace.
pub(super) fn rows(seen: &Seen, filter: &Filter<'_>) -> Vec<Workload> {
    let mut rows: Vec<Workload> = seen
        .live
        .sources
        .iter()
        .map(|(&cookie, source)| {
            let pod = seen.names.workloads.get(&source.workload);
            let text = |part: Option<&String>| part.cloned().unwrap_or_else(|| "?".to_owned());
            Workload {
                namespace: text(pod.map(|pod| &pod.namespace)),
                pod: text(pod.map(|pod| &pod.name)),
                client: seen.class(source.class),
                class: source.class,
                cookie,
            }
        })
        .filter(|row| {
            filter
                .namespace
                .is_none_or(|wanted| row.namespace == wanted)
        })
        .filter(|row| filter.name.is_none_or(|wanted| row.pod.contains(wanted)))
        .collect();
    rows.sort_by(|a, b| (&a.namespace, &a.pod).cmp(&(&b.namespace, &b.pod)));
    rows
}

impl Row for Workload {
    fn headers(wide: bool) -> Vec<&'static str> {
        let mut headers = vec!["NAMESPACE", "POD NAME", "CLIENT"];
        if wide {
            headers.extend(["CLASS", "COOKIE"]);
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
            cells.extend([self.class.to_string(), self.cookie.to_string()]);
        }
        cells
    }
}
