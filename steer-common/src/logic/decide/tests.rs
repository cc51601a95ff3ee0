//! The decision on maps made by hand.

use core::{cell::Cell, net::Ipv4Addr};

use super::*;
use crate::{flow::Member, index::row, service::Destination, weights::scale};

/// One service with affinity: endpoints 0 and 1 are its own, 2 is another's.
struct Hand {
    bucket: Bucket,
    route: Route,
    endpoints: [Endpoint; 3],
    recalled: Option<Recalled>,
    tickets: Cell<u64>,
    door: Door,
}

fn endpoint(number: u8) -> Endpoint {
    Endpoint {
        addr: Ipv4Addr::new(10, 0, 0, number).into(),
        port: Port::new(80),
        ..Endpoint::default()
    }
}

const SERVICE: ServiceKey = ServiceKey::new(
    CLASS_ANYONE,
    Addr::from_v4_word(1),
    Port::new(80),
    Proto::Tcp,
);

impl Hand {
    fn new(recalled: Option<Recalled>) -> Self {
        let scale = scale(&[1]).unwrap();
        let mut destinations = [Destination::default(); 16];
        destinations[0] = Destination {
            first: 0,
            count: 2,
            weight: 1,
            subset: 0,
        };
        let route = Route {
            key: SERVICE,
            service: 0,
            split: 0,
            flags: ROUTE_AFFINITY,
            total: scale.total,
            stride: scale.stride,
            counters: 0,
            destination_count: 1,
            affinity_secs: 100,
            generation: 1,
            rule: 0,
            destinations,
        };
        let mut bucket = Bucket::default();
        bucket.slots[0] = Place::of(&SERVICE).slot(0);
        Self {
            bucket,
            route,
            endpoints: [1, 2, 3].map(endpoint),
            recalled,
            tickets: Cell::new(0),
            door: Door::Open,
        }
    }

    fn decide(&self) -> (Reason, Peer) {
        let dialled = Dialled {
            addr: SERVICE.addr,
            port: SERVICE.port,
            proto: Proto::Tcp,
        };
        match decide(self, &dialled) {
            Decision::Steer(steer) => (steer.reason, steer.endpoint.peer()),
            other => panic!("{other:?}"),
        }
    }
}

impl Tables for Hand {
    fn bucket_mask(&self) -> u32 {
        0
    }

    fn bucket(&self, _index: u32) -> Option<&Bucket> {
        Some(&self.bucket)
    }

    fn route(&self, found: RowId) -> Option<&Route> {
        (found == row(self.bucket.slots[0])).then_some(&self.route)
    }

    fn endpoint(&self, index: u32) -> Option<&Endpoint> {
        self.endpoints.get(index as usize)
    }

    fn take_ticket(&self, _split: SplitId) -> Option<u64> {
        let ticket = self.tickets.get();
        self.tickets.set(ticket + 1);
        Some(ticket)
    }
}

impl Maps for Hand {
    type Tables = Self;

    fn tables(&self) -> &Self {
        self
    }

    fn class(&self) -> Option<ClassId> {
        None
    }

    fn door(&self, _route: &Route) -> Door {
        self.door
    }

    fn recall(&self, _route: &Route) -> Option<Recalled> {
        self.recalled
    }

    fn remember(&self, _route: &Route, _endpoint: &Endpoint) {}
}

fn recalled(given: u8, endpoint: u32, destination: u32) -> Recalled {
    Recalled {
        endpoint: self::endpoint(given).peer(),
        member: Member {
            endpoint,
            destination,
        },
    }
}

#[test]
fn what_was_given_before_is_given_again() {
    let hand = Hand::new(Some(recalled(2, 1, 0)));
    assert_eq!(hand.decide(), (Reason::Remembered, endpoint(2).peer()));
    assert_eq!(hand.tickets.get(), 0);
}

/// The element was re-used for another split while it was read: the client draws anew.
#[test]
fn a_member_of_another_split_is_not_believed() {
    for stale in [
        recalled(2, 2, 0),
        recalled(2, 0, 0),
        recalled(2, 1, 7),
        recalled(2, 9, 0),
    ] {
        let hand = Hand::new(Some(stale));
        assert_eq!(hand.decide(), (Reason::Drawn, endpoint(1).peer()));
        assert_eq!(hand.tickets.get(), 1);
    }
}

#[test]
fn without_memory_tickets_take_turns() {
    let hand = Hand::new(None);
    let drawn = [hand.decide().1, hand.decide().1, hand.decide().1];
    assert_eq!(drawn, [1, 2, 1].map(|number| endpoint(number).peer()));
}

#[test]
fn requests_are_handed_over_where_somebody_looks_at_them() {
    let agent = Peer::new(Addr::from_v4_word(2), Port::new(3));
    let dialled = Dialled {
        addr: SERVICE.addr,
        port: SERVICE.port,
        proto: Proto::Tcp,
    };
    let mut hand = Hand::new(None);
    // Whatever the door: nobody asks about connections.
    hand.door = Door::Closed;
    assert_eq!(hand.decide().0, Reason::Drawn);
    hand.route.flags = Route::depth_bits(crate::Depth::Request);
    assert!(matches!(
        decide(&hand, &dialled),
        Decision::Refuse(Reason::AgentAway)
    ));
    hand.door = Door::Listener(agent);
    assert!(matches!(
        decide(&hand, &dialled),
        Decision::HandOver(_, at) if at == agent
    ));
    hand.door = Door::Open;
    assert_eq!(hand.decide().0, Reason::CatchAll);
}
