//! A table of the stream: what the catalogue says of it, held against what its changes say themselves.
//!
//! The catalogue is of now, and changes may be old. Where the two do not fit and the change is the younger one, the catalogue is asked again.
//! Where it is the older one, what the change says counts, and what nobody can tell is not told.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::format::Relation;
use crate::format::relation::{RelationColumn, ReplicaIdentity};
use crate::name::TableName;
use crate::row::write_string;
use crate::wal2json::change::{Change, Column, Kind, Table, Text};

/// How many different changes that do not fit are remembered of a table.
const MOST_ODD: usize = 100;

/// A table of the stream.
#[derive(Debug)]
pub(super) struct Known {
    relation: Relation,
    /// The names of the relation's columns, as JSON.
    names: Vec<String>,
    /// Whether anything came of it that could be told with this.
    was_met: bool,
    /// Whether a change had all the columns of the relation: from then on, one that is left out is unchanged.
    was_complete: bool,
    /// Changes that did not fit, and that the catalogue could say nothing new of, by what they say of the table.
    odd: HashSet<u64>,
    /// The one that the catalogue is being asked about.
    asked: Option<u64>,
}

/// What a change has of the row before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OldRow {
    /// All of it.
    Whole,
    /// What it is known by.
    Key,
}

/// Which columns an update leaves out because they did not change.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unchanged<'a> {
    /// These.
    Columns(Vec<&'a str>),
    /// There is no telling whether there are any.
    Unknown,
}

impl Known {
    pub(super) fn new(relation: Relation, former: Option<Self>) -> Self {
        let names = relation.columns.iter().map(|column| json(&column.name)).collect();
        let (mut odd, was_complete) = match former {
            Some(mut former) if former.relation.columns == relation.columns && former.relation.identity == relation.identity => {
                former.odd.extend(former.asked);
                (former.odd, former.was_complete)
            }
            _ => (HashSet::new(), false),
        };
        if odd.len() > MOST_ODD {
            odd.clear();
        }
        Self { was_met: !relation.is_ahead, relation, names, was_complete, odd, asked: None }
    }

    /// Whether anything came of the table that was told with what is known.
    pub(super) fn was_met(&self) -> bool {
        self.was_met
    }

    pub(super) fn oid(&self) -> Option<u32> {
        self.relation.oid
    }

    /// Whether the catalogue had seen the transaction when it was asked.
    pub(super) fn is_after(&self, xid: Option<u32>) -> bool {
        self.relation.seen.has(xid)
    }

    /// Takes note that something came of the table. Says whether it can be told with what is known: what was learnt ahead may have been altered since, and
    /// counts for the first that comes only if the catalogue had seen that.
    pub(super) fn meet(&mut self, xid: Option<u32>) -> bool {
        self.was_met = self.was_met || self.is_after(xid);
        self.was_met
    }

    /// Whether a change can be read with what is known.
    pub(super) fn is_true_for(&mut self, xid: Option<u32>, change: &Change<'_>) -> bool {
        self.meet(xid) && !self.is_outdated_by(xid, change)
    }

    /// Whether the table was altered after the catalogue was asked, and before this change.
    fn is_outdated_by(&mut self, xid: Option<u32>, change: &Change<'_>) -> bool {
        if self.is_after(xid) || self.fits(change) {
            return false;
        }
        let shape = shape(change);
        if self.odd.contains(&shape) {
            return false;
        }
        self.asked = Some(shape);
        true
    }

    fn fits(&self, change: &Change<'_>) -> bool {
        if self.relation.oid.is_none() {
            return false;
        }
        let is_whole = change.kind != Kind::Insert || change.columns.len() == self.relation.columns.len();
        is_whole && change.columns.iter().all(|column| self.has(column)) && self.identity_fits(change)
    }

    fn has(&self, column: &Column<'_>) -> bool {
        let columns = &self.relation.columns;
        let Some(Ok(at)) = column.position.map(|position| columns.binary_search_by_key(&position, |known| known.position)) else {
            return false;
        };
        columns.get(at).map(|known| known.type_oid) == column.type_oid
            && self.names.get(at).is_some_and(|name| name == column.name.as_json())
    }

