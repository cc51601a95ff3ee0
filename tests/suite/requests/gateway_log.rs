//! Lines of TLS at a gateway: of connections that pass through by name, of those that nobody takes, and of
//! requests over TLS that ends there.

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use steer_tests::{
    harness::test,
    lab::{Lab, Network},
    server::authority::Authority,
    topology,
};

use crate::{
    access_log::{FILE, OF_GATEWAY, lines, mesh_for_webapp, words},
    gateway::{CATALOG, ENDING, HTTPS, PASSED, ask, objects, resolve, tls_server, vault},
    stage::Stage,
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![test("gateway_log::tls_by_name", by_name)]
}

const RULES: &str = "\
hosts: [vault.example, dead.example]
tls:
  - match: [{port: 443, sniHosts: [vault.example]}]
    route: [{destination: {host: vault}}]
  - match: [{port: 443, sniHosts: [dead.example]}]
    route: [{destination: {host: dead}}]
";

/// A service at a port of the web application where nobody listens.
fn dead(lab: &Lab) -> Result<String> {
    let alive = vault(lab)?;
    let dead = alive.replace("vault", "dead").replace("8443", "8444");
    Ok(dead.replace("10.200.1.99", "10.200.1.98"))
}

fn by_name() -> Result<()> {
    let lab = topology::bookstore(&Lab::fresh_name("log-tls"))?;
    lab.configure("destination-rule.yaml", topology::CATALOG_SUBSETS)?;
    let authority = Authority::new(lab.dirs().run().join("pki"))?;
    tls_server(&lab, &authority)?;
    let servers = format!("{ENDING}{PASSED}");
    let text = objects(&servers, &[("vault", RULES), ("catalog", CATALOG)]);
    lab.configure("gateway.yaml", &(text + &vault(&lab)? + &dead(&lab)?))?;
    let secret = authority.secret("shop-cert", "shop.example", false)?;
    lab.configure("secret.yaml", &secret)?;
    let agent = lab.agent()?;
    let stage = Stage { agent, lab };
    stage.configure(FILE, OF_GATEWAY)?;
    let path = mesh_for_webapp(&stage)?;
    let ca = authority.certificate().display().to_string();
    let get = |name: &str| {
        let known = resolve(name, HTTPS);
        let options = ["--cacert", &ca, "--http1.1", "--resolve", &known];
        ask(&stage.lab, &format!("https://{name}:{HTTPS}/v2"), &options)
    };
    ensure!(get("vault.example")?.0 == 200);
    ensure!(get("shop.example")?.0 == 200);
    for nobody in ["dead.example", "other.example"] {
        ensure!(get(nobody).is_err(), "{nobody} was reached");
    }
    let found = lines(&path, 4)?;
    let of = |name: &str| -> Result<Vec<&str>> {
        let end = format!(" {name} -");
        let line = found.iter().find(|line| line.ends_with(&end));
        Ok(words(line.with_context(|| format!("{name}: {found:#?}"))?))
    };
    let outside = stage.lab.pod(topology::OUTSIDE)?.v4()?;
    let server = format!("\"{}:8443\"", stage.lab.pod("webapp")?.v4()?);
    let dialled = format!("{}:{HTTPS}", Network::default().uplink);
    // Bytes of TLS: a page and its certificate come, and less goes.
    let passed = of("vault.example")?;
    let [received, sent] = [passed[9].parse::<u64>()?, passed[10].parse()?];
    ensure!(100 < received && received < sent, "{passed:?}");
    ensure!(
        passed[1..9] == ["\"-", "-", "-\"", "0", "-", "-", "-", "\"-\""],
        "{passed:?}"
    );
    let cluster = "outbound|443||vault.istioinaction.svc.cluster.local";
    ensure!(passed[17..19] == [server.as_str(), cluster], "{passed:?}");
    let client = format!("{outside}:");
    ensure!(
        passed[19] != "-" && passed[20] == dialled && passed[21].starts_with(&client),
        "{passed:?}"
    );
    let dead = of("dead.example")?;
    ensure!(dead[4..6] == ["0", "UF,URX"], "{dead:?}");
    let other = of("other.example")?;
    ensure!(
        other[4..7] == ["0", "NR", "filter_chain_not_found"],
        "{other:?}"
    );
    let request = of("shop.example")?;
    ensure!(
        request[1..6] == ["\"GET", "/v2", "HTTP/1.1\"", "200", "-"],
        "{request:?}"
    );
    Ok(())
}
