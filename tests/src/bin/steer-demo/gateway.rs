//! The acceptance step from outside of the cluster: who gets in, and where to.

use anyhow::{Context as _, Result};
use serde_json::Value;
use steer_tests::{lab::Network, topology};

use crate::{
    clients::{self, Connections},
    stage::wait_for,
    tally::Tally,
    walk::{STEPS, Walk},
};

/// The host that the Gateway has.
const HOST: &str = "catalog.istioinaction.io";
/// A pod of the catalog itself.
const POD: &str = "istioinaction/catalog-v1";
/// Where every node listens.
const DOOR: u16 = 30000;

impl Walk<'_> {
    /// A Gateway, and the rules that are bound to it. Both are taken back at the end: the rest is about
    /// clients inside.
    pub(crate) fn clients_outside(&mut self) -> Result<()> {
        self.report.step(
            "S1",
            "a Gateway: clients outside reach the catalog at port 30000 of a node, by its host",
        )?;
        let file = format!("{STEPS}/gateway.yaml");
        let took = self.stage.apply_and_wait(&file)?;
        self.report.applied(&format!(
            "{file}; the agent reported it in force {:.1} ms after the write",
            took.as_secs_f64() * 1e3
        ))?;
        let known = self.ask(HOST)?;
        let unknown = self.ask("other.istioinaction.io")?;
        let half = Tally::from_shares(&[("v1", 50), ("v2", 50)]);
        let url = url();
        let outside = self.stage.pod(topology::OUTSIDE)?;
        let header = format!("Host: {HOST}");
        let curl = clients::curl_as(outside, &url, 100, Connections::Kept, &["-H", &header])?;
        self.measured("curl from outside, keep-alive", &curl)?;
        self.asked(&["get", "routes", HOST])?;
        self.report.check(
            "its host is answered with 200, another one with 404",
            known == "200" && unknown == "404",
        )?;
        self.report.check(
            "of 100 requests on one connection each version got exactly 50",
            Tally::of(&curl) == half,
        )?;
        self.default_routing()?;
        self.stage.take_back("gateway.yaml")?;
        wait_for("the door to be closed", || Ok(self.status(HOST).is_err()))
    }

    /// While the only VirtualService of the catalog is bound to the gateway.
    fn default_routing(&mut self) -> Result<()> {
        self.report.step(
            "S6",
            "route tables: the VirtualService is the gateway's, and pods have the default routing",
        )?;
        self.asked(&["get", "routes", "--gateway"])?;
        self.asked(&["get", "routes", "--pod", POD, "catalog"])?;
        let words = ["get", "routes", "--pod", POD, "catalog", "-o", "json"];
        let printed = self.stage.steer(&words)?;
        let table: Vec<Value> = serde_json::from_str(&printed.text)
            .with_context(|| format!("understand {}", printed.text))?;
        let row = table.first().context("the catalog has a row")?;
        self.report.check(
            "one row of the listener 80, without a VirtualService",
            table.len() == 1 && row["name"] == "80" && row["virtual_service"] == "default",
        )?;
        let domains = [
            "catalog.istioinaction.svc.cluster.local",
            "catalog",
            "catalog.istioinaction",
            "catalog.istioinaction.svc",
            "10.200.1.92",
            "fd00:200:1::92",
        ];
        self.report.check(
            "its domains: the full name, the short ones, and the addresses",
            row["domains"] == serde_json::json!(domains),
        )
    }

    /// Asks once, and says with what it was answered.
    fn ask(&mut self, host: &str) -> Result<String> {
        let status = self.status(host)?;
        self.report.measured(&format!(
            "curl from outside, {} with Host {host}: {status}",
            url()
        ))?;
        Ok(status)
    }

    fn status(&self, host: &str) -> Result<String> {
        let (header, url) = (format!("Host: {host}"), url());
        let words = [
            "-sS",
            "--max-time",
            "5",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
        ];
        let words = [&words[..], &["-H", &header, &url]].concat();
        let outside = self.stage.pod(topology::OUTSIDE)?;
        outside.run("curl", &words).context("ask from outside")
    }
}

fn url() -> String {
    format!("http://{}:{DOOR}/items", Network::default().uplink)
}
