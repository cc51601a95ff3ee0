//! What the cluster is told: how far each rule is enforced, as a status condition of it, and findings as
//! Events. Only of a cluster; files have no status.

mod conditions;
mod events;
mod lease;
mod verdict;
mod writer;

pub use verdict::{Note, Report, Verdict, report};
pub use writer::Feedback;
