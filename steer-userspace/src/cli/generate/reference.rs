//! Pages of the reference that the code knows best: findings, reasons, limits.

use steer_common::{
    Endpoint, Route, Source,
    addr::Peer,
    connection::TcpOpened,
    counted::Counted,
    edge::{EdgeFlow, EdgeKey},
    flow::{Affinity, AffinityKey, Member, MemberKey, ReplyKey, TcpOrigin},
    index::{Bucket, buckets},
    limits as bounds,
    reason::Reason,
    tap::Tapped,
};

mod egress;
mod metrics;

pub(super) use metrics::metrics;

use crate::{
    cli::{status::outcome, text::Text},
    finding::codes::ALL,
    plan::Capacity,
};

/// Every finding.
pub(super) fn findings() -> String {
    let mut text = Text::default();
    text.lines(
        "# Findings\n\n\
         Generated from the code (`cargo xtask docs`). What was read and is refused, not enforced, or \
         enforced in part: nothing is silently dropped. `steer check` and `steer plan` show the \
         findings of files, `steer check` without files and `steer status` those of the agent. Codes \
         are stable; those that begin with IST are the ones of `istioctl analyze`.\n\n\
         At level Error the change is refused as a whole, and the last good configuration stays in \
         force. At level Warning it is in force, but for what the finding says.\n\n\
         | Code | Level | What it says | What follows |\n| --- | --- | --- | --- |\n",
    );
    for code in ALL {
        let level = code.severity.to_string();
        row(&mut text, &[code.id, &level, code.title, code.help]);
    }
    text.finish()
}

/// Every reason.
pub(super) fn reasons() -> String {
    let mut text = Text::default();
    text.lines(
        "# Reasons\n\n\
         Generated from the code (`cargo xtask docs`). Every exit of every program has a reason, and \
         the kernel counts them: `steer status -o wide` shows how often each was taken on this node \
         since the maps were made, `steer explain` names the one of a connection. Numbers are never \
         used again.\n\n\
         | Number | Reason | What happened | Meaning |\n| --- | --- | --- | --- |\n",
    );
    for reason in Reason::ALL {
        let name = format!("`{}`", reason.name());
        let number = reason.index().to_string();
        row(
            &mut text,
            &[&number, &name, outcome(reason.outcome()), reason.help()],
        );
    }
    text.finish()
}

/// A map whose size is known.
struct Sized {
    name: &'static str,
    rows: u32,
    /// Bytes of key and value.
    bytes: usize,
    what: &'static str,
    full: &'static str,
}

/// Maps that the agent writes, for an agent with the default size.
fn written() -> [Sized; 10] {
    let capacity = Capacity::for_services(bounds::SERVICES_MAX);
    let sized = |name, rows, bytes, what| Sized {
        name,
        rows,
        bytes,
        what,
        full: "the change is refused (STR0701)",
    };
    [
        sized(
            "SERVICES",
            buckets(capacity.keys),
            size_of::<Bucket>(),
            "what is dialled -> row; seven slots a row, two of them used on average",
        ),
        sized(
            "ROUTES",
            capacity.rows,
            size_of::<Route>(),
            "a row for each address, port and class",
        ),
        sized(
            "ENDPOINTS",
            capacity.endpoints,
            size_of::<Endpoint>(),
            "four a service port on average",
        ),
        sized("TICKETS", capacity.rows, size_of::<u64>(), "one a route"),
        sized(
            "COUNTERS",
            capacity.counters,
            size_of::<u64>(),
            "for each CPU; two a service port on average",
        ),
        sized(
            "SOURCES",
            capacity.sources,
            size_of::<u64>() + size_of::<Source>(),
            "pods of this node",
        ),
        sized(
            "MEMBERS",
            capacity.endpoints,
            size_of::<MemberKey>() + size_of::<Member>(),
            "endpoints of services with sessionAffinity; takes memory as it fills",
        ),
        Sized {
            full: "connections have no lines in the access log, and are not counted",
            ..sized(
                "OBSERVED",
                bounds::SOURCES_MAX,
                size_of::<u64>() + size_of::<u32>(),
                "pods of this node that have an access log, or all if metrics are told; takes memory as it fills",
            )
        },
        Sized {
            full: "the agent's log says how many are not copied",
            ..sized(
                "TAPPED",
                bounds::TAPPED_MAX,
                size_of::<u32>() + size_of::<Tapped>(),
                "routes whose requests are copied without a proxy; takes memory as it fills",
            )
        },
        Sized {
            full: "the agent's log says how many are not counted",
            ..sized(
                "COUNTED",
                bounds::COUNTED_MAX,
                size_of::<u32>() + size_of::<Counted>(),
                "routes with split: auto, whose requests are counted; takes memory as it fills",
            )
        },
    ]
}

