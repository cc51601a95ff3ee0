//! Interfaces, addresses and routes, over netlink.

use std::{
    net::IpAddr,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use anyhow::{Context as _, Result};
use netlink_packet_route::{
    address::{AddressAttribute, AddressFlags},
    link::{InfoData, InfoVeth},
    route::{RouteFlags, RouteType},
};
use nix::net::if_::if_nametoindex;
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};

/// Number of the loopback interface in every network namespace.
pub const LOOPBACK: u32 = 1;

/// Makes the pair `name` here, `peer` in the namespace `peer_net`; `name` is up. Says its number.
pub async fn add_veth(
    handle: &Handle,
    name: &str,
    peer: &str,
    peer_net: BorrowedFd<'_>,
) -> Result<u32> {
    let other = LinkMessageBuilder::<LinkUnspec>::default()
        .name(peer)
        .setns_by_fd(peer_net.as_raw_fd())
        .build();
    let pair = LinkVeth::new(name, peer)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(other)))
        .up()
        .build();
    handle
        .link()
        .add(pair)
        .execute()
        .await
        .with_context(|| format!("add the veth {name}"))?;
    index(name)
}

/// The number of the interface `name` of the calling thread's namespace.
pub fn index(name: &str) -> Result<u32> {
    if_nametoindex(name).with_context(|| format!("find the interface {name}"))
}

/// Removes every filter from what comes in at an interface.
pub async fn remove_filters(handle: &Handle, index: u32) -> Result<()> {
    handle
        .traffic_filter(index.cast_signed())
        .del()
        .ingress()
        .execute()
        .await
        .with_context(|| format!("remove the filters of interface {index}"))
}

/// Sets an interface up.
pub async fn set_up(handle: &Handle, index: u32) -> Result<()> {
    let message = LinkUnspec::new_with_index(index).up().build();
    handle
        .link()
        .set(message)
        .execute()
        .await
        .context("set the interface up")
}

/// Adds an address of full length, usable at once.
pub async fn add_address(handle: &Handle, index: u32, address: IpAddr) -> Result<()> {
    let length = full_length(address);
    let mut request = handle.address().add(index, address, length);
    if address.is_ipv6() {
        // Detection of duplicates would keep the address unusable for a second.
        let flags = AddressFlags::Nodad;
        request
            .message_mut()
            .attributes
            .push(AddressAttribute::Flags(flags));
    }
    request
        .execute()
        .await
        .with_context(|| format!("add the address {address}"))
}

/// A route to add.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Where to: network and length of its prefix.
    pub to: (IpAddr, u8),
    /// The next hop, taken to be on the link.
    pub via: Option<IpAddr>,
    /// The interface to leave by; none refuses what goes there.
    pub by: Option<u32>,
}

impl Route {
    /// The way to one host behind the interface `by`.
    pub fn to_host(address: IpAddr, by: u32) -> Self {
        Self {
            to: (address, full_length(address)),
            via: None,
            by: Some(by),
        }
    }

    /// The way to everywhere else, through `via`.
    pub fn default_through(via: IpAddr, by: u32) -> Self {
        let any: IpAddr = if via.is_ipv4() {
            [0; 4].into()
        } else {
            [0u16; 8].into()
        };
        Self {
            to: (any, 0),
            via: Some(via),
            by: Some(by),
        }
    }

    /// Refuses what goes there. TCP learns of it at its first retransmission, after a second: an error
    /// that comes while `connect` still sends is no reason for it to give up.
    pub fn unreachable(to: (IpAddr, u8)) -> Self {
        Self {
            to,
            via: None,
            by: None,
        }
    }
}

/// Adds a route.
pub async fn add_route(handle: &Handle, route: Route) -> Result<()> {
    let (network, length) = route.to;
    let mut builder = RouteMessageBuilder::<IpAddr>::new().destination_prefix(network, length)?;
    match route.by {
        Some(by) => builder = builder.output_interface(by),
        None => builder = builder.kind(RouteType::Unreachable),
    }
    if let Some(via) = route.via {
        builder = builder.gateway(via)?;
    }
    let mut message = builder.build();
    if route.via.is_some() {
        message.header.flags = RouteFlags::Onlink;
    }
    let added = handle.route().add(message).execute().await;
    added.with_context(|| format!("add the route to {network}/{length}"))
}

fn full_length(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}
