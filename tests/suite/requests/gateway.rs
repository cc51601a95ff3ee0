//! Traffic of outside: who answers at the node's own ports, for which host, and over what.

use std::{fs, net::TcpListener, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use steer::control::read_status;
use steer_tests::{
    harness::test,
    lab::{Lab, Network},
    need,
    pod::Pod,
    server::authority::Authority,
    topology,
};

use crate::stage::{Stage, eventually};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("gateway::hosts_it_knows_and_hosts_it_does_not", hosts),
        test("gateway::rules_of_several_are_one", merged),
        test("gateway::to_https", redirect),
        test("gateway::tls_passes_through_by_name", passthrough),
        test("gateway::tls_ends_here", simple),
        test("gateway::clients_show_certificates", mutual),
        test("gateway::bytes_are_split", bytes),
        test("gateway::goes_with_the_agent_and_comes_back", restart),
        test("gateway::a_port_that_somebody_has", taken),
    ]
}

/// The Gateway and the VirtualService of the example.
const EXAMPLE: &str = "steps/gateway.yaml";
/// The door of the example.
const DOOR: u16 = 30000;
pub(crate) const HTTPS: u16 = 30443;
const TCP: u16 = 30432;

/// The bookstore, with these objects.
fn raise(purpose: &str, text: &str) -> Result<Stage> {
    let lab = topology::bookstore(&Lab::fresh_name(purpose))?;
    lab.configure("destination-rule.yaml", topology::CATALOG_SUBSETS)?;
    lab.configure("gateway.yaml", text)?;
    let agent = lab.agent()?;
    Ok(Stage { agent, lab })
}

