//! YAML text -> trees whose parts know where they stand.
//!
//! Built from the parser's events without recursion: text that is nested without end needs no stack.

use std::collections::BTreeMap;

use serde_json::Number;
use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, Tag};

use super::scalar::{self, Scalar};

/// A value and where it stands, counted from 1.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) content: Content,
    pub(super) line: u32,
    pub(super) column: u32,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// Why a text is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fault {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) message: String,
}

/// How deep values may be nested.
pub(super) const DEPTH_MAX: usize = 64;
/// Nodes of one text, each about a hundred bytes: a list of 10,000 services and 100,000 endpoints
/// has three million.
const NODES_MAX: usize = 20_000_000;
/// Nodes that anchors and aliases may copy. Few people use them in Kubernetes' YAML; whoever wants
/// to fill the memory does.
const COPIES_MAX: usize = 100_000;

/// The documents of a text; those that say nothing are null.
pub(super) fn trees(text: &str) -> Result<Vec<Node>, Fault> {
    let options = {
        let mut options = Options::default();
        // One more than is taken, so that it is this module that says so.
        options.flow_nesting_limit = DEPTH_MAX + 1;
        options.block_nesting_limit = DEPTH_MAX + 1;
        options
    };
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| syntax(&error))?;
        builder.take(event, span)?;
    }
    Ok(builder.documents)
}