    fn identity_fits(&self, change: &Change<'_>) -> bool {
        let Some(identity) = &change.identity else { return true };
        match &self.relation.identity {
            ReplicaIdentity::Nothing => false,
            ReplicaIdentity::Columns(names) => are_named(identity, names),
            ReplicaIdentity::Full => identity.len() == self.relation.columns.len(),
        }
    }

    /// Takes note of a change that is about to be written.
    pub(super) fn met(&mut self, change: &Change<'_>) {
        // Once is enough, and to look costs something.
        if !self.was_complete {
            let has_all = change.columns.len() == self.relation.columns.len() && change.columns.iter().all(|column| self.has(column));
            self.was_complete = has_all && !self.names.is_empty();
        }
    }

    /// How much of the row before a change is told. In doubt, what it is known by: whoever takes a part for the whole loses the rest.
    pub(super) fn old_row(&self, change: &Change<'_>) -> OldRow {
        let identity = change.identity.as_deref().unwrap_or_default();
        let is_key = || change.primary_key.as_deref().is_some_and(|key| same_names(identity, key.iter().map(|column| column.name)));
        // Of a row that is gone, only the catalogue says how many columns it had.
        let is_as_long = self.relation.oid.is_some() && identity.len() >= self.relation.columns.len();
        let has_all = || change.kind == Kind::Update && has_all(identity, &change.columns);
        let is_whole = match &self.relation.identity {
            ReplicaIdentity::Full => is_as_long || (!is_key() && has_all()),
            ReplicaIdentity::Columns(names) => !are_named(identity, names) && !is_key() && (is_as_long || has_all()),
            ReplicaIdentity::Nothing => !is_key() && (is_as_long || has_all()),
        };
        if is_whole { OldRow::Whole } else { OldRow::Key }
    }

