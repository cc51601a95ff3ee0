//! What the kernel programs and the agent share: the rows of every map, the limits, the reasons,
//! and the decision itself, written once.
//!
//! Only what both sides see lives here. No allocation, no I/O, no clock: `logic` takes the maps
//! behind a trait, so the kernel programs, `steer explain` and the property tests run the same code.
#![cfg_attr(not(test), no_std)]

pub mod addr;
pub mod connection;
pub mod counted;
pub mod edge;
pub mod egress;
pub mod endpoint;
pub mod flow;
pub mod index;
pub mod limits;
pub mod logic;
pub mod parse;
pub mod reason;
pub mod service;
pub mod tap;
pub mod weights;

#[cfg(feature = "user")]
mod pod;

pub use addr::{Addr, Port, Proto};
pub use endpoint::Endpoint;
pub use reason::Reason;
pub use service::{Depth, Destination, Route, ServiceKey, Source};

/// Version of the map layout. A change of any row type here means a new number, and with it a new
/// directory of pins.
pub const ABI_VERSION: u32 = 7;
