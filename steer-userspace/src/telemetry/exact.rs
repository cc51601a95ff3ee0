//! How exact a split is.

use steer_common::{Route, service::ROUTE_AFFINITY};

/// The largest |count - N * weight / W| over the destinations, in connections; none if clients are
/// remembered or there is no destination. `counts` are those of the destinations, in their order.
pub fn split_error(route: &Route, counts: &[u64]) -> Option<f64> {
    if route.total == 0 || route.has(ROUTE_AFFINITY) {
        return None;
    }
    let total = f64::from(route.total);
    let count: u64 = counts.iter().sum();
    let distance = |(&found, placed): (&u64, &steer_common::Destination)| {
        let exact = precise(count) * f64::from(placed.weight) / total;
        (precise(found) - exact).abs()
    };
    let distances = counts.iter().zip(route.destinations()).map(distance);
    Some((distances.fold(0.0, f64::max) * 100.0).round() / 100.0)
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn precise(count: u64) -> f64 {
    count as f64
}
