//! Who may do what: the rules of roles, as RBAC has them.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::Value;

use super::documents;

/// A rule, of one resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Right {
    /// The API group; empty for the core's.
    pub group: String,
    /// The plural; with `/status` that of the status.
    pub resource: String,
    /// What may be done.
    pub verbs: BTreeSet<String>,
    /// Only in this namespace; everywhere if none.
    pub namespace: Option<String>,
    /// Only objects of this name, which must be asked for.
    pub name: Option<String>,
}

/// What somebody wants to do.
pub(super) struct Wish<'a> {
    pub(super) verb: &'a str,
    pub(super) group: &'a str,
    pub(super) resource: &'a str,
    pub(super) namespace: Option<&'a str>,
    pub(super) name: Option<&'a str>,
}

impl Right {
    /// Those of the roles in a text of YAML documents.
    pub fn read(text: &str) -> Result<Vec<Self>> {
        let mut rights = Vec::new();
        for value in documents(text)? {
            let kind = value["kind"].as_str().unwrap_or_default();
            if !matches!(kind, "Role" | "ClusterRole") {
                continue;
            }
            let namespace = value["metadata"]["namespace"].as_str().map(str::to_owned);
            for rule in value["rules"].as_array().into_iter().flatten() {
                rights.extend(Self::of_rule(rule, namespace.as_ref()));
            }
        }
        Ok(rights)
    }

    fn of_rule(rule: &Value, namespace: Option<&String>) -> Vec<Self> {
        let texts = |field: &str| -> Vec<String> {
            let all = rule[field].as_array().into_iter().flatten();
            all.filter_map(|one| one.as_str().map(str::to_owned))
                .collect()
        };
        let mut rights = Vec::new();
        for group in texts("apiGroups") {
            for resource in texts("resources") {
                rights.push(Self {
                    group: group.clone(),
                    resource,
                    verbs: texts("verbs").into_iter().collect(),
                    namespace: namespace.cloned(),
                    name: texts("resourceNames").first().cloned(),
                });
            }
        }
        rights
    }

    /// Whether it is to list and to watch.
    pub fn is_to_watch(&self) -> bool {
        ["list", "watch"]
            .iter()
            .all(|verb| self.verbs.contains(*verb))
    }

    /// As RBAC has it: who may only see one object of a name must ask for that one.
    pub(super) fn allows(&self, wish: &Wish<'_>) -> bool {
        self.verbs.contains(wish.verb)
            && self.group == wish.group
            && self.resource == wish.resource
            && (self.namespace.is_none() || self.namespace.as_deref() == wish.namespace)
            && (self.name.is_none() || self.name.as_deref() == wish.name)
    }
}
