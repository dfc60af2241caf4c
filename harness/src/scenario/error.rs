//! What is wrong with a scenario, and where: the file and the place in it, or the `--set`.
//!
//! Contract: every error has a span into a text that the user wrote, says what is wrong, and its
//! help says what is allowed.

use std::ops::Range;
use std::path::PathBuf;

use miette::{Diagnostic, NamedSource, SourceSpan};

/// A place in one of the texts that make up a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// 0 = the file, n = the n-th `--set`.
    pub(super) text: usize,
    /// Bytes in that text.
    pub(super) span: Range<usize>,
}

/// An error before the texts are attached to it. Boxed: it is large, and rare.
#[derive(Clone, Debug)]
pub(super) struct Fault(Box<FaultParts>);

#[derive(Clone, Debug)]
struct FaultParts {
    origin: Option<Origin>,
    what: String,
    help: Option<String>,
}

impl Fault {
    pub(super) fn new(origin: Origin, what: String, help: impl Into<String>) -> Self {
        Self(Box::new(FaultParts { origin: Some(origin), what, help: Some(help.into()) }))
    }

    /// A fault whose place is only known further out.
    pub(super) fn unplaced(what: String, help: Option<String>) -> Self {
        Self(Box::new(FaultParts { origin: None, what, help }))
    }

    /// Fills in the place, unless one nearer to the cause is known.
    pub(super) fn at(mut self, origin: &Origin) -> Self {
        self.0.origin.get_or_insert_with(|| origin.clone());
        self
    }

    pub(super) fn what(&self) -> &str {
        &self.0.what
    }

    /// Attaches the texts.
    pub(super) fn explain(self, file_name: &str, text: &str, sets: &[String]) -> ScenarioError {
        let FaultParts { origin, what, help } = *self.0;
        let origin = origin.unwrap_or(Origin { text: 0, span: 0..0 });
        let set = origin.text.checked_sub(1).and_then(|index| sets.get(index));
        let (name, source) = match set {
            Some(set) => (format!("--set {set}"), set.as_str()),
            None => (file_name.to_owned(), text),
        };
        let before = source.get(..origin.span.start).unwrap_or("");
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.chars().rev().take_while(|&c| c != '\n').count();
        ScenarioError::Wrong(Box::new(Wrong {
            place: if set.is_some() { name.clone() } else { format!("{name}:{line}:{column}") },
            line,
            column,
            written: NamedSource::new(name, source.to_owned()),
            span: origin.span.into(),
            what,
            help,
        }))
    }
}

/// Why there is no scenario.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("cannot read the scenario {}: {error}", path.display())]
    #[diagnostic(help("give the path of a scenario file, e.g. scenarios/default.toml"))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The text is wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Wrong(Box<Wrong>),
}

/// What is wrong in the text of a scenario or of a `--set`.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{what}")]
pub struct Wrong {
    what: String,
    place: String,
    line: usize,
    column: usize,
    #[source_code]
    written: NamedSource<String>,
    #[label("here")]
    span: SourceSpan,
    #[help]
    help: Option<String>,
}

impl Wrong {
    /// `file:line:column`, or the whole `--set`.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Line in the file or in the `--set`, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Column in characters, from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// The text that is wrong.
    pub fn text(&self) -> &str {
        let start = self.span.offset();
        self.written.inner().get(start..start + self.span.len()).unwrap_or("")
    }

    /// What is allowed.
    pub fn allowed(&self) -> Option<&str> {
        self.help.as_deref()
    }
}
