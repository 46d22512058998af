//! Reads a history on both ways and compares.

use serde::de::IgnoredAny;

use crate::damage::Damage;
use crate::harness::{Client, Service};
use crate::history::History;
use crate::parts::Joining;
use crate::records::last_position;
use crate::runs::{RUNS, Run};
use crate::script::{Script, folder};

/// How many bytes before and after the first difference a failure shows.
const SHOWN: usize = 200;

pub async fn compare_script(name: &str) {
    let script = Script::read(&folder().join(format!("{name}.sql")));
    let history = History::of(&script).await;
    compare(&history, &script.damage).await;
}

/// Every run of the table.
pub async fn compare(history: &History, damage: &Damage) {
    for runs in RUNS.chunk_by(|one, other| one.arguments == other.arguments) {
        let service = Service::start_with(&history.postgres, runs[0].arguments).await;
        for run in runs {
            let theirs = expected(history, run, damage).await;
            let ours = from_websocket(history, &service, run, &theirs).await;
            assert_same(run, &theirs, &ours);
        }
        service.stop().await;
    }
    damage.assert_all_seen();
}

/// What is to come over the websocket: what wal2json wrote, mended.
async fn expected(history: &History, run: &Run, damage: &Damage) -> Vec<String> {
    let mut options = run.options();
    for (_, tables) in options.iter_mut().filter(|(name, _)| name == "add-tables") {
        // To wal2json, a partition is a table like any other; to the service, it belongs to what it is a part of.
        tables.push_str(&history.partitions_elsewhere().await);
    }
    let mut records = history.received(&options).await;
    if !run.empty_transactions() {
        records = run.format().without_empty_transactions(records);
    }
    records.iter().map(|record| damage.mended(record)).collect()
}

/// What comes up to the end of the last transaction, with parts of transactions put together.
async fn from_websocket(history: &History, service: &Service, run: &Run, theirs: &[String]) -> Vec<String> {
    let twin = history.twin("ours").await;
    let query = format!("slotName={twin}&{}", run.query);
    let mut client = service.try_stream(query.trim_end_matches('&')).await.unwrap_or_else(|answer| panic!("{run:?}: {answer:?}"));
    let texts = match last_position(theirs) {
        Some(end) => texts_up_to(&mut client, run, end).await,
        None => {
            assert!(client.is_silent().await, "{run:?}: wal2json has nothing to say");
            vec![]
        }
    };
    client.leave().await;
    history.drop_twin(&twin).await;
    texts
}

async fn texts_up_to(client: &mut Client, run: &Run, end: &str) -> Vec<String> {
    let mut texts = Joining::default();
    loop {
        let text = client.text().await;
        let is_last = run.format().ends_at(&text, end);
        if run.is_in_parts() {
            assert_has_one_change_at_most(&text);
            texts.push(text);
        } else {
            texts.push_whole(text);
        }
        if is_last {
            return texts.into_whole();
        }
    }
}

/// Where transactions come in parts, the limit is a single byte: nothing larger than a change has room.
fn assert_has_one_change_at_most(text: &str) {
    #[derive(serde::Deserialize)]
    struct Part {
        change: Vec<IgnoredAny>,
    }
    let part: Part = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(part.change.len() <= 1, "a message of several changes is longer than a byte: {text}");
}

fn assert_same(run: &Run, theirs: &[String], ours: &[String]) {
    for (index, (their, our)) in theirs.iter().zip(ours).enumerate() {
        assert!(their == our, "{run:?}, message {index}:\n{}", first_difference(their, our));
    }
    let more = if theirs.len() > ours.len() { theirs.get(ours.len()) } else { ours.get(theirs.len()) };
    assert_eq!(ours.len(), theirs.len(), "{run:?}: the websocket and pg_recvlogical differ in how much they say, first in {more:?}");
}

fn first_difference(theirs: &str, ours: &str) -> String {
    let at = theirs.bytes().zip(ours.bytes()).take_while(|(their, our)| their == our).count();
    let around = |text: &str| {
        let (start, end) = (at.saturating_sub(SHOWN), (at + SHOWN).min(text.len()));
        String::from_utf8_lossy(&text.as_bytes()[start..end]).into_owned()
    };
    format!("at byte {at} wal2json wrote\n{}\nand over the websocket came\n{}", around(theirs), around(ours))
}
