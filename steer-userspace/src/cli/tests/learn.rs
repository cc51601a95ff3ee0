use std::net::IpAddr;

use super::super::{args::Format, learn};
use crate::{
    control::{Counted, Refusal},
    desired::model::PodRef,
    source::files::parse_text,
};

fn seen(name: Option<&str>, address: &str, port: u16, protocol: u32) -> Counted {
    let pod = PodRef {
        namespace: "shop".to_owned(),
        name: "webapp".to_owned(),
    };
    Counted {
        refusal: Refusal {
            pod: Some(pod),
            policy: "*".to_owned(),
            name: name.map(str::to_owned),
            address: address.parse::<IpAddr>().unwrap(),
            port,
            protocol,
            reason: "not_in_registry".to_owned(),
            refused: true,
        },
        count: 1,
        process: None,
    }
}

/// What is printed can be read, and names everything that was seen, once.
#[test]
fn what_is_learned_can_be_applied() {
    let refusals = [
        seen(Some("api.example.com"), "203.0.113.5", 443, 6),
        seen(Some("api.example.com"), "203.0.113.6", 443, 6),
        seen(Some("api.example.com"), "203.0.113.6", 80, 6),
        seen(None, "203.0.113.7", 5432, 6),
        seen(Some("bad name"), "2001:db8::1", 123, 17),
        seen(None, "203.0.113.8", 0, 1),
    ];
    let entries = learn::entries(&refusals, None);
    let text = learn::text(&entries, Format::Table).unwrap();
    let (objects, findings) = parse_text("learned.yaml", &text).unwrap();
    assert_eq!(findings, [], "{text}");
    assert_eq!(objects.len(), 3, "{text}");
    super::super::golden::assert("learn", &text);
    assert!(learn::entries(&refusals, Some("other")).is_empty());
}
