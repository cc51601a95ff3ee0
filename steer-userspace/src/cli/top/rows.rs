//! The rows as text: the same cells on the screen and in plain tables.

use super::rates::{RefusedRate, RouteRate, SourceRate};
use crate::cli::output::Row;

impl Row for RouteRate {
    fn headers(_wide: bool) -> Vec<&'static str> {
        vec![
            "SERVICE",
            "DESTINATION",
            "CONN/S",
            "REQ/S",
            "SHARE",
            "WEIGHT",
            "OFF",
            "DEPTH",
        ]
    }

    fn cells(&self, wide: bool) -> Vec<String> {
        let client = self.client.as_ref();
        let client = client.map_or_else(String::new, |client| format!(" for {client}"));
        let auto = match (self.auto, wide) {
            (false, _) => "",
            (true, false) => "*",
            (true, true) => " (auto)",
        };
        vec![
            format!("{}{client}", self.service),
            self.destination.clone(),
            rate(self.connections_per_second),
            rate(self.requests_per_second),
            percent(self.share),
            percent(self.weight),
            self.split_error
                .map_or_else(dash, |distance| distance.to_string()),
            format!("{}{auto}", self.depth),
        ]
    }
}

impl Row for RefusedRate {
    fn headers(_wide: bool) -> Vec<&'static str> {
        vec!["REFUSED POD", "TO", "TIMES/S", "TIMES", "REASON"]
    }

    fn cells(&self, _wide: bool) -> Vec<String> {
        let reason = if self.enforced {
            self.reason.clone()
        } else {
            format!("{} (only told)", self.reason)
        };
        vec![
            self.pod.clone(),
            self.to.clone(),
            rate(Some(self.per_second)),
            self.count.to_string(),
            reason,
        ]
    }
}

impl Row for SourceRate {
    fn headers(_wide: bool) -> Vec<&'static str> {
        vec!["SOURCE", "TO", "CONN/S", "REQ/S", "ERR/S", "OPEN"]
    }

    fn cells(&self, _wide: bool) -> Vec<String> {
        vec![
            self.source.clone(),
            self.to.clone(),
            rate(self.connections_per_second),
            rate(self.requests_per_second),
            rate(self.errors_per_second),
            self.open.map_or_else(dash, |open| open.to_string()),
        ]
    }
}

fn dash() -> String {
    "-".to_owned()
}

/// `0`, `0.5`, `9.5`, `120`.
pub(super) fn rate(per_second: Option<f64>) -> String {
    match per_second {
        None => dash(),
        Some(rate) if rate < 9.95 => short(rate),
        Some(rate) => format!("{rate:.0}"),
    }
}

/// `90%`, `33.3%`.
fn percent(value: Option<f64>) -> String {
    value.map_or_else(dash, |value| format!("{}%", short(value)))
}

/// One digit behind the point, if it is not 0.
fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0")
        .map_or_else(|| text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_they_mean_something() {
        let rates = [0.0, 0.04, 0.5, 9.94, 9.96, 120.4].map(|value| rate(Some(value)));
        assert_eq!(rates, ["0", "0", "0.5", "9.9", "10", "120"]);
        assert_eq!(rate(None), "-");
        let shares = [90.0, 100.0 / 3.0, 100.0].map(|value| percent(Some(value)));
        assert_eq!(shares, ["90%", "33.3%", "100%"]);
    }
}
