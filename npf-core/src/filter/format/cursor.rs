//! A place in a text, and what can be read from there.
//!
//! Contract: never moves behind the end; an error stands where what was asked for should have begun.

use super::{FormatFault, Place};

/// Reads on in a text.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    rest: &'a str,
    /// Of the character that comes next, counting from 1.
    line: usize,
    /// Likewise, in bytes.
    column: usize,
}

/// What is wrong, and where.
pub(super) type Fault = (Place, FormatFault);

impl<'a> Cursor<'a> {
    /// At the start of `text`.
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text, line: 1, column: 1 }
    }

    /// What is left.
    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    /// Where it is.
    pub(super) fn place(&self) -> Place {
        Place::Text { line: self.line, column: self.column }
    }

    /// An error here.
    pub(super) fn fault<T>(&self, what: FormatFault) -> Result<T, Fault> {
        Err((self.place(), what))
    }

    /// Moves behind all white space.
    pub(super) fn skip_white(&mut self) {
        self.take_while(char::is_whitespace);
    }

    /// Moves behind white space in this line.
    pub(super) fn skip_blanks(&mut self) {
        self.take_while(|c| c.is_whitespace() && c != '\n');
    }

    /// Whether nothing is left of this line.
    pub(super) fn is_line_end(&self) -> bool {
        matches!(self.rest().chars().next(), None | Some('\n'))
    }

    /// Moves behind `word`, a part of a line, if it comes next.
    pub(super) fn accept(&mut self, word: &str) -> bool {
        let rest = self.rest.strip_prefix(word);
        self.rest = rest.unwrap_or(self.rest);
        self.column += if rest.is_some() { word.len() } else { 0 };
        rest.is_some()
    }

    /// Moves behind `word`, which must come next.
    pub(super) fn expect(&mut self, word: &str, name: &'static str) -> Result<(), Fault> {
        if self.accept(word) { Ok(()) } else { self.fault(FormatFault::Expected(name)) }
    }

    /// Takes characters as long as `take` says so; maybe none.
    pub(super) fn take_while(&mut self, take: impl Fn(char) -> bool) -> &'a str {
        let len = self.rest.find(|c| !take(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        for byte in taken.bytes() {
            let ends_line = byte == b'\n';
            self.line += usize::from(ends_line);
            self.column = if ends_line { 1 } else { self.column + 1 };
        }
        taken
    }

    /// Takes a number up to `max`: decimal, or hexadecimal after 0x. Where `max` is that of 32 bits, a
    /// negative number stands for its 32 bits, as some printers write it.
    pub(super) fn number(&mut self, field: &'static str, max: u32) -> Result<u32, Fault> {
        let start = self.clone();
        let negative = max == u32::MAX && self.accept("-");
        let radix = if self.accept("0x") || self.accept("0X") { 16 } else { 10 };
        let digits = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        let value =
            digits.bytes().all(|digit| digit != b'+').then(|| u64::from_str_radix(digits, radix));
        let value = match value {
            Some(Ok(value)) if !negative && value <= max.into() => Some(value as u32),
            Some(Ok(value)) if negative && value <= 1 << 31 => Some((value as u32).wrapping_neg()),
            _ => None,
        };
        value.ok_or_else(|| {
            *self = start;
            (self.place(), FormatFault::BadNumber { field, max })
        })
    }
}
