//! How fast what wal2json writes is decoded, against other ways of reading it and against not reading it. `cargo bench --bench decode`
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use pgdeltastream::wal2json::mend::mend;
use pgdeltastream::wal2json::{v1, v2};
use serde::de::IgnoredAny;
use serde_json::Value;

mod inputs;

use inputs::{Row, format_1, format_2, narrow, wide};

fn main() {
    divan::main();
}

/// What is decoded: texts of one format, with as many changes as there are items.
struct Input {
    texts: Vec<Vec<u8>>,
    changes: usize,
}

const INPUTS: [&str; 5] =
    ["narrow rows, format 1", "narrow rows, format 2", "wide row, format 1", "wide row, format 2", "1,000 rows, format 1"];

impl Input {
    fn of(name: &str) -> Self {
        let (rows, columns): (usize, Row) = match name {
            "1,000 rows, format 1" => (1_000, narrow),
            name if name.starts_with("narrow") => (4, narrow),
            _ => (1, wide),
        };
        let texts = if name.ends_with('1') { vec![format_1(rows, columns)] } else { format_2(rows, columns) };
        Self { texts: texts.into_iter().map(String::into_bytes).collect(), changes: rows }
    }

    /// Each time all texts, with a buffer of its own for each as it came from the wire.
    fn bench(self, bencher: Bencher, decode: fn(Vec<u8>)) {
        let bytes = self.texts.iter().map(Vec::len).sum::<usize>();
        bencher
            .counter(BytesCount::new(bytes))
            .counter(ItemsCount::new(self.changes))
            .with_inputs(|| self.texts.clone())
            .bench_values(|texts| texts.into_iter().for_each(decode));
    }
}

#[divan::bench(args = INPUTS)]
fn a_passed_along(bencher: Bencher, input: &str) {
    Input::of(input).bench(bencher, |bytes| {
        black_box(std::str::from_utf8(&bytes).unwrap().to_owned());
    });
}

#[divan::bench(args = INPUTS)]
fn b_mended(bencher: Bencher, input: &str) {
    Input::of(input).bench(bencher, |bytes| {
        black_box(mend(bytes));
    });
}

#[divan::bench(args = INPUTS)]
fn c_skipped(bencher: Bencher, input: &str) {
    Input::of(input).bench(bencher, |bytes| {
        black_box(serde_json::from_slice::<IgnoredAny>(&bytes).unwrap());
    });
}

#[divan::bench(args = INPUTS)]
fn d_typed(bencher: Bencher, input: &str) {
    let decode = if input.ends_with('1') { typed_1 } else { typed_2 };
    Input::of(input).bench(bencher, decode);
}

#[divan::bench(args = INPUTS)]
fn e_mended_and_typed(bencher: Bencher, input: &str) {
    let decode: fn(Vec<u8>) =
        if input.ends_with('1') { |bytes| typed_1(mend(bytes).into_bytes()) } else { |bytes| typed_2(mend(bytes).into_bytes()) };
    Input::of(input).bench(bencher, decode);
}

#[divan::bench(args = INPUTS)]
fn f_untyped(bencher: Bencher, input: &str) {
    Input::of(input).bench(bencher, |bytes| {
        black_box(serde_json::from_slice::<Value>(&bytes).unwrap());
    });
}

fn typed_1(bytes: Vec<u8>) {
    black_box(v1::Transaction::parse(std::str::from_utf8(&bytes).unwrap()).unwrap());
}

fn typed_2(bytes: Vec<u8>) {
    black_box(v2::Record::parse(std::str::from_utf8(&bytes).unwrap()).unwrap());
}