fn syntax(error: &ScanError) -> Fault {
    let marker = error.marker();
    Fault {
        line: number(marker.line()),
        column: number(marker.col() + 1),
        message: format!("not valid YAML: {}", error.info()),
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// A collection that is not complete yet.
struct Frame {
    node: Node,
    anchor: usize,
    /// In a mapping: the key whose value comes next.
    key: Option<String>,
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Frame>,
    /// What aliases may refer to, with its size and height.
    anchors: BTreeMap<usize, Anchored>,
    nodes: usize,
    copies: usize,
}

struct Anchored {
    node: Node,
    size: usize,
    height: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let content = content(&text, style, tag.as_deref()).map_err(at(span))?;
                self.complete(node(content, span), anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                known(tag.as_deref(), "seq").map_err(at(span))?;
                self.enter(node(Content::List(Vec::new()), span), anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                known(tag.as_deref(), "map").map_err(at(span))?;
                self.enter(node(Content::Map(Vec::new()), span), anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(frame) = self.open.pop() else {
                    return Ok(());
                };
                let node = mapping(frame.node)?;
                self.complete(node, frame.anchor)
            }
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::DocumentEnd => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn enter(&mut self, node: Node, anchor: usize) -> Result<(), Fault> {
        if self.open.len() >= DEPTH_MAX {
            return Err(node.fault(format!("it is nested deeper than {DEPTH_MAX} levels")));
        }
        self.open.push(Frame {
            node,
            anchor,
            key: None,
        });
        Ok(())
    }

    /// Adds a node to the collection around it, or makes it a document.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), Fault> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(node.fault(format!("it has more than {NODES_MAX} values")));
        }
        if anchor != 0 {
            let (size, height) = node.extent();
            self.copy(size, &node)?;
            let node = node.clone();
            self.anchors.insert(anchor, Anchored { node, size, height });
        }
        let Some(frame) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        match &mut frame.node.content {
            Content::Map(entries) => match frame.key.take() {
                Some(key) => entries.push((key, node)),
                None => frame.key = Some(node.key()?),
            },
            Content::List(items) => items.push(node),
            _ => {}
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Fault> {
        let here = node(Content::Null, span);
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(here.fault("it refers to itself"));
        };
        if self.open.len() + anchored.height > DEPTH_MAX {
            return Err(here.fault(format!("it is nested deeper than {DEPTH_MAX} levels")));
        }
        let (size, content) = (anchored.size, anchored.node.content.clone());
        self.copy(size, &here)?;
        self.nodes += size;
        // What is wrong with it is wrong where it is used.
        self.complete(Node { content, ..here }, 0)
    }

    fn copy(&mut self, size: usize, place: &Node) -> Result<(), Fault> {
        self.copies += size;
        if self.copies > COPIES_MAX {
            let message = format!("its aliases stand for more than {COPIES_MAX} values");
            return Err(place.fault(message));
        }
        Ok(())
    }
}

fn node(content: Content, span: Span) -> Node {
    Node {
        content,
        line: number(span.start.line()),
        column: number(span.start.col() + 1),
    }
}

fn at(span: Span) -> impl FnOnce(String) -> Fault {
    move |message| node(Content::Null, span).fault(message)
}

/// What a scalar says: in quotes it is a text, unless a tag says otherwise.
fn content(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Content, String> {
    let kind = match tag {
        None if style == ScalarStyle::Plain => None,
        None => Some("str"),
        Some(tag) if is_non_specific(tag) => Some("str"),
        Some(tag) => Some(standard(tag)?),
    };
    let resolved = match kind {
        Some("str") => Scalar::Text,
        _ => scalar::resolve(text),
    };
    let content = match resolved {
        Scalar::Null => Content::Null,
        Scalar::Bool(value) => Content::Bool(value),
        Scalar::Number(value) => Content::Number(value),
        Scalar::Text => Content::Text(text.to_owned()),
    };
    let fits = match kind {
        None | Some("str") => true,
        Some("null") => matches!(content, Content::Null),
        Some("bool") => matches!(content, Content::Bool(_)),
        Some("int" | "float") => matches!(content, Content::Number(_)),
        Some(_) => false,
    };
    if fits {
        Ok(content)
    } else {
        Err(format!("{text:?} is not of the type that its tag says"))
    }
}

/// `! 1`: whatever it looks like, it is a text.
fn is_non_specific(tag: &Tag) -> bool {
    matches!((tag.handle(), tag.suffix()), ("!", "") | ("", "!"))
}

/// The type that a tag of YAML's own stands for.
fn standard(tag: &Tag) -> Result<&str, String> {
    match tag.handle() {
        "tag:yaml.org,2002:" | "!!" => Ok(tag.suffix()),
        handle => Err(format!(
            "the tag {handle}{} is not known here",
            tag.suffix()
        )),
    }
}

/// Whether a collection has the tag of its kind, or none.
fn known(tag: Option<&Tag>, kind: &str) -> Result<(), String> {
    match tag {
        None => Ok(()),
        Some(tag) if standard(tag)? == kind => Ok(()),
        Some(_) => Err("it is not of the type that its tag says".to_owned()),
    }
}

/// A mapping of which each key is there once, and with what `<<` adds to it.
fn mapping(node: Node) -> Result<Node, Fault> {
    let Node {
        content: Content::Map(entries),
        line,
        column,
    } = node
    else {
        return Ok(node);
    };
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|&index| entries[index].0.as_str());
    let twice = order
        .windows(2)
        .filter(|pair| entries[pair[0]].0 == entries[pair[1]].0)
        .map(|pair| pair[1]);
    if let Some(second) = twice.min() {
        let (key, value) = &entries[second];
        return Err(value.fault(format!("the key {key} is there twice")));
    }
    let content = Content::Map(merged(entries)?);
    Ok(Node {
        content,
        line,
        column,
    })
}

/// `<<: *other` adds the entries of another mapping, or of several; those that are there win.
fn merged(mut entries: Vec<(String, Node)>) -> Result<Vec<(String, Node)>, Fault> {
    let Some(index) = entries.iter().position(|(key, _)| key == "<<") else {
        return Ok(entries);
    };
    let (_, source) = entries.remove(index);
    let wrong = source.fault("<< is followed by neither a mapping nor a list of them");
    let sources = match source.content {
        Content::List(items) => items.into_iter().map(|item| item.content).collect(),
        content => vec![content],
    };
    for source in sources {
        let Content::Map(added) = source else {
            return Err(wrong);
        };
        for (key, value) in added {
            if entries.iter().all(|(known, _)| *known != key) {
                entries.push((key, value));
            }
        }
    }
    Ok(entries)
}

impl Node {
    fn fault(&self, message: impl Into<String>) -> Fault {
        Fault {
            line: self.line,
            column: self.column,
            message: message.into(),
        }
    }

    /// The text of a key. `80: x` and `true: x` are keys that JSON writes in quotes.
    fn key(self) -> Result<String, Fault> {
        match self.content {
            Content::Text(text) => Ok(text),
            Content::Number(number) => Ok(number.to_string()),
            Content::Bool(value) => Ok(value.to_string()),
            Content::Null => Err(self.fault("a key is missing")),
            Content::List(_) | Content::Map(_) => Err(self.fault("a key must be a text")),
        }
    }

    /// How many nodes it has, and how deep they are nested.
    fn extent(&self) -> (usize, usize) {
        let (mut size, mut height) = (0, 0);
        let mut level: Vec<&Self> = vec![self];
        while !level.is_empty() {
            size += level.len();
            height += 1;
            level = level.into_iter().flat_map(Self::children).collect();
        }
        (size, height)
    }

    fn children(&self) -> Vec<&Self> {
        match &self.content {
            Content::List(items) => items.iter().collect(),
            Content::Map(entries) => entries.iter().map(|(_, node)| node).collect(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> (u32, String) {
        match trees(text) {
            Ok(found) => panic!("{text:?} is taken: {found:?}"),
            Err(fault) => (fault.line, fault.message),
        }
    }

    fn shown(node: &Node) -> String {
        match &node.content {
            Content::Null => "null".to_owned(),
            Content::Bool(value) => value.to_string(),
            Content::Number(value) => value.to_string(),
            Content::Text(text) => format!("{text:?}"),
            Content::List(items) => {
                let items: Vec<_> = items.iter().map(shown).collect();
                format!("[{}]", items.join(", "))
            }
            Content::Map(entries) => {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|(key, node)| format!("{key}: {}", shown(node)))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    fn all(text: &str) -> String {
        let found = trees(text).unwrap_or_else(|fault| panic!("{text:?}: {fault:?}"));
        found.iter().map(shown).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn documents_become_trees() {
        assert_eq!(
            all("a: 1\nb: [x, 'y', \"1\", ~]\n"),
            "{a: 1, b: [\"x\", \"y\", \"1\", null]}"
        );
        assert_eq!(all("--- a\n--- b\n...\n---\nc\n"), "\"a\" | \"b\" | \"c\"");
        assert_eq!(all("---\n---\na: 1\n"), "null | {a: 1}");
        assert_eq!(all(""), "");
        assert_eq!(
            all("80: a\ntrue: |\n  b\n  c\n"),
            "{80: \"a\", true: \"b\\nc\\n\"}"
        );
        assert_eq!(all("\u{feff}a: 1\n"), "{a: 1}");
    }

    #[test]
    fn tags_say_what_a_scalar_is() {
        assert_eq!(
            all("[!!str 1, !!int '1', ! 2, !!seq [], !!map {}]"),
            "[\"1\", 1, \"2\", [], {}]"
        );
        assert_eq!(fault("a: !secret b").1, "the tag !secret is not known here");
        assert!(fault("!!int x").1.contains("its tag"));
        assert!(fault("!!map []").1.contains("its tag"));
    }

    #[test]
    fn aliases_and_merges_are_copies() {
        assert_eq!(
            all("a: &x {b: 1, c: 2}\nd: *x\ne: {<<: *x, c: 3}\n"),
            "{a: {b: 1, c: 2}, d: {b: 1, c: 2}, e: {c: 3, b: 1}}"
        );
        assert_eq!(
            all("- &x {a: 1}\n- &y {a: 2, b: 2}\n- {<<: [*x, *y]}\n"),
            "[{a: 1}, {a: 2, b: 2}, {a: 1, b: 2}]"
        );
        assert!(fault("a: {<<: 1}").1.starts_with("<< is followed"));
        assert_eq!(fault("a: &x [*x]").1, "it refers to itself");
        assert_eq!(fault("a: &x 1\n---\nb: *x\n").0, 3);
    }

    #[test]
    fn keys_are_there_once_and_are_texts() {
        assert_eq!(
            fault("a: 1\nb: 2\na: 3\n"),
            (3, "the key a is there twice".to_owned())
        );
        assert_eq!(fault("? [a]\n: b\n").1, "a key must be a text");
        assert_eq!(fault("~: b\n").1, "a key is missing");
    }

    #[test]
    fn hostile_text_is_refused() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let last = level - 1;
            let aliases = vec![format!("*a{last}"); 10].join(", ");
            bomb += &format!("a{level}: &a{level} [{aliases}]\n");
        }
        assert!(
            fault(&bomb)
                .1
                .starts_with("its aliases stand for more than")
        );
        let nested = |depth: usize, open: &str, close: &str| {
            format!("{}1{}", open.repeat(depth), close.repeat(depth))
        };
        for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", "")] {
            assert!(trees(&nested(DEPTH_MAX, open, close)).is_ok(), "{open}");
            for depth in [DEPTH_MAX + 1, 100_000] {
                fault(&nested(depth, open, close));
            }
        }
        let mut tower = String::from("a0: &a0 [1]\n");
        for level in 1..100 {
            tower += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
        }
        assert!(fault(&tower).1.starts_with("it is nested deeper"));
    }
}
