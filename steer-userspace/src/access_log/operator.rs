//! Operators of Envoy's formats: which there are, and what of an entry each stands for.

use std::{borrow::Cow, net::SocketAddr, time::Duration};

use http::{HeaderMap, Version};
use jiff::{Timestamp, fmt::strtime};

use super::{Entry, Request};

/// What an operator stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Value<'a> {
    Absent,
    Text(Cow<'a, str>),
    Number(u64),
}

impl<'a> Value<'a> {
    fn text(text: Option<impl Into<Cow<'a, str>>>) -> Self {
        text.map_or(Self::Absent, |text| Self::Text(text.into()))
    }
}

/// One operator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Operator {
    StartTime(Option<String>),
    Request(Header),
    Answer(Header),
    Environment(String),
    Hostname,
    Protocol,
    ResponseCode,
    ResponseFlags,
    ResponseCodeDetails,
    /// Never known here.
    Nothing,
    BytesReceived,
    BytesSent,
    Duration,
    UpstreamCluster,
    RouteName,
    ServerName,
    Address(Which, Part),
}

/// A header, and the one that is looked at if it is not there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Header {
    first: String,
    second: Option<String>,
}

/// Which address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Which {
    UpstreamHost,
    UpstreamLocal,
    DownstreamLocal,
    DownstreamRemote,
}

/// What of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Whole,
    WithoutPort,
    Port,
}

impl Operator {
    /// By its name and arguments; nothing if it is none that can be had.
    pub(super) fn parse(name: &str, arguments: Option<&str>) -> Option<Self> {
        match (name, arguments) {
            ("START_TIME", text) => start_time(text),
            ("REQ", Some(text)) => Header::parse(text).map(Self::Request),
            ("RESP", Some(text)) => Header::parse(text).map(Self::Answer),
            ("ENVIRONMENT", Some(text)) => {
                let known = ["POD_NAME", "POD_NAMESPACE"].contains(&text);
                known.then(|| Self::Environment(text.to_owned()))
            }
            (name, None) => plain(name).or_else(|| address(name)),
            (_, Some(_)) => None,
        }
    }

    /// What it stands for.
    pub(super) fn value<'a>(&'a self, entry: &'a Entry) -> Value<'a> {
        match self {
            Self::StartTime(format) => Value::text(Some(time(entry.start, format.as_deref()))),
            Self::Request(header) => {
                let found = entry.request.as_ref();
                Value::text(found.and_then(|found| header.find(|name| asked(found, name))))
            }
            Self::Answer(header) => {
                let find = |name: &str| answered(entry, name);
                Value::text(header.find(find))
            }
            Self::Environment(name) if name == "POD_NAMESPACE" => {
                Value::text(Some(entry.pod.namespace.as_str()))
            }
            Self::Environment(_) | Self::Hostname => Value::text(Some(entry.pod.name.as_str())),
            Self::Protocol => Value::text(entry.request.as_ref().map(protocol)),
            Self::ResponseCode => Value::Number(entry.status.into()),
            Self::ResponseFlags => Value::text(Some(flags(entry))),
            Self::ResponseCodeDetails => Value::text(entry.details),
            Self::Nothing => Value::Absent,
            Self::BytesReceived => Value::Number(entry.received),
            Self::BytesSent => Value::Number(entry.sent),
            Self::Duration => Value::Number(millis(entry.duration)),
            Self::UpstreamCluster => Value::text(entry.cluster.as_deref()),
            Self::RouteName => Value::text(entry.route.as_deref()),
            Self::ServerName => Value::text(entry.server_name.as_deref()),
            Self::Address(which, part) => of_address(which.of(entry), *part),
        }
    }
}

impl Header {
    /// `NAME`, or `NAME?OTHER`.
    fn parse(text: &str) -> Option<Self> {
        let (first, second) = match text.split_once('?') {
            Some((first, second)) => (first, Some(second)),
            None => (text, None),
        };
        let name = |text: &str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
            let is_name = !text.is_empty() && text.bytes().all(fits);
            is_name.then(|| text.to_ascii_lowercase())
        };
        Some(Self {
            first: name(first)?,
            second: second.map_or(Some(None), |text| name(text).map(Some))?,
        })
    }

    fn find<'a>(&self, find: impl Fn(&str) -> Option<Cow<'a, str>>) -> Option<Cow<'a, str>> {
        find(&self.first).or_else(|| find(self.second.as_deref()?))
    }
}

impl Which {
    fn of(self, entry: &Entry) -> Option<SocketAddr> {
        match self {
            Self::UpstreamHost => entry.upstream,
            Self::UpstreamLocal => entry.upstream_local,
            Self::DownstreamLocal => entry.dialled,
            Self::DownstreamRemote => entry.client,
        }
    }
}

