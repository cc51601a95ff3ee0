//! Where the soak takes place: the bookstore, servers outside, and what may be reached.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use steer_tests::{
    lab::{Lab, Network},
    link::{self, Route},
    netns,
    server::identity::Server,
    topology::{self, CATALOG_SUBSETS, ELSEWHERE_V4, OUTSIDE, OUTSIDE_NAME, OUTSIDE_V4},
};

/// The split service: 90 to v1, 10 to v2.
pub(crate) const CATALOG: SocketAddr = at(Ipv4Addr::new(10, 200, 1, 92), 80);
/// A service in front of an echo in the forum's pod.
pub(crate) const STEADY: SocketAddr = at(Ipv4Addr::new(10, 200, 1, 76), 80);
/// An allowed name, by an address that only answers teach.
pub(crate) const ALLOWED: SocketAddr = at(OUTSIDE_V4, 7000);
/// The same, with an echo.
pub(crate) const ECHO: SocketAddr = at(OUTSIDE_V4, 7002);
/// What nobody allows.
pub(crate) const REFUSED: SocketAddr = at(ELSEWHERE_V4, 7000);

const fn at(address: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(address), port)
}

/// Raises it, with its files; no agent yet.
pub(crate) fn raise() -> Result<Lab> {
    let lab = topology::bookstore_for_storms(&Lab::fresh_name("soak"))?;
    let any = |port| SocketAddr::from(([0_u16; 8], port));
    let server = |port, echo| Server {
        tcp: vec![any(port)],
        udp: Vec::new(),
        echo,
    };
    server(7000, false).start(lab.pod(OUTSIDE)?)?;
    server(7002, true).start(lab.pod(OUTSIDE)?)?;
    server(7003, true).start(lab.pod("forum")?)?;
    for client in ["client", "webapp"] {
        netns::netlink(lab.pod(client)?.net(), |handle| async move {
            for services in Network::default().services {
                link::add_route(&handle, Route::unreachable(services)).await?;
            }
            Ok(())
        })?;
    }
    lab.configure("destination-rule.yaml", CATALOG_SUBSETS)?;
    lab.configure("soak.yaml", FILES)?;
    extra(&lab, 0)?;
    Ok(lab)
}

/// Something changes that no client of the soak looks at.
pub(crate) fn extra(lab: &Lab, number: u64) -> Result<()> {
    let services = (0..=number % 5).map(|service| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: extra{service}, namespace: istioinaction}}\n\
             spec:\n  clusterIP: 10.200.1.{}\n  ports: [{{name: http, port: 80, targetPort: 8080}}]\n",
            60 + service
        )
    });
    let entry = format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n\
         metadata: {{name: extra, namespace: istioinaction}}\nspec:\n  hosts: [extra.example.com]\n  \
         addresses: [203.0.113.{}]\n  ports: [{{number: 443, name: tls, protocol: TLS}}]\n  \
         resolution: NONE\n",
        1 + number % 200
    );
    let texts: Vec<String> = services.chain([entry]).collect();
    lab.configure("extra.yaml", &texts.join("---\n"))
}

/// A pod looks the allowed name up, which teaches its address.
pub(crate) fn look_up(lab: &Lab) -> Result<()> {
    let said = lab
        .pod("client")?
        .run("getent", &["ahostsv4", OUTSIDE_NAME])?;
    ensure!(said.contains(&OUTSIDE_V4.to_string()), "the name is {said}");
    Ok(())
}

/// Waits until connections are judged and the name is known.
pub(crate) fn settle(lab: &Lab) -> Result<()> {
    look_up(lab).context("a name that is allowed")
}

const FILES: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: catalog, namespace: istioinaction}
spec:
  hosts: [catalog]
  http:
    - route:
        - {destination: {host: catalog, subset: v1}, weight: 90}
        - {destination: {host: catalog, subset: v2}, weight: 10}
---
apiVersion: v1
kind: Service
metadata: {name: steady, namespace: istioinaction}
spec:
  clusterIP: 10.200.1.76
  ports: [{name: tcp, port: 80, targetPort: 7003}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: steady-ipv4
  namespace: istioinaction
  labels: {kubernetes.io/service-name: steady}
addressType: IPv4
ports: [{name: tcp, port: 7003}]
endpoints:
  - addresses: [10.10.0.15]
    conditions: {ready: true}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    outboundTrafficPolicy: {mode: REGISTRY_ONLY}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: learned, namespace: istioinaction}
spec:
  hosts: ['*.typicode.com']
  ports:
    - {number: 7000, name: tcp, protocol: TCP}
    - {number: 7002, name: tcp-echo, protocol: TCP}
  resolution: NONE
  location: MESH_EXTERNAL
";
