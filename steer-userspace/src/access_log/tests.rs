use std::{fs, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::source::object::PodRef;

fn entry() -> Entry {
    let mut headers = HeaderMap::new();
    headers.insert("user-agent", HeaderValue::from_static("curl/8.5.0"));
    headers.insert("x-request-id", HeaderValue::from_static("7"));
    Entry {
        pod: PodRef {
            namespace: "shop".to_owned(),
            name: "webapp".to_owned(),
        },
        start: "2026-11-29T16:00:00.123456Z".parse().unwrap(),
        duration: Duration::from_micros(12_900),
        request: Some(Request {
            method: Method::GET,
            path: "/items?a=1".to_owned(),
            rewritten: None,
            version: Version::HTTP_11,
            authority: "catalog".to_owned(),
            headers,
            answer: HeaderMap::new(),
        }),
        status: 200,
        flags: Vec::new(),
        details: Some("via_upstream"),
        received: 0,
        sent: 502,
        service_time: Some(Duration::from_millis(11)),
        upstream: Some("10.10.0.12:3000".parse().unwrap()),
        upstream_local: Some("10.10.0.20:40000".parse().unwrap()),
        cluster: Some("outbound|80|v1|catalog.shop.svc.cluster.local".to_owned()),
        dialled: Some("10.200.1.92:80".parse().unwrap()),
        client: Some("10.10.0.20:39000".parse().unwrap()),
        route: Some("cohort".to_owned()),
        server_name: None,
    }
}

fn connection() -> Entry {
    Entry {
        request: None,
        status: 0,
        details: None,
        service_time: None,
        received: 79,
        route: None,
        ..entry()
    }
}

fn text(format: &str, entry: &Entry) -> String {
    let (format, mistakes) = Format::text(format);
    assert_eq!(mistakes, []);
    format.line(entry)
}

#[test]
fn a_name_of_tls() {
    let named = Entry {
        server_name: Some("vault.example".to_owned()),
        ..connection()
    };
    let operator = "%REQUESTED_SERVER_NAME%";
    assert_eq!(text(operator, &named), "vault.example\n");
    assert_eq!(text(operator, &connection()), "-\n");
}

/// The default is Envoy's, word for word.
#[test]
fn a_request_in_text() {
    assert_eq!(
        text("", &entry()),
        "[2026-11-29T16:00:00.123Z] \"GET /items?a=1 HTTP/1.1\" 200 - via_upstream - \"-\" 0 502 12 11 \
         \"-\" \"curl/8.5.0\" \"7\" \"catalog\" \"10.10.0.12:3000\" \
         outbound|80|v1|catalog.shop.svc.cluster.local 10.10.0.20:40000 10.200.1.92:80 \
         10.10.0.20:39000 - cohort\n"
    );
}

#[test]
fn a_connection_in_text() {
    assert_eq!(
        text("", &connection()),
        "[2026-11-29T16:00:00.123Z] \"- - -\" 0 - - - \"-\" 79 502 12 - \"-\" \"-\" \"-\" \"-\" \
         \"10.10.0.12:3000\" outbound|80|v1|catalog.shop.svc.cluster.local 10.10.0.20:40000 \
         10.200.1.92:80 10.10.0.20:39000 - -\n"
    );
}

#[test]
fn a_request_in_json() {
    let line = Format::json("").0.line(&entry());
    let found: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        found,
        json!({
            "start_time": "2026-11-29T16:00:00.123Z",
            "route_name": "cohort",
            "method": "GET",
            "path": "/items?a=1",
            "protocol": "HTTP/1.1",
            "response_code": 200,
            "response_flags": "-",
            "response_code_details": "via_upstream",
            "connection_termination_details": null,
            "bytes_received": 0,
            "bytes_sent": 502,
            "duration": 12,
            "upstream_service_time": "11",
            "x_forwarded_for": null,
            "user_agent": "curl/8.5.0",
            "request_id": "7",
            "authority": "catalog",
            "upstream_host": "10.10.0.12:3000",
            "upstream_cluster": "outbound|80|v1|catalog.shop.svc.cluster.local",
            "upstream_local_address": "10.10.0.20:40000",
            "downstream_local_address": "10.200.1.92:80",
            "downstream_remote_address": "10.10.0.20:39000",
            "requested_server_name": null,
            "upstream_transport_failure_reason": null,
        })
    );
    assert_eq!(line.matches('\n').count(), 1);
}

