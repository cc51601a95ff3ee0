//! The objects of deploy/steer.yaml and deploy/unload.yaml, with the options put in. What they are by
//! default is written there, and nowhere else.

use serde_json::Value;

/// What every agent of a cluster needs.
const AGENT: &str = include_str!("../../../deploy/steer.yaml");
/// What cleans its nodes.
const UNLOAD: &str = include_str!("../../../deploy/unload.yaml");

/// The names in them.
const NAMESPACE: &str = "steer-system";
const ROOT_NAMESPACE: &str = "istio-system";
const MESH_CONFIG: &str = "istio";

/// What may be otherwise; none is as the manifests have it.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The namespace of steer.
    pub namespace: Option<String>,
    /// The image of its pods.
    pub image: Option<String>,
    /// Where the nodes mount cgroup v2.
    pub cgroup: Option<String>,
    /// Istio's root namespace.
    pub root_namespace: Option<String>,
    /// The ConfigMap there that holds the mesh's configuration.
    pub mesh_config: Option<String>,
}

/// Why the objects cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A manifest is no YAML, or an object cannot be written.
    #[error("writing the manifest")]
    Yaml(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ManifestError {
    fn yaml(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Yaml(Box::new(source))
    }
}

/// The objects of an installation, in the order in which they are applied.
pub fn agent(options: &Options) -> Result<Vec<Value>, ManifestError> {
    objects(AGENT, options)
}

/// The object that cleans nodes.
pub fn unload(options: &Options) -> Result<Vec<Value>, ManifestError> {
    objects(UNLOAD, options)
}

/// Objects as a text of YAML documents.
pub fn text(objects: &[Value]) -> Result<String, ManifestError> {
    let documents: Result<Vec<String>, _> = objects.iter().map(serde_saphyr::to_string).collect();
    Ok(documents.map_err(ManifestError::yaml)?.join("---\n"))
}

fn objects(text: &str, options: &Options) -> Result<Vec<Value>, ManifestError> {
    let mut objects: Vec<Value> = serde_saphyr::from_multiple(text).map_err(ManifestError::yaml)?;
    for object in &mut objects {
        put_in(object, options);
    }
    Ok(objects)
}

fn put_in(object: &mut Value, options: &Options) {
    if let Some(name) = &options.namespace {
        namespace(object, name);
    }
    if let Some(name) = &options.root_namespace {
        set(object, "/metadata/namespace", ROOT_NAMESPACE, name);
        argument(object, "--root-namespace", name);
    }
    if let Some(name) = &options.mesh_config {
        for rule in list(object, "/rules") {
            set(rule, "/resourceNames/0", MESH_CONFIG, name);
        }
        argument(object, "--mesh-config", name);
    }
    if let Some(image) = &options.image {
        for container in containers(object) {
            container["image"] = image.as_str().into();
        }
    }
    if let Some(path) = &options.cgroup {
        let volumes = list(object, "/spec/template/spec/volumes");
        for volume in volumes.filter(|volume| volume["name"] == "cgroup") {
            volume["hostPath"]["path"] = path.as_str().into();
        }
    }
}

fn namespace(object: &mut Value, name: &str) {
    set(object, "/metadata/namespace", NAMESPACE, name);
    for subject in list(object, "/subjects") {
        set(subject, "/namespace", NAMESPACE, name);
    }
    if object["kind"] == "Namespace" {
        set(object, "/metadata/name", NAMESPACE, name);
    }
}

/// Writes a name where its default stands.
fn set(value: &mut Value, pointer: &str, default: &str, name: &str) {
    if let Some(found) = value
        .pointer_mut(pointer)
        .filter(|found| **found == default)
    {
        *found = name.into();
    }
}

/// Writes the value of an argument of the containers, where it is given.
fn argument(object: &mut Value, flag: &str, value: &str) {
    for container in containers(object) {
        let arguments = list(container, "/args");
        let given = |argument: &&mut Value| {
            let text = argument.as_str().unwrap_or_default();
            text.strip_prefix(flag)
                .is_some_and(|rest| rest.starts_with('='))
        };
        for argument in arguments.filter(given) {
            *argument = format!("{flag}={value}").into();
        }
    }
}

fn containers(object: &mut Value) -> Vec<&mut Value> {
    let Some(pod) = object
        .pointer_mut("/spec/template/spec")
        .and_then(Value::as_object_mut)
    else {
        return Vec::new();
    };
    pod.iter_mut()
        .filter(|(field, _)| matches!(field.as_str(), "containers" | "initContainers"))
        .filter_map(|(_, list)| list.as_array_mut())
        .flatten()
        .collect()
}

fn list<'a>(value: &'a mut Value, pointer: &str) -> impl Iterator<Item = &'a mut Value> {
    let found = value.pointer_mut(pointer).and_then(Value::as_array_mut);
    found.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn others() -> Options {
        let name = |text: &str| Some(text.to_owned());
        Options {
            namespace: name("mesh"),
            image: name("example.org/steer@sha256:0"),
            cgroup: name("/sys/fs/cgroup/unified"),
            root_namespace: name("istio-config"),
            mesh_config: name("istio-canary"),
        }
    }

    /// What is printed by default is what is in the repository, after what is said at its top.
    #[test]
    fn without_options_it_is_the_manifest() {
        for (made, kept) in [(agent as fn(&_) -> _, AGENT), (unload, UNLOAD)] {
            let text = text(&made(&Options::default()).unwrap()).unwrap();
            let body: String = kept
                .split_inclusive('\n')
                .skip_while(|line| line.starts_with('#'))
                .collect();
            assert_eq!(text, body);
        }
    }

    /// No default is left where an option says otherwise, and nothing else changes.
    #[test]
    fn options_are_put_in_everywhere() {
        let lines = |options: &Options| {
            let mut objects = agent(options).unwrap();
            objects.extend(unload(options).unwrap());
            text(&objects).unwrap()
        };
        let (before, after) = (lines(&Options::default()), lines(&others()));
        let mut changed: Vec<(&str, &str)> = before
            .lines()
            .zip(after.lines())
            .filter(|(before, after)| before != after)
            .map(|(before, after)| (before.trim(), after.trim()))
            .collect();
        changed.sort_unstable();
        changed.dedup();
        assert_eq!(before.lines().count(), after.lines().count());
        assert_eq!(
            changed,
            [
                ("- --mesh-config=istio", "- --mesh-config=istio-canary"),
                (
                    "- --root-namespace=istio-system",
                    "- --root-namespace=istio-config"
                ),
                ("- istio", "- istio-canary"),
                ("image: steer:0.1.0", "image: example.org/steer@sha256:0"),
                ("name: steer-system", "name: mesh"),
                ("namespace: istio-system", "namespace: istio-config"),
                ("namespace: steer-system", "namespace: mesh"),
                ("path: /sys/fs/cgroup", "path: /sys/fs/cgroup/unified"),
            ]
        );
        assert!(!after.contains("steer-system") && !after.contains("istio-system"));
    }
}
