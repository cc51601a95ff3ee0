//! From what is live to what is wanted: ordered steps, and the layout of rows that results.
//!
//! Pure: the layout is a value that says what is where in the kernel; planning gives the next
//! layout and the steps that lead there. Rows are never changed once they are published: a change
//! writes new rows, swings the pointer in SERVICES, and takes the old rows back after a grace
//! period, when no program can still be reading them.

mod allocate;
mod egress;
mod gains;
mod judged;
mod layout;
mod names;
mod step;

pub use egress::{Change, EgressRows, EgressSettings, EgressStep};
pub use judged::Judged;
pub use layout::{Capacity, Differences, Layout, Placed};
pub use names::{Name, Names};
pub use step::{Plan, PlanError, Step};
