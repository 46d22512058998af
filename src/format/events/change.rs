//! Writes one change as an event.

use std::collections::BTreeMap;

use super::known::{Known, OldRow, Unchanged};
use super::op;
use crate::row::{Encoding, Numbers, oid, write_value};
use crate::wal2json::change::{Change, Column, Kind, Text, Value};

/// A change, and all that is needed to write it.
pub(super) struct ChangeWriter<'a> {
    pub(super) change: &'a Change<'a>,
    pub(super) known: &'a Known,
    pub(super) types: &'a BTreeMap<u32, Encoding>,
    pub(super) numbers: Numbers,
    pub(super) xid: Option<u32>,
}

impl ChangeWriter<'_> {
    /// About how long the values are.
    pub(super) fn length(&self) -> usize {
        self.change.columns.iter().chain(self.change.identity.iter().flatten()).map(|column| column.value.as_json().len()).sum()
    }

    /// Writes all of the event but its id and its last brace.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#""op":""#);
        out.extend_from_slice(op(self.change.kind).as_bytes());
        out.push(b'"');
        self.known.write_table(&self.change.table, out);
        match self.change.kind {
            Kind::Insert => self.write_row("new", self.change.columns.iter(), out),
            Kind::Update => self.write_update(out),
            Kind::Delete => {
                self.write_old(self.known.old_row(self.change), out);
            }
        }
    }

    fn write_update(&self, out: &mut Vec<u8>) {
        let old_row = self.known.old_row(self.change);
        self.write_old(old_row, out);
        match old_row {
            OldRow::Whole => self.write_row("new", self.filled(), out),
            OldRow::Key => {
                self.write_row("new", self.change.columns.iter(), out);
                self.write_unchanged(out);
            }
        }
    }

    /// What the row was known by, and the whole of it if that is told.
    fn write_old(&self, old_row: OldRow, out: &mut Vec<u8>) {
        let identity = self.change.identity.as_deref().unwrap_or_default();
        match old_row {
            OldRow::Key => self.write_row("key", identity.iter(), out),
            OldRow::Whole => {
                let key = self.change.primary_key.as_deref().unwrap_or_default();
                if !key.is_empty() {
                    self.write_row("key", identity.iter().filter(|column| key.iter().any(|key| key.name == column.name)), out);
                }
                self.write_row("old", identity.iter(), out);
            }
        }
    }

    /// The row from now on, with what did not change taken from the row before.
    fn filled(&self) -> impl Iterator<Item = &Column<'_>> {
        let mut told = self.change.columns.iter().peekable();
        self.change.identity.iter().flatten().map(move |old| told.next_if(|new| new.name == old.name).unwrap_or(old))
    }

    fn write_unchanged(&self, out: &mut Vec<u8>) {
        match self.known.unchanged(self.xid, self.change) {
            Unchanged::Unknown => out.extend_from_slice(br#","unchangedUnknown":true"#),
            Unchanged::Columns(names) if names.is_empty() => {}
            Unchanged::Columns(names) => {
                out.extend_from_slice(br#","unchanged":["#);
                out.extend_from_slice(names.join(",").as_bytes());
                out.push(b']');
            }
        }
    }

    fn write_row<'c>(&self, member: &str, columns: impl Iterator<Item = &'c Column<'c>>, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(member.as_bytes());
        out.extend_from_slice(b"\":{");
        for (index, column) in columns.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(column.name.as_json().as_bytes());
            out.push(b':');
            self.write_column(column, out);
        }
        out.push(b'}');
    }

    fn write_column(&self, column: &Column<'_>, out: &mut Vec<u8>) {
        let encoding = column.type_oid.and_then(|oid| self.types.get(&oid)).unwrap_or(&Encoding::Text);
        match column.value.as_text() {
            None => write_bare(column.value, encoding, self.numbers, out),
            Some(text) if column.type_oid == Some(oid::BYTEA) => {
                // wal2json writes it without the `\x` in front.
                out.extend_from_slice(br#""\\x"#);
                out.extend_from_slice(text.as_json().strip_prefix('"').unwrap_or_default().as_bytes());
            }
            Some(text) if *encoding == Encoding::Text => out.extend_from_slice(text.as_json().as_bytes()),
            Some(text) => write_value(out, encoding, self.numbers, Some(&Text::decoded(text))),
        }
    }
}

