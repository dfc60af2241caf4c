//! From the tree to the types: a serde deserializer whose errors know their place.
//!
//! Contract: an error made anywhere below a node carries the span of the innermost node or key that
//! it concerns. Unknown keys and names list what is allowed and the nearest of it.

use std::fmt::Display;

use serde::de::value::{SeqDeserializer, StrDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, Expected, IntoDeserializer, MapAccess,
    Unexpected, Visitor,
};

use super::error::Fault;
use super::tree::{Entry, Node, Value};

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let read = match &self.value {
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::Integer(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => visitor.visit_u64(value),
                (_, Ok(value)) => visitor.visit_i64(value),
                _ => visitor.visit_i128(*value),
            },
            Value::Boolean(value) => visitor.visit_bool(*value),
            Value::List(list) => visitor.visit_seq(SeqDeserializer::new(list.iter())),
            Value::Table(entries) => visitor.visit_map(Entries { entries, next: 0 }),
            Value::Other(..) => Err(Fault::expected(&self.value.kind(), &visitor)),
        };
        read.map_err(|fault| fault.at(&self.origin))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self) // TOML has no null: what is there is there
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self).map_err(|fault| fault.at(&self.origin))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let read = match &self.value {
            Value::Text(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            other => {
                let what = format!("expected a name, found {}", other.kind());
                Err(Fault::unplaced(what, Some(allowed(variants))))
            }
        };
        read.map_err(|fault: Fault| fault.at(&self.origin))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Fault> for &'de Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// The entries of a table, in the order of the file.
struct Entries<'de> {
    entries: &'de [Entry],
    next: usize,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let Some(entry) = self.entries.get(self.next) else { return Ok(None) };
        let key: StrDeserializer<'_, Fault> = entry.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|fault| fault.at(&entry.origin))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let entry = &self.entries[self.next];
        self.next += 1;
        seed.deserialize(&entry.node).map_err(|fault| fault.at(&entry.node.origin))
    }
}

/// Reads a table without one of its keys: the one that tells the variants of an enum apart.
pub(super) fn without<T: DeserializeOwned>(node: &Node, left_out: &str) -> Result<T, Fault> {
    let Value::Table(entries) = &node.value else { return T::deserialize(node) };
    let kept = entries.iter().filter(|entry| entry.key != left_out).cloned().collect();
    T::deserialize(&Node { origin: node.origin.clone(), value: Value::Table(kept) })
}

impl Fault {
    fn expected(found: &str, expected: &dyn Expected) -> Self {
        let expected = expected.to_string();
        let range = match expected.as_str() {
            "u16" => "a whole number from 0 to 65535",
            "u32" => "a whole number from 0 to 4294967295",
            "u64" => "a whole number, not negative",
            "a boolean" => "true or false",
            "a sequence" => "a list",
            other => other,
        };
        let range = range.strip_prefix("struct ").map_or(range, |_| "a table");
        Self::unplaced(format!("expected {range}, found {found}"), None)
    }
}

impl Error for Fault {
    fn custom<T: Display>(what: T) -> Self {
        Self::unplaced(what.to_string(), None)
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::expected(&kind(&found), expected)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::expected(&kind(&found), expected)
    }

    fn unknown_field(field: &str, fields: &'static [&'static str]) -> Self {
        let what = format!("unknown key `{field}`{}", did_you_mean(field, fields));
        Self::unplaced(what, Some(allowed(fields)))
    }

    fn unknown_variant(variant: &str, variants: &'static [&'static str]) -> Self {
        let what = format!("unknown name \"{variant}\"{}", did_you_mean(variant, variants));
        Self::unplaced(what, Some(allowed(variants)))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::unplaced(format!("the key `{field}` is missing"), None)
    }
}

impl std::error::Error for Fault {}

impl Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.what())
    }
}

/// What was found, in the words of a scenario file.
fn kind(found: &Unexpected<'_>) -> String {
    match found {
        Unexpected::Str(text) => format!("the text \"{text}\""),
        Unexpected::Unsigned(value) => format!("the number {value}"),
        Unexpected::Signed(value) => format!("the number {value}"),
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}

fn allowed(names: &[&str]) -> String {
    format!("allowed here: {}", names.join(", "))
}

/// "; did you mean ...?" when a name is near enough to be a slip of the hand.
fn did_you_mean(given: &str, names: &[&str]) -> String {
    let given = given.replace('-', "_").to_lowercase();
    let nearest = names
        .iter()
        .map(|name| (distance(&given, &name.replace('-', "_")), name))
        .min_by_key(|(distance, _)| *distance);
    match nearest {
        Some((distance, name)) if distance <= 1 + given.chars().count() / 4 => {
            format!("; did you mean `{name}`?")
        }
        _ => String::new(),
    }
}

/// Levenshtein's: insertions, deletions and replacements from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (column, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}
