//! The name of an image, and the forms of it that programs ask for.

use std::{collections::HashMap, fmt, str::FromStr};

use anyhow::{Error, bail, ensure};

/// `REPOSITORY:TAG`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Name {
    repository: String,
    tag: String,
}

/// What a name without a host means to everybody who runs containers.
const HOST: &str = "docker.io";
const FOLDER: &str = "library";

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let Some((repository, tag)) = text.rsplit_once(':') else {
            bail!("{text} has no tag: write REPOSITORY:TAG");
        };
        let fits = |text: &str, more: &str| {
            !text.is_empty()
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        ensure!(
            fits(tag, "._-") && fits(repository, "._-/:"),
            "{text} is no name of an image: write REPOSITORY:TAG"
        );
        Ok(Self {
            repository: repository.to_owned(),
            tag: tag.to_owned(),
        })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.repository, self.tag)
    }
}

impl Name {
    /// With the host that is meant, as containerd keeps it.
    fn full(&self) -> String {
        let short = self.to_string();
        match self.repository.split_once('/') {
            Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => short,
            Some(_) => format!("{HOST}/{short}"),
            None => format!("{HOST}/{FOLDER}/{short}"),
        }
    }

    /// What the index says of it: to containerd and to OCI.
    pub(super) fn annotations(&self) -> HashMap<String, String> {
        HashMap::from([
            ("io.containerd.image.name".to_owned(), self.full()),
            (
                "org.opencontainers.image.ref.name".to_owned(),
                self.tag.clone(),
            ),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_host_is_completed() {
        let full = |text: &str| text.parse::<Name>().unwrap().full();
        assert_eq!(full("steer:0.1.0"), format!("{HOST}/{FOLDER}/steer:0.1.0"));
        assert_eq!(full("mesh/steer:1"), format!("{HOST}/mesh/steer:1"));
        assert_eq!(full("localhost:5000/steer:1"), "localhost:5000/steer:1");
        assert_eq!(full("example.org/mesh/steer:1"), "example.org/mesh/steer:1");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["steer", "steer:", ":1", "steer:1 2", "a b:1"] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
    }
}