/// What wal2json writes without quotes: null, booleans, and numbers, among them OIDs, which are text to us.
fn write_bare(value: Value<'_>, encoding: &Encoding, numbers: Numbers, out: &mut Vec<u8>) {
    let token = value.as_json();
    let is_number = token.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    if is_number && (*encoding != Encoding::Number || numbers == Numbers::Strings) {
        out.push(b'"');
        out.extend_from_slice(token.as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(token.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::catalogue::{relation, seen_before};
    use super::super::told::{Told, delete, event, insert, update, written};
    use super::*;
    use crate::format::Relation;
    use crate::format::relation::ReplicaIdentity;
    use crate::row::Encoding::{Boolean, Json, Number, Text, Timestamp, TimestampTz};
    use serde_json::{Value, json};

    const LATER: &str = "0/20";
    const ROW: [Told<'static>; 4] = [(1, "id", 23, "2"), (2, "code", 23, "20"), (3, "big", 25, r#""long""#), (4, "note", 25, r#""a\nb""#)];

    fn table(identity: ReplicaIdentity) -> Relation {
        Relation { identity, ..relation(&[("id", 23), ("code", 23), ("big", 25), ("note", 25)]) }
    }

    fn by(column: &str) -> ReplicaIdentity {
        ReplicaIdentity::Columns(vec![String::from(column)])
    }

    /// Without the columns at these positions.
    fn row_without(positions: &[i16]) -> Vec<Told<'static>> {
        ROW.into_iter().filter(|(position, ..)| !positions.contains(position)).collect()
    }

    /// With the members that any event of the table has.
    fn of(op: &str, rest: &Value) -> Value {
        let mut event = json!({"op": op, "schema": "public", "table": "t"});
        event.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        event
    }

    #[test]
    fn an_insert_has_the_row() {
        let new = json!({"id": 2, "code": 20, "big": "long", "note": "a\nb"});
        for identity in [by("id"), by("code"), ReplicaIdentity::Full, ReplicaIdentity::Nothing] {
            assert_eq!(event(&table(identity), &insert(LATER, "t", &ROW)), of("insert", &json!({"new": new})));
        }
    }

    #[test]
    fn what_a_row_was_known_by_is_its_key() {
        for (identity, old, key) in
            [(by("id"), (1, "id", 23, "1"), json!({"id": 1})), (by("code"), (2, "code", 23, "10"), json!({"code": 10}))]
        {
            let table = table(identity);
            let updated = event(&table, &update(LATER, "t", &ROW, &[old], &["id"]));
            assert_eq!(updated, of("update", &json!({"key": key, "new": {"id": 2, "code": 20, "big": "long", "note": "a\nb"}})));
            let without_big = event(&table, &update(LATER, "t", &row_without(&[3]), &[old], &["id"]));
            let expected = json!({"key": key, "new": {"id": 2, "code": 20, "note": "a\nb"}, "unchanged": ["big"]});
            assert_eq!(without_big, of("update", &expected));
            assert_eq!(event(&table, &delete(LATER, "t", &[old], &["id"])), of("delete", &json!({"key": key})));
        }
    }

    #[test]
    fn all_that_is_left_out_is_unchanged_in_the_order_of_the_columns() {
        let updated = event(&table(by("id")), &update(LATER, "t", &row_without(&[4, 3]), &ROW[..1], &["id"]));
        assert_eq!(updated["unchanged"], json!(["big", "note"]));
    }

    #[test]
    fn under_full_the_row_before_is_told_and_fills_what_did_not_change() {
        let old = [(1, "id", 23, "1"), (2, "code", 23, "10"), (3, "big", 25, r#""long""#), (4, "note", 25, "null")];
        let full = table(ReplicaIdentity::Full);
        let before = json!({"id": 1, "code": 10, "big": "long", "note": null});
        let after = json!({"id": 2, "code": 20, "big": "long", "note": "a\nb"});
        let expected = of("update", &json!({"key": {"id": 1}, "old": before, "new": after}));
        assert_eq!(event(&full, &update(LATER, "t", &ROW, &old, &["id"])), expected);
        assert_eq!(event(&full, &update(LATER, "t", &row_without(&[3]), &old, &["id"])), expected);
        assert_eq!(event(&full, &delete(LATER, "t", &old, &["id"])), of("delete", &json!({"key": {"id": 1}, "old": before})));
        let without_key = of("delete", &json!({"old": before}));
        assert_eq!(event(&full, &delete(LATER, "t", &old, &[])), without_key, "it has no primary key");
    }

    /// It was NOTHING when the catalogue was asked, and the change is older.
    #[test]
    fn a_change_says_itself_what_its_identity_was() {
        let nothing = Relation { seen: seen_before(1_000), ..table(ReplicaIdentity::Nothing) };
        assert_eq!(event(&nothing, &delete(LATER, "t", &ROW[..1], &["id"])), of("delete", &json!({"key": {"id": 2}})));
        assert_eq!(event(&nothing, &delete(LATER, "t", &ROW, &["id"]))["old"], json!({"id": 2, "code": 20, "big": "long", "note": "a\nb"}));
    }

    #[test]
    fn a_partition_says_what_it_is_part_of() {
        let above = |names: &[&str]| names.iter().map(|name| super::super::super::catalogue::name(name)).collect();
        let part = Relation { ancestors: above(&["q", "p"]), ..table(by("id")) };
        let told = event(&part, &insert(LATER, "t", &ROW));
        assert_eq!((&told["root"], told.get("rootSchema")), (&json!("p"), None));
        let part = Relation { ancestors: above(&["\"S\".\"p\"\"\""]), ..table(by("id")) };
        let told = event(&part, &insert(LATER, "t", &ROW));
        assert_eq!((&told["root"], &told["rootSchema"]), (&json!("p\""), &json!("S")));
    }

    fn bare(type_oid: u32, encoding: Encoding, value: &str) -> String {
        written(type_oid, encoding, Numbers::Bare, value)
    }

    fn array_of(element: Encoding) -> Encoding {
        Encoding::Array { element: Box::new(element), delimiter: b',' }
    }

    #[test]
    fn a_value_is_what_the_row_model_says() {
        const DOMAIN: u32 = 3_000_000_000;
        let cases = [
            (16, Boolean, "true", "true"),
            (23, Number, "-7", "-7"),
            (1700, Number, "0.1000", "0.1000"),
            (701, Number, "1e+308", "1e+308"),
            (701, Number, "null", "null"),
            (26, Text, "26", r#""26""#),
            (25, Text, r#""quote \" back \\ line \n""#, r#""quote \" back \\ line \n""#),
            (25, Text, r#""""#, r#""""#),
            (17, Text, r#""00ff""#, r#""\\x00ff""#),
            (17, Text, r#""""#, r#""\\x""#),
            (17, Text, "null", "null"),
            (DOMAIN, Text, r#""\\xdead""#, r#""\\xdead""#),
            (DOMAIN, Boolean, r#""t""#, "true"),
            (DOMAIN, Number, r#""5""#, "5"),
            (DOMAIN, Number, r#""0.10""#, "0.10"),
            (DOMAIN, Number, r#""NaN""#, r#""NaN""#),
            (DOMAIN, array_of(Number), r#""{1,NULL}""#, "[1,null]"),
            (114, Json, r#""{\"a\": 1.10,\n\r\"b\": \"\\n\"}""#, r#"{"a": 1.10,  "b": "\n"}"#),
            (3802, Json, r#""null""#, "null"),
            (1114, Timestamp, r#""2024-01-02 03:04:05.5""#, r#""2024-01-02T03:04:05.5""#),
            (1184, TimestampTz, r#""2024-01-02 03:04:05+00""#, r#""2024-01-02T03:04:05+00:00""#),
            (1009, array_of(Text), r#""{\"a b\",NULL,\"c\\\"d\"}""#, r#"["a b",null,"c\"d"]"#),
            (1000, array_of(Boolean), r#""{t,NULL}""#, "[true,null]"),
            (1007, array_of(Number), r#""[0:1]={7,8}""#, "[7,8]"),
        ];
        for (type_oid, encoding, value, expected) in cases {
            assert_eq!(bare(type_oid, encoding, value), expected, "{type_oid} {value}");
        }
    }

    #[test]
    fn numbers_are_strings_where_that_is_wanted() {
        for (type_oid, encoding, value, expected) in [
            (20, Number, "9007199254740993", r#""9007199254740993""#),
            (1700, Number, "-0.1000", r#""-0.1000""#),
            (701, Number, "null", "null"),
            (16, Boolean, "false", "false"),
            (1007, array_of(Number), r#""{1,NULL}""#, r#"["1",null]"#),
            (114, Json, r#""[1]""#, "[1]"),
        ] {
            assert_eq!(written(type_oid, encoding, Numbers::Strings, value), expected, "{type_oid} {value}");
        }
    }
}
