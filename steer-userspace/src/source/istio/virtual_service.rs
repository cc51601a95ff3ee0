//! VirtualService: where the clients of a host are sent.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    CorsPolicy, DirectResponse, Duration, Fault, Headers, Mirror, Percent, Redirect, Retries,
    Rewrite, StringMatch, share,
};
use crate::source::object::Kind;

/// `VirtualService.spec`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualService {
    /// The hosts it is about.
    pub hosts: Vec<String>,
    /// Where it applies: `mesh` (default when empty) and gateways.
    pub gateways: Vec<String>,
    /// Rules for HTTP ports, first match wins.
    pub http: Vec<HttpRoute>,
    /// Rules for TLS that is passed through.
    pub tls: Vec<TlsRoute>,
    /// Rules for other ports.
    pub tcp: Vec<TcpRoute>,
    /// Who may see it; empty means everyone.
    pub export_to: Vec<String>,
}

impl Kind for VirtualService {
    const KIND: &'static str = "VirtualService";
}

/// `http[]`. What is not enforced is read all the same, so that findings can name it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRoute {
    /// For logs and listings.
    pub name: Option<String>,
    /// Any of these; none means everything.
    #[serde(rename = "match")]
    pub matches: Vec<HttpMatch>,
    /// Where to, by weight.
    pub route: Vec<RouteDestination>,
    /// Answer with a redirect.
    pub redirect: Option<Redirect>,
    /// Answer at once.
    pub direct_response: Option<DirectResponse>,
    /// Another VirtualService decides.
    pub delegate: Option<Delegate>,
    /// Change path or authority.
    pub rewrite: Option<Rewrite>,
    /// Of the whole request.
    pub timeout: Option<Duration>,
    /// How often and when.
    pub retries: Option<Retries>,
    /// Delays and aborts.
    pub fault: Option<Fault>,
    /// A copy of each request.
    pub mirror: Option<Destination>,
    /// Copies of each request.
    pub mirrors: Option<Vec<Mirror>>,
    /// Deprecated.
    #[serde(alias = "mirror_percent")]
    pub mirror_percent: Option<u32>,
    /// How many requests are copied.
    pub mirror_percentage: Option<Percent>,
    /// Cross-origin requests.
    pub cors_policy: Option<CorsPolicy>,
    /// Change headers.
    pub headers: Option<Headers>,
}

/// A copy that a rule asks for.
#[derive(Clone, Debug)]
pub struct Copies<'r> {
    /// The field that asks.
    pub field: String,
    /// Where they go.
    pub to: &'r Destination,
    /// How many of a million requests.
    pub millionths: u32,
}

impl HttpRoute {
    /// The copies that are made of requests: of `mirrors`, else of `mirror`; those of which there are none
    /// are left out.
    pub fn copies(&self) -> Vec<Copies<'_>> {
        let many = self.mirrors.iter().flatten().enumerate();
        let mut all: Vec<_> = many
            .map(|(index, mirror)| Copies {
                field: format!("mirrors[{index}].destination"),
                to: &mirror.destination,
                millionths: share(mirror.percentage.as_ref(), None),
            })
            .collect();
        if all.is_empty() {
            let percent = self.mirror_percent.map(f64::from);
            all.extend(self.mirror.as_ref().map(|to| Copies {
                field: "mirror".to_owned(),
                to,
                millionths: share(self.mirror_percentage.as_ref(), percent),
            }));
        }
        all.retain(|copies| copies.millionths > 0);
        all
    }
}

/// `http[].match[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpMatch {
    /// For logs and listings.
    pub name: Option<String>,
    /// The path.
    pub uri: Option<StringMatch>,
    /// The scheme.
    pub scheme: Option<StringMatch>,
    /// The method.
    pub method: Option<StringMatch>,
    /// Host or :authority.
    pub authority: Option<StringMatch>,
    /// Headers that must match.
    pub headers: BTreeMap<String, StringMatch>,
    /// Headers that must not match.
    pub without_headers: BTreeMap<String, StringMatch>,
    /// Query parameters that must match.
    pub query_params: BTreeMap<String, StringMatch>,
    /// Compare the path without case.
    pub ignore_uri_case: bool,
    /// The port that was dialled.
    pub port: Option<u32>,
    /// The client's labels.
    pub source_labels: BTreeMap<String, String>,
    /// The client's namespace.
    pub source_namespace: Option<String>,
    /// Where it applies, instead of the VirtualService's list.
    pub gateways: Vec<String>,
    /// Prefix of statistics.
    pub stat_prefix: Option<String>,
}

/// `http[].route[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteDestination {
    /// Where to.
    pub destination: Destination,
    /// Its share is this by the sum of the weights.
    pub weight: i64,
    /// Change headers.
    pub headers: Option<Headers>,
}

/// `destination`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Destination {
    /// A host of the registry; a name without a dot is of the resource's namespace.
    pub host: String,
    /// A subset of its DestinationRule.
    pub subset: Option<String>,
    /// Its port; may be left out if it has one only.
    pub port: Option<PortSelector>,
}

/// `destination.port`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PortSelector {
    /// The number.
    pub number: u32,
}

/// `http[].delegate`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Delegate {
    /// Its name.
    pub name: String,
    /// Its namespace; the root's by default.
    pub namespace: Option<String>,
}

/// `tcp[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpRoute {
    /// Any of these; none means everything.
    #[serde(rename = "match")]
    pub matches: Vec<L4Match>,
    /// Where to, by weight.
    pub route: Vec<WeightedDestination>,
}

/// `tcp[].match[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct L4Match {
    /// The address that was dialled.
    pub destination_subnets: Vec<String>,
    /// The port that was dialled.
    pub port: Option<u32>,
    /// Deprecated.
    pub source_subnet: Option<String>,
    /// The client's labels.
    pub source_labels: BTreeMap<String, String>,
    /// The client's namespace.
    pub source_namespace: Option<String>,
    /// Where it applies, instead of the VirtualService's list.
    pub gateways: Vec<String>,
}

/// `tls[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsRoute {
    /// Any of these.
    #[serde(rename = "match")]
    pub matches: Vec<TlsMatch>,
    /// Where to, by weight.
    pub route: Vec<WeightedDestination>,
}

/// `tls[].match[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsMatch {
    /// Names in the ClientHello.
    pub sni_hosts: Vec<String>,
    /// The address that was dialled.
    pub destination_subnets: Vec<String>,
    /// The port that was dialled.
    pub port: Option<u32>,
    /// The client's labels.
    pub source_labels: BTreeMap<String, String>,
    /// The client's namespace.
    pub source_namespace: Option<String>,
    /// Where it applies, instead of the VirtualService's list.
    pub gateways: Vec<String>,
}

impl TlsMatch {
    /// All but the names in the ClientHello.
    pub fn l4(&self) -> L4Match {
        L4Match {
            destination_subnets: self.destination_subnets.clone(),
            port: self.port,
            source_subnet: None,
            source_labels: self.source_labels.clone(),
            source_namespace: self.source_namespace.clone(),
            gateways: self.gateways.clone(),
        }
    }
}

/// `tcp[].route[]` and `tls[].route[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WeightedDestination {
    /// Where to.
    pub destination: Destination,
    /// Its share is this by the sum of the weights.
    pub weight: i64,
}
