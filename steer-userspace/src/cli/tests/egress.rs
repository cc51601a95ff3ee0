//! What the commands print of `golden/egress.yaml`, after some DNS answers.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use clap::Parser as _;
use steer_common::egress::{Grant, Learned, LearnedKey};

use super::{
    super::{Args, Command, explain, golden, instance::Seen},
    got, pods,
};
use crate::{
    desired::{Settings, lower},
    image::{Compiler, Node, egress::Found},
    live::Live,
    plan::{Capacity, Layout},
    source::{Snapshot, files::parse_text},
};

/// A moment.
const NOW_SECS: u32 = 1000;

fn seen() -> Seen {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/golden/egress.yaml");
    let text = fs::read_to_string(path).unwrap();
    let (objects, findings) = parse_text("egress.yaml", &text).unwrap();
    let snapshot = Snapshot::from_objects(objects, findings);
    let settings = Settings::default();
    let desired = lower(&snapshot, &settings, &pods().into_values().collect());
    let found: Found = BTreeMap::from([(
        "jsonplaceholder.typicode.com".to_owned(),
        BTreeMap::from([("198.51.100.7".parse().unwrap(), NOW_SECS + 600)]),
    )]);
    let node = Node {
        own: Some(1),
        pods: pods(),
        found: Arc::new(found),
        ..Node::default()
    };
    let mut compiler = Compiler::default();
    let mut layout = Layout::new(Capacity::for_services(100));
    let plan = layout.plan(compiler.compile_on(&desired, &node)).unwrap();
    let mut live = Live {
        egress: layout.egress().clone(),
        ..Live::default()
    };
    for step in &plan.steps {
        if let crate::plan::Step::SetSource { cookie, source } = step {
            live.sources.insert(*cookie, *source);
        }
    }
    let names = layout.names();
    let addr = "203.0.113.5".parse::<std::net::IpAddr>().unwrap().into();
    let wide = live.name(0, "api.example.com").unwrap();
    let key = LearnedKey { policy: 0, addr };
    let grant = Grant::new(wide, NOW_SECS + 60);
    live.learned.insert(key, Learned::one(key, grant));
    live.names_seen.insert(key, "api.example.com".to_owned());
    Seen {
        live,
        names,
        now_secs: NOW_SECS,
        ..Seen::default()
    }
}

#[test]
fn listings() {
    let seen = seen();
    for what in ["egress", "names", "workloads"] {
        let listed = got(&seen, &format!("{what} -o wide"));
        golden::assert(&format!("egress-get-{what}"), &listed);
    }
    golden::assert("egress-get-names-json", &got(&seen, "names -o json"));
    assert_eq!(got(&seen, "egress json --no-headers").lines().count(), 2);
    assert_eq!(got(&seen, "egress -n other --no-headers"), "");
}

fn explained(words: &str) -> String {
    let seen = seen();
    let args = Args::try_parse_from(format!("steer explain {words}").split(' ')).unwrap();
    let Command::Explain(args) = args.command else {
        panic!("{words}");
    };
    if let Some(question) = explain::name_question(&seen, &args).unwrap() {
        return explain::name_text(&seen, &question);
    }
    let question = explain::question(&seen, &args).unwrap();
    explain::text(&explain::explain(&seen, &question, &BTreeMap::new(), 0))
}

#[test]
fn explanations() {
    for (name, words) in [
        ("name", "shop/webapp api.example.com:443"),
        ("name-port", "shop/webapp api.example.com:80"),
        ("name-unknown", "shop/webapp other.example:443"),
        ("name-audited", "kube-system/client other.example:443"),
        ("address", "shop/webapp 203.0.113.5:443"),
        ("address-network", "shop/webapp 192.0.2.9:5432"),
        ("address-unknown", "shop/webapp 203.0.113.6:443"),
        ("address-audited", "kube-system/client 203.0.113.6:443"),
    ] {
        golden::assert(&format!("egress-explain-{name}"), &explained(words));
    }
}
