//! A scenario file as a tree of values that remember where they were written.
//!
//! `--set key=value` changes the tree; a value put in by one remembers the text of that `--set`.
//! Contract: every node and every key has an [`Origin`]. It does not know which keys a scenario
//! has: that is the business of the types, through `de`.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Fault, Origin};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) value: Value,
}

/// A TOML value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i128),
    Boolean(bool),
    /// A float or a date, which no key of a scenario takes; kept as written for the message.
    Other(&'static str, String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key of a table with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) origin: Origin,
    pub(super) node: Node,
}

/// A step from a table or list to what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// Reads the text of a file.
pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    let table = DeTable::parse(text).map_err(|error| syntax(&error, 0, 0, text.len()))?;
    let origin = Origin { text: 0, span: 0..text.len() };
    let entries = entries(table.get_ref(), 0, 0)?;
    Ok(Node { origin, value: Value::Table(entries) })
}

/// Applies `--set key=value`, the `number`-th of the command line, counted from 1.
pub(super) fn set(root: &mut Node, text: &str, number: usize) -> Result<(), Fault> {
    let origin = |span: Range<usize>| Origin { text: number, span };
    let Some((path, value)) = text.split_once('=') else {
        let what = format!("`{text}` has no `=`");
        return Err(Fault::new(
            origin(0..text.len()),
            what,
            "write --set key=value, e.g. ring.rx=512",
        ));
    };
    let value = set_value(value, path.len() + 1, number)?;
    let mut node = root;
    let mut at = 0;
    for segment in path.split('.') {
        let span = at..at + segment.len();
        at = span.end + 1;
        let key = segment.trim();
        if key.is_empty() {
            let what = format!("`{path}` has an empty part");
            return Err(Fault::new(
                origin(0..path.len()),
                what,
                "write --set key=value, e.g. ring.rx=512",
            ));
        }
        node = step_into(node, key, &origin(span))?;
    }
    *node = value;
    Ok(())
}

/// The value of a `--set`: TOML if it is any, the bare text otherwise.
fn set_value(text: &str, offset: usize, number: usize) -> Result<Node, Fault> {
    let offset = offset + (text.len() - text.trim_start().len());
    let text = text.trim();
    let origin = Origin { text: number, span: offset..offset + text.len() };
    match DeValue::parse(text) {
        Ok(value) => node(&value, number, offset),
        // What opens a list, a table or a string was meant as TOML; the rest is text as it stands.
        Err(error) if text.starts_with(['[', '{', '"', '\'']) => {
            Err(syntax(&error, number, offset, offset + text.len()))
        }
        Err(_) => Ok(Node { origin, value: Value::Text(text.to_owned()) }),
    }
}

/// The child of `node` called `key`, made if it is missing; what is missing becomes a list if a
/// number follows.
fn step_into<'a>(node: &'a mut Node, key: &str, origin: &Origin) -> Result<&'a mut Node, Fault> {
    let empty = || Node { origin: origin.clone(), value: Value::Table(Vec::new()) };
    let index = key.parse::<usize>().ok();
    if let (Value::Table(entries), Some(_)) = (&node.value, index)
        && entries.is_empty()
    {
        node.value = Value::List(Vec::new());
    }
    match &mut node.value {
        Value::Table(entries) => {
            let found = entries.iter().position(|entry| entry.key == key);
            let place = found.unwrap_or(entries.len());
            if found.is_none() {
                entries.push(Entry { key: key.to_owned(), origin: origin.clone(), node: empty() });
            }
            Ok(&mut entries[place].node)
        }
        Value::List(list) => {
            let count = list.len();
            let Some(index) = index.filter(|&index| index <= count) else {
                let what = format!("`{key}` is not an element of this list");
                let help = format!("it has {count} elements: 0 to {count} (one more) can be set");
                return Err(Fault::new(origin.clone(), what, help));
            };
            if index == count {
                list.push(empty());
            }
            Ok(&mut list[index])
        }
        other => {
            let what = format!("there is no `{key}` in {}", other.kind());
            Err(Fault::new(origin.clone(), what, "leave this part out"))
        }
    }
}

impl Node {
    /// The node at `path`, or the nearest one above it that was written.
    pub(super) fn nearest(&self, path: &[Step]) -> &Node {
        let child = path.first().and_then(|step| self.child(step));
        child.map_or(self, |child| child.nearest(&path[1..]))
    }

    /// The child at one step.
    pub(super) fn child(&self, step: &Step) -> Option<&Node> {
        match (&self.value, step) {
            (Value::Table(entries), Step::Key(key)) => {
                entries.iter().find(|entry| entry.key == *key).map(|entry| &entry.node)
            }
            (Value::List(list), Step::Index(index)) => list.get(*index),
            _ => None,
        }
    }

    /// The child of a table, by name.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.child(&Step::Key(key.to_owned()))
    }
}

impl Value {
    /// What it is, with its article, for "expected ..., found ...".
    pub(super) fn kind(&self) -> String {
        match self {
            Self::Text(text) => format!("the text \"{text}\""),
            Self::Integer(value) => format!("the number {value}"),
            Self::Boolean(value) => format!("{value}"),
            Self::Other(kind, text) => format!("{kind} {text}"),
            Self::List(_) => "a list".to_owned(),
            Self::Table(_) => "a table".to_owned(),
        }
    }
}

fn node(value: &Spanned<DeValue<'_>>, text: usize, offset: usize) -> Result<Node, Fault> {
    let origin = Origin { text, span: shift(value.span(), offset) };
    let value = match value.get_ref() {
        DeValue::String(value) => Value::Text(value.to_string()),
        DeValue::Integer(value) => {
            let digits = i128::from_str_radix(value.as_str(), value.radix());
            let Ok(digits) = digits else {
                let what = format!("the number {value} is too large");
                return Err(Fault::new(origin, what, "no number in a scenario needs 128 bits"));
            };
            Value::Integer(digits)
        }
        DeValue::Float(value) => Value::Other("the decimal", value.to_string()),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(value) => Value::Other("the date", value.to_string()),
        DeValue::Array(list) => Value::List(
            list.iter().map(|value| node(value, text, offset)).collect::<Result<_, _>>()?,
        ),
        DeValue::Table(table) => Value::Table(entries(table, text, offset)?),
    };
    Ok(Node { origin, value })
}

fn entries(table: &DeTable<'_>, text: usize, offset: usize) -> Result<Vec<Entry>, Fault> {
    let entry = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
        Ok(Entry {
            key: key.get_ref().to_string(),
            origin: Origin { text, span: shift(key.span(), offset) },
            node: node(value, text, offset)?,
        })
    };
    table.iter().map(entry).collect()
}

fn shift(span: Range<usize>, offset: usize) -> Range<usize> {
    span.start + offset..span.end + offset
}

fn syntax(error: &toml::de::Error, text: usize, offset: usize, end: usize) -> Fault {
    let span = error.span().map_or(offset..end, |span| shift(span, offset));
    Fault::new(
        Origin { text, span },
        error.message().to_owned(),
        "the file format is TOML 1.0: toml.io",
    )
}
