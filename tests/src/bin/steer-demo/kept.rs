//! S9 with clients that keep their connections: `split: auto`, from connections to requests and back.

use anyhow::{Context as _, Result};
use serde_json::Value;
use steer_tests::server::http;

use crate::{
    clients::{self, Connections, Kept},
    stage::wait_for,
    tally::Tally,
    walk::{CATALOG, STEPS, Walk},
};

/// The catalog for clients of HTTP/2: by its address, since the DNS server of the lab knows no such name.
const CATALOG_HTTP2: &str = "http://10.200.1.77/";
/// How many requests make any share plain.
const PLENTY: usize = 300;

impl Walk<'_> {
    /// Clients that keep their connections.
    pub(crate) fn kept_alive(&mut self) -> Result<()> {
        self.over_to_requests()?;
        let share = Tally::from_shares(&[("v1", 90), ("v2", 10)]);
        let curl = clients::curl(self.client()?, CATALOG, 100, Connections::Kept)?;
        self.measured("curl, 1 connection that is kept", &curl)?;
        let all = [
            ("python3 requests, a session", Kept::Session),
            ("node, a pool of 4 connections", Kept::Pool),
        ];
        let mut tallies = vec![Tally::of(&curl)];
        for (who, kept) in all {
            let versions = clients::kept(self.client()?, CATALOG, 100, kept)?;
            self.measured(who, &versions)?;
            tallies.push(Tally::of(&versions));
        }
        tallies.push(self.over_http2()?);
        self.asked(&["get", "routes", "catalog", "-o", "wide"])?;
        self.report.check(
            "of 100 requests on connections that are kept exactly 90 reached v1 and 10 reached v2: curl, python3, \
             node, HTTP/2",
            tallies.iter().all(|tally| *tally == share),
        )?;
        self.back_to_connections()
    }

    /// One client is enough to bend the shares, and that is noticed.
    fn over_to_requests(&mut self) -> Result<()> {
        let before = self.counted()?.total();
        let versions = clients::kept(self.client()?, CATALOG, PLENTY, Kept::Session)?;
        let connections = self.counted()?.total() - before;
        self.measured(
            &format!("python3 requests, a session: {connections} connection"),
            &versions,
        )?;
        self.wait_until("catalog", "request")?;
        self.wait_for_both(CATALOG, Kept::Session)?;
        let routes = self.stage.get("routes", "catalog")?;
        let points = routes.iter().find_map(|row| row["auto"]["points"].as_f64());
        self.report.measured(&format!(
            "the kernel counted these requests: {} points from the weights; from now on requests of new connections \
             are split",
            points.unwrap_or_default()
        ))?;
        self.report.check(
            "a connection that is kept bends the shares, and that is noticed",
            connections == 1 && points.is_some_and(|points| points > 2.0),
        )
    }

    /// The same with the catalog's other port.
    fn over_http2(&mut self) -> Result<Tally> {
        for version in ["catalog-v1", "catalog-v2"] {
            http::start_http2(self.stage.pod(version)?, 3002)?;
        }
        let file = format!("{STEPS}/catalog-http2.yaml");
        self.stage.apply_and_wait(&file)?;
        self.report.applied(&file)?;
        clients::kept(self.client()?, CATALOG_HTTP2, PLENTY, Kept::Http2)?;
        self.wait_until("catalog-http2", "request")?;
        self.wait_for_both(CATALOG_HTTP2, Kept::Http2)?;
        let versions = clients::kept(self.client()?, CATALOG_HTTP2, 100, Kept::Http2)?;
        self.measured("node, HTTP/2, 1 connection", &versions)?;
        self.stage.take_back("catalog-http2.yaml")?;
        Ok(Tally::of(&versions))
    }

    /// Clients that open a connection for each request need nobody in between.
    fn back_to_connections(&mut self) -> Result<()> {
        wait_for("connections to be split again", || {
            clients::curl(self.client()?, CATALOG, 20, Connections::Fresh)?;
            self.is_split_by("catalog", "connection")
        })?;
        self.report.check(
            "with a connection for each request again, the kernel alone splits",
            self.is_split_by("catalog", "connection")?,
        )
    }

    fn wait_until(&self, service: &str, by: &str) -> Result<()> {
        wait_for(&format!("{by}s of {service} to be split"), || {
            self.is_split_by(service, by)
        })
    }

    /// Waits until requests of one connection are split: on a busy machine whoever listens may come late,
    /// and until then the kernel splits connections.
    fn wait_for_both(&self, url: &str, kept: Kept) -> Result<()> {
        wait_for("both versions to answer one client", || {
            let versions = clients::kept(self.client()?, url, 20, kept)?;
            Ok(versions.iter().any(|version| *version != versions[0]))
        })
    }

    fn is_split_by(&self, service: &str, by: &str) -> Result<bool> {
        let routes = self.stage.get("routes", service)?;
        let of_service = |row: &&Value| {
            row["vhost_name"]
                .as_str()
                .is_some_and(|name| name.starts_with(&format!("{service}.")))
        };
        let row = routes.iter().find(of_service);
        let row = row.with_context(|| format!("{service} has a route"))?;
        Ok(row["auto"]["by"] == by)
    }
}
