//! The YAML of a large cluster.

use std::{fmt::Write as _, net::Ipv4Addr};

use crate::images;

/// Services of it, and endpoints of each.
pub(crate) const SERVICES: u32 = 10_000;
pub(crate) const ENDPOINTS: u32 = 10;
/// The service whose weights change.
pub(crate) const CHANGED: u32 = 7;

/// Every Service with its EndpointSlice.
pub(crate) fn services() -> String {
    let mut text = String::new();
    for number in 0..SERVICES {
        let address = images::address(number);
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "---
apiVersion: v1
kind: Service
metadata: {{name: s{number}, namespace: shop}}
spec:
  clusterIP: {address}
  selector: {{app: s{number}}}
  ports: [{{name: http, port: 80, targetPort: 8080}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: s{number}
  namespace: shop
  labels: {{kubernetes.io/service-name: s{number}}}
addressType: IPv4
ports: [{{name: http, port: 8080}}]
endpoints:
"
        );
        for one in 0..ENDPOINTS {
            let ip = Ipv4Addr::from(0x6440_0000 + number * ENDPOINTS + one);
            let _ = writeln!(text, "- addresses: [{ip}]\n  conditions: {{ready: true}}");
        }
    }
    text
}

/// A VirtualService that splits the service `number` over itself and its neighbour, `weight` of 1000
/// to itself.
pub(crate) fn split(number: u32, weight: u32) -> String {
    let neighbour = (number + 1) % SERVICES;
    let rest = 1000 - weight;
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: s{number}, namespace: shop}}
spec:
  hosts: [s{number}]
  http:
  - route:
    - destination: {{host: s{number}}}
      weight: {weight}
    - destination: {{host: s{neighbour}}}
      weight: {rest}
"
    )
}
