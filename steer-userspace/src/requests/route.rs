//! The rules of a port, in order: the first that takes a request decides.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use steer_common::weights::WeightError;

use super::{
    Answer, Cors, Fault, HeaderChange, Mirror, Redirect, RetryPolicy, Rewrite, Seen, Share,
    matching::Match,
};
use crate::{
    desired::model::{Destination, RequestRule, Rule as Origin, cluster_name},
    source::istio::{Duration as Length, Headers},
};

/// Why rules cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A regular expression.
    #[error("a regular expression cannot be used: {0}")]
    Regex(#[from] regex::Error),
    /// A header.
    #[error("{name:?} is no header, or its value is none")]
    Header {
        /// Its name.
        name: String,
    },
    /// Weights.
    #[error("the weights do not fit: {0:?}")]
    Weights(WeightError),
}

/// The rules of one port, for one class of client.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// In order.
    pub rules: Vec<Rule>,
}

/// One rule, made ready.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What made it.
    pub origin: Origin,
    name: Option<String>,
    matches: Vec<Match>,
    /// What it does.
    pub action: Action,
    /// What becomes of the request's headers.
    pub request: HeaderChange,
    /// What becomes of the answer's headers.
    pub response: HeaderChange,
    /// How long all of it may take.
    pub timeout: Option<Duration>,
    /// When it is tried again.
    pub retries: RetryPolicy,
    /// What goes wrong on purpose.
    pub fault: Fault,
    /// Who may ask from pages of others.
    pub cors: Option<Cors>,
}

/// What a rule does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Sends the request on.
    Forward(Forward),
    /// Sends the client elsewhere.
    Redirect(Redirect),
    /// Answers.
    Answer(Answer),
}

/// Where requests go.
#[derive(Clone, Debug)]
pub struct Forward {
    share: Share,
    destinations: Vec<To>,
    mirrors: Vec<Mirror>,
    rewrite: Rewrite,
}

/// One destination.
#[derive(Clone, Debug)]
pub struct To {
    /// As Envoy's clusters are named.
    pub cluster: Arc<str>,
    /// Whether they are to be spoken to with HTTP/2, where that is not the client's choice.
    pub http2: bool,
    /// Its endpoints.
    pub endpoints: Arc<[SocketAddr]>,
    /// What becomes of the headers of requests that go there.
    pub request: HeaderChange,
    /// What becomes of the headers of its answers.
    pub response: HeaderChange,
}

/// A request and the rule that takes it.
#[derive(Clone, Copy, Debug)]
pub struct Matched<'a> {
    /// The rule.
    pub rule: &'a Rule,
    matched: Option<&'a Match>,
}

impl Route {
    /// Makes rules ready. Endpoints are those of IPv4 where there are any: a service of both families
    /// has each of its endpoints twice.
    pub fn new(rules: &[RequestRule]) -> Result<Self, Error> {
        let rules = rules.iter().map(Rule::new).collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }

    /// The first rule that takes a request.
    pub fn find(&self, seen: &Seen<'_>) -> Option<Matched<'_>> {
        self.rules.iter().find_map(|rule| rule.take(seen))
    }
}

impl Rule {
    fn new(written: &RequestRule) -> Result<Self, Error> {
        let rule = &*written.written;
        let headers = rule.headers.as_ref();
        let matches = rule.matches.iter().map(Match::new);
        Ok(Self {
            origin: written.rule.clone(),
            name: rule.name.clone(),
            matches: matches.collect::<Result<_, _>>()?,
            action: action(written)?,
            request: HeaderChange::new(headers.and_then(|found| found.request.as_ref()))?,
            response: HeaderChange::new(headers.and_then(|found| found.response.as_ref()))?,
            timeout: length(rule.timeout),
            retries: RetryPolicy::new(rule.retries.as_ref()),
            fault: Fault::new(rule.fault.as_ref()),
            cors: rule.cors_policy.as_ref().map(Cors::new).transpose()?,
        })
    }

    fn take(&self, seen: &Seen<'_>) -> Option<Matched<'_>> {
        let matched = self.matches.iter().find(|one| one.takes(seen));
        let takes = self.matches.is_empty() || matched.is_some();
        takes.then_some(Matched {
            rule: self,
            matched,
        })
    }
}

impl Forward {
    /// Where the request with this ticket goes, and how often that destination was drawn before.
    pub fn draw(&self, ticket: u64) -> Option<(&To, u64)> {
        let drawn = self.share.draw(ticket)?;
        let to = self.destinations.get(drawn.destination as usize)?;
        Some((to, drawn.turn))
    }

