//! Who has a line in the access log for which request or connection, what it says, and that nobody waits
//! for whoever reads it.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use libtest_mimic::Trial;
use nix::{sys::stat::Mode, unistd::mkfifo};
use serde_json::Value;
use steer_tests::{harness::test, lab::Network, pod::Pod, topology};

use crate::stage::{COHORT, Stage, eventually};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("access_log::whom_a_telemetry_selects", selected),
        test("access_log::a_request_in_json", json),
        test("access_log::a_direct_connection", direct),
        test("access_log::the_pod_that_is_asked", server),
        test("access_log::a_nearer_telemetry_ends_it", ended),
        test("access_log::what_went_wrong", wrong),
        test("access_log::a_reader_that_does_not_read", slow),
        test("access_log::headers_forge_nothing", forged),
        test("access_log::a_gateway_that_a_telemetry_selects", gateway),
    ]
}

pub(crate) const FILE: &str = "access-log.yaml";
const CATALOG: &str = "http://catalog/items";

/// Everything that the mesh logs goes there.
fn mesh(stage: &Stage, encoding: &str) -> Result<PathBuf> {
    let path = stage.lab.dirs().run().join("access.log");
    let text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\n\
         data:\n  mesh: |-\n    accessLogFile: {}\n    accessLogEncoding: {encoding}\n",
        path.display()
    );
    stage.configure("mesh.yaml", &text)?;
    Ok(path)
}

/// A Telemetry for pods with this label, with this entry.
fn telemetry(app: &str, entry: &str) -> String {
    format!(
        "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\n\
         metadata: {{name: {app}, namespace: istioinaction}}\n\
         spec:\n  selector: {{matchLabels: {{app: {app}}}}}\n  \
         accessLogging: [{{providers: [{{name: envoy}}]{entry}}}]\n"
    )
}

fn curl(pod: &Pod, url: &str, options: &[&str]) -> Result<String> {
    let always = ["-sS", "--max-time", "10", "-4"];
    pod.run("curl", &[&always, options, &[url]].concat())
}

