//! Rows of an image, made by hand.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Result;
use steer::{
    desired::model::{Endpoint, PodRef, Rule},
    image::{Destination, DestinationName, Image, Route, ServiceName, Source},
    kernel::netns,
};
use steer_common::{
    addr::{Addr, Port, Proto},
    service::{CLASS_ANYONE, ClassId, Depth, ServiceKey},
};
use steer_tests::pod::Pod;

/// One row: what one class of client sees of a service port.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    key: ServiceKey,
    route: Route,
}

impl Service {
    /// The service port at `dialled`, without destinations, as everyone sees it.
    pub(crate) fn new(proto: Proto, dialled: SocketAddr) -> Self {
        let name = ServiceName {
            namespace: "test".to_owned(),
            name: dialled.to_string(),
            host: dialled.to_string(),
            port_name: "port".to_owned(),
            protocol: proto.name().to_owned(),
        };
        Self {
            key: ServiceKey::new(
                CLASS_ANYONE,
                Addr::from(dialled.ip()),
                Port::new(dialled.port()),
                proto,
            ),
            route: Route {
                service: Arc::new(name),
                rule: Arc::new(Rule::Service),
                hidden: false,
                varies: false,
                depth: Depth::Connect,
                auto: false,
                affinity_secs: 0,
                destinations: Vec::new(),
            },
        }
    }

    /// Adds a destination.
    #[must_use]
    pub(crate) fn to(mut self, weight: u32, endpoints: &[SocketAddr]) -> Self {
        let name = DestinationName {
            host: self.route.service.host.clone(),
            port: self.key.port.number(),
            subset: Some(format!("v{}", self.route.destinations.len() + 1)),
            weight,
            destination_rules: Vec::new(),
        };
        let endpoint = |address: &SocketAddr| Endpoint {
            ip: address.ip(),
            port: address.port(),
            pod: None,
        };
        self.route.destinations.push(Destination {
            name: Arc::new(name),
            endpoints: endpoints.iter().map(endpoint).collect(),
        });
        self
    }

    /// Clients keep their endpoint for so long.
    #[must_use]
    pub(crate) fn affinity(mut self, seconds: u32) -> Self {
        self.route.affinity_secs = seconds;
        self
    }

    /// The row is for the clients of a class.
    #[must_use]
    pub(crate) fn seen_by(mut self, class: ClassId) -> Self {
        self.key.class = class;
        self
    }

    /// Its clients do not see it.
    #[must_use]
    pub(crate) fn hidden(mut self) -> Self {
        self.route.hidden = true;
        self
    }

    /// Where it stands.
    pub(crate) fn key(&self) -> ServiceKey {
        self.key
    }
}

/// An image of these rows and nothing else. A row of class 0 varies if another class has its own.
pub(crate) fn image(services: impl IntoIterator<Item = Service>) -> Image {
    let mut image = Image::default();
    for service in services {
        image.routes.insert(service.key, Arc::new(service.route));
    }
    let varying: Vec<ServiceKey> = image
        .routes
        .keys()
        .filter(|key| key.class != CLASS_ANYONE)
        .map(|key| ServiceKey {
            class: CLASS_ANYONE,
            ..*key
        })
        .collect();
    for key in varying {
        if let Some(route) = image.routes.get_mut(&key) {
            Arc::make_mut(route).varies = true;
        }
    }
    image
}

/// Who a pod is: the cookie of its network namespace, and its name.
pub(crate) fn identity(pod: &Pod) -> Result<(u64, PodRef)> {
    let cookie = pod.in_network(|| {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
        Ok(netns::cookie(&socket)?)
    })?;
    let pod = PodRef {
        namespace: pod.record().namespace.clone(),
        name: pod.name().to_owned(),
    };
    Ok((cookie, pod))
}

/// Says in `image` that `pod` is of a class.
pub(crate) fn classify(image: &mut Image, pod: &Pod, class: ClassId) -> Result<()> {
    let (cookie, pod) = identity(pod)?;
    image.sources.insert(cookie, Source::new(class, pod));
    Ok(())
}
