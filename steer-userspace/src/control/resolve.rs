//! Finds the addresses of names itself, again and again: listings show endpoints of hosts outside,
//! steered addresses lead there, and clients that know an address from before may go on using it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use hickory_resolver::{
    TokioResolver,
    config::{LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
};
use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        watch,
    },
    task::JoinSet,
    time::{sleep_until, timeout},
};

use crate::{desired::Resolved, image::egress::Found, kernel::now_secs};

/// A name is asked for again after its TTL, and not more often than this.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// However long its TTL is, it is asked for again after this.
const ASK_AT_LEAST_EVERY: Duration = Duration::from_mins(5);
/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// What was found outlives its TTL by this: a resolver may be away for a while.
const GRACE: Duration = Duration::from_mins(10);
/// So many questions are open at a time.
const QUESTIONS_MAX: usize = 64;

/// What is asked, and whom.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Wanted {
    pub(super) names: BTreeSet<String>,
    pub(super) resolvers: BTreeSet<IpAddr>,
}

/// The task that asks.
pub(super) struct Resolver {
    wanted: watch::Sender<Wanted>,
    found: UnboundedReceiver<Found>,
}

impl Resolver {
    /// Starts it, in the runtime that is running.
    pub(super) fn start() -> Self {
        let (wanted, asked) = watch::channel(Wanted::default());
        let (sender, found) = unbounded_channel();
        tokio::spawn(run(asked, sender));
        Self { wanted, found }
    }

    /// Says which names are wanted.
    pub(super) fn look_for(&self, wanted: Wanted) {
        self.wanted.send_if_modified(|known| {
            let differs = *known != wanted;
            *known = wanted;
            differs
        });
    }

    /// What was found, when it differs. Safe to cancel.
    pub(super) async fn next(&mut self) -> Found {
        match self.found.recv().await {
            Some(found) => found,
            None => std::future::pending().await,
        }
    }
}

/// Addresses without the moments at which they end.
pub(super) fn addresses(found: &Found) -> Resolved {
    let names = found.iter();
    names
        .map(|(name, found)| (name.clone(), found.keys().copied().collect()))
        .collect()
}

