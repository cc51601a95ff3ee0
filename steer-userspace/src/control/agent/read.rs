//! Reads what is written, and puts it in force where it changed.

use std::sync::Arc;

use super::{super::resolve, Agent, AgentError, Outcome};
use crate::{finding::Finding, image::egress::Found, source::Snapshot};

impl Agent {
    /// The configuration may have changed.
    pub(super) fn change(&mut self) -> Result<(), AgentError> {
        if self.read()? {
            self.apply();
        }
        self.tell()
    }

    /// Like `change`; what the kernel refused is tried again.
    pub(super) fn change_or_retry(&mut self) -> Result<(), AgentError> {
        let again = self.outcome == Outcome::RefusedByKernel;
        if self.read()? || again {
            self.apply();
        }
        self.tell()
    }

    /// Reads what is written; false if nothing is to be done about it.
    fn read(&mut self) -> Result<bool, AgentError> {
        let read = self.feed.read();
        self.take(read)
    }

    /// Takes what was read; false if nothing is to be done about it.
    pub(super) fn take(
        &mut self,
        read: Result<Option<Snapshot>, Vec<Finding>>,
    ) -> Result<bool, AgentError> {
        if let (Some(metrics), Ok(found)) = (&self.metrics, &read) {
            metrics.read(found.is_some());
        }
        let fresh = match read {
            Ok(None) => false,
            Ok(Some(snapshot)) => {
                self.written = snapshot;
                self.rules.write(self.feed.rules());
                true
            }
            Err(findings) => {
                self.refuse(findings);
                false
            }
        };
        let state = &self.settings.engine.state;
        let failed = |source| AgentError::Io {
            action: "reading the rules of earlier generations",
            source,
        };
        if !self.rules.look(state).map_err(failed)? && !fresh {
            return Ok(false);
        }
        match self.rules.choose(&self.written, state).map_err(failed)? {
            Ok(snapshot) => {
                let same_pods = self.snapshot.has_pods_of(&snapshot);
                self.snapshot = snapshot;
                if !same_pods {
                    self.scans.look_for(self.snapshot.pod_addresses());
                }
                Ok(true)
            }
            Err(findings) => {
                self.refuse(findings);
                Ok(false)
            }
        }
    }

    /// Names have other addresses, or have them for longer.
    pub(super) fn resolved(&mut self, names: Found) {
        let addresses = resolve::addresses(&names);
        if addresses != resolve::addresses(&self.names) {
            self.lowering.resolved(Arc::new(addresses));
        }
        self.names = Arc::new(names);
        self.apply();
    }
}
