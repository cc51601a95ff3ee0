//! The mesh's configuration: in the ConfigMap that Istio reads, or where it is made from.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{Checks, MeshConfig, MeshOrigin, Object, Place, Reader, codes, validate};
use crate::{finding::Severity, source::document};

/// The ConfigMap's key.
const KEY: &str = "mesh";
/// Its position in the ConfigMap.
const FIELD: &str = "data.mesh";
/// The position of the field in an IstioOperator.
const OPERATOR_FIELD: &str = "spec.meshConfig";

/// Whether a ConfigMap is a mesh's: `istio`, or `istio-REVISION`.
pub(super) fn is_config_map(value: &Value) -> bool {
    let name = value.pointer("/metadata/name").and_then(Value::as_str);
    let named = name.is_some_and(|name| name == "istio" || name.starts_with("istio-"));
    let text = value.pointer("/data/mesh");
    named && text.is_some_and(Value::is_string)
}

impl Reader<'_> {
    /// A text of YAML inside a field.
    pub(super) fn config_map(&mut self, mut value: Value) -> Option<Arc<Object<MeshConfig>>> {
        let text = value["data"][KEY].take();
        let text = text.as_str().unwrap_or_default();
        self.read_meta(&mut value)?;
        let start = self.place.position(FIELD);
        let start = (start.line, start.column);
        let documents = match document::parse(&self.place.file, text) {
            Ok(documents) => documents,
            Err(mut found) => {
                if let Some(position) = &mut found.position {
                    (position.line, position.column) =
                        inside(start, (position.line, position.column));
                }
                FIELD.clone_into(&mut found.field);
                self.findings.push(*found);
                return None;
            }
        };
        let first = documents.into_iter().next();
        let (content, fields) = first.map_or_else(
            || (Value::Null, BTreeMap::new()),
            |found| (found.value, found.fields),
        );
        let fields = fields.into_iter();
        let fields = fields
            .map(|(path, place)| (path, inside(start, place)))
            .collect();
        self.mesh_config(content, fields, MeshOrigin::ConfigMap)
    }

    /// `spec.meshConfig`. The rest of an IstioOperator concerns Istio's own installation.
    pub(super) fn operator(&mut self, mut value: Value) -> Option<Arc<Object<MeshConfig>>> {
        let content = value["spec"]["meshConfig"].take();
        self.read_meta(&mut value)?;
        if content.is_null() {
            let message = "it has no meshConfig and is not read".to_owned();
            self.say(Severity::Info, codes::KIND_NOT_READ, "", message, "");
            return None;
        }
        let of_field = |(path, place): (&String, &(u32, u32))| {
            let rest = path.strip_prefix(OPERATOR_FIELD)?;
            Some((rest.trim_start_matches('.').to_owned(), *place))
        };
        let fields = self.place.fields.iter().filter_map(of_field).collect();
        self.mesh_config(content, fields, MeshOrigin::Operator)
    }

    fn mesh_config(
        &mut self,
        content: Value,
        fields: BTreeMap<String, (u32, u32)>,
        origin: MeshOrigin,
    ) -> Option<Arc<Object<MeshConfig>>> {
        let place = Place {
            file: Arc::clone(&self.place.file),
            fields: Arc::new(fields),
        };
        let mut inner = Reader {
            place: &place,
            kind: self.kind.clone(),
            meta: std::mem::take(&mut self.meta),
            findings: self.findings,
        };
        let spec: MeshConfig = inner.typed("", content, true)?;
        let spec = MeshConfig { origin, ..spec };
        let check: fn(&_, &_) -> Checks = validate::mesh_config;
        inner.accept(spec, check)
    }
}

/// A place in a text that itself begins at `start`, as far as its lines are indented alike.
fn inside(start: (u32, u32), (line, column): (u32, u32)) -> (u32, u32) {
    (
        start.0.saturating_add(line).saturating_sub(1),
        start.1.saturating_add(column).saturating_sub(1),
    )
}

#[cfg(test)]
mod tests {
    use crate::source::{files::parse_text, parse::Parsed};

    fn mode(text: &str) -> (Option<String>, Vec<String>) {
        let (objects, findings) = parse_text("a.yaml", text).unwrap();
        let found = findings.iter().map(|found| {
            let line = found.position.as_ref().map_or(0, |place| place.line);
            format!("{line} {} {}", found.code, found.message)
        });
        let mode = objects.iter().find_map(|object| match object {
            Parsed::MeshConfig(mesh) => mesh.spec.outbound_traffic_policy.clone()?.mode,
            _ => None,
        });
        (mode, found.collect())
    }

    #[test]
    fn the_config_map_holds_yaml() {
        let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n\
                   data:\n  mesh: |-\n    trustDomain: a\n    outboundTrafficPolicy:\n      mode: ";
        let (found, findings) = mode(&format!("{map}REGISTRY_ONLY\n"));
        assert_eq!(
            (found.as_deref(), findings.len()),
            (Some("REGISTRY_ONLY"), 0)
        );
        let (found, findings) = mode(&format!("{map}SOME\n"));
        assert_eq!(found, None);
        assert!(
            findings[0].starts_with("8 IST0106 outboundTrafficPolicy.mode"),
            "{findings:?}"
        );
        let (_, findings) = mode(&format!(
            "{map}ALLOW_ANY\n    localityLbSetting: {{}}\n    x: 1\n"
        ));
        assert_eq!(
            findings,
            [
                "9 STR0303 localityLbSetting: it is not enforced",
                "10 IST0133 x: unknown field x, it has no effect"
            ]
        );
    }

    #[test]
    fn other_config_maps_are_nobodys_business() {
        let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {mesh: ''}\n";
        assert!(mode(map).1[0].contains("STR0202"));
    }

    #[test]
    fn an_operator_has_it_as_a_field() {
        let operator = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\n\
                        metadata: {name: a}\nspec:\n  profile: demo\n  meshConfig:\n    \
                        outboundTrafficPolicy:\n      mode: ";
        assert_eq!(
            mode(&format!("{operator}ALLOW_ANY\n")).0.as_deref(),
            Some("ALLOW_ANY")
        );
        let (_, findings) = mode(&format!("{operator}x\n"));
        assert!(findings[0].starts_with("8 IST0106"), "{findings:?}");
    }
}
