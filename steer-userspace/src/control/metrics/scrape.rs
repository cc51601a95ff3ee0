//! What a scrape tells, read when it is asked for.

use std::{fs, sync::Arc};

use super::Shared;
use crate::{
    kernel::{KernelError, Maps, PROGRAMS, Pins, Programs, heartbeat::now_ns},
    live::Live,
    plan::Capacity,
    telemetry::{Fill, Graph, Meter, Scrape, Standing, Told},
};

/// An agent that has not said for so long that it lives does not.
const ALIVE_NS: u64 = 10_000_000_000;

/// Where it is read.
pub(super) struct Scraper {
    pub(super) pins: Pins,
    pub(super) meter: Meter,
    pub(super) standing: Shared,
}

impl Scraper {
    /// The text of /metrics.
    pub(super) fn text(&self) -> String {
        let standing = self.standing.get().clone();
        let read = self.read();
        if let Err(error) = &read {
            tracing::debug!(%error, "the maps cannot be read for a scrape");
        }
        let read = read.ok();
        let fills = read.as_ref().map(|(live, capacity)| fills(live, *capacity));
        let scrape = Scrape::new(&self.meter.counted());
        scrape
            .standing(&standing, now_ns())
            .live(
                read.as_ref().map(|(live, _)| live),
                fills.as_deref().unwrap_or_default(),
                &standing,
            )
            .programs(&self.programs().unwrap_or_default())
            .text()
    }

    /// Who talks with whom.
    pub(super) fn graph(&self) -> serde_json::Result<String> {
        let (generation, applied, services, services_left_out) = {
            let standing = self.standing.get();
            let services = Arc::clone(&standing.services);
            (
                standing.generation,
                standing.applied,
                services,
                standing.services_left_out,
            )
        };
        serde_json::to_string(&Told {
            generation,
            applied,
            services,
            services_left_out,
            graph: Graph::new(&self.meter.counted()),
        })
    }

    /// Whether the agent lives.
    pub(super) fn is_alive(&self) -> bool {
        let standing = self.standing.get();
        now_ns().saturating_sub(standing.beat_ns) < ALIVE_NS
    }

    /// Whether what is written is in force.
    pub(super) fn is_ready(&self) -> bool {
        let standing: Standing = self.standing.get().clone();
        standing.applied && standing.generation > 0
    }

    fn read(&self) -> Result<(Live, Capacity), KernelError> {
        let maps = Maps::open(&self.pins)?;
        Ok((maps.read()?, maps.capacity()))
    }

    /// Nothing, while the kernel keeps no count.
    fn programs(&self) -> Result<Vec<(&'static str, u64, f64)>, KernelError> {
        let counts = fs::read_to_string("/proc/sys/kernel/bpf_stats_enabled");
        if counts.is_ok_and(|text| text.trim() != "1") {
            return Ok(Vec::new());
        }
        let programs = Programs::open(&self.pins)?;
        let runs = PROGRAMS.into_iter().map(|name| {
            let runs = programs.runs(name)?;
            Ok((name, runs.count, runs.time.as_secs_f64()))
        });
        runs.collect()
    }
}

/// How full the maps are whose rows are read anyway.
fn fills(live: &Live, capacity: Capacity) -> Vec<Fill> {
    use steer_common::limits;
    let fill = |map, rows: usize, capacity: u32| Fill {
        map,
        rows: rows as u64,
        capacity: capacity.into(),
    };
    vec![
        fill("SERVICES", live.services.len(), capacity.keys),
        fill("ROUTES", live.routes.len(), capacity.rows),
        fill("ENDPOINTS", live.endpoints.len(), capacity.endpoints),
        fill("COUNTERS", live.counters.len(), capacity.counters),
        fill("SOURCES", live.sources.len(), capacity.sources),
        fill(
            "EGRESS_NETS",
            live.egress.nets.len(),
            limits::EGRESS_NETS_MAX,
        ),
        fill(
            "EGRESS_NAMES",
            live.egress.names.len(),
            limits::EGRESS_NAMES_MAX,
        ),
        fill(
            "EGRESS_HOSTS",
            live.egress.hosts.len(),
            limits::EGRESS_HOSTS_MAX,
        ),
        fill(
            "EGRESS_LEARNED",
            live.learned.len(),
            limits::EGRESS_LEARNED_MAX,
        ),
        fill("NAMES_SEEN", live.names_seen.len(), limits::NAMES_SEEN_MAX),
    ]
}
