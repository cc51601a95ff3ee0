use super::*;
use crate::telemetry::{Node, Reporter, Traffic};

fn node(service: &str, version: &str) -> Node {
    Node {
        namespace: "shop".to_owned(),
        workload: format!("{service}-{version}"),
        service: service.to_owned(),
        version: version.to_owned(),
    }
}

fn traffic(version: &str, opened: u64) -> Traffic {
    Traffic {
        source: node("webapp", "v1"),
        service: "catalog.shop.svc.cluster.local".to_owned(),
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

fn graph(v1: u64, v2: u64) -> Graph {
    Graph {
        traffic: vec![traffic("v1", v1), traffic("v2", v2)],
        refused: Vec::new(),
    }
}

fn opened(graph: &Graph) -> Vec<u64> {
    graph.traffic.iter().map(Traffic::choices).collect()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn one_sample_says_nothing() {
    let mut window = Window::new(60 * SECOND);
    assert!(window.grown().is_none());
    window.push(SECOND, graph(900, 100));
    assert!(window.grown().is_none());
    window.push(2 * SECOND, graph(909, 101));
    let (took, grown) = window.grown().unwrap();
    assert_eq!((took, opened(&grown)), (SECOND, vec![9, 1]));
    assert_eq!(grown.traffic[0].sent_bytes, 900);
}

#[test]
fn it_forgets_what_was_before() {
    let mut window = Window::new(60 * SECOND);
    for second in 0..200_u32 {
        let n = u64::from(second);
        // Ten a second; of v2 none but in the last half minute.
        let new = n.saturating_sub(170);
        window.push(second * SECOND, graph(10 * n, 10 * new));
    }
    let (took, grown) = window.grown().unwrap();
    let seconds = took.as_secs();
    assert!((60..=62).contains(&seconds), "{seconds}");
    assert_eq!(opened(&grown), [10 * seconds, 290]);
    assert!(window.samples.len() <= SAMPLES as usize + 2);
}

#[test]
fn after_a_pause_it_begins_anew() {
    let mut window = Window::new(30 * SECOND);
    window.push(SECOND, graph(900, 100));
    window.push(600 * SECOND, graph(90_000, 10_000));
    assert!(window.grown().is_none());
    window.push(601 * SECOND, graph(90_009, 10_001));
    let (took, grown) = window.grown().unwrap();
    assert_eq!((took, opened(&grown)), (SECOND, vec![9, 1]));
}

#[test]
fn an_agent_that_began_anew_counts_from_zero() {
    let after = graph(5, 200).since(&graph(900, 100));
    assert_eq!(opened(&after), [5, 100]);
    // A destination that is new counts whole.
    let mut before = graph(1, 0);
    before.traffic.pop();
    assert_eq!(opened(&graph(1, 3).since(&before)), [0, 3]);
}

#[test]
fn several_agents_add_up() {
    let mut other = graph(1, 2);
    other.traffic[1].source = node("forum", "v1");
    let joined = Graph::joined([graph(9, 1), other]);
    let mut counts = opened(&joined);
    counts.sort_unstable();
    assert_eq!(counts, [1, 2, 10]);
}

#[test]
fn a_graph_is_read_as_it_is_written() {
    let graph = graph(9, 1);
    let text = serde_json::to_string(&graph).unwrap();
    assert!(text.contains(r#""reporter":"source""#), "{text}");
    assert_eq!(serde_json::from_str::<Graph>(&text).unwrap(), graph);
}

#[test]
fn what_both_ends_saw_counts_once() {
    let mut both = graph(9, 1);
    let at_server = |version, requests, copies| Traffic {
        reporter: Reporter::Destination,
        requests,
        copies,
        ..traffic(version, 9)
    };
    // The server of v1 saw the same nine; that of v2 copies as well.
    both.traffic.push(at_server("v1", 0, 0));
    both.traffic.push(at_server("v2", 4, 4));
    let once = both.once();
    let counts: Vec<(u64, u64)> = once
        .traffic
        .iter()
        .map(|one| (one.choices(), one.copies))
        .collect();
    assert_eq!(counts, [(9, 0), (1, 0), (0, 4)]);
    // Whom nobody on this node asked is known by the other end alone.
    let alone = Graph {
        traffic: vec![at_server("v1", 0, 0)],
        refused: Vec::new(),
    };
    assert_eq!(alone.once(), alone);
}
