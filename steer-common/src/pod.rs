//! The row types are plain data: fixed layout, every bit pattern valid, no padding.
//! That they have no padding is asserted by their sizes beside each type.

use crate::{
    addr::Addr,
    connection::{Connection, Opened, TcpOpened},
    counted::Counted,
    edge::{EdgeFlow, EdgeKey},
    egress::{
        Allowed, Event, Flow, FlowKey, Grant, HostKey, HostRule, Learned, LearnedKey, Meta,
        NameKey, NameRule, NetKey, NetRule, Policy, PortRow, Query, QueryKey, Resolver, SeenName,
    },
    endpoint::Endpoint,
    flow::{Affinity, AffinityKey, Member, MemberKey, Origin, ReplyKey, TcpOrigin},
    index::Bucket,
    service::{Route, Source},
    tap::Tapped,
};

// SAFETY: `repr(C)`, integers and arrays of integers only, no padding.
unsafe impl aya::Pod for Bucket {}
// SAFETY: as above.
unsafe impl aya::Pod for Route {}
// SAFETY: as above.
unsafe impl aya::Pod for Source {}
// SAFETY: as above.
unsafe impl aya::Pod for Tapped {}
// SAFETY: as above.
unsafe impl aya::Pod for Counted {}
// SAFETY: as above.
unsafe impl aya::Pod for Endpoint {}
// SAFETY: as above.
unsafe impl aya::Pod for Origin {}
// SAFETY: as above.
unsafe impl aya::Pod for TcpOrigin {}
// SAFETY: as above.
unsafe impl aya::Pod for ReplyKey {}
// SAFETY: as above.
unsafe impl aya::Pod for AffinityKey {}
// SAFETY: as above.
unsafe impl aya::Pod for Affinity {}
// SAFETY: as above.
unsafe impl aya::Pod for MemberKey {}
// SAFETY: as above.
unsafe impl aya::Pod for Member {}
// SAFETY: as above.
unsafe impl aya::Pod for Allowed {}
// SAFETY: as above.
unsafe impl aya::Pod for Event {}
// SAFETY: as above.
unsafe impl aya::Pod for Flow {}
// SAFETY: as above.
unsafe impl aya::Pod for FlowKey {}
// SAFETY: as above.
unsafe impl aya::Pod for Grant {}
// SAFETY: as above.
unsafe impl aya::Pod for HostKey {}
// SAFETY: as above.
unsafe impl aya::Pod for HostRule {}
// SAFETY: as above.
unsafe impl aya::Pod for Learned {}
// SAFETY: as above.
unsafe impl aya::Pod for LearnedKey {}
// SAFETY: as above.
unsafe impl aya::Pod for Meta {}
// SAFETY: as above.
unsafe impl aya::Pod for NameKey {}
// SAFETY: as above.
unsafe impl aya::Pod for NameRule {}
// SAFETY: as above.
unsafe impl aya::Pod for NetKey {}
// SAFETY: as above.
unsafe impl aya::Pod for NetRule {}
// SAFETY: as above.
unsafe impl aya::Pod for Policy {}
// SAFETY: as above.
unsafe impl aya::Pod for PortRow {}
// SAFETY: as above.
unsafe impl aya::Pod for Query {}
// SAFETY: as above.
unsafe impl aya::Pod for QueryKey {}
// SAFETY: as above.
unsafe impl aya::Pod for Resolver {}
// SAFETY: as above.
unsafe impl aya::Pod for SeenName {}
// SAFETY: as above.
unsafe impl aya::Pod for Connection {}
// SAFETY: as above.
unsafe impl aya::Pod for Opened {}
// SAFETY: as above.
unsafe impl aya::Pod for TcpOpened {}
// SAFETY: as above.
unsafe impl aya::Pod for Addr {}
// SAFETY: as above.
unsafe impl aya::Pod for EdgeKey {}
// SAFETY: as above.
unsafe impl aya::Pod for EdgeFlow {}
