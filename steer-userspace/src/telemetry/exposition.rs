//! The text of /metrics.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet, prometheus_text},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use super::{
    counted::Counted,
    edge::{Labels, Protocol},
    histogram::Histogram,
    own::{Fill, Samples, Standing, number},
    registry::{self, Kind, Metric},
    store::{Requests, Store, Tcp},
};
use crate::live::Live;

/// Everything that a scrape tells.
#[derive(Clone, Debug)]
pub struct Scrape {
    store: Store,
    applies: Histogram,
    samples: Samples,
}

impl Scrape {
    /// What is counted of traffic: a copy, so that nobody waits for its text.
    pub fn new(counted: &Counted) -> Self {
        let store = counted.store().clone();
        let mut samples = Samples::default();
        samples.put(registry::SERIES, &[], number(store.len() as u64));
        samples.put(registry::SERIES_OVERFLOW, &[], number(store.overflowed()));
        samples.put(registry::TRACKED, &[], number(counted.open() as u64));
        Self {
            store,
            applies: Standing::default().applies,
            samples,
        }
    }

    /// How the agent stands.
    #[must_use]
    pub fn standing(mut self, standing: &Standing, now_ns: u64) -> Self {
        self.applies = standing.applies;
        self.samples.standing(standing, now_ns);
        self
    }

    /// What the kernel's maps say; nothing, if they could not be read.
    #[must_use]
    pub fn live(mut self, live: Option<&Live>, fills: &[Fill], standing: &Standing) -> Self {
        let unreadable = number(u64::from(live.is_none()));
        self.samples.put(registry::SCRAPE_FAILED, &[], unreadable);
        if let Some(live) = live {
            self.samples.live(live, standing);
            self.samples.fills(fills);
        }
        self
    }

    /// How often programs ran, and for how many seconds.
    #[must_use]
    pub fn programs(mut self, runs: &[(&'static str, u64, f64)]) -> Self {
        self.samples.programs(runs);
        self
    }

    /// As Prometheus reads it.
    pub fn text(self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        // Only what it is written to may fail, and a text does not.
        let _written = prometheus_text::encode(&mut text, &registry);
        text
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let tcp: [(Metric, fn(&Tcp) -> u64); 4] = [
            (registry::TCP_OPENED, |tcp| tcp.opened),
            (registry::TCP_CLOSED, |tcp| tcp.closed),
            (registry::TCP_SENT, |tcp| tcp.sent),
            (registry::TCP_RECEIVED, |tcp| tcp.received),
        ];
        for (metric, value) in tcp {
            self.connections(&mut encoder, metric, value)?;
        }
        self.requests(&mut encoder)?;
        let requests: [(Metric, fn(&Requests) -> &Histogram); 3] = [
            (registry::REQUEST_DURATION, |found| &found.duration),
            (registry::REQUEST_BYTES, |found| &found.received),
            (registry::RESPONSE_BYTES, |found| &found.sent),
        ];
        for (metric, value) in requests {
            self.histograms(&mut encoder, metric, value)?;
        }
        for (number, metric) in [registry::REQUEST_MESSAGES, registry::RESPONSE_MESSAGES]
            .into_iter()
            .enumerate()
        {
            self.messages(&mut encoder, metric, number)?;
        }
        let mut applies = begin(&mut encoder, registry::APPLY_DURATION)?;
        histogram(&mut applies, &self.applies)?;
        for (metric, samples) in &self.samples.0 {
            let mut family = begin(&mut encoder, *metric)?;
            for sample in samples {
                let labels = sample.labels.as_slice();
                let one = family.encode_family(&labels)?;
                match metric.kind {
                    Kind::Counter => ConstCounter::new(sample.value).encode(one)?,
                    Kind::Gauge | Kind::Histogram => ConstGauge::new(sample.value).encode(one)?,
                }
            }
        }
        Ok(())
    }
}

impl Scrape {
    fn connections(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        metric: Metric,
        value: fn(&Tcp) -> u64,
    ) -> fmt::Result {
        let mut family = begin(encoder, metric)?;
        for (edge, found) in self.store.tcp() {
            let labels = Labels { edge, asked: None };
            ConstCounter::new(value(found)).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = begin(encoder, registry::REQUESTS)?;
        for (edge, asked, found) in self.store.requests() {
            let asked = Some(asked);
            let labels = Labels { edge, asked };
            let one = family.encode_family(&labels)?;
            ConstCounter::new(found.duration.count).encode(one)?;
        }
        Ok(())
    }

    /// Messages of gRPC: of clients, the first number; of servers, the second.
    fn messages(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        metric: Metric,
        number: usize,
    ) -> fmt::Result {
        let mut family = begin(encoder, metric)?;
        for (edge, asked, found) in self.store.requests() {
            if asked.protocol == Protocol::Grpc {
                let asked = Some(asked);
                let labels = Labels { edge, asked };
                let value = found.messages[number];
                ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn histograms(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        metric: Metric,
        value: fn(&Requests) -> &Histogram,
    ) -> fmt::Result {
        let mut family = begin(encoder, metric)?;
        for (edge, asked, found) in self.store.requests() {
            let asked = Some(asked);
            let labels = Labels { edge, asked };
            histogram(&mut family.encode_family(&labels)?, value(found))?;
        }
        Ok(())
    }
}

type Encoder<'a> = prometheus_client::encoding::MetricEncoder<'a>;

fn histogram(encoder: &mut Encoder<'_>, found: &Histogram) -> fmt::Result {
    encoder.encode_histogram::<NoLabelSet>(found.sum, found.count, &found.buckets(), None)
}

fn begin<'e>(
    encoder: &'e mut DescriptorEncoder<'_>,
    metric: Metric,
) -> Result<Encoder<'e>, fmt::Error> {
    // The library adds it again.
    let name = metric.name.trim_end_matches("_total");
    encoder.encode_descriptor(name, metric.help, None, metric.kind.of_client())
}
