//! One virtqueue at one moment: who owns each descriptor, and what the rings say, as text.

/// Whose turn it is with a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The driver's, or nobody's yet.
    Driver,
    /// Made available, and not used yet.
    Device,
    /// Used by the device, and not taken by the driver yet.
    Used,
}

/// A virtqueue at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Index of the virtqueue (5.1.2).
    pub virtqueue: u16,
    /// "rx 0", "tx 0" or "control".
    pub name: String,
    /// "split" or "packed".
    pub format: &'static str,
    /// Per descriptor.
    pub owners: Vec<Owner>,
    /// What the rings say: each row with a name.
    pub rows: Vec<(&'static str, String)>,
    /// The descriptors one by one, for a ring of at most 16 entries.
    pub table: Vec<String>,
}

/// Descriptors in a line.
const LINE: usize = 64;
/// Rings up to this size show their descriptors one by one.
pub const DETAILED: u16 = 16;

impl Picture {
    /// How many descriptors are `owner`'s.
    #[must_use]
    pub fn count(&self, owner: Owner) -> u16 {
        // A ring has at most 32768.
        self.owners.iter().filter(|it| **it == owner).count() as u16
    }

    /// As lines of text, without a line break at the end; of the table what is not as in `last`.
    #[must_use]
    pub fn text(&self, last: Option<&Self>) -> String {
        let [driver, device, used] =
            [Owner::Driver, Owner::Device, Owner::Used].map(|owner| self.count(owner));
        let mut text = format!(
            "{}, {}, {} entries: driver {driver}, device {device}, used {used}",
            self.name,
            self.format,
            self.owners.len()
        );
        for (line, owners) in self.owners.chunks(LINE).enumerate() {
            let label = if line == 0 { "descriptors" } else { "" };
            let map: String = owners.iter().map(|owner| owner.letter()).collect();
            text += &format!("\n  {label:<11} {map}");
        }
        for (label, row) in &self.rows {
            text += &format!("\n  {label:<11} {row}");
        }
        let old = |index| last.and_then(|last| last.table.get(index));
        let changed =
            self.table.iter().enumerate().filter(|(index, row)| old(*index) != Some(*row));
        for (_, row) in changed {
            text += &format!("\n  {:<11} {row}", "");
        }
        text
    }
}

impl Owner {
    fn letter(self) -> char {
        match self {
            Self::Driver => '.',
            Self::Device => 'D',
            Self::Used => 'U',
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_counts_maps_and_shows_what_has_changed() {
        let owners = vec![Owner::Used, Owner::Device, Owner::Device, Owner::Driver];
        let rows = vec![("available", "idx 3".to_owned())];
        let table = vec!["0: a".to_owned(), "1: b".to_owned()];
        let name = "rx 0".to_owned();
        let first = Picture { virtqueue: 0, name, format: "split", owners, rows, table };
        assert_eq!(
            first.text(None),
            "rx 0, split, 4 entries: driver 1, device 2, used 1\n  descriptors UDD.\n  \
             available   idx 3\n              0: a\n              1: b"
        );
        let mut second = first.clone();
        second.table[1] = "1: c".to_owned();
        let text = second.text(Some(&first));
        assert!(text.ends_with("idx 3\n              1: c"), "{text}");
    }
}
