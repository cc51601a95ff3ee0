//! The only module that knows aya: loads the programs, attaches and pins them, applies plans,
//! reads back what the maps hold.

mod apply;
mod attach;
pub mod cgroup;
mod error;
mod grace;
mod live;
mod load;
mod maps;
mod object;
mod pins;
mod sys;

pub use error::KernelError;
pub use grace::Grace;
pub use live::{Asked, Live};
pub use load::{Kernel, KernelSettings};
pub use maps::Maps;
pub use object::{MAPS, PROGRAMS};
pub use pins::Pins;
