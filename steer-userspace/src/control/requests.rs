//! What the request proxy is to serve: the routes that look at requests, where the kernel has them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    num::NonZeroUsize,
    os::fd::BorrowedFd,
    path::Path,
    sync::Arc,
    time::Duration,
};

use steer_common::service::{CLASS_ANYONE, ClassId, Depth, SplitId};

use super::{edge_file, requests_file};
use crate::{
    access_log::{Counted, Target, Writer},
    desired::{
        Desired,
        model::{Port, Route as Decided, Service, View},
    },
    image::key,
    kernel::{OwnSockets, Pins, Tap},
    node::discover::Scan,
    plan::Layout,
    proxy::{
        LoggedClient, Logs, Mirrored, Orders, Pending, Place, Proxy, Served, Take, Told, Used,
    },
    requests::{Entrance, Route, Shown, listed},
    telemetry::{Meter, Recent},
};

/// How long to wait for lines of the access log at the end.
const FLUSHED_MAX: Duration = Duration::from_secs(1);

/// The request proxy, and the file of its rules.
pub(super) struct Requests {
    proxy: Proxy,
    log: Writer,
    told: Told,
    /// How many requests each rule had taken when it was last written.
    taken: BTreeMap<SplitId, Vec<u64>>,
    /// Who counts requests, if anybody does.
    meter: Option<Meter>,
    /// Whether there may be something to take back. An earlier agent may have left a file.
    busy: bool,
}

impl Requests {
    /// Starts the proxy, with nothing to serve.
    pub(super) fn start(pins: &Pins, threads: NonZeroUsize) -> io::Result<Self> {
        let own = OwnSockets::open(pins).map_err(io::Error::other)?;
        let mut tap = Tap::open(pins).map_err(io::Error::other)?;
        let tap = Box::new(move |take: &mut Take<'_>| tap.read(take).is_some());
        let mark = move |socket: BorrowedFd<'_>| own.mark(socket).map_err(io::Error::other);
        Ok(Self {
            proxy: Proxy::start(Arc::new(mark), tap, threads)?,
            log: Writer::start()?,
            told: Told::default(),
            taken: BTreeMap::new(),
            meter: None,
            busy: true,
        })
    }

    /// Counts requests and copies by this from now on.
    pub(super) fn count_by(&mut self, meter: Meter) {
        self.proxy.count_by(meter.clone());
        self.meter = Some(meter);
    }

    /// Connections that the proxy made lately.
    pub(super) fn made(&self) -> Recent {
        self.proxy.made()
    }

    /// What became of copies so far.
    pub(super) fn mirrored(&self) -> Mirrored {
        self.proxy.mirrored()
    }

    /// How much came in on each route.
    pub(super) fn used(&self) -> BTreeMap<SplitId, Used> {
        self.proxy.used()
    }

    /// Tells listings how many requests each rule has taken, if that has changed.
    pub(super) fn count(&mut self, state: &Path) {
        let taken = self.proxy.taken();
        if taken == self.taken {
            return;
        }
        if let Err(error) = requests_file::write_taken(state, &taken) {
            tracing::warn!(%error, "listings do not show how many requests rules have taken");
        }
        self.taken = taken;
    }

    /// Where lines of the access log go, and which connections need none.
    pub(super) fn log(&self) -> (Writer, Told) {
        (self.log.clone(), self.told.clone())
    }

    /// What became of lines of the access log so far.
    pub(super) fn logged(&self) -> Counted {
        self.log.counted()
    }

    /// The node's own ports that gateways need and that could not be opened, and why.
    pub(super) fn closed(&self) -> BTreeMap<u16, String> {
        self.proxy.closed()
    }

    /// Waits a while until requests that are under way are answered. The kernel must know before that
    /// nobody is here to look at others.
    pub(super) fn end(&self) {
        self.proxy.end();
        self.log.flush(FLUSHED_MAX);
    }

    /// Serves the routes that look at requests, to the pods that are here. Says which are to be tapped
    /// once that is done.
    pub(super) fn serve(
        &mut self,
        desired: &Desired,
        layout: &Layout,
        found: &Scan,
        state: &Path,
    ) -> (BTreeSet<SplitId>, Option<Pending>) {
        let logs = &desired.access_logs;
        if !(logs.pods.is_empty() && logs.gateways.is_empty()) {
            self.log.aim(Target::new(&logs.file));
        }
        let wanted = Wanted::new(desired, layout);
        let tapped = wanted.served.iter().filter(|(_, served)| served.tapped);
        let tapped = tapped.map(|(&split, _)| split).collect();
        let idle = wanted.shown.is_empty() && desired.listeners.is_empty();
        if idle && !self.busy {
            return (tapped, None);
        }
        self.busy = !idle;
        let mut orders = wanted.orders(desired, found);
        orders.logs = self.logs(desired, found);
        let pending = self.proxy.serve(orders);
        if let Err(error) = requests_file::write(state, &wanted.shown) {
            tracing::warn!(%error, "listings do not show the rules that look at requests");
        }
        if let Err(error) = edge_file::write(state, &listed(&desired.listeners)) {
            tracing::warn!(%error, "listings do not show what gateways serve");
        }
        (tapped, Some(pending))
    }
}

impl Requests {
    /// Whose requests have a line written; nobody's, if no pod logs.
    fn logs(&self, desired: &Desired, found: &Scan) -> Option<Arc<Logs>> {
        let wanted = &desired.access_logs;
        if wanted.pods.is_empty() && wanted.gateways.is_empty() && self.meter.is_none() {
            return None;
        }
        let clients = found.workloads.iter().map(|(pod, workload)| {
            let client = LoggedClient {
                pod: Arc::new(pod.clone()),
                address: workload.addresses.iter().copied().min(),
                logs: wanted.pods.get(pod).is_some_and(|sides| sides.client),
            };
            (workload.cookie, Arc::new(client))
        });
        let servers = wanted.pods.iter().filter(|(_, sides)| sides.server);
        let servers = servers.flat_map(|(pod, _)| {
            let addresses = found.workloads.get(pod).map(|found| &found.addresses);
            let addresses = addresses.into_iter().flatten().copied();
            addresses.map(|address| (address, pod.clone()))
        });
        let gateways = wanted.gateways.iter().map(|(&port, gateway)| {
            let client = LoggedClient {
                pod: Arc::new(gateway.clone()),
                address: None,
                logs: true,
            };
            (port, Arc::new(client))
        });
        Some(Arc::new(Logs {
            format: Arc::new(wanted.format.clone()),
            writer: self.log.clone(),
            clients: clients.collect(),
            gateways: gateways.collect(),
            servers: servers.collect(),
            told: self.told.clone(),
            meter: self.meter.clone(),
        }))
    }
}

/// Which routes there are.
#[derive(Default)]
struct Wanted {
    served: BTreeMap<SplitId, Served>,
    classes: BTreeMap<SplitId, ClassId>,
    /// The same, as listings show them.
    shown: BTreeMap<SplitId, Vec<Shown>>,
}

impl Wanted {
    /// Those of `desired` that are in force.
    fn new(desired: &Desired, layout: &Layout) -> Self {
        let mut this = Self::default();
        for service in &desired.services {
            for port in &service.ports {
                for (&class, view) in &port.views {
                    if let View::Route(route) = view
                        && !route.requests.is_empty()
                        && (route.depth == Depth::Request || route.is_copied())
                    {
                        this.add(layout, service, port, class, route);
                    }
                }
            }
        }
        this
    }

