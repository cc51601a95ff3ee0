//! Access logs: what is known of a request or a connection, and the line that says so.
//!
//! ```text
//! entry       what is known
//! operator    %NAME(arguments):length%, and what of an entry it stands for
//! template    text with operators
//! format      a whole line: text or JSON, Envoy's default or the mesh's own
//! line        bytes of a client that must not forge a line
//! writer      a thread that writes lines, and never keeps anybody waiting     (the only one with I/O)
//! ```

mod entry;
mod format;
mod line;
mod operator;
mod template;
mod writer;

pub use entry::{Entry, Flag, Request, Side};
pub use format::{Format, Mistake};
pub use writer::{Counted, Target, Writer};

#[cfg(test)]
mod tests;
