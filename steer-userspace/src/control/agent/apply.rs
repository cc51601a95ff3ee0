//! Puts what was read in force: lowered, compiled, applied, and everything that goes with it.

use std::{
    collections::BTreeSet,
    sync::{Arc, mpsc::RecvTimeoutError},
    time::{Duration, Instant},
};

use super::{
    super::{EngineError, events::What},
    Agent, Outcome, report,
};
use crate::{
    desired::model::PodRef,
    image::{Node, egress::Port},
    kernel::{Removed, heartbeat::now_ns},
    proxy::Pending,
};

/// How long to wait for listeners.
const OPEN_MAX: Duration = Duration::from_secs(2);

impl Agent {
    /// Puts the last configuration that could be read in force.
    pub(super) fn apply(&mut self) {
        let started = Instant::now();
        let local: BTreeSet<PodRef> = self.found.namespaces.values().cloned().collect();
        self.desired = self.lowering.lower(&self.snapshot, &local);
        self.auto.deepen(&mut self.desired);
        self.clusters_changed = true;
        self.untold = true;
        self.outside.look(&self.desired, &self.found);
        let node = self.node();
        let workloads = self.found.workloads.values();
        self.engine.know(
            workloads
                .map(|found| (found.cookie, found.insider))
                .collect(),
        );
        let image = self.compiler.compile_on(&self.desired, &node);
        let applied = self.engine.apply(image);
        let took = started.elapsed();
        self.outcome = match &applied {
            Ok(_) => Outcome::InForce,
            Err(EngineError::Plan(_)) => Outcome::DoesNotFit,
            Err(_) => Outcome::RefusedByKernel,
        };
        match applied {
            Ok(applied) => {
                // Numbers mean what they meant when connections closed.
                self.connections.take(self.metrics.as_ref());
                self.refused.clear();
                self.note_rules(applied.generation);
                self.serve();
                self.count();
                self.count_apply(took);
                self.observe();
                self.enter();
                self.look_at_ports();
                self.remove_others();
                if applied.steps > 0 {
                    self.tell_event(What::Reconfigured {
                        generation: applied.generation,
                        services_changed: applied.services_changed,
                        writes: applied.steps,
                    });
                    report::log_applied(&applied, &self.desired.findings, took);
                }
            }
            Err(error) => {
                self.count_apply(took);
                self.refuse(vec![report::not_applied(&error)]);
            }
        }
    }

    /// Observes the connections of pods that log; of all, if they are counted.
    fn observe(&mut self) {
        let (kernel, layout) = self.engine.kernel_and_layout();
        let followed = self.connections.follow(
            &self.desired,
            layout,
            &self.found,
            kernel,
            self.metrics.as_ref(),
        );
        if let Err(error) = followed {
            tracing::warn!(%error, "connections have no lines in the access log");
        }
    }

    /// Looks at requests, and copies them, where the rules say so.
    pub(super) fn serve(&mut self) {
        let state = &self.settings.engine.state;
        let layout = self.engine.layout();
        let (tapped, pending) = self
            .requests
            .serve(&self.desired, layout, &self.found, state);
        // Whoever copies knows of it before the kernel hands anything over.
        if let Some(pending) = pending {
            self.open(&pending);
        }
        match self.engine.kernel_mut().tap(&tapped) {
            Ok(0) => {}
            Ok(more) => tracing::warn!(
                more,
                "so many routes too many: their requests are not copied"
            ),
            Err(error) => tracing::warn!(%error, "requests are not copied"),
        }
    }

    /// Waits until listeners are open, and lives meanwhile. Where that takes too long, connections take
    /// the rule that needs no request.
    fn open(&mut self, pending: &Pending) {
        let started = Instant::now();
        while started.elapsed() < OPEN_MAX {
            if let Err(error) = self.beat(now_ns()) {
                tracing::warn!(%error, "the kernel does not know that the agent lives");
            }
            if pending.wait(self.settings.heartbeat.every()) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
        tracing::warn!(
            "listeners are not open yet: requests are not looked at where they are missing"
        );
    }

    /// Counts requests where connections are split only as long as that keeps their weights.
    fn count(&mut self) {
        let (kernel, layout) = self.engine.kernel_and_layout();
        let counted = kernel.requests().and_then(|counted| {
            let wanted = self.auto.follow(layout, &counted);
            let more = kernel.count_requests(&wanted, &counted)?;
            if self.auto.has_new() {
                let used = self.requests.used();
                self.auto.begin(&kernel.requests()?, &used, Instant::now());
            }
            Ok(more)
        });
        match counted {
            Ok(0) => {}
            Ok(more) => tracing::warn!(
                more,
                "so many routes too many: their connections are split whatever becomes of requests"
            ),
            Err(error) => tracing::warn!(%error, "requests are not counted"),
        }
        self.keep();
    }

    /// Writes down how weights are kept, for listings.
    pub(super) fn keep(&mut self) {
        if let Err(error) = self.auto.write(&self.settings.engine.state) {
            tracing::warn!(%error, "listings do not show how weights are kept");
        }
        self.count_splits();
    }

    /// What a version with another layout left goes once ours is in force: attach before detach.
    fn remove_others(&mut self) {
        if std::mem::replace(&mut self.others_gone, true) {
            return;
        }
        match self.engine.kernel_mut().remove_others() {
            Ok(removed) if removed == Removed::default() => {}
            Ok(removed) => tracing::info!(
                programs = removed.links,
                maps = removed.maps,
                "removed what another version had pinned"
            ),
            Err(error) => tracing::warn!(%error, "what another version has pinned stays"),
        }
    }

    /// Keeps the rules that are in force, to return to them one day.
    fn note_rules(&mut self, generation: u32) {
        if let Err(error) = self.rules.note(&self.settings.engine.state, generation) {
            tracing::warn!(%error, "these rules cannot be returned to: they are not kept");
        }
    }

    /// What is known of this node. A pod may send from the addresses that Kubernetes gave it,
    /// whatever others it gives itself.
    fn node(&self) -> Node {
        let ports = self.found.workloads.iter().map(|(pod, found)| {
            let written = self.snapshot.pod(pod);
            let given: Vec<_> = written
                .into_iter()
                .flat_map(|written| written.spec.addresses())
                .collect();
            let own = found.addresses.iter().copied();
            let port = Port {
                cookie: found.cookie,
                pod: pod.clone(),
                policy: String::new(),
                addresses: own.filter(|one| given.contains(one)).collect(),
                bridge: found.bridge,
            };
            (found.host_index, port)
        });
        let workloads = self.found.workloads.values();
        let interfaces = workloads.map(|found| (found.cookie, found.index));
        Node {
            own: self.found.own,
            pods: self.found.namespaces.clone(),
            interfaces: interfaces.collect(),
            ports: ports.collect(),
            found: Arc::clone(&self.names),
            limits: self.settings.limits,
            canary: true,
            edge: self.outside.edge(&self.found),
        }
    }
}
