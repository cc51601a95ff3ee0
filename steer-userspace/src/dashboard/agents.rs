//! Agents, and what each tells at `/graph.json`.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header::HOST};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use crate::{control::read_status, finding::chain, telemetry::Told};

/// How long an agent may take.
const TAKES_MAX: Duration = Duration::from_secs(3);
/// How much it may tell.
const TELLS_MAX: usize = 32 << 20;

/// Which agents are asked.
#[derive(Clone, Debug)]
pub enum Agents {
    /// That of this node, wherever its status says that it can be asked.
    Local {
        /// Its state directory.
        state: PathBuf,
    },
    /// Those at these addresses: `http://HOST:PORT`.
    Remote(Vec<Uri>),
}

/// An agent to ask, or why it cannot be.
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) at: Result<String, String>,
}

/// What to do where nothing is counted.
const METRICS_ARE_OFF: &str = "this node's agent counts nothing: start it with `steer agent --metrics \
    127.0.0.1:15020`, or name agents that do with --agent http://HOST:PORT";

impl Agents {
    /// That of this node.
    pub fn local(state: impl Into<PathBuf>) -> Self {
        Self::Local {
            state: state.into(),
        }
    }

    /// Those to ask now.
    pub(super) fn now(&self) -> Vec<Asked> {
        match self {
            Self::Local { state } => vec![Asked {
                name: "this node".to_owned(),
                at: local(state),
            }],
            Self::Remote(all) => all
                .iter()
                .map(|uri| Asked {
                    name: authority(uri),
                    at: Ok(authority(uri)),
                })
                .collect(),
        }
    }
}

fn authority(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    format!("{host}:{}", uri.port_u16().unwrap_or(80))
}

fn local(state: &std::path::Path) -> Result<String, String> {
    let failed = |error: io::Error| format!("{}: {error}", state.display());
    let status = read_status(state).map_err(failed)?;
    let status = status.ok_or_else(|| {
        format!(
            "no agent has run with the state directory {}: start `steer agent`, or say --state",
            state.display()
        )
    })?;
    let address = status["metrics"].as_str();
    let address = address.ok_or_else(|| METRICS_ARE_OFF.to_owned())?;
    address
        .parse()
        .map(|found: SocketAddr| found.to_string())
        .map_err(|error| format!("the agent's status: {error}"))
}

/// What an agent tells. It is asked over a connection of its own: it closes each.
pub(super) async fn ask(authority: &str) -> Result<Told, String> {
    match timeout(TAKES_MAX, fetch(authority)).await {
        Ok(found) => found,
        Err(_) => Err(format!(
            "it does not answer within {} s",
            TAKES_MAX.as_secs()
        )),
    }
}

async fn fetch(authority: &str) -> Result<Told, String> {
    let stream = TcpStream::connect(authority)
        .await
        .map_err(|error| format!("it cannot be reached: {error}"))?;
    let failed = |error: hyper::Error| format!("it does not answer: {}", chain(&error));
    let (mut send, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let asking = async {
        let request = Request::get("/graph.json")
            .header(HOST, authority)
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let answer = send.send_request(request).await.map_err(failed)?;
        if answer.status() != StatusCode::OK {
            return Err(format!("it answers with {}", answer.status()));
        }
        let body = Limited::new(answer.into_body(), TELLS_MAX).collect().await;
        body.map(http_body_util::Collected::to_bytes)
            .map_err(|error| format!("its answer breaks off: {error}"))
    };
    let driven = async {
        // What goes wrong here, who asks is told as well.
        let _ended = connection.await;
        std::future::pending::<std::convert::Infallible>().await
    };
    let text = tokio::select! {
        found = asking => found?,
        never = driven => match never {},
    };
    serde_json::from_slice(&text).map_err(|error| format!("its answer is no graph: {error}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn at(state: &std::path::Path) -> Result<String, String> {
        let [asked] = Agents::local(state).now().try_into().ok().unwrap();
        asked.at
    }

    #[test]
    fn this_node_says_where_it_can_be_asked_or_what_to_do() {
        let state = tempfile::tempdir().unwrap();
        assert!(at(state.path()).unwrap_err().contains("no agent has run"));
        let status = state.path().join("status.json");
        fs::write(&status, r#"{"metrics": null}"#).unwrap();
        assert!(at(state.path()).unwrap_err().contains("--metrics"));
        fs::write(&status, r#"{"metrics": "127.0.0.1:15020"}"#).unwrap();
        assert_eq!(at(state.path()).as_deref(), Ok("127.0.0.1:15020"));
    }

    #[tokio::test]
    async fn an_agent_that_is_not_there_is_said() {
        // Nobody listens at the port of a listener that is gone.
        let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = gone.local_addr().unwrap().to_string();
        drop(gone);
        let error = ask(&address).await.unwrap_err();
        assert!(error.contains("cannot be reached"), "{error}");
    }
}
