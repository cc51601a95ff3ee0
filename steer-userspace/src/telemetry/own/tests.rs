//! Series of a route, from the maps of a shop to the text of /metrics.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{
    desired::{Settings, lower},
    image,
    plan::{Capacity, Layout, Step},
    source::{Snapshot, files::parse_text},
    telemetry::{Counted, Scrape},
};

const SHOP: &str = "\
apiVersion: v1
kind: Service
metadata: {name: catalog, namespace: shop}
spec: {selector: {app: catalog}, clusterIP: 10.9.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: catalog-v1, namespace: shop, labels: {app: catalog, version: v1}}
spec: {containers: []}
status: {podIP: 10.0.0.1, conditions: [{type: Ready, status: 'True'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: catalog-v2, namespace: shop, labels: {app: catalog, version: v2}}
spec: {containers: []}
status: {podIP: 10.0.0.2, conditions: [{type: Ready, status: 'True'}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: catalog, namespace: shop}
spec:
  host: catalog
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: catalog, namespace: shop}
spec:
  hosts: [catalog]
  http:
    - route:
        - {destination: {host: catalog, subset: v1}, weight: 90}
        - {destination: {host: catalog, subset: v2}, weight: 10}
";

/// What the maps hold once the shop is in force, how the agent stands then, and the catalog's route.
fn shop() -> (Live, Standing, Route) {
    let (objects, findings) = parse_text("shop.yaml", SHOP).unwrap();
    assert_eq!(findings, []);
    let snapshot = Snapshot::from_objects(objects, findings);
    let desired = lower(&snapshot, &Settings::default(), &BTreeSet::new());
    let mut layout = Layout::new(Capacity::for_services(100));
    let image = image::compile(&desired, &BTreeMap::new());
    let plan = layout.plan(&image).unwrap();
    let mut live = Live::default();
    for step in &plan.steps {
        match step {
            Step::Route { row, route } => drop(live.routes.insert(*row, **route)),
            Step::Publish { key, row, .. } => drop(live.services.insert(*key, *row)),
            _ => {}
        }
    }
    let route = live.routes.values().find(|route| route.has(ROUTE_AUTO));
    let route = *route.expect("the weighted route may change what it splits");
    let standing = Standing {
        names: Arc::new(layout.names()),
        ..Standing::default()
    };
    (live, standing, route)
}

/// What is told of the catalog's route.
fn told(live: &Live, standing: &Standing, metric: &str) -> Option<f64> {
    let text = Scrape::new(&Counted::default())
        .live(Some(live), &[], standing)
        .text();
    let labels = "service_namespace=\"shop\",service=\"catalog\",port=\"80\",transport=\"TCP\",\
         address=\"10.9.0.1\",client=\"*\"";
    let series = format!("{metric}{{{labels}}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&series));
    value.map(|value| value.parse().unwrap())
}

const BY_REQUEST: &str = "steer_route_split_by_request";
const REQUESTS: &str = "steer_route_judged_requests";
const POINTS: &str = "steer_route_strayed_points";
const ERROR: &str = "steer_route_split_error";

#[test]
fn a_route_tells_what_it_splits_and_how_far_it_strays() {
    let (mut live, mut standing, route) = shop();
    let kept = |by_request, judged| BTreeMap::from([(route.split, Kept { by_request, judged })]);
    standing.kept = kept(false, None);
    // Nobody has taken it.
    assert_eq!(told(&live, &standing, BY_REQUEST), None);
    live.counters.insert(route.counters, 9);
    assert_eq!(told(&live, &standing, BY_REQUEST), Some(0.0));
    assert_eq!(told(&live, &standing, ERROR), Some(0.9));
    // Nothing was judged: zero points would be praise.
    assert_eq!(told(&live, &standing, REQUESTS), None);
    assert_eq!(told(&live, &standing, POINTS), None);
    standing.kept = kept(true, Some((300, 10.5)));
    assert_eq!(told(&live, &standing, BY_REQUEST), Some(1.0));
    assert_eq!(told(&live, &standing, REQUESTS), Some(300.0));
    assert_eq!(told(&live, &standing, POINTS), Some(10.5));
    // Weights that have just changed: no connection was counted since.
    live.counters.clear();
    assert_eq!(told(&live, &standing, BY_REQUEST), Some(1.0));
}

#[test]
fn a_route_that_never_changes_what_it_splits_tells_nothing_of_it() {
    let (mut live, mut standing, route) = shop();
    live.counters.insert(route.counters, 9);
    assert_eq!(told(&live, &standing, BY_REQUEST), None);
    // What is known of a split holds for a route only if that may change.
    let judged = Some((300, 10.5));
    let by_request = true;
    standing.kept = BTreeMap::from([(route.split, Kept { by_request, judged })]);
    for route in live.routes.values_mut() {
        route.flags &= !ROUTE_AUTO;
    }
    assert_eq!(told(&live, &standing, POINTS), None);
    assert_eq!(told(&live, &standing, ERROR), Some(0.9));
}
