//! Which rules are to be in force: those that are written, or earlier ones that somebody returned to.

use std::{io, path::Path};

use super::history::{self, Rollback};
use crate::{
    finding::{Finding, Severity, codes},
    source::{
        Snapshot,
        rules::{Document, with_rules},
    },
};

/// Follows the wish to return to earlier rules.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// The rules as they are written; none before they were read.
    written: Option<Vec<Document>>,
    /// Whether these are kept, or were found to be too much.
    noted: bool,
    /// The wish that is followed.
    rollback: Option<Rollback>,
}

impl Rules {
    /// Other rules are written.
    pub(super) fn write(&mut self, written: Vec<Document>) {
        if self.written.as_ref() != Some(&written) {
            self.written = Some(written);
            self.noted = false;
        }
    }

    /// Looks whether somebody wishes to return, or no longer does; true if that is news. A wish ends
    /// when something else is written than when it was made.
    pub(super) fn look(&mut self, state: &Path) -> io::Result<bool> {
        let Some(written) = &self.written else {
            return Ok(false);
        };
        let mut wish = history::read_rollback(state)?;
        if let Some(found) = wish {
            let entries = history::read_history(state)?;
            let from = entries.iter().find(|entry| entry.generation == found.from);
            if from.is_some_and(|from| from.rules != *written) {
                tracing::info!(
                    to = found.to,
                    "other rules are written now: no longer rolled back"
                );
                history::set_rollback(state, None)?;
                wish = None;
            }
        }
        let news = wish != self.rollback;
        self.rollback = wish;
        Ok(news)
    }

    /// The generation that was returned to.
    pub(super) fn rolled_back(&self) -> Option<u32> {
        self.rollback.map(|wish| wish.to)
    }

    /// What is to be in force: what is written, or the rules of an earlier generation for the
    /// cluster as it is now.
    pub(super) fn choose(
        &self,
        written: &Snapshot,
        state: &Path,
    ) -> io::Result<Result<Snapshot, Vec<Finding>>> {
        let Some(wish) = self.rollback else {
            return Ok(Ok(written.clone()));
        };
        let entries = history::read_history(state)?;
        let Some(entry) = history::entry_of(&entries, wish.to) else {
            return Ok(Err(vec![forgotten(wish.to)]));
        };
        Ok(with_rules(written, &entry.rules).map(|mut snapshot| {
            snapshot.findings.push(rolled_back(wish.to));
            snapshot
        }))
    }

    /// Notes that the rules that are written are in force from a generation on. Too many of them are
    /// not kept.
    pub(super) fn note(&mut self, state: &Path, generation: u32) -> io::Result<()> {
        let Some(written) = &self.written else {
            return Ok(());
        };
        if self.noted || self.rollback.is_some() {
            return Ok(());
        }
        self.noted = true;
        if !history::fits(written) {
            tracing::warn!("these rules cannot be returned to: they are too long to be kept");
            return Ok(());
        }
        history::note(state, generation, written.clone())
    }
}

fn rolled_back(to: u32) -> Finding {
    finding(
        Severity::Warning,
        format!("the rules of generation {to} are in force, not those that are written"),
        "change the rules, or run `steer rollback --release`",
    )
}

fn forgotten(to: u32) -> Finding {
    finding(
        Severity::Error,
        format!("the rules of generation {to} are not kept any more"),
        "`steer rollback --list` names those that are",
    )
}

fn finding(severity: Severity, message: String, help: &str) -> Finding {
    Finding {
        severity,
        code: codes::ROLLED_BACK,
        object: None,
        position: None,
        field: String::new(),
        message,
        help: help.to_owned(),
    }
}
