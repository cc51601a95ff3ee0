//! What comes in at the node's own ports, made ready: which virtual host takes a request, which rule
//! takes a connection.

use std::sync::Arc;

use super::{Error, Route, Share, To};
use crate::{
    certificates::Ending,
    desired::{gateway::model as desired, host::HostIndex, model::Rule},
};

/// What comes in at a port.
#[derive(Clone, Debug)]
pub enum Entrance {
    /// Requests.
    Requests(Site),
    /// TLS, by the name that is asked for.
    Names(ByName<Inside>),
    /// Other bytes; none closes.
    Bytes(Option<Stream>),
}

/// What becomes of TLS.
#[derive(Clone, Debug)]
pub enum Inside {
    /// It goes on as it is.
    Passed(Stream),
    /// It ends here; without a certificate it is refused.
    Requests(Option<Ending>, Site),
    /// The same, and bytes come out of it.
    Bytes(Option<Ending>, Option<Stream>),
}

/// Virtual hosts.
pub type Site = ByName<Arc<Route>>;

/// A rule for bytes.
#[derive(Clone, Debug)]
pub struct Stream {
    /// What made it.
    pub origin: Rule,
    share: Share,
    destinations: Vec<To>,
}

/// Values by host pattern: a name has that of the most specific one.
#[derive(Clone, Debug)]
pub struct ByName<T> {
    index: HostIndex<Option<(String, T)>>,
}

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self {
            index: HostIndex::default(),
        }
    }
}

impl Entrance {
    /// Makes what is wanted ready.
    pub fn new(wanted: &desired::Entrance) -> Result<Self, Error> {
        Ok(match wanted {
            desired::Entrance::Http(found) => Self::Requests(site(found)?),
            desired::Entrance::Tcp(found) => Self::Bytes(stream(found.as_ref())?),
            desired::Entrance::Tls(chains) => {
                let mut names = ByName::default();
                for chain in chains {
                    let inside = inside(&chain.inside)?;
                    for name in &chain.names {
                        names.add(name, inside.clone());
                    }
                }
                Self::Names(names)
            }
        })
    }
}

fn inside(wanted: &desired::Inside) -> Result<Inside, Error> {
    Ok(match wanted {
        desired::Inside::Passed(found) => Inside::Passed(Stream::new(found)?),
        desired::Inside::Http(ending, found) => Inside::Requests(ending.clone(), site(found)?),
        desired::Inside::Tcp(ending, found) => {
            Inside::Bytes(ending.clone(), stream(found.as_ref())?)
        }
    })
}

fn site(wanted: &desired::Site) -> Result<Site, Error> {
    let mut hosts = Site::default();
    for found in &wanted.hosts {
        hosts.add(&found.host, Arc::new(Route::new(&found.rules)?));
    }
    Ok(hosts)
}

fn stream(wanted: Option<&desired::Stream>) -> Result<Option<Stream>, Error> {
    wanted.map(Stream::new).transpose()
}

impl Stream {
    fn new(wanted: &desired::Stream) -> Result<Self, Error> {
        let to = wanted.destinations.iter();
        let weights: Vec<u32> = to.clone().map(|to| to.weight).collect();
        Ok(Self {
            origin: wanted.rule.clone(),
            share: Share::new(&weights).map_err(Error::Weights)?,
            destinations: to
                .map(|to| To::new(to, None))
                .collect::<Result<_, Error>>()?,
        })
    }

    /// Where the connection with this ticket goes, and how often that destination was drawn before.
    pub fn draw(&self, ticket: u64) -> Option<(&To, u64)> {
        let drawn = self.share.draw(ticket)?;
        let to = self.destinations.get(drawn.destination as usize)?;
        Some((to, drawn.turn))
    }
}

impl<T> ByName<T> {
    /// Adds the value of a pattern, unless it has one.
    pub fn add(&mut self, pattern: &str, value: T) {
        let known = self.index.entry(pattern);
        known.get_or_insert_with(|| (pattern.to_owned(), value));
    }

    /// The same with other values.
    pub fn map<U>(&self, mut with: impl FnMut(&str, &T) -> U) -> ByName<U> {
        let mut mapped = ByName::default();
        for (name, value) in self.index.values().flatten() {
            mapped.add(name, with(name, value));
        }
        mapped
    }

    /// That of a host, or of an authority with a port: the exact one, then the longest `*.x`, then `*`.
    pub fn find(&self, authority: &str) -> Option<&T> {
        let name = without_port(authority).to_ascii_lowercase();
        // What begins so is a pattern, no host.
        if name.starts_with('*') {
            return None;
        }
        let mut found = self.index.all(&name).flatten();
        found.next().map(|(_, value)| value)
    }
}

/// An IPv6 address keeps its brackets.
fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, _)) if !host.contains(':') || host.ends_with(']') => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> ByName<String> {
        let mut names = ByName::default();
        all.iter()
            .for_each(|name| names.add(name, (*name).to_owned()));
        names
    }

    #[test]
    fn the_most_specific_host_takes_a_request_whatever_its_port_and_case() {
        let hosts = names(&["a.b.example", "*.b.example", "*.example", "[fd00::1]"]);
        let found = |authority: &str| hosts.find(authority).map(String::as_str);
        assert_eq!(found("A.b.Example:30000"), Some("a.b.example"));
        assert_eq!(found("x.y.b.example"), Some("*.b.example"));
        assert_eq!(found("b.example"), Some("*.example"));
        assert_eq!(found("example"), None);
        assert_eq!(found("[fd00::1]:80"), Some("[fd00::1]"));
        assert_eq!(found(""), None);
        let open = names(&["*", "a.example"]);
        assert_eq!(open.find("").map(String::as_str), Some("*"));
        assert_eq!(open.find("b.example").map(String::as_str), Some("*"));
    }
}
