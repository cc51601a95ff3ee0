//! Whether the registry is the limit: of a workload, its namespace, the mesh, this node.

use std::sync::Arc;

use super::model::Mode;
use crate::{
    desired::{model::Rule, settings::Settings},
    finding::ObjectRef,
    source::{
        Meta, Object, Place, Snapshot,
        istio::{MeshConfig, Outbound, Sidecar},
    },
};

/// The annotation of Pods, Sidecars, Namespaces and the mesh's configuration.
pub const ANNOTATION: &str = "steer.dev/egress";

/// What `ANNOTATION` says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Strictness {
    /// What would be refused is told.
    Audit,
    /// It is refused.
    Enforce,
}

impl Strictness {
    /// From its text.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "audit" => Some(Self::Audit),
            "enforce" => Some(Self::Enforce),
            _ => None,
        }
    }

    /// Of an object.
    pub(super) fn of(meta: &Meta) -> Option<Self> {
        Self::parse(meta.annotations.get(ANNOTATION)?)
    }
}

/// What holds where nothing nearer says otherwise.
#[derive(Clone, Debug)]
pub(super) struct MeshDefault {
    pub(super) outbound: Outbound,
    pub(super) strictness: Option<Strictness>,
    pub(super) rule: Rule,
}

/// The mesh's configuration that counts: of the root namespace the ConfigMap, else an IstioOperator.
pub(in crate::desired) fn of_mesh<'s>(
    snapshot: &'s Snapshot,
    settings: &Settings,
) -> Option<&'s Arc<Object<MeshConfig>>> {
    use crate::source::istio::MeshOrigin;
    let all = snapshot.mesh_configs.iter();
    let counting = all.filter(|object| {
        object.spec.origin == MeshOrigin::Operator
            || object.meta.namespace == settings.root_namespace
    });
    counting.min_by_key(|object| {
        let spec = &object.spec;
        let has_none = spec.outbound_traffic_policy.is_none() && spec.access_log_file.is_none();
        (has_none, object.spec.origin)
    })
}

impl MeshDefault {
    /// What the agent was told comes before what the mesh's configuration says.
    pub(super) fn new(snapshot: &Snapshot, settings: &Settings) -> Self {
        let object = of_mesh(snapshot, settings);
        let written = object.and_then(|object| object.spec.outbound_traffic_policy.as_ref());
        let outbound = settings.outbound.or(written.map(Outbound::of));
        let field = "outboundTrafficPolicy";
        let rule = match object.filter(|_| settings.outbound.is_none() && written.is_some()) {
            Some(object) => rule_of(object.reference(), &object.place, field),
            None => Rule::Setting {
                name: match settings.outbound {
                    Some(_) => "--outbound-traffic-policy".to_owned(),
                    None => "the default of the mesh".to_owned(),
                },
            },
        };
        let annotated = object.and_then(|object| Strictness::of(&object.meta));
        Self {
            outbound: outbound.unwrap_or(Outbound::AllowAny),
            strictness: settings.strictness.or(annotated),
            rule,
        }
    }

    /// What holds for workloads with this Sidecar.
    pub(super) fn for_sidecar(&self, sidecar: Option<&Arc<Object<Sidecar>>>) -> (Outbound, Rule) {
        let policy = sidecar.and_then(|object| {
            let policy = object.spec.outbound_traffic_policy.as_ref()?;
            Some((object, policy))
        });
        let Some((object, policy)) = policy else {
            return (self.outbound, self.rule.clone());
        };
        let field = "spec.outboundTrafficPolicy";
        let rule = rule_of(object.reference(), &object.place, field);
        (Outbound::of(policy), rule)
    }
}

fn rule_of(object: ObjectRef, place: &Place, field: &str) -> Rule {
    Rule::Object {
        object,
        field: field.to_owned(),
        position: Some(place.position(field)),
    }
}

/// How strict a policy is. To audit is asked for by itself: it shows what `REGISTRY_ONLY` would
/// refuse before anybody asks for that.
pub(super) fn mode(outbound: Outbound, strictness: Option<Strictness>) -> Mode {
    match (outbound, strictness) {
        (_, Some(Strictness::Audit)) => Mode::Audit,
        (Outbound::RegistryOnly, _) => Mode::Enforce,
        (Outbound::AllowAny, _) => Mode::Open,
    }
}
