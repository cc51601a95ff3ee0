//! `steer events`: what the agent tells as it happens.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::net::UnixStream,
};

use anyhow::Context as _;

use super::{
    Exit,
    args::{Events, Format, Instance},
    output,
};
use crate::control::{EVENTS_SOCKET, Happened, Refusal, What};

/// Prints them.
pub(super) fn run(args: &Events, instance: &Instance) -> anyhow::Result<Exit> {
    let path = instance.state.join(EVENTS_SOCKET);
    let stream = UnixStream::connect(&path).with_context(|| {
        format!(
            "no agent tells of events at {}: does one run?",
            path.display()
        )
    })?;
    for line in BufReader::new(stream).lines() {
        let line = line.context("listening to the agent")?;
        // What was kept ends with an empty one.
        if line.is_empty() {
            if args.follow {
                continue;
            }
            return Ok(Exit::Done);
        }
        let happened: Happened = serde_json::from_str(&line).context("understanding the agent")?;
        if !is_wanted(&happened.what, args.namespace.as_deref()) {
            continue;
        }
        match args.output.output {
            Format::Json => output::write(&(line + "\n"))?,
            Format::Yaml => {
                output::write(&format!("---\n{}", serde_saphyr::to_string(&happened)?))?;
            }
            Format::Table | Format::Wide => output::write(&text(&happened))?,
        }
    }
    // The agent has ended.
    Ok(Exit::Done)
}

fn is_wanted(what: &What, namespace: Option<&str>) -> bool {
    let Some(wanted) = namespace else { return true };
    match what {
        What::Refused { refusal, .. } | What::WouldRefuse { refusal, .. } => {
            let pod = refusal.pod.as_ref();
            pod.is_some_and(|pod| pod.namespace == wanted)
        }
        _ => false,
    }
}

/// `2026-11-29T16:00:00Z  refused  shop/webapp -> example.org 192.0.2.1:443  not_in_registry`.
pub(super) fn text(happened: &Happened) -> String {
    let time = happened.time.strftime("%Y-%m-%dT%H:%M:%SZ");
    let (kind, said) = match &happened.what {
        What::Refused { refusal, process } => ("refused", refused(refusal, process.as_deref())),
        What::WouldRefuse { refusal, process } => {
            ("would refuse", refused(refusal, process.as_deref()))
        }
        What::Reconfigured {
            generation,
            services_changed,
            writes,
        } => (
            "reconfigured",
            format!("generation {generation}: {services_changed} services, {writes} writes"),
        ),
        What::ConfigurationRefused {
            generation,
            reasons,
        } => (
            "not applied",
            format!(
                "generation {generation} stays in force: {}",
                reasons.join("; ")
            ),
        ),
        What::Learned { answers } => ("learned", format!("from {answers} DNS answers")),
        What::Mirrored { answered, lost } => (
            "mirrored",
            format!("{answered} copies answered, {lost} lost"),
        ),
        What::SplitChanged {
            host,
            port,
            client,
            by,
            requests,
            points,
        } => (
            "split",
            split(
                &format!("{host}:{port} for {client}"),
                by,
                *requests,
                *points,
            ),
        ),
        What::Missed { events } => ("missed", format!("{events} events: this reader is slow")),
    };
    format!("{time}  {kind:<12}  {said}\n")
}

/// What is split of a route, and how far the shares of connections strayed if that is why.
fn split(route: &str, by: &str, requests: Option<u64>, points: Option<f64>) -> String {
    let why = match (requests, points) {
        (Some(requests), Some(points)) if by == "request" => {
            format!(": {points:.1} points off the weights, of {requests} requests")
        }
        _ => String::new(),
    };
    format!("{route} by {by}{why}")
}

fn refused(refusal: &Refusal, process: Option<&str>) -> String {
    let pod = refusal.pod.as_ref();
    let pod = pod.map_or_else(|| "?".to_owned(), ToString::to_string);
    let peer = std::net::SocketAddr::new(refusal.address, refusal.port);
    let name = refusal.name.as_ref().map(|name| format!("{name} "));
    let process = process.map(|process| format!("  {process}"));
    format!(
        "{pod} -> {}{peer}  {}{}",
        name.unwrap_or_default(),
        refusal.reason,
        process.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_line() {
        let json = r#"{"time":"2026-11-29T16:00:00Z","event":"refused","pod":{"namespace":"shop","name":"webapp"},"policy":"*","name":"example.org","address":"192.0.2.1","port":443,"protocol":6,"reason":"not_in_registry","refused":true,"process":"curl[7]"}"#;
        let happened: Happened = serde_json::from_str(json).unwrap();
        assert_eq!(
            text(&happened),
            "2026-11-29T16:00:00Z  refused       shop/webapp -> example.org 192.0.2.1:443  \
             not_in_registry  curl[7]\n"
        );
        assert!(is_wanted(&happened.what, Some("shop")));
        assert!(!is_wanted(&happened.what, Some("other")));
    }

    #[test]
    fn another_split_is_a_line() {
        let line = |by: &str| {
            let json = format!(
                r#"{{"time":"2026-11-29T16:00:00Z","event":"split_changed","host":"catalog.shop","port":80,"client":"*","by":"{by}","requests":300,"points":10.0}}"#
            );
            text(&serde_json::from_str(&json).unwrap())
        };
        assert_eq!(
            line("request"),
            "2026-11-29T16:00:00Z  split         catalog.shop:80 for * by request: \
             10.0 points off the weights, of 300 requests\n"
        );
        assert_eq!(
            line("connection"),
            "2026-11-29T16:00:00Z  split         catalog.shop:80 for * by connection\n"
        );
    }
}
