//! The promise of the split, over arbitrary weights.

use proptest::prelude::*;

use super::*;
use crate::weights::{WeightError, gcd, scale, stride};
use crate::{service::Destination, service::ServiceKey};

fn route(weights: &[u32]) -> Route {
    let scale = scale(weights).unwrap();
    let mut destinations = [Destination::default(); DESTINATIONS_MAX];
    for (destination, weight) in destinations.iter_mut().zip(weights) {
        destination.weight = weight / scale.divisor;
    }
    Route {
        key: ServiceKey::default(),
        service: 0,
        split: 0,
        flags: 0,
        total: scale.total,
        stride: scale.stride,
        counters: 0,
        destination_count: u32::try_from(weights.len()).unwrap(),
        affinity_secs: 0,
        generation: 0,
        rule: 0,
        destinations,
    }
}

fn count(route: &Route, tickets: core::ops::Range<u64>) -> [u64; DESTINATIONS_MAX] {
    let mut counts = [0; DESTINATIONS_MAX];
    for ticket in tickets {
        counts[draw(route, ticket).unwrap().destination as usize] += 1;
    }
    counts
}

#[test]
fn ninety_ten_is_exact_in_every_window_of_a_hundred() {
    let route = route(&[90, 10]);
    assert_eq!((route.total, route.destinations[1].weight), (10, 1));
    for start in 0..1000 {
        assert_eq!(
            count(&route, start..start + 100)[..2],
            [90, 10],
            "from ticket {start}"
        );
    }
}

#[test]
fn no_weight_draws_nothing() {
    assert_eq!(draw(&route(&[0, 0]), 7), None);
}

#[test]
fn one_destination_takes_all_and_rotates_by_ticket() {
    let route = route(&[100]);
    for ticket in 0..50 {
        assert_eq!(
            draw(&route, ticket),
            Some(Draw {
                destination: 0,
                turn: ticket
            })
        );
    }
}

#[test]
fn sums_beyond_32_bits_are_refused() {
    let weights = [u32::MAX, u32::MAX - 1];
    assert_eq!(
        scale(&weights),
        Err(WeightError::SumTooLarge {
            sum: 2 * 4_294_967_295 - 1
        })
    );
    assert!(
        scale(&[u32::MAX, u32::MAX]).is_ok(),
        "equal weights divide to 1 and 1"
    );
}

/// So many of these still sum to a u32.
const WEIGHT_MAX: u32 = 1 << 27;
const _: () = assert!(WEIGHT_MAX as usize * DESTINATIONS_MAX < u32::MAX as usize);

proptest! {
    /// Any window of W consecutive tickets, from any start, holds each destination `weight` times.
    #[test]
    fn any_period_is_exact(
        weights in prop::collection::vec(0_u32..200, 1..=DESTINATIONS_MAX),
        start in any::<u32>(),
    ) {
        prop_assume!(weights.iter().any(|&weight| weight > 0));
        let route = route(&weights);
        let start = u64::from(start);
        let counts = count(&route, start..start + u64::from(route.total));
        for (index, destination) in route.destinations.iter().enumerate() {
            prop_assert_eq!(counts[index], u64::from(destination.weight));
        }
    }

    /// Weight 0 is never drawn, and the arithmetic holds at the ends of the ticket's range.
    #[test]
    fn zero_is_never_drawn(
        // Weights whose sum fits, whatever they are, and zeroes among them.
        weights in prop::collection::vec(
            prop_oneof![Just(0), 1..=WEIGHT_MAX],
            1..=DESTINATIONS_MAX,
        ),
        ticket in any::<u64>(),
    ) {
        prop_assume!(weights.iter().any(|&weight| weight > 0));
        let drawn = draw(&route(&weights), ticket).unwrap();
        prop_assert!(weights[drawn.destination as usize] > 0);
    }

    /// Turns of one destination count up without a gap, so its endpoints rotate evenly.
    #[test]
    fn turns_are_dense(weights in prop::collection::vec(1_u32..50, 1..6), periods in 1_u64..4) {
        let route = route(&weights);
        let mut seen = [(); DESTINATIONS_MAX].map(|()| Vec::new());
        for ticket in 0..periods * u64::from(route.total) {
            let drawn = draw(&route, ticket).unwrap();
            seen[drawn.destination as usize].push(drawn.turn);
        }
        for (index, turns) in seen.iter_mut().enumerate() {
            turns.sort_unstable();
            let expected = periods * u64::from(route.destinations[index].weight);
            prop_assert_eq!(turns.clone(), (0..expected).collect::<Vec<_>>());
        }
    }

    /// The stride permutes the residues.
    #[test]
    fn stride_is_coprime(total in 1_u32..) {
        let stride = stride(total);
        prop_assert_eq!(gcd(stride, total), 1);
        prop_assert!(stride >= 1 && (stride < total || total == 1));
    }
}