    fn add(
        &mut self,
        layout: &Layout,
        service: &Service,
        port: &Port,
        class: ClassId,
        view: &Decided,
    ) {
        let rules = &view.requests;
        let tapped = view.is_copied();
        let route = match Route::new(rules) {
            Ok(route) => Arc::new(route),
            Err(error) => {
                // What is written was checked; its connections take the rule that needs no request.
                tracing::warn!(host = service.host, port = port.number, %error, "rules cannot be made ready");
                return;
            }
        };
        let addresses = service.addresses.iter();
        for key in addresses.map(|&address| key(class, address, port)) {
            let Some(split) = layout.placed().get(&key).map(|placed| placed.split) else {
                continue;
            };
            self.classes.insert(split, class);
            self.shown
                .insert(split, rules.iter().map(Shown::new).collect());
            self.served.insert(
                split,
                Served {
                    key,
                    host: service.host.clone(),
                    route: Arc::clone(&route),
                    tapped,
                },
            );
        }
    }

    /// What the proxy is told: each pod gets the routes of everyone and those of its class.
    fn orders(&self, desired: &Desired, found: &Scan) -> Orders {
        let pods = found.workloads.iter().filter_map(|(pod, workload)| {
            let class = desired.classes.get(pod).copied().unwrap_or(CLASS_ANYONE);
            let own = self.classes.iter();
            let own = own.filter(|&(_, &of)| of == CLASS_ANYONE || of == class);
            let own: Vec<SplitId> = own.map(|(&split, _)| split).collect();
            if own.is_empty() {
                return None;
            }
            let is_tapped =
                |split: &SplitId| self.served.get(split).is_some_and(|found| found.tapped);
            let splits = own.into_iter().filter(|split| !is_tapped(split)).collect();
            // A pod that is gone meanwhile needs no listener.
            let namespace = workload.insider.open().ok()??;
            Some(Place {
                cookie: workload.cookie,
                namespace: Some(Arc::new(namespace)),
                splits,
            })
        });
        Orders {
            routes: self.served.clone(),
            pods: pods.collect(),
            logs: None,
            edge: edge(desired),
        }
    }
}

/// What comes in at the node's own ports.
fn edge(desired: &Desired) -> BTreeMap<u16, Entrance> {
    let listeners = desired.listeners.iter();
    let ready = listeners.filter_map(|listener| match Entrance::new(&listener.entrance) {
        Ok(entrance) => Some((listener.port, entrance)),
        Err(error) => {
            // What is written was checked.
            tracing::warn!(port = listener.port, %error, "a gateway's rules cannot be made ready");
            None
        }
    });
    ready.collect()
}

/// The rules of routes that are in force, as listings show them.
#[cfg(test)]
pub(crate) fn shown(desired: &Desired, layout: &Layout) -> BTreeMap<SplitId, Vec<Shown>> {
    Wanted::new(desired, layout).shown
}
