//! Istio's resources (`networking.istio.io` v1, v1beta1, v1alpha3: one schema; Telemetry:
//! `telemetry.istio.io` v1, v1alpha1).

mod destination_rule;
mod duration;
mod gateway;
mod http_policy;
mod listener;
pub mod mesh_config;
mod service_entry;
mod sidecar;
mod string_match;
mod telemetry;
mod traffic_policy;
mod virtual_service;

pub use destination_rule::{DestinationRule, Subset, WorkloadSelector};
pub use duration::Duration;
pub use gateway::{Gateway, Server};
pub use http_policy::{
    Abort, Body, CorsPolicy, Delay, DirectResponse, Fault, GRPC_STATUS, HeaderOperations, Headers,
    Mirror, Percent, Redirect, RegexRewrite, Retries, Rewrite, share,
};
pub use listener::{ListenerPort, ServerTls, TlsCertificate};
pub use mesh_config::{DefaultProviders, MeshConfig, MeshOrigin};
pub use service_entry::{EntryPort, EntrySelector, Resolution, ServiceEntry, WorkloadEntry};
pub use sidecar::{Egress, Ingress, Outbound, OutboundTrafficPolicy, Sidecar, SidecarSelector};
pub use string_match::StringMatch;
pub use telemetry::{
    AccessLogging, LogFilter, LogMatch, Provider, TargetRef, Telemetry, TelemetrySelector, Tracing,
};
pub use traffic_policy::{
    BackendUtilization, ClientTls, ConnectionPool, ConsistentHash, CookieAttribute, Distribute,
    Failover, Http2KeepAlive, HttpCookie, HttpPool, LoadBalancer, LocalityLb, Maglev,
    OutlierDetection, PortTrafficPolicy, ProxyProtocol, RetryBudget, RingHash, TcpKeepalive,
    TcpPool, TrafficPolicy, Tunnel, Warmup, ZoneAwareLb,
};
pub use virtual_service::{
    Copies, Delegate, Destination, HttpMatch, HttpRoute, L4Match, PortSelector, RouteDestination,
    TcpRoute, TlsMatch, TlsRoute, VirtualService, WeightedDestination,
};
