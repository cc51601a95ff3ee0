//! Text of one file -> documents: values with the line and column of each field.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{
    Deserialize,
    de::{self, Deserializer, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Location, Options, Spanned, budget, options};

use crate::finding::{Finding, Position, Severity, codes};

/// One document of a file, or one item of a list in it.
#[derive(Clone, Debug)]
pub struct Document {
    /// What it says.
    pub value: Value,
    /// Line and column of each field by its path; "" is the document itself. Of kinds that come in
    /// great numbers only those near the top are kept.
    pub fields: BTreeMap<String, (u32, u32)>,
}

/// The part of a file between two `---`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chunk<'a> {
    /// How many lines of the file stand before it.
    pub line: u32,
    /// What it says.
    pub text: &'a str,
}

/// Nodes of one chunk, each about a hundred bytes while it is read: a list of 10,000 services and
/// 100,000 endpoints has three million. What aliases may expand to stays as tight as the library
/// has it.
const NODES_MAX: usize = 20_000_000;
/// How deep values may be nested.
const DEPTH_MAX: usize = 64;

/// What YAML is taken: that of version 1.2, where `yes` is a text and `0644` no octal number, and
/// as much of it as fits into memory.
fn taken() -> Options {
    options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
        budget: budget! {
            max_events: 3 * NODES_MAX,
            max_nodes: NODES_MAX,
            max_depth: DEPTH_MAX,
            max_documents: NODES_MAX,
            max_total_scalar_bytes: 256 << 20,
        },
    }
}

/// Takes a file apart at the lines that begin a document, so that a document that did not change
/// need not be read again. A file with directives or document ends stays whole: what they mean
/// depends on what stands before.
pub fn split(text: &str) -> Vec<Chunk<'_>> {
    let begins = |line: &str| {
        let rest = line.strip_prefix("---");
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
    };
    if text
        .lines()
        .any(|line| line.starts_with('%') || line.starts_with("..."))
    {
        return vec![Chunk { line: 0, text }];
    }
    let mut chunks = Vec::new();
    let (mut start, mut start_line, mut position) = (0, 0, 0);
    for (number, line) in (0..).zip(text.split_inclusive('\n')) {
        if begins(line) && position > start {
            chunks.push(Chunk {
                line: start_line,
                text: &text[start..position],
            });
            (start, start_line) = (position, number);
        }
        position += line.len();
    }
    chunks.push(Chunk {
        line: start_line,
        text: &text[start..],
    });
    chunks
}

/// Parses the documents of a file.
pub fn parse(file: &Arc<str>, text: &str) -> Result<Vec<Document>, Box<Finding>> {
    let mut documents = Vec::new();
    for chunk in split(text) {
        documents.extend(parse_chunk(file, chunk)?);
    }
    Ok(documents)
}

/// Parses the documents of a chunk. Lists (`kind: List`, as kubectl prints them) are taken apart.
pub fn parse_chunk(file: &Arc<str>, chunk: Chunk<'_>) -> Result<Vec<Document>, Box<Finding>> {
    let trees: Vec<Spanned<Tree>> = serde_saphyr::from_multiple_with_options(chunk.text, taken())
        .map_err(|error| syntax(file, chunk.line, &error))?;
    let documents = trees.into_iter().flat_map(items);
    Ok(documents.map(|tree| document(tree, chunk.line)).collect())
}

fn syntax(file: &Arc<str>, before: u32, error: &serde_saphyr::Error) -> Box<Finding> {
    let (line, column) = error
        .location()
        .map_or((0, 0), |location| place(location, before));
    let text = error.without_snippet().to_string();
    let text = text.lines().next().unwrap_or_default();
    // The library says where itself; there, lines are those of the chunk.
    let text = text.split_once(" at line ").map_or(text, |(text, _)| text);
    Box::new(Finding {
        severity: Severity::Error,
        code: codes::SYNTAX,
        object: None,
        position: Some(Position {
            file: Arc::clone(file),
            line,
            column,
        }),
        field: String::new(),
        message: match text.strip_prefix("budget breached: ") {
            Some(limit) => format!("too large, or nested too deeply: {limit}"),
            None => format!("not valid YAML: {text}"),
        },
        help: "mend the file; until then the last good configuration stays in force".to_owned(),
    })
}

/// The documents in a tree: none if it is empty, its items if it is a list.
fn items(tree: Spanned<Tree>) -> Vec<Spanned<Tree>> {
    match tree.value {
        Tree::Null => Vec::new(),
        Tree::Map(entries) if is_list(&entries) => entries
            .into_iter()
            .filter(|(key, _)| key == "items")
            .flat_map(|(_, items)| match items.value {
                Tree::List(items) => items,
                _ => Vec::new(),
            })
            .flat_map(self::items)
            .collect(),
        _ => vec![tree],
    }
}

type Entry = (String, Spanned<Tree>);

fn entry<'a>(entries: &'a [Entry], wanted: &str) -> Option<&'a Tree> {
    let (_, tree) = entries.iter().find(|(key, _)| key == wanted)?;
    Some(&tree.value)
}

fn is_list(entries: &[Entry]) -> bool {
    matches!(entry(entries, "kind"), Some(Tree::Text(kind)) if kind.ends_with("List"))
        && matches!(entry(entries, "items"), Some(Tree::List(_) | Tree::Null))
}