fn example() -> Result<String> {
    let path = topology::bookstore_directory().join(EXAMPLE);
    fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

/// The Service with three ports, a Gateway with these servers, and these VirtualServices.
pub(crate) fn objects(servers: &str, rules: &[(&str, &str)]) -> String {
    let mut text = "\
apiVersion: v1
kind: Service
metadata: {name: istio-ingressgateway, namespace: istio-system}
spec:
  type: NodePort
  clusterIP: 10.200.1.80
  selector: {istio: ingressgateway}
  ports:
    - {name: http2, port: 80, targetPort: 8080, nodePort: 30000}
    - {name: https, port: 443, targetPort: 8443, nodePort: 30443}
    - {name: tcp, port: 5432, nodePort: 30432}
"
    .to_owned();
    text += &format!(
        "---\napiVersion: networking.istio.io/v1\nkind: Gateway\n\
         metadata: {{name: edge, namespace: istioinaction}}\n\
         spec:\n  selector: {{istio: ingressgateway}}\n  servers:\n{servers}"
    );
    for (name, rules) in rules {
        text += &format!(
            "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n\
             metadata: {{name: {name}, namespace: istioinaction}}\n\
             spec:\n  gateways: [edge]\n  {}\n",
            rules.trim_end().replace('\n', "\n  ")
        );
    }
    text
}

pub(crate) const CATALOG: &str = "\
hosts: [shop.example]
http:
  - match: [{uri: {prefix: /v2}}]
    route: [{destination: {host: catalog, subset: v2}}]
  - route: [{destination: {host: catalog, subset: v1}}]
";

/// Asks from outside the cluster; says the status, the version of HTTP and what came.
pub(crate) fn ask(lab: &Lab, url: &str, options: &[&str]) -> Result<(u16, String, String)> {
    ask_from(lab.pod(topology::OUTSIDE)?, url, options)
}

fn ask_from(pod: &Pod, url: &str, options: &[&str]) -> Result<(u16, String, String)> {
    let mut words = vec![
        "-sS",
        "-g",
        "--max-time",
        "10",
        "-w",
        "\n%{http_code} %{http_version}",
    ];
    words.extend(options);
    words.push(url);
    let text = pod.run("curl", &words)?;
    let (body, told) = text.rsplit_once('\n').context("curl told nothing")?;
    let (status, version) = told.split_once(' ').context("a status and a version")?;
    Ok((status.parse()?, version.to_owned(), body.to_owned()))
}

/// An URL of the node.
fn node(scheme: &str, port: u16, path: &str) -> String {
    format!("{scheme}://{}:{port}{path}", Network::default().uplink)
}

/// A name, for curl: the node has it.
pub(crate) fn resolve(name: &str, port: u16) -> String {
    format!("{name}:{port}:{}", Network::default().uplink)
}

fn hosts() -> Result<()> {
    let stage = raise("edge", &example()?)?;
    let lab = &stage.lab;
    let host = "Host: catalog.istioinaction.io";
    let (status, _, body) = ask(lab, &node("http", DOOR, "/items"), &["-H", host])?;
    ensure!(status == 200 && body.contains("catalog"), "{status} {body}");
    let v6 = format!("http://[{}]:{DOOR}/items", Network::default().node_v6[1]);
    let (status, ..) = ask(lab, &v6, &["-H", "Host: Catalog.IstioInAction.io:30000"])?;
    ensure!(status == 200, "over IPv6: {status}");
    for other in ["Host: other.istioinaction.io", "Host: 192.0.2.1:30000"] {
        let (status, _, body) = ask(lab, &node("http", DOOR, "/items"), &["-H", other])?;
        ensure!(status == 404 && body.is_empty(), "{other}: {status} {body}");
    }
    // Pods reach the node too, and are no clients of the mesh there.
    let url = format!("http://{}:{DOOR}/items", Network::default().pod_gateway);
    let (status, ..) = ask_from(stage.client()?, &url, &["-H", host])?;
    ensure!(status == 200, "from a pod: {status}");
    let listed = stage.steer(&["get", "routes"])?;
    let row = listed.lines().find(|line| line.starts_with("http.8080"));
    let row: Vec<&str> = row
        .context("the door is listed")?
        .split_whitespace()
        .collect();
    let expected = [
        "http.8080",
        "catalog.istioinaction.io:80",
        "catalog.istioinaction.io",
        "/*",
        "catalog-vs-from-gw.istioinaction",
    ];
    ensure!(row.starts_with(&expected), "{listed}");
    Ok(())
}

fn merged() -> Result<()> {
    let servers = "  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*.example\"]}\n";
    let rest = "\
hosts: [\"shop.example\"]
http:
  - route: [{destination: {host: catalog, subset: v1}}]
";
    let part = "\
hosts: [\"shop.example\"]
http:
  - match: [{headers: {x-istio-cohort: {exact: internal}}}]
    route: [{destination: {host: catalog, subset: v2}}]
";
    let stage = raise(
        "merged",
        &objects(servers, &[("a-rest", rest), ("b-part", part)]),
    )?;
    let ask = |header: &str| {
        let options = ["-H", "Host: shop.example", "-H", header];
        ask(&stage.lab, &node("http", DOOR, "/"), &options)
    };
    let (status, _, body) = ask("x-istio-cohort: internal")?;
    ensure!(status == 200 && body.contains("\"v2\""), "{status} {body}");
    let (status, _, body) = ask("x-istio-cohort: public")?;
    ensure!(status == 200 && body.contains("\"v1\""), "{status} {body}");
    Ok(())
}

fn redirect() -> Result<()> {
    let servers = "  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example], tls: {httpsRedirect: true}}\n";
    let stage = raise("redirect", &objects(servers, &[]))?;
    let options = ["-H", "Host: shop.example", "-D", "-"];
    let (status, _, text) = ask(&stage.lab, &node("http", DOOR, "/items?a=b"), &options)?;
    ensure!(status == 301, "{status}");
    let expected = "location: https://shop.example/items?a=b";
    ensure!(text.to_lowercase().contains(expected), "{text}");
    Ok(())
}

/// A server that speaks TLS itself, in the pod of the web application.
pub(crate) fn tls_server(lab: &Lab, authority: &Authority) -> Result<()> {
    let pod = lab.pod("webapp")?;
    let (certificate, key) = authority.issue("vault.example")?;
    let mut command = pod.command(need::find("openssl")?)?;
    command.args(["s_server", "-quiet", "-www", "-accept", "8443"]);
    command.arg("-cert").arg(certificate).arg("-key").arg(key);
    pod.start("tls", command)?;
    pod.wait_until_listening(8443, "openssl")
}

/// The web application's port of TLS, as a service of its own.
pub(crate) fn vault(lab: &Lab) -> Result<String> {
    let address = lab.pod("webapp")?.v4()?;
    Ok(format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: vault, namespace: istioinaction}}\n\
         spec: {{clusterIP: 10.200.1.99, ports: [{{name: tls, port: 443, targetPort: 8443}}]}}\n\
         ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: vault-1, namespace: istioinaction, labels: {{kubernetes.io/service-name: vault}}}}\n\
         addressType: IPv4\nports: [{{name: tls, port: 8443, protocol: TCP}}]\n\
         endpoints: [{{addresses: [\"{address}\"]}}]\n"
    ))
}

pub(crate) const PASSED: &str = "  - {port: {number: 443, name: tls, protocol: TLS}, hosts: [\"*.example\"], tls: {mode: PASSTHROUGH}}\n";

fn passthrough() -> Result<()> {
    let rules = "\
hosts: [vault.example]
tls:
  - match: [{port: 443, sniHosts: [vault.example]}]
    route: [{destination: {host: vault}}]
";
    let lab = topology::bookstore(&Lab::fresh_name("passed"))?;
    let authority = Authority::new(lab.dirs().run().join("pki"))?;
    tls_server(&lab, &authority)?;
    let text = objects(PASSED, &[("vault", rules)]) + &vault(&lab)?;
    lab.configure("gateway.yaml", &text)?;
    let _agent = lab.agent()?;
    let ca = authority.certificate().display().to_string();
    let url = |name: &str| format!("https://{name}:{HTTPS}/");
    let known = resolve("vault.example", HTTPS);
    // The certificate is the server's own.
    let options = ["--cacert", &ca, "--resolve", &known];
    let (status, _, body) = ask(&lab, &url("vault.example"), &options)?;
    ensure!(status == 200 && body.contains("TLSv1.3"), "{status} {body}");
    let unknown = resolve("other.example", HTTPS);
    let options = ["-k", "--resolve", &unknown];
    ensure!(
        ask(&lab, &url("other.example"), &options).is_err(),
        "nobody has the name"
    );
    let plain = ask(&lab, &node("http", HTTPS, "/"), &[]);
    ensure!(plain.is_err(), "{plain:?}");
    Ok(())
}

pub(crate) const ENDING: &str = "  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: [shop.example], tls: {mode: SIMPLE, credentialName: shop-cert}}\n";

fn simple() -> Result<()> {
    let broken = "  - {port: {number: 443, name: https-2, protocol: HTTPS}, hosts: [broken.example], tls: {mode: SIMPLE, credentialName: broken}}\n";
    let lab = topology::bookstore(&Lab::fresh_name("ended"))?;
    lab.configure("destination-rule.yaml", topology::CATALOG_SUBSETS)?;
    let authority = Authority::new(lab.dirs().run().join("pki"))?;
    let text = objects(&format!("{ENDING}{broken}"), &[("catalog", CATALOG)]);
    lab.configure("gateway.yaml", &text)?;
    lab.configure(
        "secret.yaml",
        &authority.secret("shop-cert", "shop.example", false)?,
    )?;
    let agent = lab.agent()?;
    let stage = Stage { agent, lab };
    let lab = &stage.lab;
    let ca = authority.certificate().display().to_string();
    let known = resolve("shop.example", HTTPS);
    let url = format!("https://shop.example:{HTTPS}/v2");
    let options = |version| ["--cacert", &ca, "--resolve", &known, version];
    for (version, spoken) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let (status, http, body) = ask(lab, &url, &options(version))?;
        ensure!((status, http.as_str()) == (200, spoken), "{status} {http}");
        ensure!(body.contains("\"v2\""), "{body}");
    }
    // Another host over the same connection has no rules.
    let (status, ..) = ask(
        lab,
        &url,
        &[
            "--cacert",
            &ca,
            "--resolve",
            &known,
            "-H",
            "Host: a.example",
        ],
    )?;
    ensure!(status == 404, "{status}");
    let refused = resolve("broken.example", HTTPS);
    let answer = ask(
        lab,
        &format!("https://broken.example:{HTTPS}/"),
        &["-k", "--resolve", &refused],
    );
    ensure!(answer.is_err(), "{answer:?}");
    ensure!(has_finding(lab, "STR0317")?, "it is said");
    nothing_shows(&stage, &authority)
}

