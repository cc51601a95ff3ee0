//! RESOLVERS and `DNS_QUERIES`: who may teach names, and what was asked.

use crate::addr::{Addr, Port};

/// A row of RESOLVERS, by address. Its being there is what counts.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Resolver {
    /// Always zero.
    pub flags: u32,
}

/// The port on which resolvers answer.
pub const DNS_PORT: Port = Port::new(53);

/// Key of `DNS_QUERIES`: a question that is not answered yet. An answer nobody asked for teaches
/// nothing.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct QueryKey {
    /// The network-namespace cookie of the client.
    pub client: u64,
    /// Who was asked.
    pub resolver: Addr,
    /// The client's port.
    pub port: Port,
    /// The message's number.
    pub id: u16,
    /// IANA's protocol number.
    pub proto: u32,
    /// Hash of the name, folded, and of the type that were asked for; 0 if it could not be read. Part of
    /// the key: clients number what they ask at once (A and AAAA) at random, and the same number may come
    /// twice.
    pub question: u64,
}

/// Value of `DNS_QUERIES`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Query {
    /// Second of the monotonic clock.
    pub asked_secs: u32,
    /// Always zero.
    pub pad: u32,
}

/// A question that is older than this was not asked: resolvers give up long before.
pub const QUERY_LIFE_SECS: u32 = 30;

const _: () = assert!(size_of::<QueryKey>() == 40 && size_of::<Query>() == 8);