    /// Which columns an update leaves out. While its transaction has a table, nobody alters that: a column that the catalogue has, which has not
    /// seen the transaction, was there before it.
    pub(super) fn unchanged(&self, xid: Option<u32>, change: &Change<'_>) -> Unchanged<'_> {
        if self.relation.oid.is_none() {
            return Unchanged::Unknown;
        }
        let is_told = |column: &RelationColumn| change.columns.iter().any(|told| told.position == Some(column.position));
        let left_out: Vec<(&RelationColumn, &String)> =
            self.relation.columns.iter().zip(&self.names).filter(|(column, _)| column.may_be_large && !is_told(column)).collect();
        // A column that was added after the change is left out of it too.
        let is_old = |column: &RelationColumn| self.was_complete || !self.relation.seen.has(xid) || column.is_older_than_slot;
        if left_out.iter().all(|(column, _)| is_old(column)) {
            Unchanged::Columns(left_out.into_iter().map(|(_, name)| name.as_str()).collect())
        } else {
            Unchanged::Unknown
        }
    }

    /// `,"schema":"public","table":"t"`, and for a partition the partitioned table at the top.
    pub(super) fn write_table(&self, table: &Table<'_>, out: &mut Vec<u8>) {
        if let Some(schema) = table.schema {
            out.extend_from_slice(br#","schema":"#);
            out.extend_from_slice(schema.as_json().as_bytes());
        }
        out.extend_from_slice(br#","table":"#);
        out.extend_from_slice(table.name.as_json().as_bytes());
        if let Some(TableName { schema, table: root }) = self.relation.ancestors.last() {
            out.extend_from_slice(br#","root":"#);
            write_string(out, root);
            if table.schema.is_none_or(|own| own.decoded() != schema.as_str()) {
                out.extend_from_slice(br#","rootSchema":"#);
                write_string(out, schema);
            }
        }
    }
}

/// Both are in the order of the table.
fn has_all(identity: &[Column<'_>], columns: &[Column<'_>]) -> bool {
    let mut before = identity.iter();
    columns.iter().all(|column| before.any(|old| old.name == column.name))
}

fn are_named(columns: &[Column<'_>], names: &[String]) -> bool {
    columns.len() == names.len() && columns.iter().zip(names).all(|(column, name)| column.name.decoded() == name.as_str())
}

fn same_names<'a>(columns: &[Column<'_>], names: impl ExactSizeIterator<Item = Text<'a>>) -> bool {
    columns.len() == names.len() && columns.iter().zip(names).all(|(column, name)| column.name == name)
}

/// What a change says of its table.
fn shape(change: &Change<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    change.kind.hash(&mut hasher);
    for column in change.columns.iter().chain(change.identity.iter().flatten()) {
        (column.position, column.type_oid, column.name).hash(&mut hasher);
    }
    hasher.finish()
}

fn json(name: &str) -> String {
    let mut json = vec![];
    write_string(&mut json, name);
    String::from_utf8(json).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::super::catalogue::relation;
    use super::super::told::{Told, delete, insert, update};
    use super::*;
    use crate::wal2json::v2::{Action, Record};

    /// The catalogue was asked at `0/10`.
    const EARLIER: &str = "0/10";
    const LATER: &str = "0/11";
    const ROW: [Told<'static>; 2] = [(1, "id", 23, "1"), (2, "big", 25, r#""x""#)];

    fn table() -> Relation {
        relation(&[("id", 23), ("big", 25)])
    }

    fn with_change<T>(record: &str, ask: impl FnOnce(Option<u32>, &Change<'_>) -> T) -> T {
        match Record::parse(record).unwrap() {
            // Where it stands is as good as the number of its transaction.
            Record { lsn: Some(lsn), action: Action::Change(change), .. } => ask(u32::try_from(lsn.to_u64()).ok(), &change),
            other => panic!("{other:?}"),
        }
    }

    fn is_outdated(known: &mut Known, record: &str) -> bool {
        with_change(record, |xid, change| known.is_outdated_by(xid, change))
    }

    fn unchanged(known: &Known, record: &str) -> Option<Vec<String>> {
        with_change(record, |xid, change| match known.unchanged(xid, change) {
            Unchanged::Columns(names) => Some(names.into_iter().map(str::to_owned).collect()),
            Unchanged::Unknown => None,
        })
    }

    #[test]
    fn what_fits_the_catalogue_is_no_reason_to_ask() {
        let mut known = Known::new(table(), None);
        for record in [
            insert(LATER, "t", &ROW),
            update(LATER, "t", &ROW, &ROW[..1], &["id"]),
            update(LATER, "t", &ROW[..1], &ROW[..1], &["id"]),
            delete(LATER, "t", &ROW[..1], &["id"]),
        ] {
            assert!(!is_outdated(&mut known, &record), "{record}");
        }
    }

    #[test]
    fn what_does_not_fit_is_a_reason_to_ask_if_the_change_is_younger() {
        let altered: [(&str, Vec<Told<'_>>); 4] = [
            ("added", [ROW.as_slice(), &[(3, "new", 23, "1")]].concat()),
            ("dropped", vec![ROW[0]]),
            ("renamed", vec![ROW[0], (2, "huge", 25, "null")]),
            ("retyped", vec![ROW[0], (2, "big", 23, "1")]),
        ];
        for (what, row) in altered {
            assert!(is_outdated(&mut Known::new(table(), None), &insert(LATER, "t", &row)), "{what}");
            assert!(!is_outdated(&mut Known::new(table(), None), &insert(EARLIER, "t", &row)), "{what}");
        }
        let gone = || Known::new(Relation { seen: table().seen, ..Relation::default() }, None);
        assert!(is_outdated(&mut gone(), &insert(LATER, "t", &ROW)) && !is_outdated(&mut gone(), &insert(EARLIER, "t", &ROW)));
    }

    #[test]
    fn another_identity_is_a_reason_to_ask() {
        let by_key = delete(LATER, "t", &ROW[..1], &["id"]);
        let whole = delete(LATER, "t", &ROW, &["id"]);
        let by_big = delete(LATER, "t", &ROW[1..], &["id"]);
        let columns = |name: &str| ReplicaIdentity::Columns(vec![name.to_owned()]);
        for (identity, fitting) in [
            (columns("id"), Some(&by_key)),
            (columns("big"), Some(&by_big)),
            (ReplicaIdentity::Full, Some(&whole)),
            (ReplicaIdentity::Nothing, None),
        ] {
            for record in [&by_key, &whole, &by_big] {
                let mut known = Known::new(Relation { identity: identity.clone(), ..table() }, None);
                assert_eq!(is_outdated(&mut known, record), fitting != Some(record), "{identity:?} {record}");
            }
        }
    }

    #[test]
    fn a_contradiction_that_stays_is_asked_about_once_whatever_comes_between() {
        let contradictions = [insert(LATER, "t", &ROW[..1]), delete(LATER, "t", &ROW, &["id"]), insert(LATER, "t", &[])];
        let mut known = Known::new(table(), None);
        for round in 0..3 {
            for record in &contradictions {
                let is_first = round == 0;
                assert_eq!(is_outdated(&mut known, record), is_first, "{record}");
                if is_first {
                    known = Known::new(table(), Some(known));
                }
            }
            assert!(!is_outdated(&mut known, &insert(LATER, "t", &ROW)));
        }
    }

    #[test]
    fn once_the_catalogue_has_something_new_contradictions_count_again() {
        let record = insert(LATER, "t", &ROW[..1]);
        let mut known = Known::new(table(), None);
        assert!(is_outdated(&mut known, &record));
        let mut known = Known::new(Relation { identity: ReplicaIdentity::Full, ..table() }, Some(known));
        assert!(is_outdated(&mut known, &record));
    }

    #[test]
    fn contradictions_without_end_are_not_all_remembered() {
        let mut known = Known::new(table(), None);
        for position in 0..1_000 {
            assert!(is_outdated(&mut known, &insert(LATER, "t", &[(position, "x", 23, "1")])));
            known = Known::new(table(), Some(known));
        }
        assert!(known.odd.len() <= MOST_ODD);
    }

    #[test]
    fn what_is_left_out_is_unchanged_if_it_was_there() {
        let with_late = || relation(&[("id", 23), ("big", 25), ("late", 25)]);
        let record = |lsn| update(lsn, "t", &ROW[..1], &ROW[..1], &["id"]);
        let both = Some(vec![String::from("\"big\""), String::from("\"late\"")]);
        assert_eq!(unchanged(&Known::new(with_late(), None), &record(LATER)), both, "the catalogue is older than the change");
        assert_eq!(unchanged(&Known::new(with_late(), None), &record(EARLIER)), None, "either may be younger than the change");
        let mut older = with_late();
        older.columns.iter_mut().for_each(|column| column.is_older_than_slot = true);
        assert_eq!(unchanged(&Known::new(older, None), &record(EARLIER)), both);
        let mut complete = Known::new(with_late(), None);
        let row = [ROW.as_slice(), &[(3, "late", 25, "null")]].concat();
        with_change(&insert(EARLIER, "t", &row[..2]), |_, change| complete.met(change));
        assert_eq!(unchanged(&complete, &record(EARLIER)), None, "late was not there yet");
        with_change(&insert(EARLIER, "t", &row), |_, change| complete.met(change));
        assert_eq!(unchanged(&complete, &record(EARLIER)), both, "it has been seen");
        assert_eq!(unchanged(&Known::new(with_late(), Some(complete)), &record(EARLIER)), both, "and the catalogue says the same");
        let gone = Known::new(Relation::default(), None);
        assert_eq!(unchanged(&gone, &record(LATER)), None);
    }

    #[test]
    fn what_cannot_be_large_is_never_left_out() {
        let small = relation(&[("id", 23), ("dropped", 23)]);
        assert_eq!(unchanged(&Known::new(small, None), &update(EARLIER, "t", &ROW[..1], &ROW[..1], &["id"])), Some(vec![]));
    }
}