/// The key is neither in the agent's files nor in its log.
fn nothing_shows(stage: &Stage, authority: &Authority) -> Result<()> {
    let key = fs::read_to_string(authority.key_of("shop.example"))?;
    let line = key.lines().nth(1).context("a key has lines")?;
    let mut files: Vec<PathBuf> = fs::read_dir(stage.lab.dirs().state())?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.push(stage.agent.log().to_owned());
    // A socket of events stands among them.
    for file in files.into_iter().filter(|file| file.is_file()) {
        let text = fs::read(&file)?;
        let shown = String::from_utf8_lossy(&text).contains(line);
        ensure!(!shown, "{} shows the key", file.display());
    }
    Ok(())
}

fn has_finding(lab: &Lab, code: &str) -> Result<bool> {
    let status = read_status(&lab.dirs().state())?.context("the agent has a status")?;
    let findings = status["findings"].as_array().context("it has findings")?;
    Ok(findings.iter().any(|finding| finding["code"] == code))
}

fn mutual() -> Result<()> {
    let lab = topology::bookstore(&Lab::fresh_name("mutual"))?;
    lab.configure("destination-rule.yaml", topology::CATALOG_SUBSETS)?;
    let authority = Authority::new(lab.dirs().run().join("pki"))?;
    let servers = ENDING.replace("SIMPLE", "MUTUAL");
    lab.configure("gateway.yaml", &objects(&servers, &[("catalog", CATALOG)]))?;
    lab.configure(
        "secret.yaml",
        &authority.secret("shop-cert", "shop.example", true)?,
    )?;
    let _agent = lab.agent()?;
    let ca = authority.certificate().display().to_string();
    let known = resolve("shop.example", HTTPS);
    let url = format!("https://shop.example:{HTTPS}/");
    let mut options = vec!["--cacert", &ca, "--resolve", &known];
    let stranger = ask(&lab, &url, &options);
    ensure!(stranger.is_err(), "without a certificate: {stranger:?}");
    let (certificate, key) = authority.issue("client.example")?;
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    options.extend(["--cert", &certificate, "--key", &key]);
    let (status, _, body) = ask(&lab, &url, &options)?;
    ensure!(status == 200 && body.contains("\"v1\""), "{status} {body}");
    Ok(())
}

