//! Copies of requests: which ones are made, and where they go.

use super::{
    route::{Error, To},
    share::Share,
};
use crate::desired::{MirrorHost, model::Mirror as Written};

/// One mirror of a rule.
#[derive(Clone, Debug)]
pub struct Mirror {
    share: Share,
    /// Where copies go.
    pub to: To,
    /// The host that they name.
    pub host: MirrorHost,
}

impl Mirror {
    pub(super) fn new(written: &Written) -> Result<Self, Error> {
        Ok(Self {
            share: Share::of_million(written.millionths),
            to: To::new(&written.to, None)?,
            host: written.host,
        })
    }

    /// Whether the request with this ticket is copied, and how many were before it.
    pub fn draw(&self, ticket: u64) -> Option<u64> {
        let drawn = self.share.draw(ticket)?;
        (drawn.destination == 0).then_some(drawn.turn)
    }
}

/// The authority that a copy is sent with: `-shadow` before the port, so that whoever serves both can tell
/// copies from requests, as Envoy says it.
pub fn shadow(authority: &str) -> String {
    let (host, port) = match authority.rsplit_once(':') {
        // A colon inside of brackets is the address's own.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    match port {
        Some(port) => format!("{host}-shadow:{port}"),
        None => format!("{host}-shadow"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_told_by_their_host() {
        for (authority, expected) in [
            ("catalog", "catalog-shadow"),
            (
                "catalog.istioinaction:80",
                "catalog.istioinaction-shadow:80",
            ),
            ("[2001:db8::1]", "[2001:db8::1]-shadow"),
            ("[2001:db8::1]:80", "[2001:db8::1]-shadow:80"),
        ] {
            assert_eq!(shadow(authority), expected);
        }
    }
}
