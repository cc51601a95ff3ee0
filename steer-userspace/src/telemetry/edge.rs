//! The labels of a series of traffic.

use std::{fmt, sync::Arc};

use http::{HeaderMap, header::CONTENT_TYPE};
use prometheus_client::encoding::{EncodeLabel as _, EncodeLabelSet, LabelSetEncoder};
use serde::{Deserialize, Serialize};

use super::{
    directory::Service,
    workload::{UNKNOWN, Workload},
};
use crate::access_log::Flag;

/// Who saw it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reporter {
    /// The node of who asked.
    Source,
    /// The node of who was asked.
    Destination,
}

impl Reporter {
    /// As the label has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }

    /// What is known of encryption: who asked leaves it to who was asked.
    const fn security(self) -> &'static str {
        match self {
            Self::Source => UNKNOWN,
            Self::Destination => "none",
        }
    }
}

/// From whom to whom.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Edge {
    /// Who saw it.
    pub reporter: Reporter,
    /// Who asked.
    pub source: Arc<Workload>,
    /// Who was asked.
    pub destination: Arc<Workload>,
    /// By which name.
    pub service: Arc<Service>,
    /// What went wrong, in Envoy's order.
    pub flags: Vec<Flag>,
}

/// What a request was, and how it was answered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Asked {
    /// What was spoken.
    pub protocol: Protocol,
    /// The status of the answer; 0 if there was none.
    pub code: u16,
    /// The status of gRPC.
    pub grpc: Option<u16>,
}

/// What was spoken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Protocol {
    /// HTTP.
    Http,
    /// gRPC.
    Grpc,
}

impl Protocol {
    /// What a request with these headers speaks.
    pub fn of(headers: &HeaderMap) -> Self {
        let content = headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes);
        let is_grpc = content.is_some_and(|content| content.starts_with(b"application/grpc"));
        if is_grpc { Self::Grpc } else { Self::Http }
    }

    /// As the label has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
        }
    }
}

/// Flags as a label has them: `UF,URX`; `-` if nothing went wrong.
struct Flags<'a>(&'a [Flag]);

impl fmt::Display for Flags<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, more)) = self.0.split_first() else {
            return f.write_str("-");
        };
        f.write_str(first.name())?;
        more.iter()
            .try_for_each(|flag| write!(f, ",{}", flag.name()))
    }
}

/// Names of all labels, in the order in which they are written; the last two are those of requests.
pub const LABELS: [&str; 25] = [
    "reporter",
    "source_workload",
    "source_workload_namespace",
    "source_principal",
    "source_app",
    "source_version",
    "source_cluster",
    "source_canonical_service",
    "source_canonical_revision",
    "destination_workload",
    "destination_workload_namespace",
    "destination_principal",
    "destination_app",
    "destination_version",
    "destination_cluster",
    "destination_canonical_service",
    "destination_canonical_revision",
    "destination_service",
    "destination_service_name",
    "destination_service_namespace",
    "connection_security_policy",
    "request_protocol",
    "response_flags",
    "response_code",
    "grpc_response_status",
];

/// The labels of a series of connections, or of requests.
#[derive(Debug)]
pub(super) struct Labels<'a> {
    pub(super) edge: &'a Edge,
    pub(super) asked: Option<Asked>,
}

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Edge {
            reporter,
            source,
            destination,
            service,
            flags,
        } = self.edge;
        let protocol = self.asked.map_or("tcp", |asked| asked.protocol.name());
        let values = [
            reporter.name(),
            &source.name,
            &source.namespace,
            UNKNOWN,
            &source.app,
            &source.version,
            &source.cluster,
            &source.canonical_service,
            &source.canonical_revision,
            &destination.name,
            &destination.namespace,
            UNKNOWN,
            &destination.app,
            &destination.version,
            &destination.cluster,
            &destination.canonical_service,
            &destination.canonical_revision,
            &service.host,
            &service.name,
            &service.namespace,
            reporter.security(),
            protocol,
        ];
        let mut put = |name: &str, value: &str| (name, value).encode(encoder.encode_label());
        for (name, value) in LABELS.iter().zip(values) {
            put(name, value)?;
        }
        put(LABELS[22], &Flags(flags).to_string())?;
        if let Some(asked) = self.asked {
            put(LABELS[23], &asked.code.to_string())?;
            let grpc = asked.grpc.map(|status| status.to_string());
            put(LABELS[24], &grpc.unwrap_or_default())?;
        }
        Ok(())
    }
}
