//! The services that churn, and how they change.

use std::net::SocketAddr;

use steer::{
    desired::model::PodRef,
    image::{Image, Source},
};
use steer_common::{addr::Proto, service::ClassId};

use crate::{
    chance::Chance,
    common::{
        service::{Service, image},
        stage::{v4, v6},
    },
    history::{Endpoints, View},
};

/// Endpoints that belong to one row alone: who lands on another's was led astray.
const POOL: u32 = 6;
/// Rows of all services.
const ROWS: u32 = 10;
/// Endpoints of all rows, numbered from 1.
pub(crate) const ENDPOINTS: u8 = 60;
/// The class that pods are in, now and then.
const CLASS: ClassId = 1;
/// Longer than any run.
const AFFINITY_SECS: u32 = 10_800;

/// What one class sees of a service: destinations, each a weight and endpoints.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Row {
    pool: u32,
    destinations: Vec<(u32, Endpoints)>,
    affinity: bool,
}

/// One service: IPv6 if its number is above 6.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Churning {
    number: u8,
    present: bool,
    comes_and_goes: bool,
    row: Row,
    of_class: Option<Row>,
}

/// All services, and the classes of the pods.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct World {
    services: Vec<Churning>,
    pods: Vec<(u64, PodRef)>,
    classes: Vec<ClassId>,
}

impl Row {
    fn new(pool: u32, affinity: bool) -> Self {
        let first = 1 + pool * POOL;
        let half = |from: u32| 0b111 << (first + from);
        Self {
            pool,
            destinations: vec![(90, half(0)), (10, half(3))],
            affinity,
        }
    }

    fn reachable(&self) -> Endpoints {
        let weighty = self.destinations.iter().filter(|(weight, _)| *weight > 0);
        weighty.fold(0, |all, (_, endpoints)| all | endpoints)
    }

    /// Other weights, at least one of them above 0.
    fn change_weights(&mut self, chance: &mut Chance) {
        let before = self.clone();
        while *self == before || self.reachable() == 0 {
            for (weight, _) in &mut self.destinations {
                let drawn = [0, 1, 10, 50, 90, 99][chance.below(6)];
                *weight = drawn;
            }
        }
    }

    /// An endpoint leaves, comes back, or moves to the other destination. None is left empty.
    fn change_endpoints(&mut self, chance: &mut Chance) {
        let before = self.clone();
        while *self == before || self.destinations.iter().any(|(_, all)| *all == 0) {
            self.destinations.clone_from(&before.destinations);
            for _ in 0..=chance.below(2) {
                let number =
                    1 + self.pool * POOL + u32::try_from(chance.below(POOL as usize)).unwrap_or(0);
                let home = chance.below(self.destinations.len() + 1);
                for (index, (_, endpoints)) in self.destinations.iter_mut().enumerate() {
                    *endpoints &= !(1 << number);
                    if index == home {
                        *endpoints |= 1 << number;
                    }
                }
            }
        }
    }
}

impl World {
    /// Eight services, and pods that are of no class yet.
    pub(crate) fn new(pods: Vec<(u64, PodRef)>) -> Self {
        let service = |number: u8| Churning {
            number,
            present: true,
            comes_and_goes: matches!(number, 2 | 7),
            row: Row::new(u32::from(number) - 1, matches!(number, 3 | 8)),
            of_class: None,
        };
        let mut services: Vec<Churning> = (1..=8).map(service).collect();
        services[4].of_class = Some(Row::new(ROWS - 2, false));
        services[5].of_class = Some(Row::new(ROWS - 1, true));
        Self {
            services,
            classes: vec![0; pods.len()],
            pods,
        }
    }

    /// What clients dial.
    pub(crate) fn targets(&self) -> Vec<SocketAddr> {
        self.services.iter().map(Churning::dialled).collect()
    }

    /// What a pod sees of a service, by their indices.
    pub(crate) fn view(&self, pod: usize, service: usize) -> View {
        let service = &self.services[service];
        let own = service.of_class.as_ref();
        let row = own
            .filter(|_| self.classes[pod] == CLASS)
            .unwrap_or(&service.row);
        service.present.then(|| row.reachable())
    }

    /// The image of all this.
    pub(crate) fn image(&self) -> Image {
        let mut image = image(self.services.iter().flat_map(Churning::rows));
        for ((cookie, pod), &class) in self.pods.iter().zip(&self.classes) {
            let pod = pod.clone();
            image.sources.insert(*cookie, Source::new(class, pod));
        }
        image
    }

    /// Changes the weights or the endpoints of one to three services, and now and then more.
    pub(crate) fn change(&mut self, chance: &mut Chance) {
        // A pod's class and the rows of its class are two maps: one of them at a time.
        let class_changes = chance.once_in(20);
        let changeable: Vec<usize> = (0..self.services.len())
            .filter(|&index| self.services[index].present)
            .filter(|&index| !class_changes || self.services[index].of_class.is_none())
            .collect();
        let before = self.services.clone();
        // Twice changed, a service may be what it was.
        while self.services == before {
            for _ in 0..=chance.below(3) {
                if let Some(&index) = chance.pick(&changeable) {
                    self.services[index].change(chance);
                }
            }
        }
        if class_changes {
            let pod = chance.below(self.classes.len());
            self.classes[pod] = CLASS - self.classes[pod];
        }
        if chance.once_in(20) {
            let going = self
                .services
                .iter_mut()
                .filter(|service| service.comes_and_goes);
            let mut going: Vec<&mut Churning> = going.collect();
            let index = chance.below(going.len());
            going[index].present = !going[index].present;
        }
        if chance.once_in(50) {
            let affinity = &mut self.services[3].row.affinity;
            *affinity = !*affinity;
        }
    }

    /// A service gets an endpoint of another: for a test of the test.
    pub(crate) fn lead_astray(&mut self) {
        let foreign = self.services[1].row.destinations.clone();
        self.services[0].row.destinations = foreign;
    }
}

impl Churning {
    fn dialled(&self) -> SocketAddr {
        if self.is_v6() {
            ([0xfd00, 0x200, 1, 0, 0, 0, 0, self.number.into()], 80).into()
        } else {
            ([10, 200, 1, self.number], 80).into()
        }
    }

    fn is_v6(&self) -> bool {
        self.number > 6
    }

    fn change(&mut self, chance: &mut Chance) {
        let row = match &mut self.of_class {
            Some(own) if chance.once_in(2) => own,
            _ => &mut self.row,
        };
        if chance.once_in(2) {
            row.change_weights(chance);
        } else {
            row.change_endpoints(chance);
        }
    }

    fn rows(&self) -> Vec<Service> {
        if !self.present {
            return Vec::new();
        }
        let row = |row: &Row| {
            let affinity = if row.affinity { AFFINITY_SECS } else { 0 };
            let plain = Service::new(Proto::Tcp, self.dialled()).affinity(affinity);
            row.destinations
                .iter()
                .fold(plain, |service, (weight, endpoints)| {
                    let numbers = (1..=ENDPOINTS).filter(|number| endpoints >> number & 1 == 1);
                    let address = |number| if self.is_v6() { v6(number) } else { v4(number) };
                    service.to(*weight, &numbers.map(address).collect::<Vec<_>>())
                })
        };
        let own = self.of_class.iter().map(|own| row(own).seen_by(CLASS));
        std::iter::once(row(&self.row)).chain(own).collect()
    }
}

/// The number of an endpoint.
pub(crate) fn number(endpoint: SocketAddr) -> Option<u32> {
    let found = (1..=ENDPOINTS).find(|&number| endpoint == v4(number) || endpoint == v6(number));
    found.map(u32::from)
}