/// How deep positions are kept: pods and slices come in hundreds of thousands, and whoever asks for
/// one of their fields is served with the one around it.
fn positions_depth(tree: &Tree) -> usize {
    let Tree::Map(entries) = tree else {
        return DEPTH_MAX;
    };
    match entry(entries, "kind") {
        Some(Tree::Text(kind)) if kind == "Pod" || kind == "EndpointSlice" => 2,
        _ => DEPTH_MAX,
    }
}

fn document(tree: Spanned<Tree>, before: u32) -> Document {
    let depth = positions_depth(&tree.value);
    let mut places = Places {
        before,
        fields: BTreeMap::new(),
    };
    let value = places.value(tree, String::new(), depth);
    Document {
        value,
        fields: places.fields,
    }
}

/// Collects where fields stand.
struct Places {
    before: u32,
    fields: BTreeMap<String, (u32, u32)>,
}

impl Places {
    /// The value of `tree`, which stands at `path`; positions are kept for `depth` levels more.
    fn value(&mut self, tree: Spanned<Tree>, path: String, depth: usize) -> Value {
        let value = match tree.value {
            Tree::Null => Value::Null,
            Tree::Bool(value) => Value::Bool(value),
            Tree::Number(value) => Value::Number(value),
            Tree::Text(value) => Value::String(value),
            Tree::List(items) => (0..)
                .zip(items)
                .map(|(index, item): (usize, _)| match depth.checked_sub(1) {
                    Some(depth) => self.value(item, format!("{path}[{index}]"), depth),
                    None => plain(item.value),
                })
                .collect(),
            Tree::Map(entries) => {
                let mut map = Map::new();
                for (key, entry) in entries {
                    let value = match depth.checked_sub(1) {
                        Some(depth) if path.is_empty() => self.value(entry, key.clone(), depth),
                        Some(depth) => self.value(entry, format!("{path}.{key}"), depth),
                        None => plain(entry.value),
                    };
                    map.insert(key, value);
                }
                Value::Object(map)
            }
        };
        self.fields
            .insert(path, place(tree.referenced, self.before));
        value
    }
}

/// A value without positions.
fn plain(tree: Tree) -> Value {
    match tree {
        Tree::Null => Value::Null,
        Tree::Bool(value) => Value::Bool(value),
        Tree::Number(value) => Value::Number(value),
        Tree::Text(value) => Value::String(value),
        Tree::List(items) => items.into_iter().map(|item| plain(item.value)).collect(),
        Tree::Map(entries) => entries
            .into_iter()
            .map(|(key, entry)| (key, plain(entry.value)))
            .collect(),
    }
}

fn place(location: Location, before: u32) -> (u32, u32) {
    let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    (
        number(location.line()).saturating_add(before),
        number(location.column()),
    )
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

    fn parse_text(text: &str) -> Result<Vec<Document>, Box<Finding>> {
        parse(&"a.yaml".into(), text)
    }

    #[test]
    fn chunks_are_what_stands_between_document_starts() {
        let lines = |text| {
            split(text)
                .iter()
                .map(|chunk| chunk.line)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            lines("a: 1\n--- # x\nb: 2\n---\n---\nc: ---\n"),
            [0, 1, 3, 4]
        );
        assert_eq!(lines("---\na: 1\n"), [0]);
        assert_eq!(lines("a: 1\n----\n"), [0]);
        assert_eq!(lines("%YAML 1.2\n---\na: 1\n---\nb: 1\n"), [0]);
        assert_eq!(lines(""), [0]);
        let text = "a: 1\r\n---\r\nb: 2\n---\nc: 3";
        let together: String = split(text).iter().map(|chunk| chunk.text).collect();
        assert_eq!((together.as_str(), split(text).len()), (text, 3));
    }

    #[test]
    fn positions_of_slices_are_kept_near_the_top() {
        let text = "kind: EndpointSlice\nendpoints:\n- addresses: [10.0.0.1]\n  nodeName: a\n";
        let document = &parse_text(text).unwrap()[0];
        assert_eq!(document.fields["endpoints[0]"].0, 3);
        assert!(!document.fields.contains_key("endpoints[0].nodeName"));
        assert_eq!(document.value["endpoints"][0]["nodeName"], json!("a"));
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
        assert_eq!(value["d"], json!("yes"));
        assert_eq!(value["i"], json!(16));
        assert_eq!((&value["e"], &value["h"]), (&Value::Null, &Value::Null));
        assert_eq!((&value["f"], &value["g"]), (&json!(1.5), &json!(-1)));
    }

    #[test]
    fn what_is_broken_says_where() {
        for (text, line) in [
            ("a: [1, 2\nb: 3\n", 2),
            ("a: 1\na: 2\n", 2),
            ("a: b: c\n", 1),
            ("a: 1\n---\nb: 1\n---\nb: [\n", 5),
        ] {
            let finding = parse_text(text).unwrap_err();
            let position = finding.position.unwrap();
            assert!(
                (line..=line + 1).contains(&position.line),
                "{text:?}: {position}"
            );
            assert_eq!(finding.code, codes::SYNTAX);
        }
    }

    #[test]
    fn hostile_text_is_refused() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let last = level - 1;
            let aliases = vec![format!("*a{last}"); 10].join(", ");
            bomb += &format!("a{level}: &a{level} [{aliases}]\n");
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
