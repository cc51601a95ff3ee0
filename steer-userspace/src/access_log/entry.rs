//! What is known of a request or a connection when it has ended.

use std::{net::SocketAddr, time::Duration};

use http::{HeaderMap, Method, Version};
use jiff::Timestamp;

use crate::source::object::PodRef;

/// Whose line it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Side {
    /// That of the pod that asked.
    Client,
    /// That of the pod that was asked.
    Server,
}

/// One request, or one connection whose bytes nobody looked at.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The pod that it was of.
    pub pod: PodRef,
    /// When it began.
    pub start: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// The request; none of a connection.
    pub request: Option<Request>,
    /// The status of the answer; 0 if there was none.
    pub status: u16,
    /// What went wrong, in Envoy's order.
    pub flags: Vec<Flag>,
    /// Why it was answered so.
    pub details: Option<&'static str>,
    /// Bytes of bodies that came from the client; of a connection, all of them.
    pub received: u64,
    /// Bytes of bodies that went to the client; of a connection, all of them.
    pub sent: u64,
    /// How long the server took until its answer began.
    pub service_time: Option<Duration>,
    /// The endpoint.
    pub upstream: Option<SocketAddr>,
    /// This end of the connection to it.
    pub upstream_local: Option<SocketAddr>,
    /// As Envoy's clusters are named.
    pub cluster: Option<String>,
    /// What the client dialled.
    pub dialled: Option<SocketAddr>,
    /// The client.
    pub client: Option<SocketAddr>,
    /// The rule that took it.
    pub route: Option<String>,
    /// The name that the client asked for in TLS, at a gateway.
    pub server_name: Option<String>,
}

/// A request, and what was answered.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// The path that the client asked for, with its query.
    pub path: String,
    /// The path that the server was asked for, if that is another.
    pub rewritten: Option<String>,
    /// The version of HTTP.
    pub version: Version,
    /// Whom it was for.
    pub authority: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Those of the answer.
    pub answer: HeaderMap,
}

/// What went wrong, as Envoy's `RESPONSE_FLAGS` have it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Flag {
    /// No endpoint.
    NoHealthyUpstream,
    /// The endpoint could not be connected to.
    UpstreamConnectionFailure,
    /// The endpoint ended the connection.
    UpstreamConnectionTermination,
    /// Tried again as often as may be.
    UpstreamRetryLimitExceeded,
    /// The endpoint was late.
    UpstreamRequestTimeout,
    /// The client went.
    DownstreamConnectionTermination,
    /// What the client sent is no such request.
    DownstreamProtocolError,
    /// No rule takes it.
    NoRouteFound,
    /// Made late on purpose.
    DelayInjected,
    /// Failed on purpose.
    FaultInjected,
    /// What the endpoint sent is no answer.
    UpstreamProtocolError,
}

impl Flag {
    /// `RESPONSE_CODE_DETAILS` of an answer that was given for it.
    pub const fn details(self) -> Option<&'static str> {
        match self {
            Self::NoHealthyUpstream => Some("no_healthy_upstream"),
            Self::UpstreamConnectionFailure => {
                Some("upstream_reset_before_response_started{connection_failure}")
            }
            Self::UpstreamConnectionTermination => {
                Some("upstream_reset_before_response_started{connection_termination}")
            }
            Self::UpstreamRequestTimeout => Some("response_timeout"),
            Self::DownstreamConnectionTermination => Some("downstream_remote_disconnect"),
            Self::NoRouteFound => Some("route_not_found"),
            Self::FaultInjected => Some("fault_filter_abort"),
            Self::UpstreamProtocolError => {
                Some("upstream_reset_before_response_started{protocol_error}")
            }
            Self::UpstreamRetryLimitExceeded
            | Self::DownstreamProtocolError
            | Self::DelayInjected => None,
        }
    }

    /// As lines have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoHealthyUpstream => "UH",
            Self::UpstreamConnectionFailure => "UF",
            Self::UpstreamConnectionTermination => "UC",
            Self::UpstreamRetryLimitExceeded => "URX",
            Self::UpstreamRequestTimeout => "UT",
            Self::DownstreamConnectionTermination => "DC",
            Self::DownstreamProtocolError => "DPE",
            Self::NoRouteFound => "NR",
            Self::DelayInjected => "DI",
            Self::FaultInjected => "FI",
            Self::UpstreamProtocolError => "UPE",
        }
    }
}
