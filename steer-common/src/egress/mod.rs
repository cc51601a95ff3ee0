//! Egress: the rows that say what a pod may reach, and those that the kernel learns.

pub mod dns;
pub mod event;
pub mod flow;
pub mod host;
pub mod learned;
pub mod meta;
pub mod name;
pub mod net;
pub mod policy;
pub mod port;

pub use dns::{Query, QueryKey, Resolver};
pub use event::{Event, EventKind, Layer};
pub use flow::{Flow, FlowKey, FlowState};
pub use host::{Check, HostId, HostKey, HostRule};
pub use learned::{Grant, Learned, LearnedKey};
pub use meta::Meta;
pub use name::{NameKey, NameRule, SeenName};
pub use net::{NetKey, NetRule};
pub use policy::{Allowed, AllowedSocket, Mode, Policy, PolicyId};
pub use port::PortRow;
