//! What the request proxy is to serve: the routes that look at requests, where the kernel has them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use steer_common::service::{CLASS_ANYONE, ClassId, SplitId};

use crate::{
    desired::{
        Desired,
        model::{Port, RequestRule, Service, View},
    },
    image::key,
    node::discover::Scan,
    plan::Layout,
    proxy::{Orders, Place, Served},
    requests::{Route, Shown},
};

/// Which routes there are.
#[derive(Default)]
pub(super) struct Wanted {
    served: BTreeMap<SplitId, Served>,
    classes: BTreeMap<SplitId, ClassId>,
    /// The same, as listings show them.
    pub(super) shown: BTreeMap<SplitId, Vec<Shown>>,
}

impl Wanted {
    /// Those of `desired` that are in force.
    pub(super) fn new(desired: &Desired, layout: &Layout) -> Self {
        let mut this = Self::default();
        for service in &desired.services {
            for port in &service.ports {
                for (&class, view) in &port.views {
                    if let View::Route(route) = view
                        && !route.requests.is_empty()
                    {
                        this.add(layout, service, port, class, &route.requests);
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
        rules: &[RequestRule],
    ) {
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
                },
            );
        }
    }

    /// What the proxy is told: each pod gets the routes of everyone and those of its class.
    pub(super) fn orders(&self, desired: &Desired, found: &Scan) -> Orders {
        let pods = found.workloads.iter().filter_map(|(pod, workload)| {
            let class = desired.classes.get(pod).copied().unwrap_or(CLASS_ANYONE);
            let own = self.classes.iter();
            let own = own.filter(|&(_, &of)| of == CLASS_ANYONE || of == class);
            let splits: BTreeSet<SplitId> = own.map(|(&split, _)| split).collect();
            if splits.is_empty() {
                return None;
            }
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
        }
    }
}

/// The rules of routes that are in force, as listings show them.
#[cfg(test)]
pub(crate) fn shown(desired: &Desired, layout: &Layout) -> BTreeMap<SplitId, Vec<Shown>> {
    Wanted::new(desired, layout).shown
}
