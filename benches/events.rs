//! How fast a client's messages are made of what wal2json writes, in each format: frames in, messages out; against passing the bytes along,
//! and against reading the same text as `serde_json::Value` and writing it again. `cargo bench --bench events`
#![expect(clippy::unwrap_used, clippy::panic, reason = "a bench that cannot go on stops")]

use std::collections::VecDeque;
use std::sync::Arc;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use pgdeltastream::filter::{Filter, TablePattern};
use pgdeltastream::format::relation::{RelationColumn, ReplicaIdentity, Seen};
use pgdeltastream::format::{Admission, Answer, Events, Format, Item, Missing, Read, Records, Relation, Structure, Transactions};
use pgdeltastream::row::{Encoding, Numbers};
use serde_json::Value;

mod inputs;

use inputs::{Row, format_1, format_1_in_chunks, format_2, format_2_for_events, narrow, wide};

fn main() {
    divan::main();
}

const INPUTS: [&str; 12] = [
    "events, 4 narrow rows",
    "events, 1 row of 10 columns",
    "events, 1,000 narrow rows",
    "events, 1,000 rows of 10 columns",
    "events, 1 row of 10 columns, FULL",
    "v1, 4 narrow rows",
    "v1, 1,000 narrow rows",
    "v1, 1,000 narrow rows, filtered",
    "v1 in chunks, 1,000 narrow rows",
    "v1 in chunks, 1,000 narrow rows, filtered",
    "v2, 1,000 narrow rows",
    "v2, 1,000 narrow rows, filtered",
];

/// What comes of one transaction, and what it is told of.
struct Input {
    frames: Vec<Vec<u8>>,
    changes: usize,
    columns: Row,
    /// A part of the name says what it is.
    name: &'static str,
}

impl Input {
    fn of(name: &'static str) -> Self {
        let changes = if name.contains("1,000") {
            1_000
        } else if name.contains('4') {
            4
        } else {
            1
        };
        let columns: Row = if name.contains("10 columns") { wide } else { narrow };
        let texts = match name.split(',').next() {
            Some("events") => format_2_for_events(changes, columns, name.ends_with("FULL")),
            Some("v1") => vec![format_1(changes, columns)],
            Some("v1 in chunks") => format_1_in_chunks(changes, columns),
            _ => format_2(changes, columns),
        };
        Self { frames: texts.into_iter().map(String::into_bytes).collect(), changes, columns, name }
    }

    /// Each time all frames, with a buffer of its own for each as it came from the wire.
    fn bench(self, bencher: Bencher, read: impl FnMut(Vec<Vec<u8>>)) {
        let bytes = self.frames.iter().map(Vec::len).sum::<usize>();
        let bencher = bencher.counter(BytesCount::new(bytes)).counter(ItemsCount::new(self.changes));
        bencher.with_inputs(|| self.frames.clone()).bench_local_values(read);
    }

    fn format(&self) -> Format {
        const LIMIT: usize = 16 * 1024 * 1024;
        let filter = Filter { exclude_tables: TablePattern::list("customers").unwrap(), ..Filter::default() };
        let filter = if self.name.ends_with("filtered") { filter } else { Filter::default() };
        let admission = Admission::of(&filter, true);
        if self.name.starts_with("events") {
            Format::Events(Box::new(Events::new(LIMIT, false, Numbers::Bare, admission)))
        } else if self.name.starts_with("v1") {
            Format::Transactions(Transactions::new(LIMIT, false, admission))
        } else {
            Format::Records(Records::new(false, admission))
        }
    }

    /// What the catalogue has of the one table that there is.
    fn relation(&self) -> Relation {
        let identity =
            if self.name.ends_with("FULL") { ReplicaIdentity::Full } else { ReplicaIdentity::Columns(vec![key_of(self.columns)]) };
        let columns = (1..).zip((self.columns)(0)).map(|(position, column)| RelationColumn {
            position,
            name: String::from(column.name),
            type_oid: column.type_oid,
            encoding: encoding(column.type_oid),
            may_be_large: matches!(column.type_oid, 25 | 1009 | 1042 | 3802),
            is_older_than_slot: true,
        });
        Relation { oid: Some(16_384), ancestors: vec![], identity, columns: columns.collect(), seen: Arc::default(), is_ahead: false }
    }
}

fn key_of(columns: Row) -> String {
    String::from(columns(0).first().unwrap().name)
}

fn encoding(type_oid: u32) -> Encoding {
    match type_oid {
        1009 => Encoding::Array { element: Box::new(Encoding::Text), delimiter: b',' },
        oid => Encoding::of_scalar(oid),
    }
}

#[divan::bench(args = INPUTS)]
fn a_passed_along(bencher: Bencher, input: &'static str) {
    Input::of(input).bench(bencher, |frames| {
        for frame in frames {
            black_box(std::str::from_utf8(&frame).unwrap().to_owned());
        }
    });
}

#[divan::bench(args = INPUTS)]
fn b_messages(bencher: Bencher, input: &'static str) {
    let input = Input::of(input);
    let (mut format, relation, mut items) = (input.format(), input.relation(), VecDeque::new());
    input.bench(bencher, |frames| {
        for frame in frames {
            read(&mut format, &relation, frame, &mut items);
            items.drain(..).for_each(|item| drop(black_box(item)));
        }
    });
}

/// Reads a frame, as a session does.
fn read(format: &mut Format, relation: &Relation, mut frame: Vec<u8>, items: &mut VecDeque<Item>) {
    loop {
        match format.read(frame, items).unwrap() {
            Read::Done => return,
            Read::Missing(Missing::Relations(tables), same) => {
                format.learn(Answer::Relations(tables.into_iter().map(|table| (table, relation.clone())).collect()));
                frame = same;
            }
            Read::Missing(Missing::Structure, same) => {
                format.learn(Answer::Structure(Structure { fingerprint: 0, seen: Arc::new(Seen::read("1:2000000000:").unwrap()) }));
                frame = same;
            }
            Read::Missing(Missing::Types(types), _) => panic!("types that no column has: {types:?}"),
        }
    }
}

#[divan::bench(args = INPUTS)]
fn c_untyped(bencher: Bencher, input: &'static str) {
    // A chunk is no JSON: what there is to read is the whole.
    let Input { frames, changes, columns, name } = Input::of(input);
    let frames = if name.starts_with("v1") { vec![frames.concat()] } else { frames };
    Input { frames, changes, columns, name }.bench(bencher, |frames| {
        for frame in frames {
            let value: Value = serde_json::from_slice(&frame).unwrap();
            black_box(serde_json::to_string(&value).unwrap());
        }
    });
}
