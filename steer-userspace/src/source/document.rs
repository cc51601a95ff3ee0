//! Text of one file -> documents: values with the line and column of each field.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};

use super::tree::{self, Content, DEPTH_MAX, Fault, Node};
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
    let trees = tree::trees(chunk.text).map_err(|fault| syntax(file, chunk.line, fault))?;
    let documents = trees.into_iter().flat_map(items);
    Ok(documents.map(|node| document(node, chunk.line)).collect())
}

fn syntax(file: &Arc<str>, before: u32, fault: Fault) -> Box<Finding> {
    Box::new(Finding {
        severity: Severity::Error,
        code: codes::SYNTAX,
        object: None,
        position: Some(Position {
            file: Arc::clone(file),
            line: fault.line.saturating_add(before),
            column: fault.column,
        }),
        field: String::new(),
        message: fault.message,
        help: "mend the file; until then the last good configuration stays in force".to_owned(),
    })
}

/// The documents in a tree: none if it is empty, its items if it is a list.
fn items(node: Node) -> Vec<Node> {
    match node.content {
        Content::Null => Vec::new(),
        Content::Map(entries) if is_list(&entries) => entries
            .into_iter()
            .filter(|(key, _)| key == "items")
            .flat_map(|(_, items)| match items.content {
                Content::List(items) => items,
                _ => Vec::new(),
            })
            .flat_map(self::items)
            .collect(),
        _ => vec![node],
    }
}

fn entry<'a>(entries: &'a [(String, Node)], wanted: &str) -> Option<&'a Content> {
    let (_, node) = entries.iter().find(|(key, _)| key == wanted)?;
    Some(&node.content)
}

fn is_list(entries: &[(String, Node)]) -> bool {
    matches!(entry(entries, "kind"), Some(Content::Text(kind)) if kind.ends_with("List"))
        && matches!(
            entry(entries, "items"),
            Some(Content::List(_) | Content::Null)
        )
}

/// How deep positions are kept: pods and slices come in hundreds of thousands, and whoever asks for
/// one of their fields is served with the one around it.
fn positions_depth(content: &Content) -> usize {
    let Content::Map(entries) = content else {
        return DEPTH_MAX;
    };
    match entry(entries, "kind") {
        Some(Content::Text(kind)) if kind == "Pod" || kind == "EndpointSlice" => 2,
        _ => DEPTH_MAX,
    }
}

fn document(node: Node, before: u32) -> Document {
    let depth = positions_depth(&node.content);
    let mut places = Places {
        before,
        fields: BTreeMap::new(),
    };
    let value = places.value(node, String::new(), depth);
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
    /// The value of `node`, which stands at `path`; positions are kept for `depth` levels more.
    fn value(&mut self, node: Node, path: String, depth: usize) -> Value {
        let place = (node.line.saturating_add(self.before), node.column);
        let value = match node.content {
            Content::List(items) => (0..)
                .zip(items)
                .map(|(index, item): (usize, _)| match depth.checked_sub(1) {
                    Some(depth) => self.value(item, format!("{path}[{index}]"), depth),
                    None => plain(item),
                })
                .collect(),
            Content::Map(entries) => {
                let mut map = Map::new();
                for (key, entry) in entries {
                    let value = match depth.checked_sub(1) {
                        Some(depth) if path.is_empty() => self.value(entry, key.clone(), depth),
                        Some(depth) => self.value(entry, format!("{path}.{key}"), depth),
                        None => plain(entry),
                    };
                    map.insert(key, value);
                }
                Value::Object(map)
            }
            _ => plain(node),
        };
        self.fields.insert(path, place);
        value
    }
}

/// A value without positions.
fn plain(node: Node) -> Value {
    match node.content {
        Content::Null => Value::Null,
        Content::Bool(value) => Value::Bool(value),
        Content::Number(value) => Value::Number(value),
        Content::Text(value) => Value::String(value),
        Content::List(items) => items.into_iter().map(plain).collect(),
        Content::Map(entries) => entries
            .into_iter()
            .map(|(key, entry)| (key, plain(entry)))
            .collect(),
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
