//! Options of `steer dashboard`.

use std::{net::SocketAddr, time::Duration};

use http::Uri;

use super::away::time;

/// `steer dashboard`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  steer dashboard                                this node, at http://127.0.0.1:15090/
  steer dashboard --agent http://10.0.0.1:15020 --agent http://10.0.0.2:15020
                                                 these nodes together

The page shows who asks for which service, which share each version gets, and what is refused, of the last
while. An agent counts that when it runs with --metrics. Agents are asked while somebody looks. To look from
elsewhere, forward the port: ssh -L 15090:127.0.0.1:15090 NODE.")]
pub struct Dashboard {
    /// Where the page is served; nobody is asked who they are
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:15090")]
    pub listen: SocketAddr,
    /// Show the agent whose metrics are here, instead of this node's; may be repeated
    #[arg(long, value_name = "http://HOST:PORT", value_parser = agent)]
    pub agent: Vec<Uri>,
    /// Shares and rates are of the last so long
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    pub window: Duration,
}

/// An agent's address.
fn agent(text: &str) -> Result<Uri, String> {
    let found = text.parse::<Uri>().ok();
    let found = found.filter(|uri| {
        let bare = matches!(uri.path(), "/" | "/graph.json");
        uri.scheme_str() == Some("http") && uri.host().is_some() && bare
    });
    found.ok_or_else(|| format!("{text:?} is not an agent's address, e.g. http://10.0.0.1:15020"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_an_address() {
        assert!(agent("http://10.0.0.1:15020").is_ok());
        assert!(agent("http://[fd00::1]:15020/graph.json").is_ok());
        for text in [
            "10.0.0.1:15020",
            "https://node:1",
            "http://node/metrics",
            "x",
        ] {
            assert!(agent(text).is_err(), "{text}");
        }
    }
}