fn plain(name: &str) -> Option<Operator> {
    Some(match name {
        "HOSTNAME" => Operator::Hostname,
        "PROTOCOL" => Operator::Protocol,
        "RESPONSE_CODE" => Operator::ResponseCode,
        "RESPONSE_FLAGS" => Operator::ResponseFlags,
        "RESPONSE_CODE_DETAILS" => Operator::ResponseCodeDetails,
        "CONNECTION_TERMINATION_DETAILS" | "UPSTREAM_TRANSPORT_FAILURE_REASON" => Operator::Nothing,
        "BYTES_RECEIVED" => Operator::BytesReceived,
        "BYTES_SENT" => Operator::BytesSent,
        "DURATION" => Operator::Duration,
        "UPSTREAM_CLUSTER" | "UPSTREAM_CLUSTER_RAW" => Operator::UpstreamCluster,
        "ROUTE_NAME" => Operator::RouteName,
        "REQUESTED_SERVER_NAME" => Operator::ServerName,
        _ => return None,
    })
}

fn address(name: &str) -> Option<Operator> {
    let (name, part) = match name.strip_suffix("_WITHOUT_PORT") {
        Some(name) => (name, Part::WithoutPort),
        None => (name, Part::Whole),
    };
    let (which, part) = match name {
        "UPSTREAM_HOST" | "UPSTREAM_REMOTE_ADDRESS" => (Which::UpstreamHost, part),
        "UPSTREAM_LOCAL_ADDRESS" => (Which::UpstreamLocal, part),
        "DOWNSTREAM_LOCAL_ADDRESS" => (Which::DownstreamLocal, part),
        "DOWNSTREAM_REMOTE_ADDRESS" | "DOWNSTREAM_DIRECT_REMOTE_ADDRESS" => {
            (Which::DownstreamRemote, part)
        }
        "UPSTREAM_REMOTE_PORT" => (Which::UpstreamHost, Part::Port),
        "UPSTREAM_LOCAL_PORT" => (Which::UpstreamLocal, Part::Port),
        "DOWNSTREAM_LOCAL_PORT" => (Which::DownstreamLocal, Part::Port),
        "DOWNSTREAM_REMOTE_PORT" => (Which::DownstreamRemote, Part::Port),
        _ => return None,
    };
    Some(Operator::Address(which, part))
}

fn of_address(address: Option<SocketAddr>, part: Part) -> Value<'static> {
    let Some(address) = address else {
        return Value::Absent;
    };
    match part {
        Part::Whole => Value::Text(address.to_string().into()),
        Part::WithoutPort => Value::Text(address.ip().to_string().into()),
        Part::Port => Value::Number(address.port().into()),
    }
}

/// A format that cannot be used is none.
fn start_time(format: Option<&str>) -> Option<Operator> {
    let format = format.filter(|text| !text.is_empty());
    let fits = format.is_none_or(|text| strtime::format(text, Timestamp::UNIX_EPOCH).is_ok());
    fits.then(|| Operator::StartTime(format.map(ToOwned::to_owned)))
}

/// ISO 8601 with milliseconds, or as `format` says.
fn time(at: Timestamp, format: Option<&str>) -> String {
    let own = format.and_then(|format| strtime::format(format, at).ok());
    own.unwrap_or_else(|| format!("{at:.3}"))
}

/// A header of the request. What Envoy puts there itself is not believed of a client.
fn asked<'a>(request: &'a Request, name: &str) -> Option<Cow<'a, str>> {
    match name {
        ":method" => Some(request.method.as_str().into()),
        ":authority" => Some(request.authority.as_str().into()),
        ":path" => {
            let path = request.rewritten.as_ref().unwrap_or(&request.path);
            Some(path.as_str().into())
        }
        "x-envoy-original-path" => {
            let is_other = request.rewritten.is_some();
            is_other.then(|| request.path.as_str().into())
        }
        name => header(&request.headers, name),
    }
}

fn answered<'a>(entry: &'a Entry, name: &str) -> Option<Cow<'a, str>> {
    match name {
        ":status" => Some(entry.status.to_string().into()),
        "x-envoy-upstream-service-time" => {
            let took = entry.service_time?;
            Some(millis(took).to_string().into())
        }
        name => header(&entry.request.as_ref()?.answer, name),
    }
}

/// The first of a name.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<Cow<'a, str>> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()))
}

fn protocol(request: &Request) -> &'static str {
    match request.version {
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}

fn flags(entry: &Entry) -> String {
    let names: Vec<&str> = entry.flags.iter().map(|flag| flag.name()).collect();
    if names.is_empty() {
        return "-".to_owned();
    }
    names.join(",")
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
