//! A whole line: text or JSON, Envoy's default or the mesh's own.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Entry, template::Template};

/// Envoy's default, as Istio sets it.
const TEXT: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" \
    %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \
    \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% \
    %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \
    \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% \
    %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% \
    %REQUESTED_SERVER_NAME% %ROUTE_NAME%";

/// The same as fields.
const JSON: [(&str, &str); 24] = [
    ("start_time", "%START_TIME%"),
    ("route_name", "%ROUTE_NAME%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    (
        "connection_termination_details",
        "%CONNECTION_TERMINATION_DETAILS%",
    ),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration", "%DURATION%"),
    (
        "upstream_service_time",
        "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    ),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    (
        "upstream_transport_failure_reason",
        "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    ),
];

/// How a line looks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Format(Shape);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Shape {
    Text(Template),
    Json(Node),
}

/// A value of JSON with operators in its texts.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Node {
    Object(BTreeMap<String, Node>),
    List(Vec<Node>),
    Text(Template),
    /// A number, a word.
    Other(Value),
}

/// What of a format cannot be had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mistake {
    /// An operator that is not known here: its place says `-`.
    Operator(String),
    /// It is no object of JSON: the default is used.
    NoObject,
}

impl Default for Format {
    fn default() -> Self {
        Self::text("").0
    }
}

impl Format {
    /// Text; empty is the default.
    pub fn text(written: &str) -> (Self, Vec<Mistake>) {
        let written = written.trim_end_matches('\n');
        let written = if written.is_empty() { TEXT } else { written };
        let mut unknown = Vec::new();
        let template = Template::parse(written, &mut unknown);
        (Self(Shape::Text(template)), operators(unknown))
    }

    /// An object of JSON; empty is the default.
    pub fn json(written: &str) -> (Self, Vec<Mistake>) {
        if written.trim().is_empty() {
            return (default_json(), Vec::new());
        }
        match serde_json::from_str(written) {
            Ok(value @ Value::Object(_)) => {
                let mut unknown = Vec::new();
                let node = Node::parse(value, &mut unknown);
                (Self(Shape::Json(node)), operators(unknown))
            }
            Ok(_) | Err(_) => (default_json(), vec![Mistake::NoObject]),
        }
    }

    /// The line, with its end.
    pub fn line(&self, entry: &Entry) -> String {
        let mut line = String::with_capacity(512);
        match &self.0 {
            Shape::Text(template) => template.write(entry, &mut line),
            Shape::Json(node) => line.push_str(&node.value(entry).to_string()),
        }
        line.push('\n');
        line
    }
}

impl Node {
    fn parse(value: Value, unknown: &mut Vec<String>) -> Self {
        match value {
            Value::Object(fields) => {
                let fields = fields.into_iter();
                Self::Object(
                    fields
                        .map(|(key, value)| (key, Self::parse(value, unknown)))
                        .collect(),
                )
            }
            Value::Array(items) => {
                let items = items.into_iter();
                Self::List(items.map(|item| Self::parse(item, unknown)).collect())
            }
            Value::String(text) => Self::Text(Template::parse(&text, unknown)),
            other => Self::Other(other),
        }
    }

    fn value(&self, entry: &Entry) -> Value {
        match self {
            Self::Object(fields) => {
                let fields = fields.iter();
                fields
                    .map(|(key, node)| (key.clone(), node.value(entry)))
                    .collect()
            }
            Self::List(items) => items.iter().map(|item| item.value(entry)).collect(),
            Self::Text(template) => template.json(entry),
            Self::Other(value) => value.clone(),
        }
    }
}

fn default_json() -> Format {
    let fields = JSON.into_iter().map(|(key, text)| {
        let template = Template::parse(text, &mut Vec::new());
        (key.to_owned(), Node::Text(template))
    });
    Format(Shape::Json(Node::Object(fields.collect())))
}

fn operators(unknown: Vec<String>) -> Vec<Mistake> {
    unknown.into_iter().map(Mistake::Operator).collect()
}
