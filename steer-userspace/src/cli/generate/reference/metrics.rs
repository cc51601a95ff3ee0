//! The page of metrics.

use super::row;
use crate::{
    cli::text::Text,
    telemetry::{ALL, LABELS, Metric},
};

/// Every metric.
pub(in crate::cli::generate) fn metrics() -> String {
    let mut text = Text::default();
    text.lines(
        "# Metrics\n\n\
         Generated from the code (`cargo xtask docs`). What an agent with `--metrics ADDRESS:PORT` tells at \
         `/metrics`, in the text format of Prometheus (0.0.4). What it means, and how exact it is: \
         [guide](../guide/metrics.md).\n\n\
         ## Traffic\n\n\
         Names and labels are those of Istio's standard metrics. Each series has all of these labels, \
         `unknown` where nothing is known:\n\n",
    );
    for label in LABELS {
        text.line(format_args!("- `{label}`"));
    }
    text.lines(
        "\nThe last two are those of requests alone.\n\n\
         | Metric | Kind | What it says |\n| --- | --- | --- |\n",
    );
    for metric in of("istio_") {
        let name = format!("`{}`", metric.name);
        row(&mut text, &[&name, metric.kind.name(), metric.help]);
    }
    text.lines(
        "\n## steer itself\n\n\
         | Metric | Kind | Labels | What it says |\n| --- | --- | --- | --- |\n",
    );
    for metric in of("steer_") {
        let name = format!("`{}`", metric.name);
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        row(
            &mut text,
            &[&name, metric.kind.name(), &labels.join(" "), metric.help],
        );
    }
    text.finish()
}

fn of(prefix: &str) -> impl Iterator<Item = &'static Metric> {
    ALL.iter()
        .filter(move |metric| metric.name.starts_with(prefix))
}
