//! A catalogue for tests: answers what a format asks, and remembers the questions.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::relation::{RelationColumn, ReplicaIdentity, Seen};
use super::{Admission, Answer, Format, Item, Missing, Read, ReadError, Relation, Structure};
use crate::filter::{Filter, TablePattern};
use crate::name::TableName;
use crate::row::Encoding;
use crate::wal2json::Malformed;

/// What there is, and what was asked of it.
#[derive(Debug)]
pub(super) struct Catalogue {
    pub(super) relations: HashMap<TableName, Relation>,
    pub(super) types: HashMap<u32, Encoding>,
    pub(super) structure: Structure,
    /// But for questions about the structure.
    pub(super) asked: Vec<Missing>,
}

impl Default for Catalogue {
    /// In which nothing is ever altered.
    fn default() -> Self {
        let structure = Structure { fingerprint: 0, seen: seen_before(2_000_000_000) };
        Self { relations: HashMap::new(), types: HashMap::new(), structure, asked: vec![] }
    }
}

impl Catalogue {
    pub(super) fn with(mut self, table: &str, relation: Relation) -> Self {
        self.relations.insert(name(table), relation);
        self
    }

    /// Has a format read a frame, as a session does. Whoever asks again and again is told nothing new, and given up.
    pub(super) fn read(&mut self, format: &mut Format, frame: &[u8]) -> Result<Vec<Item>, ReadError> {
        let (mut frame, mut items) = (frame.to_vec(), VecDeque::new());
        for _ in 0..4 {
            match format.read(frame, &mut items)? {
                Read::Done => return Ok(items.into()),
                Read::Missing(missing, same) => {
                    assert!(items.is_empty(), "what is not read leaves nothing: {items:?}");
                    self.answer(format, &missing);
                    self.asked.extend(Some(missing).filter(|missing| *missing != Missing::Structure));
                    frame = same;
                }
            }
        }
        Err(Malformed.into())
    }

    /// All that comes of some frames.
    pub(super) fn read_all<T: AsRef<[u8]>>(&mut self, format: &mut Format, frames: &[T]) -> Vec<Item> {
        frames.iter().flat_map(|frame| self.read(format, frame.as_ref()).unwrap()).collect()
    }

    fn answer(&self, format: &mut Format, missing: &Missing) {
        match missing {
            Missing::Relations(tables) => {
                let relation = |table| self.relations.get(table).cloned().unwrap_or_default();
                format.learn(Answer::Relations(tables.iter().map(|table| (table.clone(), relation(table))).collect()));
            }
            Missing::Types(types) => {
                let encoding = |oid| self.types.get(oid).cloned().unwrap_or(Encoding::of_scalar(*oid));
                format.learn(Answer::Types(types.iter().map(|oid| (*oid, encoding(oid))).collect()));
            }
            Missing::Structure => format.learn(Answer::Structure(self.structure.clone())),
        }
    }
}

/// All transactions before this one.
pub(super) fn seen_before(next: u32) -> Arc<Seen> {
    Arc::new(Seen::read(&format!("{next}:{next}:")).unwrap())
}

/// A table as SQL names it.
pub(super) fn name(table: &str) -> TableName {
    table.parse().unwrap()
}

/// A filter on tables, as a request has it; nothing said is no filter.
pub(super) fn admission(tables: &str, exclude_tables: &str) -> Admission {
    let list = |list: &str| if list.is_empty() { vec![] } else { TablePattern::list(list).unwrap() };
    let tables = if tables.is_empty() { vec![] } else { vec![list(tables)] };
    Admission::of(&Filter { tables, exclude_tables: list(exclude_tables), actions: None }, true)
}

/// A partition of others, the nearest first.
pub(super) fn part_of(above: &[&str]) -> Relation {
    Relation { oid: Some(16_385), ancestors: above.iter().map(|table| name(table)).collect(), ..Relation::default() }
}

/// A table whose columns have these names and types, with the first as its key; large are those of types that may be.
pub(super) fn relation(columns: &[(&str, u32)]) -> Relation {
    let columns: Vec<RelationColumn> = (1..)
        .zip(columns)
        .map(|(position, (name, type_oid))| RelationColumn {
            position,
            name: String::from(*name),
            type_oid: *type_oid,
            encoding: Encoding::of_scalar(*type_oid),
            may_be_large: matches!(type_oid, 17 | 25 | 114 | 1700 | 3802),
            is_older_than_slot: false,
        })
        .collect();
    let identity = ReplicaIdentity::Columns(columns.iter().take(1).map(|column| column.name.clone()).collect());
    Relation { oid: Some(16_384), ancestors: vec![], identity, columns, seen: seen_before(0x11), is_ahead: false }
}
