//! Gateways of a cluster: which Secrets are asked for, and what becomes of them.

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use steer_tests::{harness::test, lab::Network, server::authority::Authority, topology};

use crate::stage::{Stage, eventually};

pub(crate) fn tests() -> Vec<Trial> {
    vec![test(
        "gateway::secrets_of_one_namespace_and_of_no_other",
        secrets,
    )]
}

const OBJECTS: &str = "\
apiVersion: v1
kind: Service
metadata: {name: istio-ingressgateway, namespace: istio-system}
spec:
  type: NodePort
  clusterIP: 10.200.1.80
  selector: {istio: ingressgateway}
  ports: [{name: https, port: 443, nodePort: 30443}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: istioinaction}
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 443, name: https, protocol: HTTPS}
      hosts: [shop.example]
      tls: {mode: SIMPLE, credentialName: shop-cert}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: istioinaction}
spec:
  hosts: [shop.example]
  gateways: [edge]
  http: [{directResponse: {status: 200, body: {string: here}}}]
";

fn secrets() -> Result<()> {
    let mut stage = Stage::without_istio("kube-secrets")?;
    stage.server.install_istio("v1");
    let authority = Authority::new(stage.lab.dirs().run().join("pki"))?;
    stage.server.apply(OBJECTS)?;
    stage.start_with(&["--gateway-secrets", "istio-system"])?;
    let refused = |status: &serde_json::Value| status.to_string().contains("STR0317");
    stage.await_status("the certificate to be missed", refused)?;
    let secret = authority.secret("shop-cert", "shop.example", false)?;
    stage.server.apply(&secret)?;
    stage.await_status("the certificate to be found", |status| !refused(status))?;
    let known = format!("shop.example:30443:{}", Network::default().uplink);
    let ca = authority.certificate().display().to_string();
    let words = [
        "-sS",
        "--max-time",
        "5",
        "--cacert",
        &ca,
        "--resolve",
        &known,
    ];
    let words = [&words[..], &["https://shop.example:30443/"]].concat();
    let outside = stage.lab.pod(topology::OUTSIDE)?;
    eventually("TLS to end", || {
        let said = outside.run("curl", &words);
        Ok(match said {
            Ok(text) if text == "here" => Ok(()),
            said => Err(format!("{said:?}")),
        })
    })?;
    let asked = stage.server.asked();
    let mut of_secrets = asked.iter().filter(|line| line.contains("secrets"));
    let first = of_secrets.next().context("secrets are asked for")?;
    for line in of_secrets.chain([first]) {
        let own = line.contains("/namespaces/istio-system/secrets");
        ensure!(own, "{line}");
    }
    stage.server.withdraw(&secret)?;
    stage.await_status("the certificate to be missed again", refused)?;
    Ok(())
}
