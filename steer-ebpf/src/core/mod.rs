//! What the hooks share: the socket's address, the maps behind the decision, counting, verdicts.

pub(crate) mod allowed;
pub(crate) mod connection;
pub(crate) mod count;
pub(crate) mod dns;
pub(crate) mod door;
pub(crate) mod egress_maps;
pub(crate) mod emit;
pub(crate) mod flows;
pub(crate) mod guard;
pub(crate) mod hello;
pub(crate) mod judge;
pub(crate) mod kernel_maps;
pub(crate) mod learn;
pub(crate) mod link;
pub(crate) mod namespace;
pub(crate) mod origin;
pub(crate) mod packet_guard;
pub(crate) mod place;
pub(crate) mod reset;
pub(crate) mod rows;
pub(crate) mod scratch;
pub(crate) mod skb;
pub(crate) mod sock;
pub(crate) mod tap;
pub(crate) mod verdict;