/// Maps that the programs write.
fn remembered() -> [Sized; 5] {
    let sized = |name, rows, bytes, what| Sized {
        name,
        rows,
        bytes,
        what,
        full: "the least recently used goes",
    };
    [
        sized(
            "AFFINITY",
            bounds::AFFINITY_MAX,
            size_of::<AffinityKey>() + size_of::<Affinity>(),
            "clients of services with sessionAffinity",
        ),
        Sized {
            full: "the rest is kept beside the sockets",
            ..sized(
                "TCP_ORIGIN",
                bounds::SOCKETS_MAX,
                size_of::<TcpOrigin>(),
                "open TCP sockets of clients: what they dialled",
            )
        },
        Sized {
            full: "the rest is kept beside the sockets, and counts when it closes",
            ..sized(
                "TCP_OPENED",
                bounds::SOCKETS_MAX,
                size_of::<TcpOpened>(),
                "open connections of observed pods",
            )
        },
        sized(
            "UDP_REPLY",
            bounds::UDP_REPLIES_MAX,
            size_of::<ReplyKey>() + size_of::<Peer>(),
            "sockets that send datagrams without connecting, by endpoint",
        ),
        Sized {
            full: "the least recently used goes, and its connection breaks",
            ..sized(
                "EDGE_FLOWS",
                bounds::EDGE_FLOWS_MAX,
                size_of::<EdgeKey>() + size_of::<EdgeFlow>(),
                "connections from outside that the kernel steers at ports of the node, two rows each",
            )
        },
    ]
}

fn maps() -> impl Iterator<Item = Sized> {
    written()
        .into_iter()
        .chain(remembered())
        .chain(egress::maps())
}

/// Every bound.
pub(super) fn limits() -> String {
    let mut text = Text::default();
    text.lines(&format!(
        "# Limits\n\n\
         Generated from the code (`cargo xtask docs`). Going over a bound is said before any map is \
         touched: nothing is cut off, and the last good configuration stays in force.\n\n\
         - A route has at most {} destinations.\n\
         - {} service ports (addresses times ports) fit by default; `steer agent --max-services` \
         changes it, and the maps with it.\n\
         - Clients whose rules differ from everyone's have rows of their own: one for every {} service \
         ports.\n\
         - The weights of a route, divided by their greatest common divisor, sum to at most {}.\n\n\
         Maps of an agent with the default size; the bytes are those of keys and values, to which the \
         kernel adds some for each row of a hash map.\n\n\
         | Map | Rows | Bytes a row | Size | What for | When full |\n\
         | --- | ---: | ---: | ---: | --- | --- |\n",
        bounds::DESTINATIONS_MAX,
        bounds::SERVICES_MAX,
        bounds::CLASS_ROWS_PER_SERVICE_INVERSE,
        bounds::WEIGHT_SUM_MAX,
    ));
    for map in maps() {
        let size = mebibytes(u64::from(map.rows) * map.bytes as u64);
        let (rows, bytes) = (map.rows.to_string(), map.bytes.to_string());
        row(
            &mut text,
            &[map.name, &rows, &bytes, &size, map.what, map.full],
        );
    }
    text.finish()
}

/// `1.5 MiB`, in whole tenths.
fn mebibytes(bytes: u64) -> String {
    let tenths = (bytes * 10 + (1 << 19)) >> 20;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

fn row(text: &mut Text, cells: &[&str]) {
    text.line(format_args!("| {} |", cells.join(" | ")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded() {
        assert_eq!(mebibytes(0), "0.0 MiB");
        assert_eq!(mebibytes(3 << 19), "1.5 MiB");
        assert_eq!(mebibytes((1 << 20) - 1), "1.0 MiB");
    }

    #[test]
    fn every_map_with_rows_has_a_limit() {
        let named: Vec<&str> = maps().map(|map| map.name).collect();
        let all = crate::kernel::MAPS;
        // Lives and dies with its socket, or is no table.
        let other = [
            "ORIGIN",
            "OPENED",
            "EVENTS",
            "CONNECTIONS",
            "TAP",
            "META",
            "EVENT_BUDGET",
            "HELLO_TURN",
            "SCRATCH",
        ];
        let rows = all.iter().filter(|name| !other.contains(name));
        for name in rows {
            assert!(named.contains(name), "{name}");
        }
    }

    #[test]
    fn every_reason_and_finding_has_a_row() {
        let rows = |page: &str| page.lines().filter(|line| line.starts_with("| ")).count();
        assert_eq!(rows(&reasons()), 2 + Reason::ALL.len());
        assert_eq!(rows(&findings()), 2 + ALL.len());
    }
}
