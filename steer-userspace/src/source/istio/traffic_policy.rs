//! `trafficPolicy` of a DestinationRule: how to balance, and what steer does not enforce.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Number;

use super::{Duration, PortSelector};

/// `trafficPolicy`. What is not enforced is read all the same, so that findings can name it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TrafficPolicy {
    /// How an endpoint is chosen.
    pub load_balancer: Option<LoadBalancer>,
    /// Limits.
    pub connection_pool: Option<ConnectionPool>,
    /// Ejection.
    pub outlier_detection: Option<OutlierDetection>,
    /// Encryption.
    pub tls: Option<ClientTls>,
    /// The above for one port.
    pub port_level_settings: Option<Vec<PortTrafficPolicy>>,
    /// HTTP CONNECT.
    pub tunnel: Option<Tunnel>,
    /// PROXY protocol.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Budget of retries.
    pub retry_budget: Option<RetryBudget>,
}

/// `trafficPolicy.portLevelSettings[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PortTrafficPolicy {
    /// The service's port.
    pub port: Option<PortSelector>,
    /// How an endpoint is chosen.
    pub load_balancer: Option<LoadBalancer>,
    /// Limits.
    pub connection_pool: Option<ConnectionPool>,
    /// Ejection.
    pub outlier_detection: Option<OutlierDetection>,
    /// Encryption.
    pub tls: Option<ClientTls>,
}

/// `loadBalancer`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancer {
    /// `LEAST_REQUEST`, `ROUND_ROBIN`, `RANDOM`, `LEAST_CONN`, `PASSTHROUGH`, `UNSPECIFIED`.
    pub simple: Option<String>,
    /// By a hash of the request.
    pub consistent_hash: Option<ConsistentHash>,
    /// By the load that endpoints report.
    pub backend_utilization: Option<BackendUtilization>,
    /// By locality.
    pub locality_lb_setting: Option<LocalityLb>,
    /// By zone.
    pub zone_aware_lb_setting: Option<ZoneAwareLb>,
    /// Slow start.
    pub warmup_duration_secs: Option<Duration>,
    /// Slow start, newer.
    pub warmup: Option<Warmup>,
}

/// `loadBalancer.consistentHash`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsistentHash {
    /// Of a header.
    pub http_header_name: Option<String>,
    /// Of a cookie.
    pub http_cookie: Option<HttpCookie>,
    /// Of the client's address.
    pub use_source_ip: Option<bool>,
    /// Of a query parameter.
    pub http_query_parameter_name: Option<String>,
    /// Deprecated.
    pub minimum_ring_size: Option<u64>,
    /// On a ring.
    pub ring_hash: Option<RingHash>,
    /// In a table.
    pub maglev: Option<Maglev>,
}

/// `loadBalancer.consistentHash.httpCookie`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpCookie {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: Option<String>,
    /// How long it holds; if given, the cookie is made.
    pub ttl: Option<Duration>,
    /// Others.
    pub attributes: Vec<CookieAttribute>,
}

/// `loadBalancer.consistentHash.httpCookie.attributes[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CookieAttribute {
    /// E.g. `SameSite`.
    pub name: String,
    /// E.g. `Strict`.
    pub value: Option<String>,
}

/// `loadBalancer.consistentHash.ringHash`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RingHash {
    /// 1024 by default.
    pub minimum_ring_size: Option<u64>,
}

/// `loadBalancer.consistentHash.maglev`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Maglev {
    /// 65537 by default.
    pub table_size: Option<u64>,
}

/// `loadBalancer.backendUtilization`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendUtilization {
    /// What errors cost.
    pub error_utilization_penalty_percent: Option<u32>,
    /// Which metrics.
    pub metric_names_for_computing_utilization: Vec<String>,
    /// When weights are forgotten.
    pub weight_expiration_period: Option<Duration>,
    /// When weights count.
    pub weight_stabilization_period: Option<Duration>,
    /// How often weights change.
    pub weight_update_period: Option<Duration>,
}

/// `loadBalancer.localityLbSetting`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalityLb {
    /// Shares.
    pub distribute: Vec<Distribute>,
    /// Where to when a region fails.
    pub failover: Vec<Failover>,
    /// Labels, the most important first.
    pub failover_priority: Vec<String>,
    /// Overrides the mesh's.
    pub enabled: Option<bool>,
}

/// `loadBalancer.localityLbSetting.distribute[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Distribute {
    /// `region/zone/subzone` of the client.
    pub from: String,
    /// Weights, 100 in all.
    pub to: BTreeMap<String, u32>,
}

/// `failover[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Failover {
    /// A region.
    pub from: String,
    /// Another.
    pub to: String,
}