fn bytes() -> Result<()> {
    let servers = "  - {port: {number: 5432, name: tcp, protocol: TCP}, hosts: [\"*\"]}\n";
    let rules = "\
hosts: [\"*\"]
tcp:
  - route:
      - {destination: {host: catalog, subset: v1, port: {number: 80}}, weight: 90}
      - {destination: {host: catalog, subset: v2, port: {number: 80}}, weight: 10}
";
    let stage = raise("bytes", &objects(servers, &[("catalog", rules)]))?;
    let url = node("http", TCP, "/");
    let mut words = vec!["-sS", "--max-time", "20", "-H", "Connection: close"];
    words.extend(vec![url.as_str(); 100]);
    let text = stage.lab.pod(topology::OUTSIDE)?.run("curl", &words)?;
    let (v1, v2) = (
        text.matches("\"v1\"").count(),
        text.matches("\"v2\"").count(),
    );
    ensure!((v1, v2) == (90, 10), "{v1} and {v2}");
    Ok(())
}

fn restart() -> Result<()> {
    let Stage { agent, lab } = raise("restart", &example()?)?;
    let url = node("http", DOOR, "/items");
    let options = ["-H", "Host: catalog.istioinaction.io"];
    ensure!(ask(&lab, &url, &options)?.0 == 200);
    ensure!(agent.stop()? == 0);
    ensure!(
        ask(&lab, &url, &options).is_err(),
        "the gateway goes with the agent"
    );
    let agent = lab.agent()?;
    ensure!(ask(&lab, &url, &options)?.0 == 200);
    // What cannot be read changes nothing.
    let stage = Stage { agent, lab };
    stage.lab.configure("bad.yaml", "kind: [\n")?;
    eventually("the bad file to be refused", || {
        let status = read_status(&stage.lab.dirs().state())?;
        Ok(status.is_some_and(|status| status["state"] == "refused"))
    })?;
    ensure!(ask(&stage.lab, &url, &options)?.0 == 200);
    stage.lab.unconfigure("bad.yaml")?;
    // A gateway that is gone is not listened for.
    stage.configure("gateway.yaml", "")?;
    eventually("the port to be closed", || {
        Ok(ask(&stage.lab, &url, &options).is_err())
    })
}

fn taken() -> Result<()> {
    let lab = topology::bookstore(&Lab::fresh_name("taken"))?;
    lab.configure("gateway.yaml", &example()?)?;
    let other = lab
        .node()?
        .in_network(|| Ok(TcpListener::bind(("0.0.0.0", DOOR))?))?;
    let agent = lab.agent()?;
    let stage = Stage { agent, lab };
    eventually("it to be said", || has_finding(&stage.lab, "STR0607"))?;
    drop(other);
    let url = node("http", DOOR, "/items");
    let options = ["-H", "Host: catalog.istioinaction.io"];
    eventually("the port to be opened", || {
        Ok(ask(&stage.lab, &url, &options).is_ok_and(|(status, ..)| status == 200))
    })?;
    eventually("it to be said no more", || {
        Ok(!has_finding(&stage.lab, "STR0607")?)
    })
}