    /// Its destinations.
    pub fn destinations(&self) -> &[To] {
        &self.destinations
    }

    /// Where copies of the request with this ticket go, and how many went there before it.
    pub fn mirrored(&self, ticket: u64) -> impl Iterator<Item = (&Mirror, u64)> {
        let all = self.mirrors.iter();
        all.filter_map(move |mirror| Some((mirror, mirror.draw(ticket)?)))
    }

    /// Whether copies of some requests are made.
    pub fn is_mirrored(&self) -> bool {
        !self.mirrors.is_empty()
    }

    /// The authority that requests are sent with, if it is not theirs.
    pub fn authority<'a>(&'a self, rule: &'a Rule, to: &'a To) -> Option<&'a str> {
        let said = [
            &self.rewrite.authority,
            &to.request.authority,
            &rule.request.authority,
        ];
        said.into_iter().find_map(|found| found.as_deref())
    }
}

impl To {
    pub(super) fn new(found: &Destination, headers: Option<&Headers>) -> Result<Self, Error> {
        Ok(Self {
            cluster: cluster_name(&found.host, found.port, found.subset.as_deref()).into(),
            http2: found.http2,
            endpoints: addresses(found),
            request: HeaderChange::new(headers.and_then(|found| found.request.as_ref()))?,
            response: HeaderChange::new(headers.and_then(|found| found.response.as_ref()))?,
        })
    }

    /// The endpoint whose turn it is.
    pub fn endpoint(&self, turn: u64) -> Option<SocketAddr> {
        let count = u64::try_from(self.endpoints.len()).ok()?;
        let index = turn.checked_rem(count)?;
        self.endpoints.get(usize::try_from(index).ok()?).copied()
    }
}

impl Matched<'_> {
    /// The path that a forwarded request asks for; `None` if it stays.
    pub fn path(&self, forward: &Forward, path: &str) -> Option<String> {
        forward.rewrite.path(self.matched, path)
    }

    /// What lines of an access log call it: the rule, and the match that took the request.
    pub fn name(&self) -> Option<String> {
        let given = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
        let matched = self.matched.and_then(|matched| given(&matched.name));
        match (given(&self.rule.name), matched) {
            (Some(rule), Some(matched)) => Some(format!("{rule}.{matched}")),
            (rule, matched) => rule.or(matched),
        }
    }

    /// Where a redirect leads.
    pub fn location(&self, redirect: &Redirect, seen: &Seen<'_>) -> String {
        redirect.location(self.matched, seen)
    }
}

fn action(written: &RequestRule) -> Result<Action, Error> {
    let rule = &*written.written;
    if let Some(redirect) = &rule.redirect {
        return Ok(Action::Redirect(Redirect::new(redirect)));
    }
    if let Some(answer) = &rule.direct_response {
        return Ok(Action::Answer(Answer::new(answer)));
    }
    let weights: Vec<u32> = written.destinations.iter().map(|to| to.weight).collect();
    let to = written
        .destinations
        .iter()
        .enumerate()
        .map(|(index, found)| {
            let headers = rule.route.get(index).and_then(|to| to.headers.as_ref());
            To::new(found, headers)
        });
    Ok(Action::Forward(Forward {
        share: Share::new(&weights).map_err(Error::Weights)?,
        destinations: to.collect::<Result<_, Error>>()?,
        mirrors: written
            .mirrors
            .iter()
            .map(Mirror::new)
            .collect::<Result<_, Error>>()?,
        rewrite: Rewrite::new(rule.rewrite.as_ref())?,
    }))
}

fn addresses(to: &Destination) -> Arc<[SocketAddr]> {
    let all = to.endpoints.iter();
    let all = all.map(|found| SocketAddr::new(found.ip, found.port));
    let v4: Arc<[SocketAddr]> = all.clone().filter(SocketAddr::is_ipv4).collect();
    if v4.is_empty() { all.collect() } else { v4 }
}

/// A length of time that is one.
pub(super) fn length(written: Option<Length>) -> Option<Duration> {
    let nanos = u64::try_from(written?.nanos)
        .ok()
        .filter(|&nanos| nanos > 0)?;
    Some(Duration::from_nanos(nanos))
}
