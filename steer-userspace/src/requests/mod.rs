//! Rules that look at requests, made ready: which rule takes a request, and what it does to it.
//!
//! A function of its input: what is drawn, it is told the ticket of; what takes time, it only says.

mod answer;
mod change;
mod cors;
mod entrance;
mod fault;
mod listed;
mod matching;
mod mirror;
mod path;
mod retry;
mod route;
mod share;
mod shown;
mod text;

pub use answer::{Answer, Redirect};
pub use change::HeaderChange;
pub use cors::{Cors, CorsAnswer};
pub use entrance::{ByName, Entrance, Inside, Site, Stream};
pub use fault::{Abort, Fault};
pub use listed::{Listed, listed};
pub use matching::Seen;
pub use mirror::{Mirror, shadow};
pub use path::Rewrite;
pub use retry::{Failure, RetryPolicy};
pub use route::{Action, Error, Forward, Matched, Route, Rule, To};
pub use share::Share;
pub use shown::Shown;

#[cfg(test)]
mod tests;
