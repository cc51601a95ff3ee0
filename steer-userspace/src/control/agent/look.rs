//! Looks, every so often, whether the node and its kernel still are as they were left.

use std::{path::PathBuf, time::Instant};

use super::{super::feed::Origin, Agent, AgentError, Outcome};
use crate::{kernel::beside, source::kubernetes::ClusterSettings};

impl Agent {
    /// Puts right what somebody else changed in the kernel.
    pub(super) fn look(&mut self) -> Result<(), AgentError> {
        if let Origin::Cluster(ClusterSettings {
            node: Some(node), ..
        }) = &self.settings.origin
        {
            let now = Instant::now();
            self.untold |= self.strays.look(&self.snapshot, node, &self.found, now);
        }
        self.count_outcomes();
        self.look_beside();
        self.look_at_ports();
        self.look_outside();
        self.requests.count(&self.settings.engine.state);
        let mirrored = self.requests.mirrored();
        self.untold |= self
            .told
            .as_ref()
            .is_some_and(|told| told.mirrored != mirrored);
        self.look_at_the_kernel()?;
        if self.untold { self.tell() } else { Ok(()) }
    }

    /// Looks which ports that gateways need could not be opened.
    pub(super) fn look_at_ports(&mut self) {
        let closed = self.requests.closed();
        self.untold |= closed != self.closed;
        self.closed = closed;
    }

    /// Looks by which addresses and interfaces clients outside come in.
    fn look_outside(&mut self) {
        if self.outside.look(&self.desired, &self.found) {
            self.apply();
        }
        self.enter();
    }

    /// Steers what comes in from outside, where the image leads it to pods.
    pub(super) fn enter(&mut self) {
        let (kernel, image) = (self.engine.kernel_mut(), self.compiler.image());
        if let Err(error) = self.outside.enter(kernel, image) {
            tracing::warn!(%error, "what comes in from outside is not steered in the kernel");
        }
    }

    /// Looks who else decides where sockets connect.
    fn look_beside(&mut self) {
        let kernel = &self.settings.engine.kernel;
        let pods = self.pods();
        let all = pods.values().map(PathBuf::as_path);
        match beside(&kernel.pins, all.chain([kernel.cgroup.as_path()])) {
            Ok(found) if found == self.beside => {}
            Ok(found) => {
                self.beside = found;
                self.untold = true;
            }
            Err(error) => tracing::debug!(%error, "programs of others cannot be looked for"),
        }
    }

    fn look_at_the_kernel(&mut self) -> Result<(), AgentError> {
        if self.outcome != Outcome::InForce {
            return Ok(());
        }
        let image = self.compiler.image();
        match self.truth.look(&mut self.engine, image) {
            Ok(false) => Ok(()),
            Ok(true) => self.tell(),
            Err(error) => {
                tracing::warn!(%error, "what somebody else changed cannot be put right");
                Ok(())
            }
        }
    }

    /// Looks how requests were shared meanwhile, and splits them where that is needed.
    pub(super) fn judge(&mut self) -> Result<(), AgentError> {
        if self.auto.is_idle() || self.outcome != Outcome::InForce {
            return Ok(());
        }
        let counted = match self.engine.kernel().requests() {
            Ok(counted) => counted,
            Err(error) => {
                tracing::warn!(%error, "requests that were counted cannot be read");
                return Ok(());
            }
        };
        let used = self.requests.used();
        let classes = &self.desired.class_names;
        let changed = self.auto.look(&counted, &used, classes, Instant::now());
        if !changed.is_empty() {
            for what in changed {
                self.tell_event(what);
            }
            // Whoever listens is there before connections are sent there.
            self.auto.deepen(&mut self.desired);
            self.serve();
            self.apply();
            return self.tell();
        }
        self.keep();
        Ok(())
    }
}