/// `loadBalancer.zoneAwareLbSetting`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ZoneAwareLb {
    /// Overrides the mesh's.
    pub enabled: Option<bool>,
    /// Where to when a region fails.
    pub failover: Vec<Failover>,
    /// Labels, the most important first.
    pub failover_priority: Vec<String>,
    /// From how many endpoints on.
    pub min_cluster_size: Option<u32>,
}

/// `loadBalancer.warmup`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Warmup {
    /// How long.
    pub duration: Option<Duration>,
    /// Where it begins.
    pub minimum_percent: Option<Number>,
    /// How steep it is.
    pub aggression: Option<Number>,
}

/// `connectionPool`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectionPool {
    /// Of connections.
    pub tcp: Option<TcpPool>,
    /// Of requests.
    pub http: Option<HttpPool>,
}

/// `connectionPool.tcp`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpPool {
    /// How many.
    pub max_connections: Option<i32>,
    /// How long it may take to connect.
    pub connect_timeout: Option<Duration>,
    /// How old a connection gets.
    pub max_connection_duration: Option<Duration>,
    /// How long it may be silent.
    pub idle_timeout: Option<Duration>,
    /// Probes of a silent peer.
    pub tcp_keepalive: Option<TcpKeepalive>,
}

/// `connectionPool.tcp.tcpKeepalive`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpKeepalive {
    /// How many.
    pub probes: Option<u32>,
    /// When the first.
    pub time: Option<Duration>,
    /// How often.
    pub interval: Option<Duration>,
}

/// `connectionPool.http`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpPool {
    /// That wait.
    pub http1_max_pending_requests: Option<i32>,
    /// That run.
    pub http2_max_requests: Option<i32>,
    /// On one connection.
    pub max_requests_per_connection: Option<i32>,
    /// At one time.
    pub max_retries: Option<i32>,
    /// How long a connection may be silent.
    pub idle_timeout: Option<Duration>,
    /// `DEFAULT`, `DO_NOT_UPGRADE`, `UPGRADE`.
    pub h2_upgrade_policy: Option<String>,
    /// Whether the client's protocol is kept.
    pub use_client_protocol: Option<bool>,
    /// On one connection.
    pub max_concurrent_streams: Option<i32>,
    /// Pings.
    pub http2_keep_alive: Option<Http2KeepAlive>,
}

/// `connectionPool.http.http2KeepAlive`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Http2KeepAlive {
    /// How often.
    pub interval: Option<Duration>,
    /// How long an answer may take.
    pub timeout: Option<Duration>,
}

/// `outlierDetection`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OutlierDetection {
    /// Deprecated.
    pub consecutive_errors: Option<i32>,
    /// Whether failures to connect are counted apart.
    pub split_external_local_origin_errors: Option<bool>,
    /// Failures to connect in a row.
    pub consecutive_local_origin_failures: Option<u32>,
    /// 502, 503, 504 in a row.
    pub consecutive_gateway_errors: Option<u32>,
    /// 5xx in a row.
    #[serde(rename = "consecutive5xxErrors")]
    pub consecutive_5xx_errors: Option<u32>,
    /// How often it is looked at.
    pub interval: Option<Duration>,
    /// How long the first ejection is.
    pub base_ejection_time: Option<Duration>,
    /// How many at most.
    pub max_ejection_percent: Option<i32>,
    /// Under which nothing is ejected.
    pub min_health_percent: Option<i32>,
    /// What counts as an error.
    pub outlier_detection_http_error_codes: Vec<u32>,
}

/// `tls`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientTls {
    /// `DISABLE` (default), `SIMPLE`, `MUTUAL`, `ISTIO_MUTUAL`.
    pub mode: Option<String>,
    /// A file.
    pub client_certificate: Option<String>,
    /// A file.
    pub private_key: Option<String>,
    /// A file.
    pub ca_certificates: Option<String>,
    /// A file.
    pub ca_crl: Option<String>,
    /// A secret, instead of files.
    pub credential_name: Option<String>,
    /// Names that the server must have one of.
    pub subject_alt_names: Vec<String>,
    /// The name in the ClientHello.
    pub sni: Option<String>,
    /// Whether any server will do.
    pub insecure_skip_verify: Option<bool>,
}

/// `tunnel`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tunnel {
    /// `CONNECT` or `POST`.
    pub protocol: Option<String>,
    /// What is asked for.
    pub target_host: String,
    /// And its port.
    pub target_port: u32,
}

/// `proxyProtocol`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ProxyProtocol {
    /// `V1` or `V2`.
    pub version: Option<String>,
}

/// `retryBudget`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RetryBudget {
    /// Of the active requests.
    pub percent: Option<Number>,
    /// That are always allowed.
    pub min_retry_concurrency: Option<u32>,
    /// Over how long.
    pub budget_interval: Option<Duration>,
}
