//! The lab, and what the tests share.
//!
//! A lab is a node on which pods run, made of the kernel's own parts: network namespaces joined by
//! veth pairs, cgroups, real servers and real clients. It lives beside its host and never touches it:
//!
//! ```text
//!        node (network namespace; the agent runs here; 10.10.0.1, 192.0.2.1)
//!          |            |            |                         |
//!        veth         veth         veth                      veth
//!          |            |            |                         |
//!       client     catalog-v1   catalog-v2     ...          outside
//!     10.10.0.20   10.10.0.12   10.10.0.13                 192.0.2.10
//! ```
//!
//! Read `topology` for what stands where, `lab` for the builder, `pod` for running things.

pub mod agent;
pub mod bins;
pub mod cgroup;
pub mod client;
pub mod dirs;
pub mod exit;
pub mod figure;
pub mod harness;
pub mod lab;
pub mod link;
pub mod manifest;
pub mod mounts;
pub mod need;
pub mod netns;
pub mod pod;
pub mod process;
pub mod record;
pub mod server;
pub mod topology;
pub mod wait;
