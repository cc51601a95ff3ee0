//! The steps of a plan, in the order in which they are safe.

use steer_common::{
    endpoint::Endpoint,
    flow::{Member, MemberKey},
    service::{Route, RowId, ServiceKey, Source, SplitId},
};

use super::{Judged, egress::EgressStep, names::Name};

/// One write to one map.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Notes that a generation is being applied.
    Begin {
        /// Which.
        generation: u32,
    },
    /// Notes that it is in force.
    Finish {
        /// Which.
        generation: u32,
    },
    /// Fills unused rows of ENDPOINTS.
    Endpoints {
        /// The first row.
        first: u32,
        /// The rows.
        rows: Vec<Endpoint>,
    },
    /// Starts a new split at ticket 0.
    StartTickets {
        /// The split.
        split: SplitId,
    },
    /// Starts unused rows of COUNTERS at 0.
    StartCounters {
        /// The first row.
        first: u32,
        /// How many.
        count: u32,
    },
    /// Fills an unused row of ROUTES.
    Route {
        /// The row.
        row: RowId,
        /// Its content.
        route: Box<Route>,
    },
    /// Says that an endpoint may still be given to clients that had it.
    AddMember {
        /// Which.
        key: MemberKey,
        /// Where it stands.
        member: Member,
    },
    /// Points a service to its row: from here on it is in force.
    Publish {
        /// The service.
        key: ServiceKey,
        /// The row.
        row: RowId,
        /// The row it pointed to before.
        replaces: Option<RowId>,
    },
    /// Says who a network namespace is.
    SetSource {
        /// Its cookie.
        cookie: u64,
        /// Who it is.
        source: Source,
    },
    /// Forgets a network namespace.
    RemoveSource {
        /// Its cookie.
        cookie: u64,
    },
    /// A service is no more: connections are left as dialled.
    Unpublish {
        /// The service.
        key: ServiceKey,
        /// The row it pointed to.
        row: RowId,
    },
    /// Clients that had this endpoint draw anew.
    RemoveMember {
        /// Which.
        key: MemberKey,
    },
    /// Changes what may be reached.
    Egress(EgressStep),
}

impl Step {
    /// The map it writes to.
    pub const fn map(&self) -> &'static str {
        match self {
            Self::Begin { .. } | Self::Finish { .. } => "META",
            Self::Endpoints { .. } => "ENDPOINTS",
            Self::StartTickets { .. } => "TICKETS",
            Self::StartCounters { .. } => "COUNTERS",
            Self::Route { .. } => "ROUTES",
            Self::AddMember { .. } | Self::RemoveMember { .. } => "MEMBERS",
            Self::Publish { .. } | Self::Unpublish { .. } => "SERVICES",
            Self::SetSource { .. } | Self::RemoveSource { .. } => "SOURCES",
            Self::Egress(step) => step.map(),
        }
    }
}

/// What leads from the live layout to the wanted one.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Plan {
    /// The generation that will be in force.
    pub generation: u32,
    /// In order.
    pub steps: Vec<Step>,
    /// Whom it begins to judge.
    pub judged: Judged,
    /// Names for numbers that the steps use for the first time.
    pub names: Vec<(u32, Name)>,
}

impl Plan {
    /// Nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The step from which on something that is in force changes; before it only rows are filled
    /// that nobody reads yet.
    pub fn first_in_force(&self) -> usize {
        let fills = |step: &Step| {
            matches!(
                step,
                Step::Begin { .. }
                    | Step::Endpoints { .. }
                    | Step::StartTickets { .. }
                    | Step::StartCounters { .. }
                    | Step::Route { .. }
            )
        };
        let first = self.steps.iter().position(|step| !fills(step));
        first.unwrap_or(self.steps.len())
    }

    /// Services whose routes change, appear or go.
    pub fn services_changed(&self) -> usize {
        self.moved().count()
    }

    /// Which these are.
    pub fn moved(&self) -> impl Iterator<Item = ServiceKey> + '_ {
        self.steps.iter().filter_map(|step| match step {
            Step::Publish { key, .. } | Step::Unpublish { key, .. } => Some(*key),
            _ => None,
        })
    }

    /// Pods that come, go, or belong elsewhere.
    pub fn pods_changed(&self) -> usize {
        let moves =
            |step: &&Step| matches!(step, Step::SetSource { .. } | Step::RemoveSource { .. });
        self.steps.iter().filter(moves).count()
    }

    /// Writes that change what may be reached.
    pub fn egress_writes(&self) -> usize {
        let changes = |step: &&Step| matches!(step, Step::Egress(_));
        self.steps.iter().filter(changes).count()
    }
}

/// Why there is no plan. Nothing was touched.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PlanError {
    /// A map is too small.
    #[error(
        "{map} holds {capacity} rows and this configuration needs {needed}; start the agent with \
         a larger --max-services, or remove services"
    )]
    Full {
        /// The map.
        map: &'static str,
        /// What it holds.
        capacity: u32,
        /// What is needed, at least.
        needed: u64,
    },
    /// A map of the egress guard is too small.
    #[error(
        "{map} holds {capacity} rows and what may be reached needs {needed}; remove ServiceEntries or \
         services, or what makes policies differ: Sidecars, exportTo"
    )]
    Egress {
        /// The map.
        map: &'static str,
        /// What it holds.
        capacity: u32,
        /// What is needed.
        needed: u64,
    },
    /// Enough rows exist, but rows that were just replaced are not free yet.
    #[error("{map} has no free row before the next grace period")]
    Busy {
        /// The map.
        map: &'static str,
    },
    /// The weights of a route do not fit.
    #[error("the weights of a route of {service} sum to {sum} after division by their gcd")]
    Weights {
        /// Whose.
        service: String,
        /// The sum.
        sum: u64,
    },
}
