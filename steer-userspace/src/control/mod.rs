//! Wires the pipeline: what was written comes in, the kernel changes, the state is told.

mod agent;
mod auto;
mod clusters_file;
mod company;
mod connections;
mod edge;
mod edge_file;
mod engine;
mod events;
mod features;
mod feed;
mod history;
mod json_file;
mod lock;
mod metrics;
mod names_file;
mod outside;
mod refusals;
mod requests;
mod requests_file;
mod resolve;
mod rules;
mod scan;
mod seed;
mod status;
mod strays;
mod truth;
mod watch;

pub use agent::{Agent, AgentError, AgentSettings};
pub use auto::{Bounds as AutoBounds, Kept, read_kept};
pub use clusters_file::read_clusters;
pub use edge_file::read_edge;
pub use engine::{Applied, Engine, EngineError, EngineSettings};
pub use events::{Happened, NAME as EVENTS_SOCKET, What};
pub use feed::{FeedError, Origin};
pub use history::{Entry, Rollback, entry_of, read_history, read_rollback, set_rollback};
pub use lock::{Lock, LockError};
pub use metrics::MetricsSettings;
pub use names_file::{NamesFile, read_names};
pub use refusals::{Counted, Refusal, read_refusals};
#[cfg(test)]
pub(crate) use requests::shown;
pub use requests_file::{read_requests, read_taken};
pub use seed::{SeedError, seed};
pub use status::{State, Status, read_status};
pub use watch::Watch;

/// Every file that an agent keeps in its state directory; the lock last, so that whoever removes them in
/// this order lets no agent start in between.
pub const STATE_FILES: [&str; 12] = [
    history::HISTORY_FILE,
    history::ROLLBACK_FILE,
    names_file::NAME,
    clusters_file::NAME,
    requests_file::NAME,
    edge_file::NAME,
    auto::NAME,
    requests_file::TAKEN,
    refusals::FILE,
    status::NAME,
    events::NAME,
    lock::NAME,
];

/// Where the agent keeps its names, status and lock by default.
pub const DEFAULT_STATE: &str = "/run/steer";
