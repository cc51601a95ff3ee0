//! The mesh's own configuration: ConfigMap `istio`, key `mesh`; `meshConfig` of an IstioOperator.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::OutboundTrafficPolicy;
use crate::source::object::Kind;

/// `MeshConfig`, the part of it that concerns the data path.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshConfig {
    /// What becomes of connections to what the registry does not name.
    pub outbound_traffic_policy: Option<OutboundTrafficPolicy>,
    /// The namespace whose rules hold everywhere.
    pub root_namespace: Option<String>,
    /// Where access logs go; empty is nowhere.
    pub access_log_file: Option<String>,
    /// `TEXT` (default), `JSON`.
    pub access_log_encoding: Option<String>,
    /// What a line says; empty is Envoy's default.
    pub access_log_format: Option<String>,
    /// Whom Telemetries mean that name nobody.
    pub default_providers: Option<DefaultProviders>,
    /// Whatever else is written.
    #[serde(flatten)]
    pub others: BTreeMap<String, Value>,
    /// Where it was found.
    #[serde(skip)]
    pub origin: MeshOrigin,
}

impl Kind for MeshConfig {
    const KIND: &'static str = "MeshConfig";
}

/// `defaultProviders`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DefaultProviders {
    /// Of access logs.
    pub access_logging: Vec<String>,
    /// Not read.
    pub metrics: Vec<String>,
    /// Not read.
    pub tracing: Vec<String>,
}

/// Where a mesh's configuration was found. The first counts: the ConfigMap is what Istio reads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum MeshOrigin {
    /// The ConfigMap.
    #[default]
    ConfigMap,
    /// What the ConfigMap is made from.
    Operator,
}

/// Fields that change which rules hold, and are not enforced.
pub const NOT_ENFORCED: [&str; 8] = [
    "defaultDestinationRuleExportTo",
    "defaultServiceExportTo",
    "defaultTrafficPolicy",
    "defaultVirtualServiceExportTo",
    "discoverySelectors",
    "localityLbSetting",
    "serviceSettings",
    "serviceScopeConfigs",
];

/// Fields that do not concern steer: certificates, traces, proxies.
pub const NOT_READ: [&str; 46] = [
    "authPolicy",
    "ca",
    "caCertificates",
    "certificates",
    "configSources",
    "connectTimeout",
    "defaultConfig",
    "defaultHttpRetryPolicy",
    "defaultInboundHttpRetryPolicy",
    "disableEnvoyListenerLog",
    "disableMixerHttpReports",
    "disablePolicyChecks",
    "disableReportBatch",
    "dnsRefreshRate",
    "enableAutoMtls",
    "enableClientSidePolicyCheck",
    "enableEnvoyAccessLogService",
    "enablePrometheusMerge",
    "enableSdsTokenMount",
    "enableTracing",
    "extensionProviders",
    "h2UpgradePolicy",
    "hboneIdleTimeout",
    "inboundClusterStatName",
    "inboundTrafficPolicy",
    "ingressClass",
    "ingressControllerMode",
    "ingressSelector",
    "ingressService",
    "meshMTLS",
    "mixerAddress",
    "mixerCheckServer",
    "mixerReportServer",
    "outboundClusterStatName",
    "pathNormalization",
    "policyCheckFailOpen",
    "protocolDetectionTimeout",
    "proxyHttpPort",
    "proxyInboundListenPort",
    "proxyListenPort",
    "sdsUdsPath",
    "tcpKeepalive",
    "thriftConfig",
    "tlsDefaults",
    "trustDomain",
    "trustDomainAliases",
];
