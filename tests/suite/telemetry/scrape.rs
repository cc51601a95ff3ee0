//! The text of /metrics, read.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use steer_tests::lab::Lab;

/// Labels, by name.
pub(crate) type Labels = BTreeMap<String, String>;

/// What a scrape found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scrape {
    series: BTreeMap<(String, Labels), f64>,
}

/// Asks the agent of a lab, on its node.
pub(crate) fn get(lab: &Lab, port: u16, path: &str) -> Result<String> {
    let answer = lab.node()?.in_network(|| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).context("connect")?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: node\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    })?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("an answer has a head")?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
    Ok(body.to_owned())
}

impl Scrape {
    /// Reads the text format of Prometheus.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut this = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').context("a value")?;
            let value: f64 = value.parse().with_context(|| line.to_owned())?;
            let key = series(name).with_context(|| line.to_owned())?;
            ensure!(this.series.insert(key, value).is_none(), "twice: {line}");
        }
        Ok(this)
    }

    /// The series of a metric.
    pub(crate) fn of<'a>(&'a self, metric: &'a str) -> impl Iterator<Item = (&'a Labels, f64)> {
        let all = self.series.iter();
        all.filter(move |((name, _), _)| name == metric)
            .map(|((_, labels), value)| (labels, *value))
    }

    /// What a metric adds up to, of series with these labels.
    pub(crate) fn sum(&self, metric: &str, wanted: &[(&str, &str)]) -> f64 {
        let has = |labels: &Labels| {
            let mut wanted = wanted.iter();
            wanted.all(|(name, value)| labels.get(*name).is_some_and(|found| found == value))
        };
        let found = self.of(metric).filter(|(labels, _)| has(labels));
        found.map(|(_, value)| value).sum()
    }

    /// What was counted since another.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let grown = self.series.iter().map(|(key, value)| {
            let then = before.series.get(key).copied().unwrap_or_default();
            (key.clone(), value - then)
        });
        Self {
            series: grown.collect(),
        }
    }
}

/// `name{label="value",...}`.
fn series(text: &str) -> Result<(String, Labels)> {
    let Some((name, rest)) = text.split_once('{') else {
        return Ok((text.to_owned(), Labels::new()));
    };
    let mut rest = rest.strip_suffix('}').context("labels end")?;
    let mut labels = Labels::new();
    while !rest.is_empty() {
        let (label, more) = rest.split_once("=\"").context("a label")?;
        let mut value = String::new();
        let mut letters = more.char_indices();
        let end = loop {
            match letters.next() {
                Some((at, '"')) => break at,
                Some((_, '\\')) => match letters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, letter)) => value.push(letter),
                    None => bail!("a value ends"),
                },
                Some((_, letter)) => value.push(letter),
                None => bail!("a value ends"),
            }
        };
        labels.insert(label.to_owned(), value);
        rest = more[end + 1..].trim_start_matches(',');
    }
    Ok((name.to_owned(), labels))
}
