//! The figures of `rxlab bench engine`, as a table and as JSON.

use super::SIZES;
use npf_core::{
    EngineKind, PacketQueueOptions, RingOptions, SegmentsOptions, StoreHoldOptions, WorkerOptions,
    ZeroCopyOptions,
};
use serde_json::{Value, json};

/// What was measured.
pub(super) struct Figures {
    pub frames: u64,
    pub rounds: usize,
    /// By length of the frames: the plain copy, then every engine.
    pub sizes: Vec<(usize, Vec<Row>)>,
}

/// One engine, or the plain copy.
pub(super) struct Row {
    pub name: &'static str,
    /// Median per frame, in the order of [`super::WAYS`].
    pub nanoseconds: Vec<f64>,
    /// Bytes of memory per queued frame, of both forms.
    pub memory: Option<[u64; 2]>,
}

/// Columns, in the order of [`super::WAYS`]: for people and for programs.
const COLUMNS: [(&str, &str); 4] = [
    ("machine", "machine"),
    ("shared", "shared"),
    ("1+1 threads", "shared_1_producer"),
    ("2+1 threads", "shared_2_producers"),
];

/// Every engine as it is opened by default, in the order of [`EngineKind::NAMES`].
pub(super) fn kinds() -> [EngineKind; EngineKind::NAMES.len()] {
    [
        EngineKind::Segments(SegmentsOptions::default()),
        EngineKind::Worker(WorkerOptions::default()),
        EngineKind::PacketQueue(PacketQueueOptions::default()),
        EngineKind::Ring(RingOptions::default()),
        EngineKind::StoreHold(StoreHoldOptions::default()),
        EngineKind::ZeroCopy(ZeroCopyOptions::default()),
    ]
}

impl super::super::Figures for Figures {
    const BENCH: &'static str = "engine";

    fn text(&self) -> String {
        let mut table = format!(
            "ns per frame, stored and read; median of {} rounds of {} frames ({} of {} B), the \
             variants in turn\n\
             plain copy: two copies, frame to buffer to user buffer; in brackets times that\n\
             machine: state machine, one thread; shared: form for several threads, one thread;\n\
             n+1 threads: that form, so many threads store and one reads, all together\n\
             memory: bytes per queued frame in a full buffer of 1 MB, machine and shared\n",
            self.rounds,
            self.frames,
            self.frames / 5,
            SIZES[1],
        );
        for (len, rows) in &self.sizes {
            table += &format!("\n{:<14}", format!("{len} B"));
            for (column, _) in COLUMNS {
                table += &format!("{column:>17}");
            }
            table += &format!("{:>14}\n", "memory");
            for row in rows {
                table += &format!("{:<14}", row.name);
                for (nanoseconds, plain) in row.nanoseconds.iter().zip(&rows[0].nanoseconds) {
                    table += &format!("{nanoseconds:>9.1} ({:>4.1}x)", nanoseconds / plain);
                }
                if let Some([machine, shared]) = row.memory {
                    table += &format!("{:>14}", format!("{machine} {shared}"));
                }
                table += "\n";
            }
        }
        table
    }

    fn value(&self) -> Result<Value, String> {
        let sizes: Vec<Value> = self.sizes.iter().map(|(len, rows)| size(*len, rows)).collect();
        Ok(json!({ "frames": self.frames, "rounds": self.rounds, "sizes": sizes }))
    }
}

fn size(len: usize, rows: &[Row]) -> Value {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            let mut object = json!({ "name": row.name });
            for ((_, key), nanoseconds) in COLUMNS.iter().zip(&row.nanoseconds) {
                object["ns_per_frame"][*key] = json!(tenths(*nanoseconds));
            }
            if let Some([machine, shared]) = row.memory {
                object["bytes_per_queued_frame"] = json!({ "machine": machine, "shared": shared });
            }
            object
        })
        .collect();
    json!({ "frame_bytes": len, "rows": rows })
}

fn tenths(nanoseconds: f64) -> f64 {
    (nanoseconds * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::Figures as _;

    #[test]
    fn the_engines_are_all_there_by_their_names() {
        assert_eq!(kinds().map(|kind| kind.name()), EngineKind::NAMES);
    }

    #[test]
    fn ratios_are_to_the_plain_copy_of_the_same_column() {
        let row = |name, nanoseconds: [f64; 4], memory| Row {
            name,
            nanoseconds: nanoseconds.to_vec(),
            memory,
        };
        let rows = vec![
            row("plain copy", [2.0, 4.0, 5.0, 8.0], None),
            row("ring", [20.0, 42.0, 5.0, 4.0], Some([104, 120])),
        ];
        let figures = Figures { frames: 100, rounds: 3, sizes: vec![(60, rows)] };
        let table = figures.text();
        let line = table.lines().last().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        let want = "ring 20.0 (10.0x) 42.0 (10.5x) 5.0 ( 1.0x) 4.0 ( 0.5x) 104 120";
        assert_eq!(words.join(" "), want);
        let json = figures.value().unwrap();
        let row = &json["sizes"][0]["rows"][1];
        assert_eq!(row["ns_per_frame"]["shared_2_producers"], 4.0);
        assert_eq!(row["bytes_per_queued_frame"]["shared"], 120);
    }
}
