//! The decision of `connect` and `sendmsg`: which endpoint, or why none.
//!
//! Fails open: whatever cannot be looked up leaves the connection as it was dialled. Only a
//! service that is known and has nowhere to go refuses, and one whose requests must be looked at
//! while nobody does, if the node is told so.

use core::ptr::read_volatile;

use crate::{
    addr::{Addr, Peer, Port, Proto},
    endpoint::Endpoint,
    flow::Recalled,
    index::{Bucket, PROBES_MAX, Place, SLOTS},
    logic::split::draw,
    reason::Reason,
    service::{
        CLASS_ANYONE, CLASS_OUTSIDE, ClassId, ROUTE_AFFINITY, ROUTE_HIDDEN, ROUTE_VARIES, Route,
        RowId, ServiceKey, SplitId,
    },
};

/// What an application asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dialled {
    /// The address.
    pub addr: Addr,
    /// The port.
    pub port: Port,
    /// The transport.
    pub proto: Proto,
}

impl Dialled {
    /// Address and port.
    #[inline(always)]
    pub const fn peer(&self) -> Peer {
        Peer::new(self.addr, self.port)
    }
}

/// The maps that lead from an address to an endpoint. The kernel reads them, `steer explain` a copy.
pub trait Tables {
    /// How many buckets SERVICES has, less one.
    fn bucket_mask(&self) -> u32;
    /// SERVICES.
    fn bucket(&self, index: u32) -> Option<&Bucket>;
    /// ROUTES.
    fn route(&self, row: RowId) -> Option<&Route>;
    /// ENDPOINTS.
    fn endpoint(&self, index: u32) -> Option<&Endpoint>;
    /// TICKETS: takes the next one.
    fn take_ticket(&self, split: SplitId) -> Option<u64>;
}

/// What the decision looks up besides: who asks, and what is known of them.
pub trait Maps {
    /// The maps that lead there.
    type Tables: Tables;
    /// These.
    fn tables(&self) -> &Self::Tables;
    /// SOURCES: the class of the client that asks.
    fn class(&self) -> Option<ClassId>;
    /// META, and the sockets that listen where the client is: who looks at the requests of a route.
    fn door(&self, route: &Route) -> Door;
    /// AFFINITY and MEMBERS: what this client was given before, if it still holds.
    fn recall(&self, route: &Route) -> Option<Recalled>;
    /// AFFINITY: notes what this client was given.
    fn remember(&self, route: &Route, endpoint: &Endpoint);
}

/// What is to be done with a connection whose requests must be looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Door {
    /// The agent listens here.
    Listener(Peer),
    /// It cannot be asked: as if requests need not be looked at.
    Open,
    /// It cannot be asked, and nothing goes unseen.
    Closed,
}

/// Where a connection goes.
#[derive(Clone, Copy, Debug)]
pub struct Steer<'a> {
    /// The route that decided.
    pub route: &'a Route,
    /// Index of the destination in the route.
    pub destination: u32,
    /// The endpoint.
    pub endpoint: &'a Endpoint,
    /// Drawn or remembered.
    pub reason: Reason,
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub enum Decision<'a> {
    /// Left as dialled.
    Pass(Reason),
    /// Refused with ECONNREFUSED.
    Refuse(Reason),
    /// Sent to an endpoint.
    Steer(Steer<'a>),
    /// Handed to the agent, which listens there.
    HandOver(&'a Route, Peer),
}

/// Decides for one connection or datagram.
#[inline(always)]
pub fn decide<'a, M: Maps>(maps: &'a M, dialled: &Dialled) -> Decision<'a> {
    let tables = maps.tables();
    let route = match find(maps, dialled) {
        Ok(route) => route,
        Err(reason) => return Decision::Pass(reason),
    };
    if route.has(ROUTE_HIDDEN) {
        return Decision::Pass(Reason::NotVisible);
    }
    let mut drawn = Reason::Drawn;
    if route.looks_at_requests() && dialled.proto as u8 == Proto::Tcp as u8 {
        match maps.door(route) {
            Door::Listener(at) => return Decision::HandOver(route, at),
            Door::Closed => return Decision::Refuse(Reason::AgentAway),
            Door::Open => drawn = Reason::CatchAll,
        }
    }
    if route.has(ROUTE_AFFINITY)
        && let Some(Recalled {
            endpoint: given,
            member,
        }) = maps.recall(route)
        && member.destination < route.destination_count
        && let Some(endpoint) = tables.endpoint(member.endpoint)
        // An element of MEMBERS that is removed is re-used at once, for any other split, while it
        // is being read here: the row of the endpoint, which outlives its readers, says whose it is.
        && endpoint.peer() == given
    {
        let (destination, reason) = (member.destination, Reason::Remembered);
        return Decision::Steer(Steer {
            route,
            destination,
            endpoint,
            reason,
        });
    }
    take(tables, route, drawn, |endpoint| {
        if route.has(ROUTE_AFFINITY) {
            maps.remember(route, endpoint);
        }
    })
}

