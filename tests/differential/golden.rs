//! What wal2json 2.5 writes of one history, as files, for whoever wants to read them without a Postgres.
//!
//! Recorded anew from a real server each time and compared; `EXPECTORATE=overwrite cargo test --test differential golden` rewrites them.

use std::path::{Path, PathBuf};

use pgdeltastream::wal2json::change::{Change, Column, Message};
use pgdeltastream::wal2json::v2::{Action, Record};
use pgdeltastream::wal2json::{mend, v1};

use crate::harness::Service;
use crate::history::History;
use crate::normal::Normal;
use crate::runs::{FULL_FORMAT_2, Run};
use crate::script::Script;

/// A file, and the query with which it is recorded.
const FILES: [(&str, &str); 2] = [("format-1.jsonl", "format=wal2json-v1"), ("format-2.jsonl", FULL_FORMAT_2)];

/// What the service makes of it.
const EVENTS: &str = "events.jsonl";

#[tokio::test]
async fn the_golden_files_are_what_wal2json_writes_and_what_events_are_made_of_it() {
    let history = History::of(&Script::read(&file("workload.sql"))).await;
    for (name, query) in FILES {
        let records = history.received(&Run { query, arguments: &[] }.options()).await;
        assert_golden(name, records.into_iter().map(|record| String::from_utf8(record).unwrap()));
    }
    assert_golden(EVENTS, events(&history).await.into_iter());
}

/// The messages of `format=events`.
async fn events(history: &History) -> Vec<String> {
    let service = Service::start(&history.postgres).await;
    let twin = history.twin("events").await;
    let mut client = service.stream_with(&twin, &[("format", "events")]).await.unwrap_or_else(|answer| panic!("{answer:?}"));
    let mut messages = vec![];
    loop {
        messages.push(client.text().await);
        if messages.last().unwrap().contains(r#""prefix":"end""#) {
            client.leave().await;
            service.stop().await;
            return messages;
        }
    }
}

fn assert_golden(name: &str, records: impl Iterator<Item = String>) {
    let mut normal = Normal::default();
    let lines: String = records.map(|record| normal.line(&record) + "\n").collect();
    expectorate::assert_contents(file(name), &lines);
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The lines of a file, as JSON.
fn lines(name: &str) -> Vec<String> {
    std::fs::read_to_string(file(name)).unwrap().lines().map(|line| mend(line.as_bytes().to_vec())).collect()
}

/// What happened, in a form that both formats can say: format 1 leaves TRUNCATE out, and nulls of what a row was known by.
#[derive(Debug, PartialEq)]
enum Told<'a> {
    Change(Change<'a>),
    Message(Message<'a>),
}

impl<'a> Told<'a> {
    fn change(mut change: Change<'a>) -> Self {
        let bare =
            |column: Column<'a>| Column { type_name: None, type_oid: None, position: None, is_optional: None, default: None, ..column };
        change.columns = change.columns.into_iter().map(bare).collect();
        let not_null =
            |identity: Vec<Column<'a>>| identity.into_iter().map(bare).filter(|column| column.value.as_json() != "null").collect();
        change.identity = change.identity.map(not_null);
        change.primary_key = None;
        Self::Change(change)
    }
}

#[test]
fn both_formats_tell_the_same() {
    let (one, two) = (lines("format-1.jsonl"), lines("format-2.jsonl"));
    let transactions: Vec<v1::Transaction<'_>> = one.iter().map(|line| v1::Transaction::parse(line).unwrap()).collect();
    let in_one = transactions.into_iter().flat_map(|transaction| transaction.items).map(|item| match item {
        v1::Item::Change(change) => Told::change(change),
        v1::Item::Message(message) => Told::Message(message),
    });
    let in_two = two.iter().filter_map(|line| match Record::parse(line).unwrap().action {
        Action::Change(change) => Some(Told::change(change)),
        Action::Message(message) => Some(Told::Message(message)),
        Action::Begin { .. } | Action::Commit { .. } | Action::Truncate(_) => None,
    });
    let (in_one, in_two): (Vec<_>, Vec<_>) = (in_one.collect(), in_two.collect());
    assert!(in_one.len() > 70, "{}", in_one.len());
    for (one, two) in in_one.iter().zip(&in_two) {
        assert_eq!(one, two);
    }
    assert_eq!(in_one.len(), in_two.len());
}
