//! What an HTTP rule of a VirtualService does to requests.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Number;

use super::{Destination, Duration, StringMatch};

/// `percentage`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Percent {
    /// 0 to 100, fractions allowed.
    pub value: Option<Number>,
}

/// A whole, in the smallest parts that a share is counted in.
const MILLION: u32 = 1_000_000;

impl Percent {
    /// Millionths of the whole.
    pub fn millionths(&self) -> u32 {
        let value = self.value.as_ref().and_then(Number::as_f64);
        millionths(value.unwrap_or_default())
    }
}

/// A percentage as it is written, else an older field that says it, else all; in millionths.
pub fn share(percentage: Option<&Percent>, percent: Option<f64>) -> u32 {
    let said = percentage.map(Percent::millionths);
    said.or(percent.map(millionths)).unwrap_or(MILLION)
}

fn millionths(percent: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and a million"
    )]
    let parts = (percent.clamp(0.0, 100.0) * 10_000.0).round() as u32;
    parts
}

/// `http[].retries`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Retries {
    /// How often; 0 switches retries off.
    pub attempts: i32,
    /// Of each attempt.
    pub per_try_timeout: Option<Duration>,
    /// When, a list with commas.
    pub retry_on: Option<String>,
    /// Whether endpoints of other places are tried.
    pub retry_remote_localities: Option<bool>,
    /// Whether endpoints that failed are avoided.
    pub retry_ignore_previous_hosts: Option<bool>,
    /// How long between attempts.
    pub backoff: Option<Duration>,
}

/// `http[].fault`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Fault {
    /// Makes requests late.
    pub delay: Option<Delay>,
    /// Makes requests fail.
    pub abort: Option<Abort>,
}

/// `http[].fault.delay`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Delay {
    /// Deprecated.
    pub percent: Option<i32>,
    /// How many.
    pub percentage: Option<Percent>,
    /// How late.
    pub fixed_delay: Option<Duration>,
    /// Not built in Istio either.
    pub exponential_delay: Option<Duration>,
}

/// `http[].fault.abort`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Abort {
    /// How many.
    pub percentage: Option<Percent>,
    /// The status of the answer.
    pub http_status: Option<i32>,
    /// Its name in gRPC.
    pub grpc_status: Option<String>,
    /// Not built in Istio either.
    pub http2_error: Option<String>,
}

/// `http[].rewrite`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rewrite {
    /// The path, or the prefix of it that matched.
    pub uri: Option<String>,
    /// Host or :authority.
    pub authority: Option<String>,
    /// The path by a regular expression.
    pub uri_regex_rewrite: Option<RegexRewrite>,
}

/// `http[].rewrite.uriRegexRewrite`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RegexRewrite {
    /// RE2.
    #[serde(rename = "match")]
    pub pattern: String,
    /// With `\1` for groups.
    pub rewrite: String,
}

/// `http[].redirect`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Redirect {
    /// The whole path.
    pub uri: Option<String>,
    /// The prefix that matched.
    pub prefix_rewrite: Option<String>,
    /// Host or :authority.
    pub authority: Option<String>,
    /// The port.
    pub port: Option<u32>,
    /// `FROM_PROTOCOL_DEFAULT` or `FROM_REQUEST_PORT`.
    pub derive_port: Option<String>,
    /// http or https.
    pub scheme: Option<String>,
    /// 301 unless it is given.
    pub redirect_code: Option<u32>,
}

/// `http[].directResponse`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DirectResponse {
    /// The status of the answer.
    pub status: u32,
    /// Its body.
    pub body: Option<Body>,
}

/// `http[].directResponse.body`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Body {
    /// As text.
    pub string: Option<String>,
    /// In base64.
    pub bytes: Option<String>,
}

/// `http[].corsPolicy`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CorsPolicy {
    /// Deprecated.
    pub allow_origin: Vec<String>,
    /// Who may ask.
    pub allow_origins: Vec<StringMatch>,
    /// How.
    pub allow_methods: Vec<String>,
    /// With what.
    pub allow_headers: Vec<String>,
    /// What scripts may read.
    pub expose_headers: Vec<String>,
    /// How long the answer holds, whole seconds.
    pub max_age: Option<Duration>,
    /// Whether with credentials.
    pub allow_credentials: Option<bool>,
    /// What becomes of preflights that do not match.
    pub unmatched_preflights: Option<String>,
}

impl CorsPolicy {
    /// Whether any request is treated otherwise for it.
    pub fn is_some(&self) -> bool {
        let lists = [self.allow_origin.is_empty(), self.allow_origins.is_empty()];
        lists.contains(&false) || self.unmatched_preflights.as_deref() == Some("IGNORE")
    }
}

/// `headers`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Headers {
    /// Of requests.
    pub request: Option<HeaderOperations>,
    /// Of responses.
    pub response: Option<HeaderOperations>,
}

/// `headers.request` and `headers.response`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeaderOperations {
    /// Replaces.
    pub set: BTreeMap<String, String>,
    /// Appends.
    pub add: BTreeMap<String, String>,
    /// Removes.
    pub remove: Vec<String>,
}

/// `http[].mirrors[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mirror {
    /// Where copies go.
    pub destination: Destination,
    /// How many; absent means all.
    pub percentage: Option<Percent>,
}

/// The names of gRPC's statuses, in the order of their numbers.
pub const GRPC_STATUS: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
