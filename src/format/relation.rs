//! A table as the catalogue has it, so far as its changes do not say it themselves.

use std::sync::Arc;

use crate::name::TableName;
use crate::row::Encoding;

/// What the catalogue has of a table that changes are told of. It is of now, and they may be of long ago.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relation {
    /// Its identity; none for a table that is not there any more.
    pub oid: Option<u32>,
    /// The partitioned tables that it is a part of, the nearest first.
    pub ancestors: Vec<TableName>,
    /// Its replica identity.
    pub identity: ReplicaIdentity,
    /// Its columns, in the order of their positions.
    pub columns: Vec<RelationColumn>,
    /// The transactions whose doings are in this.
    pub seen: Arc<Seen>,
    /// Whether it was learnt beside the one that was asked for.
    pub is_ahead: bool,
}

/// What a row that changed is known by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ReplicaIdentity {
    /// Nothing: its updates and deletes are not told.
    #[default]
    Nothing,
    /// The columns of its primary key or of another index, by their names, in the order of their positions.
    Columns(Vec<String>),
    /// The whole row.
    Full,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationColumn {
    /// Its number, which it keeps.
    pub position: i16,
    /// Its name.
    pub name: String,
    /// Its type in `pg_type`.
    pub type_oid: u32,
    /// How its values are written.
    pub encoding: Encoding,
    /// Whether its values may be kept outside of the row, and are then left out of an update that does not change them.
    pub may_be_large: bool,
    /// Whether it is older than anything that the slot still has to send.
    pub is_older_than_slot: bool,
}

/// What tables there are and how they hang together, in one number that changes with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Structure {
    /// Says nothing by itself.
    pub fingerprint: i64,
    /// The transactions whose doings are in this.
    pub seen: Arc<Seen>,
}

/// Which transactions a snapshot has seen the end of.
///
/// A position cannot say that: wal2json sends a transaction as soon as its commit is written, and others see it only later, in whatever order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The first number that was not given out yet.
    next: u64,
    /// Those before that, which had not ended.
    in_progress: Vec<u64>,
}

/// Half of the numbers that the stream tells transactions by; they are told modulo twice as much.
const HALF: u64 = 1 << 31;

impl Seen {
    /// Reads a snapshot as Postgres writes it: `xmin:xmax:xip,xip`.
    pub fn read(snapshot: &str) -> Option<Self> {
        let mut parts = snapshot.split(':').skip(1);
        let next = parts.next()?.parse().ok()?;
        let in_progress = parts.next()?.split(',').filter(|xid| !xid.is_empty()).map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(Self { next, in_progress })
    }

    /// Whether it has seen the end of a transaction. Without a number nobody can tell, and it is taken for one of long ago.
    pub fn has(&self, xid: Option<u32>) -> bool {
        let Some(xid) = xid else { return true };
        // The one of that number that is nearest to the next.
        let same_epoch = self.next / (2 * HALF) * (2 * HALF) + u64::from(xid);
        let nearest = if same_epoch >= self.next + HALF {
            same_epoch.checked_sub(2 * HALF)
        } else if self.next >= same_epoch + HALF {
            Some(same_epoch + 2 * HALF)
        } else {
            Some(same_epoch)
        };
        nearest.is_some_and(|xid| xid < self.next && !self.in_progress.contains(&xid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_has_seen_what_ended_before_it() {
        let seen = Seen::read("740:745:741,743").unwrap();
        assert!([3, 739, 740, 742, 744].iter().all(|xid| seen.has(Some(*xid))));
        assert!([741, 743, 745, 746, u32::MAX].iter().all(|xid| !seen.has(Some(*xid))));
        assert!(seen.has(None));
        assert!(Seen::read("740:740:").unwrap().has(Some(739)));
        assert_eq!([Seen::read(""), Seen::read("1"), Seen::read("1:x:"), Seen::read("1:2:y")], [None, None, None, None]);
    }

    #[test]
    fn numbers_come_again_after_four_billion() {
        let seen = Seen::read("4294967300:4294967310:4294967305").unwrap();
        assert!([4, 13, u32::MAX, 3_000_000_000].iter().all(|xid| seen.has(Some(*xid))), "of this epoch and of the one before");
        assert!([9, 14, 2_000_000_000].iter().all(|xid| !seen.has(Some(*xid))));
        let at_the_end = Seen::read("4294967290:4294967295:").unwrap();
        assert!(at_the_end.has(Some(4_294_967_294)) && !at_the_end.has(Some(5)), "which is of the next epoch");
    }
}