/// Decides for a connection that comes in from outside, at a port of the node: whatever is asked, the key
/// alone says which route.
#[inline(always)]
pub fn decide_outside<'a, T: Tables>(tables: &'a T, dialled: &Peer) -> Decision<'a> {
    let key = ServiceKey::new(CLASS_OUTSIDE, dialled.addr, dialled.port, Proto::Tcp);
    match look_up(tables, &key) {
        Ok(route) => take(tables, route, Reason::Drawn, |_| ()),
        Err(reason) => Decision::Pass(reason),
    }
}

/// The route of what was dialled, for this client.
#[inline(always)]
fn find<'a, M: Maps>(maps: &'a M, dialled: &Dialled) -> Result<&'a Route, Reason> {
    let mut key = ServiceKey::new(CLASS_ANYONE, dialled.addr, dialled.port, dialled.proto);
    let tables = maps.tables();
    let route = look_up(tables, &key)?;
    if !route.has(ROUTE_VARIES) {
        return Ok(route);
    }
    match maps.class() {
        None | Some(CLASS_ANYONE) => Ok(route),
        Some(class) => {
            key.class = class;
            match look_up(tables, &key) {
                Ok(own) => Ok(own),
                // This class sees what everyone sees.
                Err(_) => Ok(route),
            }
        }
    }
}

/// SERVICES leads to ROUTES by the key's hash, and the row says whose it is.
#[inline(always)]
fn look_up<'a, T: Tables>(maps: &'a T, key: &ServiceKey) -> Result<&'a Route, Reason> {
    let place = Place::of(key);
    let mask = maps.bucket_mask();
    let mut probe = 0;
    while probe < PROBES_MAX {
        let bucket = maps
            .bucket(place.bucket(probe, mask))
            .ok_or(Reason::NotAService)?;
        let mut index = 0;
        while index < SLOTS {
            // SAFETY: a reference is valid. Volatile, because the agent may overwrite the word
            // meanwhile and it must be read once.
            let slot = unsafe { read_volatile(&raw const bucket.slots[index]) };
            if let Some(row) = place.row(slot)
                && let Some(route) = maps.route(row)
                && route.key == *key
            {
                return Ok(route);
            }
            index += 1;
        }
        if bucket.overflow == 0 {
            break;
        }
        probe += 1;
    }
    Err(Reason::NotAService)
}

/// Draws a ticket and follows it to an endpoint, of which `remember` is told.
#[inline(always)]
fn take<'a, T: Tables>(
    maps: &'a T,
    route: &'a Route,
    reason: Reason,
    remember: impl FnOnce(&Endpoint),
) -> Decision<'a> {
    if route.total == 0 {
        return Decision::Refuse(Reason::NoDestination);
    }
    let Some(ticket) = maps.take_ticket(route.split) else {
        return Decision::Pass(Reason::TicketMissing);
    };
    let Some(drawn) = draw(route, ticket) else {
        return Decision::Refuse(Reason::NoDestination);
    };
    // The index is below DESTINATIONS_MAX by construction; the mask lets the verifier know.
    let destination = &route.destinations[(drawn.destination & 15) as usize];
    if destination.count == 0 {
        return Decision::Refuse(Reason::NoEndpoint);
    }
    #[expect(clippy::cast_possible_truncation, reason = "a remainder of a u32")]
    let offset = (drawn.turn % u64::from(destination.count)) as u32;
    let Some(endpoint) = maps.endpoint(destination.first.wrapping_add(offset)) else {
        return Decision::Pass(Reason::EndpointMissing);
    };
    remember(endpoint);
    let destination = drawn.destination;
    Decision::Steer(Steer {
        route,
        destination,
        endpoint,
        reason,
    })
}

const _: () = assert!(crate::limits::DESTINATIONS_MAX == 16, "the mask in `take`");

#[cfg(test)]
mod tests;
