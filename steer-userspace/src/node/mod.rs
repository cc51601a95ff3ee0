//! The node as the kernel shows it: which network namespaces are pods, and by which interface they
//! hang on it. No container runtime is asked.

pub mod canary;
mod cgroup;
pub mod connections;
pub mod discover;
mod error;
mod findings;
mod netlink;
mod owners;
mod pairs;
mod process;
pub mod sockets;
pub mod uplinks;
mod visit;

pub use error::NodeError;
