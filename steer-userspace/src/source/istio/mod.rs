//! Istio's resources (`networking.istio.io` v1, v1beta1, v1alpha3: one schema).

mod destination_rule;
mod string_match;
mod virtual_service;

pub use destination_rule::{
    DestinationRule, LoadBalancer, Subset, TrafficPolicy, WorkloadSelector,
};
pub use string_match::StringMatch;
pub use virtual_service::{
    Delegate, Destination, HttpMatch, HttpRoute, L4Match, PortSelector, RouteDestination, TcpRoute,
    TlsMatch, TlsRoute, VirtualService, WeightedDestination,
};