#[test]
fn flags_stand_side_by_side() {
    let flags = vec![
        Flag::UpstreamConnectionFailure,
        Flag::UpstreamRetryLimitExceeded,
    ];
    let entry = Entry { flags, ..entry() };
    assert_eq!(text("%RESPONSE_FLAGS%", &entry), "UF,URX\n");
}

#[test]
fn operators_of_a_format_of_ones_own() {
    let all = [
        (
            "%START_TIME(%Y/%m/%dT%H:%M:%S.%3f)%",
            "2026/11/29T16:00:00.123",
        ),
        ("%START_TIME(%s)%", "1795968000"),
        ("%REQ(USER-AGENT):4%|%REQ(NONE)%", "curl|-"),
        ("100%% of %HOSTNAME%", "100% of webapp"),
        (
            "%ENVIRONMENT(POD_NAMESPACE)%/%ENVIRONMENT(POD_NAME)%",
            "shop/webapp",
        ),
        (
            "%UPSTREAM_HOST% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
            "10.10.0.12:3000 10.10.0.20",
        ),
        ("%DOWNSTREAM_LOCAL_PORT%", "80"),
        (
            "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %REQ(:PATH)%",
            "/items?a=1 /items?a=1",
        ),
        ("%RESP(:STATUS)% %RESPONSE_CODE%\n", "200 200"),
    ];
    for (format, expected) in all {
        assert_eq!(text(format, &entry()), format!("{expected}\n"), "{format}");
    }
}

/// What was asked for, whatever a rule made of it, and whatever a client says that it was.
#[test]
fn a_path_that_was_rewritten() {
    let mut entry = entry();
    let request = entry.request.as_mut().unwrap();
    let name = HeaderName::from_static("x-envoy-original-path");
    request
        .headers
        .insert(name, HeaderValue::from_static("/lie"));
    let format = "%REQ(X-ENVOY-ORIGINAL-PATH)% %REQ(:PATH)%";
    assert_eq!(text(format, &entry), "- /items?a=1\n");
    entry.request.as_mut().unwrap().rewritten = Some("/v2/items?a=1".to_owned());
    assert_eq!(text(format, &entry), "/items?a=1 /v2/items?a=1\n");
}

#[test]
fn what_cannot_be_had_is_said_and_its_place_kept() {
    let (format, mistakes) =
        Format::text("a %X_Y(b)% c %REQ()% %DYNAMIC_METADATA(a:b)% %START_TIME(%~)%");
    let wrong = [
        "%X_Y(b)%",
        "%REQ()%",
        "%DYNAMIC_METADATA(a:b)%",
        "%START_TIME(%~)%",
    ];
    let wrong = wrong.map(|text| Mistake::Operator(text.to_owned()));
    assert_eq!(mistakes, wrong);
    assert_eq!(format.line(&entry()), "a - c - - -\n");
    let (format, mistakes) = Format::text("a %");
    assert_eq!(mistakes, [Mistake::Operator("%".to_owned())]);
    assert_eq!(format.line(&entry()), "a -\n");
}

#[test]
fn json_of_ones_own_keeps_its_shape() {
    let written = r#"{"a": {"b": ["%BYTES_SENT%", 1, "x%DURATION%"]}, "c": "%REQ(NONE)%"}"#;
    let (format, mistakes) = Format::json(written);
    assert_eq!(mistakes, []);
    assert_eq!(
        format.line(&entry()),
        "{\"a\":{\"b\":[502,1,\"x12\"]},\"c\":null}\n"
    );
    for wrong in ["[]", "plain", "{"] {
        let (format, mistakes) = Format::json(wrong);
        assert_eq!(mistakes, [Mistake::NoObject]);
        assert_eq!(format, Format::json("").0);
    }
}

