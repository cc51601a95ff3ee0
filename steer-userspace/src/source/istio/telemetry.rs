//! Telemetry: what workloads tell of their traffic. Only access logs are steer's.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::source::object::Kind;

/// `Telemetry.spec`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Telemetry {
    /// Which workloads of its namespace; all of them if there is none.
    pub selector: Option<TelemetrySelector>,
    /// A gateway, a service.
    pub target_ref: Option<TargetRef>,
    /// Several of them.
    pub target_refs: Vec<TargetRef>,
    /// Who writes a line for each request or connection.
    pub access_logging: Vec<AccessLogging>,
    /// Not read.
    pub metrics: Vec<Value>,
    /// Not read, but for tags without a value.
    pub tracing: Vec<Tracing>,
}

impl Kind for Telemetry {
    const KIND: &'static str = "Telemetry";
}

/// `selector`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TelemetrySelector {
    /// All must hold.
    pub match_labels: BTreeMap<String, String>,
}

/// `targetRefs[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TargetRef {
    /// Its group.
    pub group: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Must not be given.
    pub namespace: Option<String>,
}

/// `accessLogging[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AccessLogging {
    /// Of which side.
    #[serde(rename = "match")]
    pub matches: Option<LogMatch>,
    /// Where lines go; none are those of the entry before.
    pub providers: Vec<Provider>,
    /// No lines.
    pub disabled: Option<bool>,
    /// Of which requests.
    pub filter: Option<LogFilter>,
}

/// `accessLogging[].match`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogMatch {
    /// `CLIENT_AND_SERVER` (default), `CLIENT`, `SERVER`.
    pub mode: Option<String>,
}

/// `providers[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Provider {
    /// `envoy`, or one of the mesh's `extensionProviders`.
    pub name: String,
}

/// `filter`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LogFilter {
    /// CEL.
    pub expression: String,
}

/// `tracing[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tracing {
    /// Where traces go.
    pub providers: Vec<Provider>,
    /// Tags of traces.
    pub custom_tags: BTreeMap<String, Value>,
    /// Whatever else is written.
    #[serde(flatten)]
    pub others: BTreeMap<String, Value>,
}
