//! Many measurements of one thing, in three numbers.

use serde::Serialize;

/// Median, least and most of what the rounds gave.
#[derive(Serialize, Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    /// `None` of nothing.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        Some(Self { median: sorted[sorted.len() / 2], min, max })
    }

    /// Of the ratios round by round: a machine that slows down slows both sides.
    pub(super) fn of_ratios(over: &[f64], under: &[f64]) -> Option<Self> {
        let ratios: Vec<f64> = over.iter().zip(under).map(|(over, under)| over / under).collect();
        Self::of(&ratios)
    }

    /// The median, and the least in brackets.
    pub(super) fn with_least(&self) -> String {
        format!("{:.2} ({:.2})", self.median, self.min)
    }
}
