//! Server-side apply: who owns which field of an object, and what becomes of it when somebody applies.
//!
//! Kubernetes' own rules: <https://kubernetes.io/docs/reference/using-api/server-side-apply/>.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde_json::{Map, Value, json};

/// Lists whose items are known by a field; every other list is one value.
const KEYS: [(&str, &str); 6] = [
    ("containers", "name"),
    ("env", "name"),
    ("imagePullSecrets", "name"),
    ("initContainers", "name"),
    ("volumeMounts", "mountPath"),
    ("volumes", "name"),
];

/// A step towards a field.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Step {
    Field(String),
    /// The item of a list whose field has this value.
    Item(&'static str, String),
}

type Path = Vec<Step>;

/// By manager.
pub(super) type Owners = BTreeMap<String, BTreeSet<Path>>;

/// What an apply leads to.
pub(super) struct Merged {
    pub(super) object: Value,
    pub(super) owners: Owners,
}

/// Everything in an object belongs to one manager.
pub(super) fn all_of(manager: &str, object: &Value) -> Owners {
    let paths = leaves(object).into_iter().map(|(path, _)| path);
    Owners::from([(manager.to_owned(), paths.filter(is_owned).collect())])
}

/// Applies what a manager wants. Fields that it no longer names go, unless somebody else owns them; a
/// field of somebody else's with another value is a conflict, which is the error.
pub(super) fn apply(
    current: &Value,
    mut owners: Owners,
    wanted: &Value,
    manager: &str,
    force: bool,
) -> Result<Merged, String> {
    let wanted = leaves(wanted);
    let own: BTreeSet<Path> = wanted
        .iter()
        .map(|(path, _)| path.clone())
        .filter(is_owned)
        .collect();
    let mut fields = leaves(current);
    let mut conflicts = Vec::new();
    for (path, value) in &wanted {
        let same = fields
            .iter()
            .any(|(found, was)| found == path && was == value);
        if same || !is_owned(path) {
            continue;
        }
        for (other, theirs) in owners.iter_mut().filter(|(other, _)| *other != manager) {
            if theirs.contains(path) {
                conflicts.push(format!("conflict with \"{other}\": {}", shown(path)));
                theirs.remove(path);
            }
        }
    }
    if !conflicts.is_empty() && !force {
        return Err(format!(
            "Apply failed with {} conflict{}: {}",
            conflicts.len(),
            if conflicts.len() == 1 { "" } else { "s" },
            conflicts.join(", ")
        ));
    }
    let before = owners.insert(manager.to_owned(), own).unwrap_or_default();
    let is_kept = |path: &Path| owners.values().any(|theirs| theirs.contains(path));
    fields.retain(|(path, _)| !before.contains(path) || is_kept(path));
    for (path, value) in wanted {
        match fields.iter_mut().find(|(found, _)| *found == path) {
            Some((_, found)) => *found = value,
            None => fields.push((path, value)),
        }
    }
    Ok(Merged {
        object: tree(fields),
        owners,
    })
}

/// What an object is belongs to nobody.
fn is_owned(path: &Path) -> bool {
    let field = |at: usize| match path.get(at) {
        Some(Step::Field(name)) => name.as_str(),
        _ => "",
    };
    match field(0) {
        "apiVersion" | "kind" => false,
        "metadata" => !matches!(field(1), "name" | "namespace"),
        _ => true,
    }
}

/// Every value that is no object and no list with keys, and how it is reached.
fn leaves(value: &Value) -> Vec<(Path, Value)> {
    let mut found = Vec::new();
    collect(value, &mut Vec::new(), &mut found);
    found
}

fn collect(value: &Value, path: &mut Path, found: &mut Vec<(Path, Value)>) {
    match (value, key_of(path)) {
        (Value::Object(fields), _) if !fields.is_empty() => {
            for (name, value) in fields {
                path.push(Step::Field(name.clone()));
                collect(value, path, found);
                path.pop();
            }
        }
        (Value::Array(items), Some(key)) if !items.is_empty() => {
            for item in items {
                let name = item[key].as_str().unwrap_or_default();
                path.push(Step::Item(key, name.to_owned()));
                collect(item, path, found);
                path.pop();
            }
        }
        (value, _) => found.push((path.clone(), value.clone())),
    }
}

fn key_of(path: &[Step]) -> Option<&'static str> {
    let Some(Step::Field(last)) = path.last() else {
        return None;
    };
    KEYS.iter()
        .find(|(list, _)| list == last)
        .map(|(_, key)| *key)
}

/// The object with these fields; items stand in the order in which they come.
fn tree(fields: Vec<(Path, Value)>) -> Value {
    let mut root = json!({});
    for (path, value) in fields {
        let mut at = &mut root;
        for step in path {
            at = match step {
                Step::Field(name) => field(at, name),
                Step::Item(key, name) => item(at, key, &name),
            };
        }
        *at = value;
    }
    root
}

fn field(at: &mut Value, name: String) -> &mut Value {
    if !at.is_object() {
        *at = Value::Object(Map::new());
    }
    &mut at[name]
}

fn item<'a>(at: &'a mut Value, key: &str, name: &str) -> &'a mut Value {
    if !at.is_array() {
        *at = json!([]);
    }
    let found = at.as_array().into_iter().flatten();
    let index = found.take_while(|item| item[key] != name).count();
    if let Some(items) = at.as_array_mut()
        && index == items.len()
    {
        items.push(json!({key: name}));
    }
    &mut at[index]
}

fn shown(path: &Path) -> String {
    path.iter().fold(String::new(), |mut text, step| {
        let _infallible = match step {
            Step::Field(name) => write!(text, ".{name}"),
            Step::Item(key, name) => write!(text, "[{key}=\"{name}\"]"),
        };
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(image: &str, env: &[(&str, &str)]) -> Value {
        let env: Vec<Value> = env
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        let mut container = json!({"name": "agent", "image": image});
        if !env.is_empty() {
            container["env"] = env.into();
        }
        json!({"kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [container]}})
    }

    #[test]
    fn what_somebody_else_wrote_stays() {
        let current = pod("a:1", &[("HTTPS_PROXY", "x")]);
        let owners = all_of("kubectl", &current);
        let wanted = pod("a:1", &[("NODE_NAME", "n")]);
        let merged = apply(&current, owners, &wanted, "steer", false).unwrap();
        assert_eq!(
            merged.object,
            pod("a:1", &[("HTTPS_PROXY", "x"), ("NODE_NAME", "n")])
        );
        // What is no longer wanted goes; what is shared stays.
        let wanted = json!({"spec": {"containers": [{"name": "agent"}]}});
        let merged = apply(&merged.object, merged.owners, &wanted, "steer", false).unwrap();
        assert_eq!(merged.object, current);
    }

    #[test]
    fn another_value_is_a_conflict_unless_forced() {
        let current = pod("a:1", &[]);
        let owners = all_of("kubectl", &current);
        let wanted = pod("a:2", &[]);
        let error = apply(&current, owners.clone(), &wanted, "steer", false).err();
        assert_eq!(
            error.unwrap(),
            "Apply failed with 1 conflict: conflict with \"kubectl\": \
             .spec.containers[name=\"agent\"].image"
        );
        let merged = apply(&current, owners, &wanted, "steer", true).unwrap();
        assert_eq!(merged.object, wanted);
        // It is the other's no longer.
        let again = apply(
            &merged.object,
            merged.owners,
            &pod("a:3", &[]),
            "steer",
            false,
        );
        assert_eq!(again.unwrap().object, pod("a:3", &[]));
    }
}
