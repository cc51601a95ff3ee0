//! Notes as Events (events.k8s.io/v1): `kubectl describe` shows them with their object.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use kube::{
    Api, Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};

use super::Note;
use crate::finding::ObjectRef;

/// Tells each note once, and again when it was gone in between.
pub(super) struct Events {
    client: Client,
    recorder: Recorder,
    node: String,
    told: BTreeSet<Note>,
}

impl Events {
    pub(super) fn new(client: Client, node: &str) -> Self {
        let reporter = Reporter {
            controller: "steer".to_owned(),
            instance: Some(node.to_owned()),
        };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            node: node.to_owned(),
            told: BTreeSet::new(),
        }
    }

    /// The notes of `wanted` that were not told yet. What is no longer said is forgotten.
    pub(super) fn fresh(&mut self, wanted: &BTreeSet<Note>) -> Vec<Note> {
        self.told.retain(|note| wanted.contains(note));
        wanted.difference(&self.told).cloned().collect()
    }

    /// Tells one about an object that the API server knows by this reference.
    pub(super) async fn tell(
        &self,
        note: &Note,
        regarding: &ObjectReference,
    ) -> Result<(), kube::Error> {
        let event = Event {
            type_: EventType::Warning,
            reason: note.code.to_owned(),
            note: Some(note.text.clone()),
            action: "Enforce".to_owned(),
            secondary: None,
        };
        self.recorder.publish(&event, regarding).await
    }

    /// Notes that it was told.
    pub(super) fn done(&mut self, note: Note) {
        self.told.insert(note);
    }

    /// This node, or a pod of it; `None` if that is gone.
    pub(super) async fn near(
        &self,
        object: Option<&ObjectRef>,
    ) -> Result<Option<ObjectReference>, kube::Error> {
        let Some(object) = object else {
            return Ok(Some(ObjectReference {
                kind: Some("Node".to_owned()),
                name: Some(self.node.clone()),
                // As the kubelet has it, and `kubectl describe node` looks for it.
                uid: Some(self.node.clone()),
                ..ObjectReference::default()
            }));
        };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &object.namespace);
        let found = pods.get_metadata_opt(&object.name).await?;
        Ok(found.map(|found| ObjectReference {
            api_version: Some("v1".to_owned()),
            uid: found.metadata.uid,
            ..reference(object)
        }))
    }
}

/// By kind and name.
pub(super) fn reference(object: &ObjectRef) -> ObjectReference {
    ObjectReference {
        kind: Some(object.kind.clone()),
        namespace: Some(object.namespace.clone()),
        name: Some(object.name.clone()),
        ..ObjectReference::default()
    }
}