async fn run(mut wanted: watch::Receiver<Wanted>, found: UnboundedSender<Found>) {
    let mut book = Book::default();
    loop {
        let now = wanted.borrow_and_update().clone();
        book.want(&now);
        if let Some(resolver) = book.resolver.clone() {
            book.ask(&resolver).await;
        }
        if book.tell() && found.send(book.found.clone()).is_err() {
            return;
        }
        let next = book.due.values().min().copied();
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            () = until(next) => {}
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

/// What is known, and when it is asked for again.
#[derive(Default)]
struct Book {
    resolvers: BTreeSet<IpAddr>,
    resolver: Option<Arc<TokioResolver>>,
    due: BTreeMap<String, Instant>,
    found: Found,
    told: Found,
}

impl Book {
    fn want(&mut self, wanted: &Wanted) {
        if self.resolvers != wanted.resolvers {
            self.resolvers.clone_from(&wanted.resolvers);
            self.resolver = resolver(&self.resolvers).map(Arc::new);
        }
        self.due.retain(|name, _| wanted.names.contains(name));
        self.found.retain(|name, _| wanted.names.contains(name));
        if self.resolver.is_none() {
            self.due.clear();
            return;
        }
        for name in &wanted.names {
            self.due.entry(name.clone()).or_insert_with(Instant::now);
        }
    }

    /// Asks for the names whose time has come.
    async fn ask(&mut self, resolver: &Arc<TokioResolver>) {
        let now = Instant::now();
        let due = self.due.iter().filter(|(_, due)| **due <= now);
        let names: Vec<String> = due.map(|(name, _)| name.clone()).collect();
        for some in names.chunks(QUESTIONS_MAX) {
            let mut questions = JoinSet::new();
            for name in some {
                let (resolver, name) = (Arc::clone(resolver), name.clone());
                questions.spawn(async move {
                    let answer = lookup(&resolver, &name).await;
                    (name, answer)
                });
            }
            while let Some(answered) = questions.join_next().await {
                if let Ok((name, answer)) = answered {
                    self.take(name, answer);
                }
            }
        }
    }

    fn take(&mut self, name: String, answer: Option<(BTreeSet<IpAddr>, Duration)>) {
        let ttl = answer.as_ref().map_or(ASK_EVERY, |(_, ttl)| *ttl);
        let wait = ttl.clamp(ASK_EVERY, ASK_AT_LEAST_EVERY);
        self.due.insert(name.clone(), Instant::now() + wait);
        let now = now_secs();
        let known = self.found.entry(name).or_default();
        known.retain(|_, end| *end > now);
        if let Some((addresses, _)) = answer {
            let hold = u32::try_from((wait + GRACE).as_secs()).unwrap_or(u32::MAX);
            *known = addresses
                .into_iter()
                .map(|address| (address, now.saturating_add(hold)))
                .collect();
        }
    }

    /// Whether there is something to tell: other addresses, or ends that come near.
    fn tell(&mut self) -> bool {
        let near = now_secs().saturating_add(u32::try_from(GRACE.as_secs() / 2).unwrap_or(0));
        let ends = self.told.values().flat_map(BTreeMap::values);
        let renewed = ends.into_iter().any(|&end| end < near);
        let differs = addresses(&self.told) != addresses(&self.found);
        let tell = differs || (renewed && self.told != self.found);
        if tell {
            self.told.clone_from(&self.found);
        }
        tell
    }
}

fn resolver(addresses: &BTreeSet<IpAddr>) -> Option<TokioResolver> {
    if addresses.is_empty() {
        return None;
    }
    let servers = addresses.iter().copied();
    let servers = servers.map(NameServerConfig::udp_and_tcp).collect();
    let config = ResolverConfig::from_parts(None, Vec::new(), servers);
    let provider = TokioRuntimeProvider::default();
    let mut builder = TokioResolver::builder_with_config(config, provider);
    let options = builder.options_mut();
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.timeout = ANSWER_WITHIN / 2;
    match builder.build() {
        Ok(resolver) => Some(resolver),
        Err(error) => {
            tracing::warn!(%error, "names are not resolved");
            None
        }
    }
}

/// The addresses of a name, and for how long they hold.
async fn lookup(resolver: &TokioResolver, name: &str) -> Option<(BTreeSet<IpAddr>, Duration)> {
    let asked = resolver.lookup_ip(format!("{}.", name.trim_end_matches('.')));
    match timeout(ANSWER_WITHIN, asked).await {
        Ok(Ok(answer)) => {
            let ttl = answer
                .valid_until()
                .saturating_duration_since(Instant::now());
            Some((answer.iter().collect(), ttl))
        }
        Ok(Err(error)) => {
            tracing::debug!(name, %error, "a name was not resolved");
            None
        }
        Err(_) => {
            tracing::debug!(name, "no resolver answered");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(address: &str, ttl: u64) -> (BTreeSet<IpAddr>, Duration) {
        ([address.parse().unwrap()].into(), Duration::from_secs(ttl))
    }

    #[test]
    fn the_same_answer_is_not_told_twice() {
        let mut book = Book::default();
        book.take("a".to_owned(), Some(answer("192.0.2.1", 60)));
        assert!(book.tell() && !book.tell());
        book.take("a".to_owned(), Some(answer("192.0.2.1", 60)));
        assert!(!book.tell());
        book.take("a".to_owned(), Some(answer("192.0.2.2", 60)));
        assert!(book.tell());
        assert_eq!(addresses(&book.found)["a"].len(), 1);
    }

    #[test]
    fn what_was_found_outlives_a_resolver_that_is_away() {
        let mut book = Book::default();
        book.take("a".to_owned(), Some(answer("192.0.2.1", 1)));
        book.take("a".to_owned(), None);
        assert_eq!(addresses(&book.found)["a"].len(), 1);
        let wait = book.due["a"].saturating_duration_since(Instant::now());
        assert!(wait <= ASK_EVERY && wait > ASK_EVERY / 2);
    }
}
