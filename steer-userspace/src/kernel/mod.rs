//! The only module that knows aya: loads the programs, attaches and pins them, applies plans,
//! reads back what the maps hold.

mod apply;
mod attach;
mod beside;
pub mod capability;
pub mod cgroup;
mod connections;
mod counted;
mod edge;
mod egress;
mod error;
mod events;
#[cfg(feature = "faults")]
mod fault;
mod features;
mod fill;
mod filters;
mod grace;
pub mod heartbeat;
mod index;
mod inventory;
mod load;
mod maps;
mod migrate;
pub mod netns;
mod object;
mod own;
mod pins;
mod ports;
pub mod privilege;
pub mod probe;
mod read;
mod stats;
mod sys;
mod tap;
mod trial;
mod truth;
mod types;
mod undo;

pub use beside::{Beside, beside};
pub use connections::{Connections, OpenConnections};
pub use counted::Requests;
pub use edge::open_outside;
pub use egress::{EgressMaps, now_secs};
pub use error::KernelError;
pub use events::Events;
pub use features::Features;
pub use fill::{
    Attached, attached, idle_at, memories, open_sockets, origins, remembered, unpinned,
};
pub use grace::Grace;
pub use heartbeat::{Heartbeat, WhenAway};
pub use inventory::Inventory;
pub use load::{Kernel, KernelSettings};
pub use maps::Maps;
pub use object::{MAPS, PROGRAMS};
pub use own::OwnSockets;
pub use pins::{DEFAULT as DEFAULT_PINS, Pins, Removed};
pub use ports::Ports;
pub use stats::{Programs, Runs};
pub use tap::Tap;
pub use trial::{Trial, Tried};
pub use truth::unguarded;
pub use undo::Undo;
