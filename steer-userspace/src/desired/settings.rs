//! What the whole configuration is read with.

/// Settings of the mesh.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The cluster's DNS domain.
    pub domain: String,
    /// The namespace whose DestinationRules hold where no nearer one does.
    pub root_namespace: String,
    /// How an `http:` split is made where `steer.dev/split` does not say.
    pub split: SplitMode,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            domain: "cluster.local".to_owned(),
            root_namespace: "istio-system".to_owned(),
            split: SplitMode::Auto,
        }
    }
}

/// When the destination of a request is drawn (`steer.dev/split`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SplitMode {
    /// Once a connection.
    Connection,
    /// Once a request.
    Request,
    /// Once a connection for as long as that keeps the promise.
    #[default]
    Auto,
}

impl SplitMode {
    /// The annotation that sets it on a VirtualService.
    pub const ANNOTATION: &'static str = "steer.dev/split";

    /// From the annotation's text.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "connection" => Some(Self::Connection),
            "request" => Some(Self::Request),
            "auto" => Some(Self::Auto),
            _ => None,
        }
    }
}
