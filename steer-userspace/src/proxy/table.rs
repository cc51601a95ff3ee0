//! The routes that are served, and the tickets of their rules, which outlive changes.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use steer_common::service::SplitId;

use super::Served;
use crate::{desired::model::Rule, requests::Matched};

/// A route, ready for requests.
pub(super) struct Ready {
    pub(super) served: Served,
    /// In the order of its rules.
    tickets: Vec<Arc<Tickets>>,
}

/// The counters of one rule.
#[derive(Default)]
pub(super) struct Tickets {
    split: AtomicU64,
    fault: AtomicU64,
    mirror: AtomicU64,
}

impl Tickets {
    /// Of its destinations.
    pub(super) fn split(&self) -> u64 {
        self.split.fetch_add(1, Ordering::Relaxed)
    }

    /// Of its copies.
    pub(super) fn mirror(&self) -> u64 {
        self.mirror.fetch_add(1, Ordering::Relaxed)
    }

    /// Of its faults.
    pub(super) fn fault(&self) -> u64 {
        self.fault.fetch_add(1, Ordering::Relaxed)
    }
}

/// All routes.
#[derive(Default)]
pub(super) struct Table {
    routes: BTreeMap<SplitId, Arc<Ready>>,
    tickets: BTreeMap<(SplitId, Rule), Arc<Tickets>>,
}

impl Table {
    /// The table that follows this one.
    pub(super) fn next(&self, served: BTreeMap<SplitId, Served>) -> Self {
        let mut next = Self::default();
        for (split, served) in served {
            let mut tickets = Vec::with_capacity(served.route.rules.len());
            for rule in &served.route.rules {
                let key = (split, identity(&rule.origin));
                let known = next.tickets.get(&key).or_else(|| self.tickets.get(&key));
                let own = known.cloned().unwrap_or_default();
                next.tickets.insert(key, Arc::clone(&own));
                tickets.push(own);
            }
            next.routes
                .insert(split, Arc::new(Ready { served, tickets }));
        }
        next
    }

    /// The route of a split.
    pub(super) fn route(&self, split: SplitId) -> Option<Arc<Ready>> {
        self.routes.get(&split).cloned()
    }
}

impl Ready {
    /// The rules, with their counters.
    pub(super) fn rules(&self) -> impl Iterator<Item = (&crate::requests::Rule, &Tickets)> {
        let tickets = self.tickets.iter().map(|tickets| &**tickets);
        self.served.route.rules.iter().zip(tickets)
    }

    /// The counters of a rule.
    pub(super) fn tickets(&self, matched: &Matched<'_>) -> Option<&Tickets> {
        let mut rules = self.served.route.rules.iter().zip(&self.tickets);
        let own = rules.find(|(rule, _)| std::ptr::eq(*rule, matched.rule));
        own.map(|(_, tickets)| &**tickets)
    }
}

/// A rule, wherever in its file it stands.
fn identity(rule: &Rule) -> Rule {
    match rule.clone() {
        Rule::VirtualService {
            object,
            field,
            name,
            ..
        } => Rule::VirtualService {
            object,
            field,
            name,
            position: None,
        },
        other => other,
    }
}
