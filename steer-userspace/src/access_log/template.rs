//! Text with operators: `[%START_TIME%] %REQ(:METHOD):3% 100%%`.

use std::borrow::Cow;

use super::{
    Entry,
    line::escaped,
    operator::{Operator, Value},
};

/// One text, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Literal(String),
    /// With the most characters that are written of it.
    Operator(Operator, Option<usize>),
}

/// What stands in the place of what is not known.
const ABSENT: &str = "-";

impl Template {
    /// Takes a text apart. What is no operator that can be had is noted, and is never known.
    pub(super) fn parse(text: &str, unknown: &mut Vec<String>) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            let (before, from) = rest.split_at(at);
            literal(&mut pieces, before);
            if let Some(after) = from.strip_prefix("%%") {
                literal(&mut pieces, "%");
                rest = after;
                continue;
            }
            let Some((command, after)) = command(from) else {
                unknown.push(from.to_owned());
                literal(&mut pieces, ABSENT);
                return Self { pieces };
            };
            if let Some(operator) = Operator::parse(command.name, command.arguments) {
                pieces.push(Piece::Operator(operator, command.most));
            } else {
                let length = from.len() - after.len();
                unknown.push(from[..length].to_owned());
                literal(&mut pieces, ABSENT);
            }
            rest = after;
        }
        literal(&mut pieces, rest);
        Self { pieces }
    }

    /// Writes it as a line of text has it.
    pub(super) fn write(&self, entry: &Entry, out: &mut String) {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Operator(operator, most) => match cut(operator.value(entry), *most) {
                    Value::Absent => out.push_str(ABSENT),
                    Value::Text(text) => out.push_str(&escaped(&text)),
                    Value::Number(number) => out.push_str(&number.to_string()),
                },
            }
        }
    }

    /// As JSON has it: an operator alone keeps its type.
    pub(super) fn json(&self, entry: &Entry) -> serde_json::Value {
        if let [Piece::Operator(operator, most)] = &self.pieces[..] {
            return match cut(operator.value(entry), *most) {
                Value::Absent => serde_json::Value::Null,
                Value::Text(text) => text.into_owned().into(),
                Value::Number(number) => number.into(),
            };
        }
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Operator(operator, most) => match cut(operator.value(entry), *most) {
                    Value::Absent => out.push_str(ABSENT),
                    Value::Text(text) => out.push_str(&text),
                    Value::Number(number) => out.push_str(&number.to_string()),
                },
            }
        }
        out.into()
    }
}

struct Command<'a> {
    name: &'a str,
    arguments: Option<&'a str>,
    most: Option<usize>,
}

/// `%NAME(arguments):length%`, and what follows it.
fn command(text: &str) -> Option<(Command<'_>, &str)> {
    let inner = text.strip_prefix('%')?;
    let is_name =
        |found: char| found.is_ascii_uppercase() || found.is_ascii_digit() || found == '_';
    let end = inner.find(|found| !is_name(found))?;
    let (name, mut rest) = inner.split_at(end);
    let mut arguments = None;
    if let Some(inside) = rest.strip_prefix('(') {
        let (text, after) = inside.split_once(')')?;
        (arguments, rest) = (Some(text), after);
    }
    let mut most = None;
    if let Some(number) = rest.strip_prefix(':') {
        let (number, _) = number.split_once('%')?;
        most = Some(number.parse().ok()?);
        rest = &rest[1 + number.len()..];
    }
    let rest = rest.strip_prefix('%')?;
    let command = Command {
        name,
        arguments,
        most,
    };
    (!name.is_empty()).then_some((command, rest))
}

fn literal(pieces: &mut Vec<Piece>, text: &str) {
    if text.is_empty() {
        return;
    }
    if let Some(Piece::Literal(before)) = pieces.last_mut() {
        before.push_str(text);
    } else {
        pieces.push(Piece::Literal(text.to_owned()));
    }
}

fn cut(value: Value<'_>, most: Option<usize>) -> Value<'_> {
    match (value, most) {
        (Value::Text(text), Some(most)) => match text.char_indices().nth(most) {
            None => Value::Text(text),
            Some((end, _)) => Value::Text(Cow::Owned(text[..end].to_owned())),
        },
        (value, _) => value,
    }
}