/// The lines of a file, once there are so many.
pub(crate) fn lines(path: &PathBuf, count: usize) -> Result<Vec<String>> {
    let read = || {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    eventually(&format!("{count} lines in the access log"), || {
        Ok(read().len() >= count)
    })?;
    // One too many would follow at once.
    std::thread::sleep(Duration::from_millis(300));
    let found = read();
    ensure!(found.len() == count, "{count} lines expected: {found:#?}");
    Ok(found)
}

/// The fields of a line of text.
pub(crate) fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// Step S7: with a Telemetry for app=webapp, webapp's lines appear, and nobody else's. They go to the
/// agent's own output.
fn selected() -> Result<()> {
    let stage = Stage::raise("log-one", COHORT)?;
    stage.configure(FILE, &telemetry("webapp", ""))?;
    let webapp = stage.lab.pod("webapp")?;
    curl(stage.client()?, CATALOG, &[])?;
    let own = || -> Result<Vec<String>> {
        let text = fs::read_to_string(stage.agent.log())?;
        let lines = text
            .lines()
            .filter(|line| line.contains("\"GET /items HTTP/1.1\""));
        Ok(lines.map(ToOwned::to_owned).collect())
    };
    curl(webapp, CATALOG, &["-A", "first"])?;
    // Connections are served on two threads, whose lines have no order.
    eventually("a line in the agent's output", || Ok(!own()?.is_empty()))?;
    curl(
        webapp,
        CATALOG,
        &["-A", "second", "-H", "x-istio-cohort: internal"],
    )?;
    eventually("two lines in the agent's output", || Ok(own()?.len() >= 2))?;
    let found = own()?;
    ensure!(found.len() == 2, "{found:#?}");
    let address = webapp.v4()?;
    for (line, agent, subset, pod) in [
        (&found[0], "first", "v1", "10.10.0.12:3000"),
        (&found[1], "second", "v2", "10.10.0.13:3000"),
    ] {
        let words = words(line);
        let at = |index: usize| words.get(index).copied().unwrap_or_default();
        ensure!(
            words[1..7] == ["\"GET", "/items", "HTTP/1.1\"", "200", "-", "via_upstream"],
            "{line}"
        );
        ensure!(
            line.contains(&format!("\"{agent}\" \"-\" \"catalog\" \"{pod}\"")),
            "{line}"
        );
        let cluster = format!("outbound|80|{subset}|catalog.istioinaction.svc.cluster.local");
        ensure!(line.contains(&cluster), "{line}");
        ensure!(at(9) == "0" && at(10).parse::<u64>()? > 0, "bytes: {line}");
        ensure!(at(words.len() - 4) == "10.200.1.92:80", "dialled: {line}");
        let client = at(words.len() - 3);
        ensure!(client.starts_with(&format!("{address}:")), "client: {line}");
    }
    Ok(())
}

fn json() -> Result<()> {
    let stage = Stage::raise("log-json", COHORT)?;
    let path = mesh(&stage, "JSON")?;
    let headers = ["-H", "x-request-id: 7", "-H", "x-forwarded-for: 1.2.3.4"];
    let client = stage.client()?;
    let answer = curl(client, CATALOG, &[&headers[..], &["-d", "12345"]].concat())?;
    // The mesh's setting is for all pods, on both sides: the catalog has a line as well.
    let found = lines(&path, 2)?;
    let all: Vec<Value> = found
        .iter()
        .map(|line| serde_json::from_str(line))
        .collect::<Result<_, _>>()?;
    let outbound = |line: &&Value| {
        let cluster = line["upstream_cluster"].as_str();
        cluster.is_some_and(|name| name.starts_with("outbound|"))
    };
    let own = all.iter().find(outbound).context("no line of the client")?;
    for (key, expected) in [
        ("method", Value::from("POST")),
        ("path", "/items".into()),
        ("protocol", "HTTP/1.1".into()),
        ("response_flags", "-".into()),
        ("bytes_received", 5.into()),
        ("request_id", "7".into()),
        ("x_forwarded_for", "1.2.3.4".into()),
        ("authority", "catalog".into()),
        ("upstream_host", "10.10.0.12:3000".into()),
        ("downstream_local_address", "10.200.1.92:80".into()),
        ("requested_server_name", Value::Null),
    ] {
        ensure!(own[key] == expected, "{key}: {own:#}");
    }
    let length = own["bytes_sent"].as_u64().context("bytes_sent")?;
    ensure!(
        length == u64::try_from(answer.len())?,
        "{} bytes: {own:#}",
        answer.len()
    );
    let server = all.iter().find(|line| !outbound(line));
    let server = server.context("no line of the catalog")?;
    ensure!(server["upstream_cluster"] == "inbound|3000||", "{server:#}");
    ensure!(
        server["downstream_remote_address"] == own["upstream_local_address"],
        "{server:#} is not the other end of {own:#}"
    );
    Ok(())
}

/// Nobody looks into a connection that needs no look: its line is that of a TCP proxy, with the bytes of both
/// ways.
fn direct() -> Result<()> {
    let stage = Stage::raise(
        "log-tcp",
        "http:\n  - route: [{destination: {host: catalog, subset: v2}}]\n",
    )?;
    stage.configure(FILE, &telemetry("webapp", ", match: {mode: CLIENT}"))?;
    let path = mesh_for_webapp(&stage)?;
    let webapp = stage.lab.pod("webapp")?;
    let (sent, received) = sizes_of(webapp)?;
    curl(stage.client()?, CATALOG, &[])?;
    let found = lines(&path, 1)?;
    let words = words(&found[0]);
    ensure!(
        words[1..9] == ["\"-", "-", "-\"", "0", "-", "-", "-", "\"-\""],
        "{found:?}"
    );
    ensure!(
        words[9..11] == [sent.to_string(), received.to_string()],
        "{sent} and {received} bytes: {found:?}"
    );
    let rest = "\"-\" \"-\" \"-\" \"-\" \"10.10.0.13:3000\" \
                outbound|80|v2|catalog.istioinaction.svc.cluster.local ";
    ensure!(found[0].contains(rest), "{found:?}");
    ensure!(words[words.len() - 4] == "10.200.1.92:80", "{found:?}");
    // Nobody logs: nothing is attached any more.
    ensure!(
        is_observed(&stage),
        "the program is in force while a pod logs"
    );
    stage.lab.unconfigure(FILE)?;
    eventually("nothing to be observed", || Ok(!is_observed(&stage)))
}

fn is_observed(stage: &Stage) -> bool {
    let status = stage.steer(&["status", "-o", "json"]).unwrap_or_default();
    status.contains("steer_sockops")
}

/// The mesh's format and file, for those whom a Telemetry selects: `accessLogFile` alone would be for all.
pub(crate) fn mesh_for_webapp(stage: &Stage) -> Result<PathBuf> {
    let path = mesh(stage, "TEXT")?;
    let none = "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\n\
                metadata: {name: none, namespace: istio-system}\n\
                spec:\n  accessLogging: [{providers: [{name: envoy}], disabled: true}]\n";
    stage.configure("none.yaml", none)?;
    Ok(path)
}

/// Asks once; says how many bytes went each way, as curl counts them.
fn sizes_of(pod: &Pod) -> Result<(u64, u64)> {
    let format = "%{size_request} %{size_header} %{size_download}";
    let text = curl(pod, CATALOG, &["-o", "/dev/null", "-w", format])?;
    let sizes: Vec<u64> = text.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [request, head, body] = sizes[..] else {
        bail!("curl says {text:?}");
    };
    Ok((request, head + body))
}

/// Sends bytes as they are, and reads to the end.
fn raw(pod: &Pod, bytes: &str) -> Result<String> {
    let script = "import socket, sys\n\
                  to = socket.create_connection(('10.200.1.92', 80), 10)\n\
                  to.sendall(sys.argv[1].encode())\n\
                  print(to.makefile('rb').read().decode())";
    pod.run("python3", &["-c", script, bytes])
}

/// A pod's own log has what others ask it: a request that came through a proxy of this node as one, and
/// not once more as a connection.
fn server() -> Result<()> {
    let stage = Stage::raise("log-server", COHORT)?;
    let path = mesh_for_webapp(&stage)?;
    stage.configure(FILE, &telemetry("catalog", ", match: {mode: SERVER}"))?;
    curl(stage.client()?, CATALOG, &[])?;
    // Whoever writes the next line is another.
    lines(&path, 1)?;
    let direct = "http://10.10.0.13:3000/items";
    curl(stage.client()?, direct, &[])?;
    let found = lines(&path, 2)?;
    ensure!(
        found[0].contains("\"GET /items HTTP/1.1\" 200") && found[0].contains("inbound|3000||"),
        "{found:#?}"
    );
    ensure!(
        found[1].contains("\"- - -\" 0") && found[1].contains("\"10.10.0.13:3000\" inbound|3000||"),
        "{found:#?}"
    );
    Ok(())
}

fn ended() -> Result<()> {
    let stage = Stage::raise("log-ended", COHORT)?;
    let path = mesh(&stage, "TEXT")?;
    stage.configure(FILE, &telemetry("catalog", ", disabled: true"))?;
    curl(stage.lab.pod("webapp")?, CATALOG, &[])?;
    lines(&path, 1)?;
    stage.configure("webapp.yaml", &telemetry("webapp", ", disabled: true"))?;
    curl(stage.lab.pod("webapp")?, CATALOG, &[])?;
    curl(stage.client()?, CATALOG, &["-A", "last"])?;
    let found = lines(&path, 2)?;
    ensure!(found[1].contains("\"last\""), "{found:#?}");
    Ok(())
}

/// Rules under which much goes wrong.
const WRONG: &str = "\
http:
  - name: none
    match: [{uri: {exact: /none}, name: first}]
    route: [{destination: {host: catalog, subset: v3}}]
  - name: fault
    match: [{uri: {exact: /fault}}]
    fault: {abort: {httpStatus: 418, percentage: {value: 100}}}
    route: [{destination: {host: catalog, subset: v1}}]
  - name: moved
    match: [{uri: {exact: /moved}}]
    redirect: {uri: /items}
  - name: items
    match: [{uri: {prefix: /old}}]
    rewrite: {uri: /items}
    route: [{destination: {host: catalog, subset: v1}}]
";

fn wrong() -> Result<()> {
    let stage = Stage::raise("log-wrong", WRONG)?;
    let path = mesh_for_webapp(&stage)?;
    stage.configure(FILE, &telemetry("webapp", ", match: {mode: CLIENT}"))?;
    let webapp = stage.lab.pod("webapp")?;
    for (index, (asked, expected)) in [
        ("/none", "\"GET /none HTTP/1.1\" 503 UH no_healthy_upstream"),
        (
            "/fault",
            "\"GET /fault HTTP/1.1\" 418 FI fault_filter_abort",
        ),
        ("/moved", "\"GET /moved HTTP/1.1\" 301 - direct_response"),
        ("/else", "\"GET /else HTTP/1.1\" 404 NR route_not_found"),
        ("/old", "\"GET /old HTTP/1.1\" 200 - via_upstream"),
    ]
    .into_iter()
    .enumerate()
    {
        curl(webapp, &format!("http://catalog{asked}"), &[])?;
        let found = lines(&path, index + 1)?;
        ensure!(found[index].contains(expected), "{expected}: {found:#?}");
    }
    let found = lines(&path, 5)?;
    let names: Vec<&str> = found
        .iter()
        .filter_map(|line| line.split(' ').next_back())
        .collect();
    ensure!(
        names == ["none.first", "fault", "moved", "-", "items"],
        "{names:?}"
    );
    Ok(())
}

/// A pipe whose reader has fallen asleep: requests are as fast as before, lines are lost, and counted.
fn slow() -> Result<()> {
    let stage = Stage::raise("log-slow", COHORT)?;
    let path = stage.lab.dirs().run().join("access.log");
    mkfifo(&path, Mode::S_IRWXU)?;
    mesh(&stage, "TEXT")?;
    // The writer finds somebody at the other end, who reads nothing.
    let pipe = fs::OpenOptions::new().read(true).write(true).open(&path)?;
    let long = format!("x-forwarded-for: {}", "x".repeat(30_000));
    let client = stage.client()?;
    let url = format!("{CATALOG}?[1-300]");
    let started = Instant::now();
    curl(client, &url, &["-o", "/dev/null", "-H", &long])?;
    let took = started.elapsed();
    ensure!(took < Duration::from_secs(8), "300 requests took {took:?}");
    eventually("lost lines to be counted", || {
        let status = steer::control::read_status(&stage.lab.dirs().state())?;
        let lost = status.and_then(|status| status["access_log"]["lost"].as_u64());
        Ok(lost.is_some_and(|lost| lost > 0))
    })?;
    let told = stage.steer(&["status"])?;
    let line = told.lines().find(|line| line.starts_with("access log"));
    ensure!(
        line.is_some_and(|line| !line.ends_with(" 0 lost")),
        "{told}"
    );
    drop(pipe);
    Ok(())
}

fn forged() -> Result<()> {
    let stage = Stage::raise("log-forged", COHORT)?;
    let path = mesh_for_webapp(&stage)?;
    stage.configure(FILE, &telemetry("webapp", ", match: {mode: CLIENT}"))?;
    let webapp = stage.lab.pod("webapp")?;
    let agent = "a\" 200 - \\ \"b\u{85}\u{2028}c";
    curl(webapp, CATALOG, &["-A", agent])?;
    let found = lines(&path, 1)?;
    ensure!(
        found[0].contains(r#""a\" 200 - \\ \"b\u{85}\u{2028}c" "-" "catalog""#),
        "{found:?}"
    );
    // A bare newline or a NUL in a header is no request: nothing of it gets as far as a log.
    let request = "GET /items HTTP/1.1\r\nHost: catalog\r\nUser-Agent: a\nforged\r\n\r\n";
    let answer = raw(webapp, request)?;
    ensure!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let found = lines(&path, 1)?;
    ensure!(!found[0].contains("forged"), "{found:?}");
    Ok(())
}

/// What the gateway's clients ask has lines.
pub(crate) const OF_GATEWAY: &str = "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\n\
    metadata: {name: edge, namespace: istio-system}\n\
    spec:\n  selector: {matchLabels: {istio: ingressgateway}}\n  \
    accessLogging: [{providers: [{name: envoy}], match: {mode: CLIENT}}]\n";

/// Clients outside have lines in the gateway's log, as the node saw them, and pods that ask have none.
fn gateway() -> Result<()> {
    let stage = Stage::raise("log-edge", COHORT)?;
    let example = topology::bookstore_directory().join("steps/gateway.yaml");
    stage.configure("gateway.yaml", &fs::read_to_string(&example)?)?;
    stage.configure(FILE, OF_GATEWAY)?;
    let path = mesh_for_webapp(&stage)?;
    let outside = stage.lab.pod(topology::OUTSIDE)?;
    let node = Network::default().uplink;
    let url = format!("http://{node}:30000/items");
    curl(stage.client()?, CATALOG, &[])?;
    let ask = |host: &str| {
        let host = format!("Host: {host}");
        curl(outside, &url, &["-A", "far", "-H", &host])
    };
    ask("catalog.istioinaction.io")?;
    // Connections are served on two threads, whose lines have no order.
    lines(&path, 1)?;
    ask("other.istioinaction.io")?;
    let found = lines(&path, 2)?;
    let address = outside.v4()?;
    let of_client = |line: &str| {
        let words = words(line);
        let at = |index: usize| words.get(index).copied().unwrap_or_default().to_owned();
        let dialled = at(words.len() - 4);
        let client = at(words.len() - 3);
        dialled == format!("{node}:30000") && client.starts_with(&format!("{address}:"))
    };
    let [known, unknown] = found.as_slice() else {
        bail!("two lines");
    };
    let told = format!("\"{address}\" \"far\" \"-\" \"catalog.istioinaction.io\" \"10.10.0.");
    ensure!(
        known.contains("\"GET /items HTTP/1.1\" 200 - via_upstream") && known.contains(&told),
        "{known}"
    );
    let cluster = "outbound|80||catalog.istioinaction.svc.cluster.local";
    ensure!(known.contains(cluster) && of_client(known), "{known}");
    ensure!(
        unknown.contains("\"GET /items HTTP/1.1\" 404 NR route_not_found") && of_client(unknown),
        "{unknown}"
    );
    Ok(())
}
