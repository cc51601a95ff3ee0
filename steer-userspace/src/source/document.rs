//! Text of one file -> documents: values with the line and column of each field.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{
    Deserialize,
    de::{self, Deserializer, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Location, Spanned};

use crate::finding::{Finding, Position, Severity};

/// One document of a file, or one item of a list in it.
#[derive(Clone, Debug)]
pub struct Document {
    /// What it says.
    pub value: Value,
    /// Line and column of each field by its path; "" is the document itself.
    pub fields: BTreeMap<String, (u32, u32)>,
}

/// Parses the documents of a file. Lists (`kind: List`, as kubectl prints them) are taken apart.
pub fn parse(file: &Arc<str>, text: &str) -> Result<Vec<Document>, Finding> {
    let trees: Vec<Spanned<Tree>> = serde_saphyr::from_multiple_with_options(text, options())
        .map_err(|error| syntax(file, &error))?;
    Ok(trees.into_iter().flat_map(documents).collect())
}

/// As much as a large cluster's lists need (10,000 services, 100,000 endpoints in one file); what
/// aliases may expand to stays as tight as the library has it.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: 1_000_000,
            max_events: 50_000_000,
            max_nodes: 20_000_000,
            max_total_scalar_bytes: 512 * 1024 * 1024,
        },
    }
}

fn syntax(file: &Arc<str>, error: &serde_saphyr::Error) -> Finding {
    let (line, column) = error.location().map_or((0, 0), place);
    let text = error.without_snippet().to_string();
    let message = text.lines().next().unwrap_or("this is not YAML").to_owned();
    Finding {
        severity: Severity::Error,
        code: "STR0101",
        object: None,
        position: Some(Position {
            file: Arc::clone(file),
            line,
            column,
        }),
        field: String::new(),
        message: format!("not valid YAML: {message}"),
        help: "mend the file; until then the last good configuration stays in force".to_owned(),
    }
}

/// The documents in a tree: none if it is empty, its items if it is a list.
fn documents(tree: Spanned<Tree>) -> Vec<Document> {
    let is_list = |entries: &[(String, Spanned<Tree>)]| {
        let text = |wanted: &str| {
            entries
                .iter()
                .find(|(key, _)| key == wanted)
                .map(|(_, v)| &v.value)
        };
        let kind_ends = matches!(text("kind"), Some(Tree::Text(kind)) if kind.ends_with("List"));
        kind_ends && matches!(text("items"), Some(Tree::List(_)))
    };
    match tree.value {
        Tree::Null => Vec::new(),
        Tree::Map(entries) if is_list(&entries) => entries
            .into_iter()
            .filter(|(key, _)| key == "items")
            .flat_map(|(_, items)| match items.value {
                Tree::List(items) => items,
                _ => Vec::new(),
            })
            .flat_map(documents)
            .collect(),
        value => vec![document(Spanned {
            value,
            ..tree_of(tree.referenced, tree.defined)
        })],
    }
}

fn tree_of(referenced: Location, defined: Location) -> Spanned<Tree> {
    Spanned {
        value: Tree::Null,
        referenced,
        defined,
    }
}

fn document(tree: Spanned<Tree>) -> Document {
    let mut fields = BTreeMap::new();
    let value = flatten(tree, String::new(), &mut fields);
    Document { value, fields }
}

fn flatten(tree: Spanned<Tree>, path: String, fields: &mut BTreeMap<String, (u32, u32)>) -> Value {
    let value = match tree.value {
        Tree::Null => Value::Null,
        Tree::Bool(value) => Value::Bool(value),
        Tree::Number(value) => Value::Number(value),
        Tree::Text(value) => Value::String(value),
        Tree::List(items) => (0..)
            .zip(items)
            .map(|(index, item): (usize, _)| flatten(item, format!("{path}[{index}]"), fields))
            .collect(),
        Tree::Map(entries) => {
            let mut map = Map::new();
            for (key, entry) in entries {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                map.insert(key, flatten(entry, path, fields));
            }
            Value::Object(map)
        }
    };
    fields.insert(path, place(tree.referenced));
    value
}

fn place(location: Location) -> (u32, u32) {
    let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    (number(location.line()), number(location.column()))
}

/// A value whose parts know where they stand.
#[derive(Debug)]
enum Tree {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Spanned<Tree>>),
    Map(Vec<(String, Spanned<Tree>)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Tree, E> {
        Number::from_f64(value)
            .map(Tree::Number)
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Tree, E> {
        Ok(Tree::Text(value))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Tree::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse_text(text: &str) -> Result<Vec<Document>, Finding> {
        parse(&"a.yaml".into(), text)
    }

    #[test]
    fn fields_know_where_they_stand() {
        let text = "kind: X\nspec:\n  http:\n    - route:\n        - weight: 90\n          n: ok\n";
        let documents = parse_text(text).unwrap();
        assert_eq!(documents.len(), 1);
        let document = &documents[0];
        assert_eq!(
            document.value["spec"]["http"][0]["route"][0]["weight"],
            json!(90)
        );
        assert_eq!(document.fields["spec.http[0].route[0].weight"], (5, 19));
        assert_eq!(document.fields[""].0, 1);
    }

    #[test]
    fn many_documents_lists_and_nothing() {
        let text = "---\n---\na: 1\n---\nkind: List\nitems:\n- a: 2\n- kind: PodList\n  items:\n  - a: 3\n";
        let documents = parse_text(text).unwrap();
        let values: Vec<_> = documents
            .iter()
            .map(|document| document.value["a"].clone())
            .collect();
        assert_eq!(values, [json!(1), json!(2), json!(3)]);
        assert_eq!(documents[1].fields[""].0, 7);
        assert!(parse_text("").unwrap().is_empty());
        assert!(parse_text("# nothing\n").unwrap().is_empty());
    }

    #[test]
    fn scalars_are_what_yaml_says() {
        let text = "a: \"80\"\nb: 80\nc: true\nd: yes\ne: null\nf: 1.5\ng: -1\nh: ~\ni: 0x10\n";
        let value = &parse_text(text).unwrap()[0].value;
        assert_eq!(value["a"], json!("80"));
        assert_eq!(value["b"], json!(80));
        assert_eq!(value["c"], json!(true));
        assert_eq!((&value["e"], &value["h"]), (&Value::Null, &Value::Null));
        assert_eq!((&value["f"], &value["g"]), (&json!(1.5), &json!(-1)));
    }

    #[test]
    fn what_is_broken_says_where() {
        for (text, line) in [
            ("a: [1, 2\nb: 3\n", 2),
            ("a: 1\na: 2\n", 2),
            ("a: b: c\n", 1),
        ] {
            let finding = parse_text(text).unwrap_err();
            let position = finding.position.unwrap();
            assert!(
                position.line >= 1 && position.line <= line + 1,
                "{text:?}: {position}"
            );
            assert_eq!(finding.code, "STR0101");
        }
    }

    #[test]
    fn hostile_text_is_refused() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let last = level - 1;
            let aliases = vec![format!("*a{last}"); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        assert!(parse_text(&bomb).is_err());
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse_text(&deep).is_err());
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "\\PC{0,200}") {
            let _ = parse_text(&text);
        }

        #[test]
        fn nothing_like_yaml_panics(text in "[a-c:\\-\\[\\]{}&*!|>'\"#?, \n]{0,120}") {
            let _ = parse_text(&text);
        }
    }
}
