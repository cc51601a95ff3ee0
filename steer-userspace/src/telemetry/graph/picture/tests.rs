use super::*;
use crate::telemetry::{Led, Reporter, Ruling, Traffic};

const HOST: &str = "catalog.shop.svc.cluster.local";

fn node(service: &str, version: &str) -> Node {
    Node {
        namespace: "shop".to_owned(),
        workload: format!("{service}-{version}"),
        service: service.to_owned(),
        version: version.to_owned(),
    }
}

fn traffic(source: &str, service: &str, version: &str, opened: u64) -> Traffic {
    Traffic {
        source: node(source, "v1"),
        service: service.to_owned(),
        destination: node("catalog", version),
        reporter: Reporter::Source,
        connections_opened: opened,
        connections_closed: opened,
        sent_bytes: opened * 100,
        received_bytes: opened * 10,
        requests: 0,
        errors: 0,
        refused: 0,
        copies: 0,
        duration_ms: 0.0,
    }
}

fn led(version: &str, percent: f64) -> Led {
    Led {
        host: HOST.to_owned(),
        subset: Some(format!("version-{version}")),
        percent,
        workloads: vec![node("catalog", version)],
        endpoints: vec!["10.0.0.2:8080 shop/catalog-v1".to_owned()],
        endpoints_in_all: 1,
    }
}

fn ruled(leads_to: Vec<Led>, mirrors: Vec<Led>) -> Ruled {
    let rule = Ruling {
        object: Some("VirtualService shop/catalog".to_owned()),
        field: Some("spec.http[0]".to_owned()),
        place: Some("catalog.yaml:9:7".to_owned()),
        matches: Vec::new(),
        answers: Vec::new(),
        leads_to,
        mirrors,
    };
    Ruled {
        host: HOST.to_owned(),
        name: "catalog".to_owned(),
        namespace: "shop".to_owned(),
        outside: false,
        routes: vec![Routed {
            port: 80,
            protocol: "HTTP".to_owned(),
            client: "*".to_owned(),
            depth: "connect".to_owned(),
            auto: true,
            rules: vec![rule],
        }],
    }
}

fn graph(traffic: Vec<Traffic>) -> Graph {
    Graph {
        traffic,
        refused: Vec::new(),
    }
}

const TEN: Duration = Duration::from_secs(10);

#[test]
fn a_split_is_a_share_for_each_version() {
    let grown = graph(vec![
        traffic("webapp", HOST, "v1", 90),
        traffic("webapp", HOST, "v2", 10),
        traffic("forum", HOST, "v1", 100),
    ]);
    let ruled = [ruled(vec![led("v1", 90.0), led("v2", 10.0)], Vec::new())];
    let picture = Picture::new(TEN, &grown, &ruled);
    let [lane] = picture.lanes.as_slice() else {
        panic!("{picture:#?}");
    };
    assert_eq!(
        (lane.name.as_str(), lane.depth.as_deref()),
        ("catalog", Some("auto"))
    );
    let shares: Vec<_> = lane
        .versions
        .iter()
        .map(|found| (found.node.version.as_str(), found.share, found.wanted))
        .collect();
    assert_eq!(
        shares,
        [
            ("v1", Some(95.0), Some(90.0)),
            ("v2", Some(5.0), Some(10.0))
        ]
    );
    let paths: Vec<_> = lane
        .paths
        .iter()
        .map(|path| {
            let source = &lane.sources[path.source].node.service;
            (source.as_str(), path.version, path.share)
        })
        .collect();
    assert_eq!(
        paths,
        [
            ("forum", 0, Some(100.0)),
            ("webapp", 0, Some(90.0)),
            ("webapp", 1, Some(10.0))
        ]
    );
    assert_eq!((picture.whole.connections, lane.flow.sent), (20.0, 2000.0));
}

#[test]
fn a_quiet_service_shows_what_its_rule_wants() {
    let ruled = [ruled(vec![led("v1", 90.0), led("v2", 10.0)], Vec::new())];
    let picture = Picture::new(TEN, &Graph::default(), &ruled);
    let versions = &picture.lanes[0].versions;
    let found: Vec<_> = versions.iter().map(|one| (one.share, one.wanted)).collect();
    assert_eq!(found, [(None, Some(90.0)), (None, Some(10.0))]);
}

#[test]
fn a_mirror_has_no_share() {
    let copies = Traffic {
        reporter: Reporter::Destination,
        connections_opened: 0,
        requests: 100,
        copies: 100,
        ..traffic("webapp", HOST, "v2", 0)
    };
    let grown = graph(vec![traffic("webapp", HOST, "v1", 100), copies]);
    let ruled = [ruled(vec![led("v1", 100.0)], vec![led("v2", 100.0)])];
    let picture = Picture::new(TEN, &grown, &ruled);
    let versions = &picture.lanes[0].versions;
    let found: Vec<_> = versions
        .iter()
        .map(|one| (one.share, one.is_mirror, one.flow.copies, one.flow.requests))
        .collect();
    assert_eq!(
        found,
        [(Some(100.0), false, 0.0, 0.0), (Some(0.0), true, 10.0, 0.0)]
    );
}

#[test]
fn what_is_refused_has_a_lane_of_its_own_name() {
    let mut grown = graph(vec![
        traffic("webapp", "BlackHoleCluster", "unknown", 20),
        traffic("webapp", "PassthroughCluster", "unknown", 20),
    ]);
    grown.refused.push(Refused {
        source: node("webapp", "v1"),
        name: "httpbin.org".to_owned(),
        port: 443,
        reason: "not_in_registry".to_owned(),
        count: 20,
    });
    let picture = Picture::new(TEN, &grown, &[]);
    let lanes: Vec<_> = picture
        .lanes
        .iter()
        .map(|lane| (lane.kind, lane.host.as_str(), lane.sources.len()))
        .collect();
    assert_eq!(
        lanes,
        [
            (Kind::Passthrough, "PassthroughCluster", 1),
            (Kind::Refused, "httpbin.org", 1)
        ]
    );
    assert_eq!((picture.refused, picture.whole.connections), (2.0, 2.0));
}
