//! Which tables a client gets, where wal2json cannot tell: it knows a partition by its own name only.

use std::sync::Arc;

use super::relation::Seen;
use super::tables::Tables;
use super::{Missing, Relation, Structure, xid};
use crate::filter::Filter;
use crate::name::TableName;
use crate::wal2json::change::Table;

/// A filter, and what it says of the tables that were met.
///
/// Any table can become a part of another at any time, and changes do not tell. So a table is left out only for transactions that the catalogue
/// had seen when it was looked at; that others go on to be let through is found out a little later.
#[derive(Debug)]
pub struct Admission {
    filter: Option<Filter>,
    /// Each with the transactions that had been seen when that was true.
    known: Tables<(bool, Arc<Seen>)>,
    /// What tables there were when `known` was last known to be true.
    structure: Structure,
    in_doubt: bool,
    /// Whether the client wants to see the numbers of transactions.
    include_xids: bool,
    /// The transaction that is being read, or was.
    pub(super) xid: Option<u32>,
}

impl Admission {
    /// Only the tables that the filter admits, partitions by the names of those they are parts of.
    pub fn of(filter: &Filter, include_xids: bool) -> Self {
        let filter = filter.names_tables().then(|| filter.clone());
        Self { filter, known: Tables::default(), structure: Structure::default(), in_doubt: false, include_xids, xid: None }
    }

    pub(super) fn admits_all(&self) -> bool {
        self.filter.is_none()
    }

    /// Whether a change of the table is for this client, or else what must be known first.
    pub(super) fn admits(&mut self, table: &Table<'_>) -> Result<bool, Missing> {
        if self.admits_all() {
            return Ok(true);
        }
        let Some((admitted, seen)) = self.known.get(table) else { return Err(Missing::Relations(vec![name_of(table)])) };
        let is_doubtful = (self.in_doubt || !*admitted) && !seen.has(self.xid) && !self.structure.seen.has(self.xid);
        if is_doubtful { Err(Missing::Structure) } else { Ok(*admitted) }
    }

    /// Whether what is known of tables has to be looked at again first.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.in_doubt && !self.structure.seen.has(self.xid)
    }

    pub(super) fn missing_for(&self, table: &TableName) -> Option<Missing> {
        (!self.admits_all() && self.known.get_named(table).is_none()).then(|| Missing::Relations(vec![table.clone()]))
    }

    pub(super) fn admits_name(&self, table: &TableName) -> bool {
        self.admits_all() || self.known.get_named(table).is_some_and(|(admitted, _)| *admitted)
    }

    pub(super) fn learn(&mut self, table: &TableName, relation: &Relation) {
        let Some(filter) = &self.filter else { return };
        let names = std::iter::once(table).chain(&relation.ancestors).map(|name| (name.schema.as_str(), name.table.as_str()));
        let admitted = filter.admits(names);
        self.known.insert(table, (admitted, relation.seen.clone()));
    }

    /// Returns whether any table was altered.
    pub(super) fn learn_structure(&mut self, structure: Structure) -> bool {
        let is_altered = structure.fingerprint != self.structure.fingerprint;
        if is_altered {
            self.known = Tables::default();
        }
        self.structure = structure;
        self.in_doubt = false;
        is_altered
    }

    pub(super) fn doubt(&mut self) {
        self.in_doubt = true;
    }

    /// The catalogue has another history, in which the same numbers are other transactions'.
    pub(super) fn forget(&mut self) {
        self.known = Tables::default();
        self.structure = Structure::default();
    }

    /// Takes note of the transaction that a text is about, whose number stands at `start`, and takes that out if the client did not ask for it.
    pub(super) fn take_xid(&mut self, text: &mut Vec<u8>, start: usize) {
        self.xid = xid::take(text, start, self.include_xids).or(self.xid);
    }

    pub(super) fn forget_if_too_many(&mut self) {
        self.known.forget_if_too_many();
    }
}

/// The name as the catalogue has it.
pub(super) fn name_of(table: &Table<'_>) -> TableName {
    let schema = table.schema.map(|schema| schema.decoded().into_owned()).unwrap_or_default();
    TableName { schema, table: table.name.decoded().into_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::{admission, name, part_of, seen_before};
    use super::*;
    use crate::wal2json::v2::{Action, Record};

    /// Whether changes of the table are let through, in the transaction of that number.
    fn admits(admission: &mut Admission, table: &str, xid: u32) -> Result<bool, Missing> {
        let record = format!(r#"{{"action":"T","schema":"public","table":"{table}"}}"#);
        let Action::Truncate(table) = Record::parse(&record).unwrap().action else { panic!("{record}") };
        admission.xid = Some(xid);
        admission.admits(&table)
    }

    fn structure(fingerprint: i64, next: u32) -> Structure {
        Structure { fingerprint, seen: seen_before(next) }
    }

    #[test]
    fn a_table_that_is_left_out_may_have_become_a_part_of_another_since() {
        let mut admission = admission("root", "");
        assert_eq!(admits(&mut admission, "p", 10), Err(Missing::Relations(vec![name("p")])));
        admission.learn(&name("p"), &Relation { seen: seen_before(15), ..part_of(&[]) });
        assert_eq!(admits(&mut admission, "p", 10), Ok(false));
        assert_eq!(admits(&mut admission, "p", 20), Err(Missing::Structure), "it ended after the catalogue was looked at");
        assert!(admission.learn_structure(structure(1, 25)), "nobody knows what there was before");
        admission.learn(&name("p"), &Relation { seen: seen_before(26), ..part_of(&[]) });
        assert_eq!(admits(&mut admission, "p", 30), Err(Missing::Structure));
        assert!(!admission.learn_structure(structure(1, 35)));
        assert_eq!(admits(&mut admission, "p", 30), Ok(false));
        assert_eq!(admits(&mut admission, "p", 40), Err(Missing::Structure));
        assert!(admission.learn_structure(structure(2, 45)));
        assert_eq!(admits(&mut admission, "p", 40), Err(Missing::Relations(vec![name("p")])));
        admission.learn(&name("p"), &Relation { seen: seen_before(46), ..part_of(&["root"]) });
        assert_eq!(admits(&mut admission, "p", 40), Ok(true));
    }

    #[test]
    fn a_transaction_that_has_not_been_seen_is_doubted_however_old_it_is() {
        let mut admission = admission("root", "");
        let seen = Arc::new(Seen::read("10:20:12").unwrap());
        admission.learn(&name("p"), &Relation { seen, ..part_of(&[]) });
        assert_eq!((admits(&mut admission, "p", 11), admits(&mut admission, "p", 13)), (Ok(false), Ok(false)));
        assert_eq!(admits(&mut admission, "p", 12), Err(Missing::Structure), "its commit was written, and nothing of it could be seen yet");
    }

    #[test]
    fn a_table_that_is_let_through_is_doubted_only_now_and_then() {
        let mut admission = admission("", "root");
        admission.learn(&name("p"), &Relation { seen: seen_before(15), ..part_of(&[]) });
        assert_eq!(admits(&mut admission, "p", 20), Ok(true));
        admission.doubt();
        assert_eq!(admits(&mut admission, "p", 14), Ok(true), "that is old");
        assert_eq!(admits(&mut admission, "p", 20), Err(Missing::Structure));
        admission.learn_structure(structure(1, 25));
        admission.learn(&name("p"), &Relation { seen: seen_before(26), ..part_of(&["root"]) });
        assert_eq!(admits(&mut admission, "p", 20), Ok(false));
    }
}
