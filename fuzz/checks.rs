//! What must hold for any bytes that come from outside. The fuzzer looks for bytes for which it does not; `tests/corpus.rs` tries those that
//! are kept in `corpus/`.
#![allow(dead_code, reason = "each target uses its own")]

use pgdeltastream::contract;
use pgdeltastream::lsn::Lsn;
use pgdeltastream::message::Acknowledgement;
use pgdeltastream::wal2json::change::{Change, Column, Context, KeyColumn, Message, Table, Text};
use pgdeltastream::wal2json::mend::mend;
use pgdeltastream::wal2json::{v1, v2};
use serde_json::value::RawValue;

/// A text of format 1, or one change of it.
pub(crate) fn format_1(bytes: &[u8]) {
    let text = mended(bytes);
    if let Ok(transaction) = v1::Transaction::parse(&text) {
        Inside(&text).context(&transaction.context);
        for item in &transaction.items {
            Inside(&text).item(item);
        }
    }
    if let Ok(item) = v1::Item::parse(&text) {
        Inside(&text).item(&item);
        let transaction = format!(r#"{{"change":[{text},{text}]}}"#);
        let transaction = v1::Transaction::parse(&transaction).expect("a list of what is read alone");
        assert_eq!(transaction.items, [item.clone(), item]);
    }
}

/// A text of format 2.
pub(crate) fn format_2(bytes: &[u8]) {
    let text = mended(bytes);
    let Ok(record) = v2::Record::parse(&text) else { return };
    Inside(&text).context(&record.context);
    match &record.action {
        v2::Action::Begin { .. } | v2::Action::Commit { .. } => {}
        v2::Action::Change(change) => Inside(&text).change(change),
        v2::Action::Truncate(table) => Inside(&text).table(table),
        v2::Action::Message(message) => Inside(&text).message(message),
    }
}

/// What a client sends over the websocket.
pub(crate) fn acknowledgement(bytes: &[u8]) {
    let Ok(read) = contract::read::<Acknowledgement>(bytes) else { return };
    let lsn: Lsn = read.lsn.parse().expect("the schema lets positions through, and nothing else");
    let again = serde_json::to_vec(&Acknowledgement { lsn: lsn.to_string() }).expect("a message is JSON");
    let again = contract::read::<Acknowledgement>(&again).expect("what was read is read again");
    assert_eq!(again.lsn.parse(), Ok(lsn));
}

/// What is JSON stays as it is, unless it has white space, which wal2json does not write between values; what was mended is JSON, or as it was; and
/// mending again changes nothing.
fn mended(bytes: &[u8]) -> String {
    let text = mend(bytes.to_vec());
    let before = String::from_utf8_lossy(bytes);
    assert!(is_json(&text) || text == before);
    assert!(!is_json(&before) || before.contains(char::is_whitespace) || text == before);
    assert_eq!(mend(text.clone().into_bytes()), text);
    text
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// All that was read is a JSON token that stands in the text.
struct Inside<'a>(&'a str);

impl Inside<'_> {
    fn item(&self, item: &v1::Item) {
        match item {
            v1::Item::Change(change) => self.change(change),
            v1::Item::Message(message) => self.message(message),
        }
    }

    fn change(&self, change: &Change) {
        self.table(&change.table);
        for column in change.columns.iter().chain(change.identity.iter().flatten()) {
            self.column(column);
        }
        for column in change.primary_key.iter().flatten() {
            self.key_column(column);
        }
    }

    fn table(&self, table: &Table) {
        self.texts([Some(table.name), table.schema]);
    }

    fn column(&self, column: &Column) {
        self.texts([Some(column.name), column.type_name]);
        for value in [Some(column.value), column.default].into_iter().flatten() {
            self.token(value.as_json());
            assert!(!value.as_json().starts_with(['{', '[']));
            self.texts([value.as_text()]);
        }
    }

    fn key_column(&self, column: &KeyColumn) {
        self.texts([Some(column.name), column.type_name]);
    }

    fn message(&self, message: &Message) {
        self.texts([Some(message.prefix), Some(message.content)]);
    }

    fn context(&self, context: &Context) {
        self.texts([context.timestamp]);
    }

    fn texts<'a>(&self, texts: impl IntoIterator<Item = Option<Text<'a>>>) {
        for text in texts.into_iter().flatten() {
            self.token(text.as_json());
            let decoded = text.decoded();
            match serde_json::from_str::<String>(text.as_json()) {
                Ok(string) => assert_eq!(decoded, string),
                Err(_) => assert!(text.as_json().contains("\\u") && text.as_json().contains(decoded.as_ref())),
            }
        }
    }

    fn token(&self, token: &str) {
        let (whole, part) = (self.0.as_bytes().as_ptr_range(), token.as_bytes().as_ptr_range());
        assert!(whole.start <= part.start && part.end <= whole.end, "{token} is not in the text");
        assert!(is_json(token), "{token} is not JSON");
    }
}