proptest! {
    /// Whatever a client sends, a line is one line with the same fields.
    #[test]
    fn nobody_forges_a_line(agent in prop::collection::vec(32_u8.., 0..40), path in "\\PC*|.*") {
        let mut entry = entry();
        let request = entry.request.as_mut().unwrap();
        if let Ok(value) = HeaderValue::from_bytes(&agent) {
            request.headers.insert("user-agent", value);
        }
        request.path = path.clone();
        let line = text("", &entry);
        prop_assert_eq!(line.lines().count(), 1);
        prop_assert_eq!(line.chars().filter(|found| found.is_control()).count(), 1);
        prop_assert_eq!(quotes(&line), 14);
        let line = Format::json("").0.line(&entry);
        prop_assert_eq!(line.lines().count(), 1);
        let found: Value = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(&found["path"], &Value::from(path));
    }

    /// No format breaks the reader of formats.
    #[test]
    fn any_format_gives_a_line(format in ".*|(%[A-Z(:)%?-]{0,12}){0,4}") {
        let (format, _) = Format::text(&format);
        prop_assert!(format.line(&entry()).ends_with('\n'));
    }
}

/// Quotation marks that are not escaped.
fn quotes(line: &str) -> usize {
    let mut count = 0;
    let mut escaped = false;
    for found in line.chars() {
        match found {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => count += 1,
            _ => {}
        }
    }
    count
}

fn written(path: &std::path::Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn lines_go_to_the_file_that_stands_at_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (folder.path().join("log"), folder.path().join("log.1"));
    let writer = Writer::start().unwrap();
    writer.aim(Target::new(path.to_str().unwrap()));
    let hand_over = |line: &str| {
        writer.hand_over(line.to_owned());
        writer.flush(Duration::from_secs(5));
    };
    hand_over("1\n");
    hand_over("2\n");
    fs::rename(&path, &old).unwrap();
    hand_over("3\n");
    assert_eq!(
        (written(&old), written(&path)),
        ("1\n2\n".into(), "3\n".into())
    );
    assert_eq!(
        writer.counted(),
        Counted {
            written: 3,
            lost: 0
        }
    );
}

/// A pipe that nobody reads: lines are lost, and who hands them over never waits.
#[test]
fn a_reader_that_does_not_read_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let writer = Writer::start().unwrap();
    writer.aim(Target::new(path.to_str().unwrap()));
    let before = std::time::Instant::now();
    for _ in 0..12 {
        writer.hand_over("x".repeat(1 << 20));
    }
    assert!(before.elapsed() < Duration::from_secs(2));
    let counted = writer.counted();
    assert!((8..12).contains(&counted.lost), "{counted:?}");
    // Whoever reads late gets what waited.
    let mut pipe = fs::File::open(&path).unwrap();
    let mut first = [0];
    std::io::Read::read_exact(&mut pipe, &mut first).unwrap();
    assert_eq!(&first, b"x");
}

#[test]
fn what_cannot_be_written_is_lost_and_counted() {
    let writer = Writer::start().unwrap();
    writer.aim(Target::new("/nowhere/at/all"));
    writer.hand_over("1\n".to_owned());
    writer.flush(Duration::from_secs(5));
    assert_eq!(
        writer.counted(),
        Counted {
            written: 0,
            lost: 1
        }
    );
}

#[test]
fn times_have_milliseconds() {
    let entry = Entry {
        start: Timestamp::UNIX_EPOCH,
        ..entry()
    };
    assert_eq!(text("%START_TIME%", &entry), "1970-01-01T00:00:00.000Z\n");
}
