//! The acceptance steps, one function each: apply, measure with real clients, ask the kernel, judge.

use anyhow::{Context as _, Result};
use serde_json::Value;
use steer_tests::{pod::Pod, server::http};

use crate::{
    clients::{self, Connections},
    report::Report,
    stage::{Stage, example, wait_for},
    tally::{Tally, Windows},
};

/// What clients dial.
pub(crate) const CATALOG: &str = "http://catalog/";
/// The web application, which calls the catalog for each request.
const WEBAPP: &str = "http://webapp/api/catalog";
pub(crate) const STEPS: &str = "examples/bookstore/steps";

/// The walk: where it is shown, and on which lab.
pub(crate) struct Walk<'a> {
    pub(crate) report: &'a mut Report,
    pub(crate) stage: &'a Stage,
}

impl Walk<'_> {
    /// All steps.
    pub(crate) fn go(&mut self) -> Result<()> {
        self.clients_outside()?;
        self.without_rules()?;
        self.destination_rule()?;
        self.one_version()?;
        self.one_version_through_webapp()?;
        self.cohorts()?;
        self.access_log()?;
        self.mirror()?;
        self.weights()?;
        self.change_while_connections_flow()?;
        self.egress()
    }

    fn without_rules(&mut self) -> Result<()> {
        self.report.step(
            "S2",
            "no DestinationRule, no VirtualService: every endpoint in its turn",
        )?;
        self.report.applied("examples/bookstore/cluster.yaml")?;
        let half = Tally::from_shares(&[("v1", 50), ("v2", 50)]);
        let (curl, python) = self.two_clients(100)?;
        self.asked(&["get", "services", "catalog"])?;
        self.report.check(
            "each client reached both versions exactly 50 times",
            Tally::of(&curl) == half && Tally::of(&python) == half,
        )
    }

    fn destination_rule(&mut self) -> Result<()> {
        self.report
            .step("S3", "a DestinationRule names the two versions")?;
        let file = format!("{STEPS}/destination-rule.yaml");
        self.stage.apply(&file)?;
        self.report.applied(&file)?;
        wait_for("the clusters of the DestinationRule", || {
            Ok(self.stage.get("clusters", "catalog")?.len() > 1)
        })?;
        let clusters = self.stage.get("clusters", "catalog")?;
        let endpoints = self.stage.get("endpoints", "catalog")?;
        self.asked(&["get", "clusters", "catalog"])?;
        self.asked(&["get", "endpoints", "catalog"])?;
        let subsets: Vec<_> = clusters.iter().map(|row| row["subset"].as_str()).collect();
        self.report.check(
            "3 clusters of the rule catalog.istioinaction: all, version-v1, version-v2",
            subsets == [None, Some("version-v1"), Some("version-v2")]
                && clusters
                    .iter()
                    .all(|row| row["destination_rule"] == "catalog.istioinaction"),
        )?;
        let of_family = |start: &str| {
            let fits = |row: &&Value| {
                row["endpoint"]
                    .as_str()
                    .is_some_and(|at| at.starts_with(start))
            };
            endpoints.iter().filter(fits).count()
        };
        let healthy = endpoints.iter().all(|row| row["status"] == "HEALTHY");
        self.report.check(
            "4 endpoint rows, each pod in its subset and in the whole; the same again for IPv6",
            healthy
                && endpoints.len() == 8
                && of_family("10.10.0.1") == 4
                && of_family("[fd00:10::1") == 4,
        )
    }

    fn one_version(&mut self) -> Result<()> {
        self.report.step(
            "S4",
            "a VirtualService sends everybody to subset version-v1",
        )?;
        self.route("route-v1.yaml")?;
        let noted = self.noted_by_v2("before-s4")?;
        let (curl, python) = self.two_clients(100)?;
        let v1 = Tally::from_shares(&[("v1", 100)]);
        self.asked(&["get", "routes", "catalog"])?;
        self.report.check(
            "only v1 answered",
            Tally::of(&curl) == v1 && Tally::of(&python) == v1,
        )?;
        let clusters = self.clusters_in_force()?;
        self.report.check(
            "the route leads to outbound|80|version-v1|catalog.istioinaction.svc.cluster.local alone",
            clusters == ["outbound|80|version-v1|catalog.istioinaction.svc.cluster.local"],
        )?;
        let quiet = self.is_quiet_since(&noted, "after-s4")?;
        self.report.check(
            "the access log of v2 has no new line but that of a request sent straight to it",
            quiet,
        )
    }

    fn one_version_through_webapp(&mut self) -> Result<()> {
        self.report.step(
            "S8",
            "webapp calls catalog for its own clients, and reaches only v1",
        )?;
        let noted = self.noted_by_v2("before-s8")?;
        let versions = clients::curl(self.client()?, WEBAPP, 100, Connections::Fresh)?;
        self.measured("curl, client -> webapp -> catalog", &versions)?;
        self.asked(&["explain", "istioinaction/webapp", "catalog:80"])?;
        let all_v1 = Tally::of(&versions) == Tally::from_shares(&[("v1", 100)]);
        self.report.check("only v1 answered webapp", all_v1)?;
        let quiet = self.is_quiet_since(&noted, "after-s8")?;
        self.report.check(
            "the access log of v2 has no new line but that of a request sent straight to it",
            quiet,
        )
    }

    fn cohorts(&mut self) -> Result<()> {
        self.report.step(
            "S5",
            "a header match: internal users get version 2, on any connection",
        )?;
        self.route("route-by-cohort.yaml")?;
        let alternately = |first: &str, second: &str| -> Vec<String> {
            let pair = [first.to_owned(), second.to_owned()];
            pair.into_iter().cycle().take(100).collect()
        };
        let expected = alternately("v2", "v1");
        let curl = clients::curl_cohorts(self.client()?, CATALOG, 100)?;
        self.measured(
            "curl, keep-alive, every other request with x-istio-cohort: internal",
            &curl,
        )?;
        self.asked(&["get", "routes", "catalog"])?;
        self.asked(&["explain", "client", "10.200.1.92:80"])?;
        self.report.check(
            "with the header v2, without it v1, request by request on one connection",
            curl == expected,
        )
    }

    fn access_log(&mut self) -> Result<()> {
        self.report.step(
            "S7",
            "a Telemetry for app=webapp: webapp has an access log, and nobody else",
        )?;
        let file = format!("{STEPS}/telemetry.yaml");
        let took = self.stage.apply_and_wait(&file)?;
        self.report.applied(&format!(
            "{file}; the agent reported it in force {:.1} ms after the write",
            took.as_secs_f64() * 1e3
        ))?;
        let curl = clients::curl(self.client()?, CATALOG, 10, Connections::Fresh)?;
        self.measured("curl, client -> catalog", &curl)?;
        let curl = clients::curl(self.client()?, WEBAPP, 10, Connections::Fresh)?;
        self.measured("curl, client -> webapp -> catalog", &curl)?;
        wait_for("lines of the access log", || {
            Ok(self.stage.access_log()?.len() >= 20)
        })?;
        let lines = self.stage.access_log()?;
        let first: Vec<&str> = lines.iter().take(2).map(String::as_str).collect();
        self.report
            .asked("the agent's output, 2 lines of it", &first.join("\n"))?;
        let all = |part: &str| lines.iter().filter(|line| line.contains(part)).count();
        self.report.check(
            "10 lines of requests that webapp sent to the catalog, 10 of connections that it was asked by",
            lines.len() == 20
                && all("\"GET / HTTP/1.1\" 200 - via_upstream") + all("\"GET / HTTP/1.0\" 200 - via_upstream")
                    == 10
                && all(" inbound|8080|| ") == 10,
        )?;
        let client = self.client()?.v4()?;
        let of_client = format!(" {client}:");
        let asked_by_client =
            |line: &&String| line.contains("outbound|") && line.contains(&of_client);
        self.report.check(
            "no line of what the client sent to the catalog",
            !lines.iter().any(|line| asked_by_client(&line)),
        )?;
        self.stage.take_back("telemetry.yaml")
    }

    fn mirror(&mut self) -> Result<()> {
        self.report.step(
            "S10",
            "a mirror: version 1 answers, version 2 gets a copy of each request",
        )?;
        self.route("mirror.yaml")?;
        let before = self.noted_by_v2("before-s10")?.len();
        let curl = clients::curl(self.client()?, CATALOG, 100, Connections::Kept)?;
        self.measured("curl, keep-alive", &curl)?;
        let noted = http::requests(self.stage.pod("catalog-v2")?, before + 100)?;
        let copies = noted.get(before..).unwrap_or_default();
        self.report.measured(&format!(
            "version 2 noted {} requests, the last: {}",
            copies.len(),
            copies.last().map_or("-", String::as_str)
        ))?;
        self.asked(&["get", "routes", "catalog"])?;
        self.report.check(
            "only v1 answered",
            Tally::of(&curl) == Tally::from_shares(&[("v1", 100)]),
        )?;
        let of_shadow = |line: &String| line.ends_with("GET / HTTP/1.1 200 catalog-shadow");
        self.report.check(
            "version 2 got 100 copies, for the host catalog-shadow",
            copies.len() == 100 && copies.iter().all(of_shadow),
        )
    }

    fn weights(&mut self) -> Result<()> {
        self.report.step("S9", "weights 90 and 10")?;
        self.route("split-90-10.yaml")?;
        let share = Tally::from_shares(&[("v1", 90), ("v2", 10)]);
        let curl = clients::curl(self.client()?, CATALOG, 100, Connections::Fresh)?;
        self.measured("curl, a new connection for each request", &curl)?;
        let python = clients::python(self.client()?, CATALOG, 300, Connections::Fresh)?;
        self.measured(
            "python3 http.client, a new connection for each request",
            &python,
        )?;
        let windows = Windows::of(&python, &share);
        self.report
            .measured(&format!("every window of 100 of these 300: {windows}"))?;
        let webapp = clients::curl(self.client()?, WEBAPP, 100, Connections::Fresh)?;
        self.measured("curl, client -> webapp -> catalog", &webapp)?;
        self.asked(&["get", "routes", "catalog"])?;
        self.report.check(
            "of 100 requests exactly 90 reached v1 and 10 reached v2",
            Tally::of(&curl) == share,
        )?;
        self.report
            .check("so they did in every window of 100", windows.exact())?;
        // Its nginx alternates between the IPv4 and the IPv6 address of the catalog.
        self.report.check(
            "through webapp, which uses both addresses of the catalog, each with a split of its own: 89 to 91",
            webapp.len() == 100 && (89..=91).contains(&Tally::of(&webapp).count("v1")),
        )?;
        let mut measured = Tally::of(&curl);
        measured.add(&Tally::of(&python));
        measured.add(&Tally::of(&webapp));
        let counted = self.counted()?;
        self.report.check(
            &format!("the kernel counted what the clients did: {counted}"),
            counted == measured,
        )?;
        self.kept_alive()
    }

    /// curl and Python, a new connection for each request.
    fn two_clients(&mut self, count: usize) -> Result<(Vec<String>, Vec<String>)> {
        let curl = clients::curl(self.client()?, CATALOG, count, Connections::Fresh)?;
        self.measured("curl, a new connection for each request", &curl)?;
        let python = clients::python(self.client()?, CATALOG, count, Connections::Fresh)?;
        self.measured(
            "python3 http.client, a new connection for each request",
            &python,
        )?;
        Ok((curl, python))
    }

    /// Replaces the VirtualService by a file of the example.
    pub(crate) fn route(&mut self, file: &str) -> Result<()> {
        let path = format!("{STEPS}/{file}");
        let took = self.stage.route(&example(&path)?)?;
        self.report.applied(&format!(
            "{path}; the agent reported it in force {:.1} ms after the write",
            took.as_secs_f64() * 1e3
        ))
    }

    /// The text of a VirtualService of the example.
    pub(crate) fn text(file: &str) -> Result<String> {
        example(&format!("{STEPS}/{file}"))
    }

    /// Says how often each version answered.
    pub(crate) fn measured<S: AsRef<str>>(&mut self, who: &str, versions: &[S]) -> Result<()> {
        let (count, tally) = (versions.len(), Tally::of(versions));
        self.report
            .measured(&format!("{who}: {count} requests: {tally}"))
    }

    /// Shows what a command prints; says how it ended.
    pub(crate) fn asked(&mut self, words: &[&str]) -> Result<i32> {
        let printed = self.stage.steer(words)?;
        self.report
            .asked(&format!("steer {}", words.join(" ")), &printed.text)?;
        Ok(printed.code)
    }

    pub(crate) fn client(&self) -> Result<&Pod> {
        self.stage.pod("client")
    }

    /// What v2 has noted, up to a request that is sent straight to it: a line is written a moment after the answer,
    /// and those of earlier requests before.
    fn noted_by_v2(&self, mark: &str) -> Result<Vec<String>> {
        let pod = self.stage.pod("catalog-v2")?;
        http::get(self.client()?, &format!("http://{}:3000/{mark}", pod.v4()?))?;
        let mut noted = Vec::new();
        wait_for("the line of a request that was sent to v2", || {
            noted = http::requests(pod, 1)?;
            Ok(noted.iter().any(|line| is_marked(line, mark)))
        })?;
        Ok(noted)
    }

    /// Whether v2 has noted nothing more than one request that is sent straight to it.
    fn is_quiet_since(&self, noted: &[String], mark: &str) -> Result<bool> {
        let now = self.noted_by_v2(mark)?;
        let new = now.strip_prefix(noted).context("lines of v2 are gone")?;
        Ok(matches!(new, [line] if is_marked(line, mark)))
    }

    /// Every cluster that a route of the catalog leads to.
    fn clusters_in_force(&self) -> Result<Vec<String>> {
        let mut clusters = Vec::new();
        for route in self.stage.get("routes", "catalog")? {
            for destination in destinations(&route)? {
                let cluster = destination["cluster"]
                    .as_str()
                    .context("a cluster has a name")?;
                clusters.push(cluster.to_owned());
            }
        }
        clusters.sort();
        clusters.dedup();
        Ok(clusters)
    }

    /// Connections that the kernel counted for each version since the weights were set.
    pub(crate) fn counted(&self) -> Result<Tally> {
        let mut counted = Tally::default();
        for route in self.stage.get("routes", "catalog")? {
            for destination in destinations(&route)? {
                let cluster = destination["cluster"]
                    .as_str()
                    .context("a cluster has a name")?;
                let subset = cluster.split('|').nth(2).unwrap_or_default();
                let version = subset.strip_prefix("version-").unwrap_or(subset);
                let count = destination["connections"]
                    .as_u64()
                    .context("connections are counted")?;
                counted.add_to(version, count);
            }
        }
        Ok(counted)
    }

    /// The weights that the kernel holds for the catalog, the same at each of its addresses.
    pub(crate) fn weights_in_force(&self) -> Result<Vec<u64>> {
        let routes = self.stage.get("routes", "catalog")?;
        let mut found = Vec::new();
        for route in &routes {
            let weights = destinations(route)?
                .iter()
                .filter_map(|row| row["weight"].as_u64());
            found.push(weights.collect::<Vec<_>>());
        }
        found.dedup();
        anyhow::ensure!(
            found.len() == 1,
            "the addresses of the catalog differ: {found:?}"
        );
        Ok(found.remove(0))
    }
}

/// Whether this line is of the request with a mark.
fn is_marked(line: &str, mark: &str) -> bool {
    line.contains(&format!("GET /{mark} "))
}

fn destinations(route: &Value) -> Result<&Vec<Value>> {
    route["destinations"]
        .as_array()
        .context("a route has destinations")
}
