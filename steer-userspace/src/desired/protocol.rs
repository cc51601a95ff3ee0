//! What is spoken on a port: by `appProtocol`, else by the port's name up to its first `-`.

use std::fmt;

use steer_common::Proto;

/// The protocol of a service port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// HTTP/1.
    Http,
    /// HTTP/2 in clear text.
    Http2,
    /// gRPC.
    Grpc,
    /// gRPC-Web.
    GrpcWeb,
    /// HTTP over TLS of the application.
    Https,
    /// TLS of the application.
    Tls,
    /// Bytes.
    Tcp,
    /// `MongoDB`; bytes for steer.
    Mongo,
    /// Redis; bytes for steer.
    Redis,
    /// `MySQL`; bytes for steer.
    Mysql,
    /// Datagrams.
    Udp,
    /// Not said: Istio looks at the first bytes.
    Unknown,
}

/// Which list of a VirtualService is for a protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuleList {
    /// `http`.
    Http,
    /// `tls`.
    Tls,
    /// `tcp`.
    Tcp,
    /// None: datagrams are not routed.
    None,
    /// `http` or `tcp`, whatever the first bytes say.
    Sniffed,
}

/// Ports whose servers speak first, so that nothing can be sniffed.
const SERVER_FIRST_PORTS: [u16; 4] = [25, 53, 3306, 27017];

impl Protocol {
    /// Of a port.
    pub fn detect(proto: Proto, port: u16, name: &str, app_protocol: Option<&str>) -> Self {
        if proto == Proto::Udp {
            return Self::Udp;
        }
        match app_protocol {
            Some("kubernetes.io/h2c") => return Self::Http2,
            Some("kubernetes.io/ws") => return Self::Http,
            Some("kubernetes.io/wss") => return Self::Https,
            _ => {}
        }
        match Self::parse(app_protocol.unwrap_or(name)) {
            Self::Unknown if SERVER_FIRST_PORTS.contains(&port) => Self::Tcp,
            protocol => protocol,
        }
    }

    fn parse(name: &str) -> Self {
        let lower = name.to_ascii_lowercase();
        if lower.starts_with("grpc-web") {
            return Self::GrpcWeb;
        }
        match lower.split('-').next().unwrap_or_default() {
            "http" => Self::Http,
            "http2" => Self::Http2,
            "grpc" => Self::Grpc,
            "https" => Self::Https,
            "tls" => Self::Tls,
            "tcp" => Self::Tcp,
            "mongo" => Self::Mongo,
            "redis" => Self::Redis,
            "mysql" => Self::Mysql,
            "udp" => Self::Udp,
            _ => Self::Unknown,
        }
    }

    /// Which list of a VirtualService is for it.
    pub fn rule_list(self) -> RuleList {
        match self {
            Self::Http | Self::Http2 | Self::Grpc | Self::GrpcWeb => RuleList::Http,
            Self::Https | Self::Tls => RuleList::Tls,
            Self::Tcp | Self::Mongo | Self::Redis | Self::Mysql => RuleList::Tcp,
            Self::Udp => RuleList::None,
            Self::Unknown => RuleList::Sniffed,
        }
    }

    /// Whether its requests can be told from the bytes that are sent, without anybody in between.
    pub fn is_read_on_its_way(self) -> bool {
        matches!(self, Self::Http | Self::Unknown)
    }

    /// As listings show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Http2 => "HTTP2",
            Self::Grpc => "GRPC",
            Self::GrpcWeb => "GRPC-Web",
            Self::Https => "HTTPS",
            Self::Tls => "TLS",
            Self::Tcp => "TCP",
            Self::Mongo => "Mongo",
            Self::Redis => "Redis",
            Self::Mysql => "MySQL",
            Self::Udp => "UDP",
            Self::Unknown => "auto",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(port: u16, name: &str, app: Option<&str>) -> Protocol {
        Protocol::detect(Proto::Tcp, port, name, app)
    }

    #[test]
    fn the_name_counts_up_to_the_dash() {
        assert_eq!(tcp(80, "http", None), Protocol::Http);
        assert_eq!(tcp(80, "http-web", None), Protocol::Http);
        assert_eq!(tcp(80, "HTTP2-x", None), Protocol::Http2);
        assert_eq!(tcp(80, "grpc-web-x", None), Protocol::GrpcWeb);
        assert_eq!(tcp(80, "grpc-x", None), Protocol::Grpc);
        assert_eq!(tcp(80, "httpx", None), Protocol::Unknown);
        assert_eq!(tcp(80, "", None), Protocol::Unknown);
    }

    #[test]
    fn app_protocol_goes_before_the_name() {
        assert_eq!(tcp(80, "http", Some("tcp")), Protocol::Tcp);
        assert_eq!(tcp(80, "tcp", Some("kubernetes.io/h2c")), Protocol::Http2);
        assert_eq!(tcp(80, "http", Some("example.com/own")), Protocol::Unknown);
    }

    #[test]
    fn servers_that_speak_first_are_tcp() {
        assert_eq!(tcp(3306, "db", None), Protocol::Tcp);
        assert_eq!(tcp(3306, "http-db", None), Protocol::Http);
    }

    #[test]
    fn datagrams_are_udp_whatever_the_name() {
        assert_eq!(
            Protocol::detect(Proto::Udp, 53, "http", None),
            Protocol::Udp
        );
    }
}
