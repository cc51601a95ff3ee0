//! The routes that are served, and the tickets of their rules, which outlive changes.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use steer_common::service::{ServiceKey, SplitId};

use super::{Logs, Served};
use crate::{
    desired::model::Rule,
    requests::{Matched, Route},
};

/// Rules, ready for requests.
pub(super) struct Ready {
    /// What the service is called, for requests that name no host.
    pub(super) host: String,
    pub(super) route: Arc<Route>,
    /// In the order of its rules.
    tickets: Vec<Arc<Tickets>>,
}

/// The counters of one rule.
#[derive(Default)]
pub(super) struct Tickets {
    split: AtomicU64,
    fault: AtomicU64,
    mirror: AtomicU64,
    taken: AtomicU64,
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

    /// It takes one more request.
    pub(super) fn take(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    /// Of its faults.
    pub(super) fn fault(&self) -> u64 {
        self.fault.fetch_add(1, Ordering::Relaxed)
    }
}

/// The counters of all rules, by what they are rules of.
pub(super) struct Counters<K> {
    by_rule: BTreeMap<(K, Rule), Arc<Tickets>>,
}

impl<K> Default for Counters<K> {
    fn default() -> Self {
        Self {
            by_rule: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Clone> Counters<K> {
    /// Those of a rule: as they were before, if it was there.
    pub(super) fn of(&mut self, before: &Self, whose: &K, rule: &Rule) -> Arc<Tickets> {
        let key = (whose.clone(), identity(rule));
        let known = self.by_rule.get(&key).or_else(|| before.by_rule.get(&key));
        let own = known.cloned().unwrap_or_default();
        self.by_rule.insert(key, Arc::clone(&own));
        own
    }
}

/// A route, and whose it is: its split may be given to another one once it is gone.
pub(super) struct Known {
    pub(super) key: ServiceKey,
    pub(super) ready: Ready,
    /// How many connections came in.
    pub(super) connections: Arc<AtomicU64>,
}

impl Known {
    /// How many requests each rule has taken, in their order.
    fn taken(&self) -> impl Iterator<Item = u64> {
        let all = self.ready.tickets.iter();
        all.map(|own| own.taken.load(Ordering::Relaxed))
    }
}

/// How much came in on a route since it is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Used {
    /// Connections.
    pub connections: u64,
    /// Requests on them.
    pub requests: u64,
}

/// All routes.
#[derive(Default)]
pub(super) struct Table {
    routes: BTreeMap<SplitId, Arc<Known>>,
    counters: Counters<SplitId>,
    pub(super) logs: Option<Arc<Logs>>,
}

impl Table {
    /// The table that follows this one.
    pub(super) fn next(&self, served: BTreeMap<SplitId, Served>) -> Self {
        let mut next = Self::default();
        for (split, served) in served {
            let Served {
                key, host, route, ..
            } = served;
            let ready = Ready::new(host, route, |rule| {
                next.counters.of(&self.counters, &split, rule)
            });
            let before = self.routes.get(&split).filter(|before| before.key == key);
            let connections = before.map(|before| Arc::clone(&before.connections));
            let known = Known {
                key,
                ready,
                connections: connections.unwrap_or_default(),
            };
            next.routes.insert(split, Arc::new(known));
        }
        next
    }

    /// How much came in on each route.
    pub(super) fn used(&self) -> BTreeMap<SplitId, Used> {
        let used = |known: &Known| Used {
            connections: known.connections.load(Ordering::Relaxed),
            requests: known.taken().sum(),
        };
        let routes = self.routes.iter();
        routes.map(|(&split, known)| (split, used(known))).collect()
    }

    /// How many requests each rule has taken, in their order.
    pub(super) fn taken(&self) -> BTreeMap<SplitId, Vec<u64>> {
        let routes = self.routes.iter();
        routes
            .map(|(&split, known)| (split, known.taken().collect()))
            .collect()
    }

    /// The route of a split.
    pub(super) fn route(&self, split: SplitId) -> Option<Arc<Known>> {
        self.routes.get(&split).cloned()
    }
}

impl Ready {
    /// The rules, with their counters.
    pub(super) fn rules(&self) -> impl Iterator<Item = (&crate::requests::Rule, &Tickets)> {
        let tickets = self.tickets.iter().map(|tickets| &**tickets);
        self.route.rules.iter().zip(tickets)
    }

    /// Rules with the counters that `of` finds for each.
    pub(super) fn new(
        host: String,
        route: Arc<Route>,
        mut of: impl FnMut(&Rule) -> Arc<Tickets>,
    ) -> Self {
        let tickets = route.rules.iter().map(|rule| of(&rule.origin)).collect();
        Self {
            host,
            route,
            tickets,
        }
    }

    /// The counters of a rule.
    pub(super) fn tickets(&self, matched: &Matched<'_>) -> Option<&Tickets> {
        let mut rules = self.route.rules.iter().zip(&self.tickets);
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
