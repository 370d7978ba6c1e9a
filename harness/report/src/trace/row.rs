//! A row of a trace: slices of time that are disjoint or within each other, as viewers want them.

use serde_json::{Value, json};

/// Pieces of a slice that was cut are left out below this, in microseconds: events that belong together are not
/// sent at the same instant.
const SLIVER: i64 = 1000;

/// What a slice is of; the order is that of nesting, outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Whole,
    Test,
    Phase,
    Step,
}

impl Kind {
    /// The event's category, by which viewers filter.
    pub(super) fn category(self) -> &'static str {
        match self {
            Kind::Whole => "machine",
            Kind::Test => "test",
            Kind::Phase => "phase",
            Kind::Step => "step",
        }
    }
}

/// Something that took time; microseconds since the start of the run.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub kind: Kind,
    pub name: String,
    pub begin: i64,
    pub end: i64,
    pub args: Value,
}

/// A row.
#[derive(Debug)]
pub(super) struct Row {
    whole: Slice,
    parts: Vec<Slice>,
}

impl Row {
    /// A row for something that began at `begin`.
    pub(super) fn new(name: String, begin: i64) -> Row {
        Row {
            whole: Slice {
                kind: Kind::Whole,
                name,
                begin,
                end: begin,
                args: json!({}),
            },
            parts: Vec::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.whole.name
    }

    /// Facts about the whole.
    pub(super) fn describe(&mut self, args: Value) {
        self.whole.args = args;
    }

    /// It lasted until then, at least.
    pub(super) fn until(&mut self, end: i64) {
        self.whole.end = self.whole.end.max(end);
    }

    /// Something in it.
    pub(super) fn add(&mut self, mut slice: Slice) {
        slice.begin = slice.begin.max(0);
        slice.end = slice.end.max(slice.begin);
        self.whole.begin = self.whole.begin.min(slice.begin);
        self.until(slice.end);
        self.parts.push(slice);
    }

    /// All of it, properly nested: what reaches over the border of something that goes before it is cut there. Outer
    /// slices are before inner ones.
    pub(super) fn slices(&self) -> Vec<Slice> {
        let mut parts: Vec<&Slice> = self.parts.iter().collect();
        // Longer ones first, so that they are cut less.
        parts.sort_by_key(|slice| (slice.kind, slice.begin, -slice.end));
        let mut placed = vec![self.whole.clone()];
        for slice in parts {
            let mut cuts = vec![slice.begin, slice.end];
            for other in &placed {
                if slice.begin < other.begin && other.begin < slice.end && slice.end < other.end {
                    cuts.push(other.begin);
                }
                if other.begin < slice.begin && slice.begin < other.end && other.end < slice.end {
                    cuts.push(other.end);
                }
            }
            cuts.sort_unstable();
            // A slice without duration has one border twice, and stays.
            if slice.begin < slice.end {
                cuts.dedup();
            }
            let whole = cuts.len() == 2;
            let pieces = cuts.windows(2).map(|ends| Slice {
                begin: ends[0],
                end: ends[1],
                ..slice.clone()
            });
            placed.extend(pieces.filter(|piece| whole || piece.end - piece.begin >= SLIVER));
        }
        placed.sort_by_key(|slice| (slice.begin, -slice.end, slice.kind));
        placed
    }
}
