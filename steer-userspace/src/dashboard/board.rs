//! What the page is told: samples of agents, put together. Agents are asked when somebody asks, and not
//! more often than each second, however many look.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::future::join_all;
use serde::Serialize;
use tokio::sync::Mutex;

use super::{
    agents::{Agents, Asked, ask},
    events::Events,
};
use crate::{
    control::Happened,
    telemetry::{Graph, Picture, Ruled, Told, Window},
};

/// How long an answer is good for.
const FRESH: Duration = Duration::from_millis(900);

/// What is shown.
pub(super) struct Board {
    agents: Agents,
    window: Duration,
    events: Events,
    began: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    windows: BTreeMap<String, Window>,
    /// What rules ask for, as each agent told last: the kernel goes on without it.
    ruled: BTreeMap<String, Arc<Vec<Ruled>>>,
    last: Option<(Instant, Bytes)>,
}

/// The page's JSON.
#[derive(Serialize)]
struct Shown {
    version: &'static str,
    /// Of how long a while shares and rates are, at most.
    window: u64,
    agents: Vec<Agent>,
    /// Services that agents left out.
    left_out: usize,
    picture: Picture,
    events: Vec<Happened>,
}

/// How an agent stands.
#[derive(Serialize)]
struct Agent {
    name: String,
    /// Why it could not be asked.
    error: Option<String>,
    generation: u32,
    /// Whether what is written is in force there.
    applied: bool,
}

impl Board {
    pub(super) fn new(agents: Agents, window: Duration, events: Events) -> Self {
        Self {
            agents,
            window,
            events,
            began: Instant::now(),
            state: Mutex::default(),
        }
    }

    /// What is to be seen now.
    pub(super) async fn look(&self) -> serde_json::Result<Bytes> {
        let mut state = self.state.lock().await;
        if let Some((at, text)) = &state.last
            && at.elapsed() < FRESH
        {
            return Ok(text.clone());
        }
        let asked = join_all(self.agents.now().into_iter().map(answer)).await;
        let now = self.began.elapsed();
        let shown = self.show(&mut state, asked, now);
        let text = Bytes::from(serde_json::to_vec(&shown)?);
        state.last = Some((Instant::now(), text.clone()));
        Ok(text)
    }

    fn show(
        &self,
        state: &mut State,
        asked: Vec<(String, Result<Told, String>)>,
        now: Duration,
    ) -> Shown {
        let mut agents = Vec::new();
        let mut left_out = 0;
        for (name, answer) in asked {
            let (error, generation, applied) = match answer {
                Ok(found) => {
                    let window = state.windows.entry(name.clone());
                    let window = window.or_insert_with(|| Window::new(self.window));
                    window.push(now, found.graph);
                    state.ruled.insert(name.clone(), found.services);
                    left_out = left_out.max(found.services_left_out);
                    (None, found.generation, found.applied)
                }
                Err(error) => {
                    state.windows.remove(&name);
                    (Some(error), 0, false)
                }
            };
            agents.push(Agent {
                name,
                error,
                generation,
                applied,
            });
        }
        Shown {
            version: env!("STEER_VERSION"),
            window: self.window.as_secs(),
            agents,
            left_out,
            picture: picture(&state.windows, &state.ruled),
            events: self.events.last(),
        }
    }
}

async fn answer(asked: Asked) -> (String, Result<Told, String>) {
    let found = match asked.at {
        Ok(authority) => ask(&authority).await,
        Err(error) => Err(error),
    };
    (asked.name, found)
}

/// All agents' traffic, and each service once: agents of one cluster read the same rules.
fn picture(
    windows: &BTreeMap<String, Window>,
    ruled: &BTreeMap<String, Arc<Vec<Ruled>>>,
) -> Picture {
    let grown: Vec<(Duration, Graph)> = windows.values().filter_map(Window::grown).collect();
    let took = grown
        .iter()
        .map(|(took, _)| *took)
        .max()
        .unwrap_or_default();
    let joined = Graph::joined(grown.into_iter().map(|(_, graph)| graph));
    let mut hosts = BTreeSet::new();
    let all = ruled.values().flat_map(|services| services.iter());
    let once: Vec<Ruled> = all
        .filter(|service| hosts.insert(service.host.as_str()))
        .cloned()
        .collect();
    if took.is_zero() {
        // One sample: nothing is known of rates yet.
        return Picture::new(Duration::from_secs(1), &Graph::default(), &once).unmeasured();
    }
    Picture::new(took, &joined, &once)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> Board {
        let agents = Agents::Remote(Vec::new());
        Board::new(agents, Duration::from_secs(30), Events::default())
    }

    fn shown(board: &Board, state: &mut State, second: u64, opened: u64) -> serde_json::Value {
        let text = format!(
            r#"{{"generation":3,"applied":true,"traffic":[{{
                "source":{{"namespace":"shop","workload":"webapp","service":"webapp","version":"v1"}},
                "service":"catalog","reporter":"source",
                "destination":{{"namespace":"shop","workload":"c","service":"catalog","version":"v1"}},
                "connections_opened":{opened},"connections_closed":0,"sent_bytes":0,
                "received_bytes":0,"requests":0,"errors":0,"duration_ms":0.0}}]}}"#
        );
        let told = serde_json::from_str(&text).map_err(|error| error.to_string());
        let asked = vec![
            ("one".to_owned(), told),
            ("two".to_owned(), Err("it cannot be reached".to_owned())),
        ];
        let shown = board.show(state, asked, Duration::from_secs(second));
        serde_json::to_value(shown).unwrap()
    }

    #[test]
    fn an_agent_that_cannot_be_reached_is_said_and_the_others_are_shown() {
        let (board, mut state) = (board(), State::default());
        let first = shown(&board, &mut state, 1, 100);
        assert_eq!(first["picture"]["seconds"], 0.0);
        let second = shown(&board, &mut state, 3, 120);
        assert_eq!(second["agents"][0]["generation"], 3);
        assert_eq!(second["agents"][1]["error"], "it cannot be reached");
        assert_eq!(second["picture"]["whole"]["connections"], 10.0);
        assert_eq!(second["picture"]["lanes"][0]["versions"][0]["share"], 100.0);
    }
}
