//! What a client asked for, made of what wal2json writes: a frame comes in, messages come out, each with its place in the stream.
//!
//! Decides and does not wait. What it must know of the catalogue it asks for ([`Missing`]), and takes the same frame again once it was told.

mod admission;
mod events;
mod place;
mod records;
pub mod relation;
mod tables;
mod transactions;
mod xid;

use std::collections::VecDeque;

use crate::lsn::Lsn;
use crate::message::NoticeCode;
use crate::name::TableName;
use crate::row::Encoding;
use crate::wal2json::Malformed;

pub use admission::Admission;
pub use events::Events;
pub use records::Records;
pub use relation::{Relation, Structure};
pub use transactions::Transactions;

/// One thing for the session to do. They keep their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A message of the transaction that ends at `commit_end`; more of it follow.
    Part {
        /// The message.
        text: String,
        /// Where the transaction ends.
        commit_end: Lsn,
    },
    /// The last message of a transaction, or its only one.
    Last {
        /// The message.
        text: String,
        /// Where the transaction ends.
        commit_end: Lsn,
    },
    /// A transaction has ended, and there was nothing in it for the client.
    Nothing {
        /// Where the transaction ends.
        commit_end: Lsn,
    },
    /// A message outside of any transaction.
    Outside(String),
}

impl Item {
    /// Where a transaction ends with this, if one does.
    pub fn end(&self) -> Option<Lsn> {
        match self {
            Self::Last { commit_end, .. } | Self::Nothing { commit_end } => Some(*commit_end),
            Self::Part { .. } | Self::Outside(_) => None,
        }
    }
}

/// What must be known before a frame can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// What the catalogue has of these tables. What was told before may be out of date.
    Relations(Vec<TableName>),
    /// How values of these types are written, by their OIDs.
    Types(Vec<u32>),
    /// Whether any table was altered since.
    Structure,
}

/// Tables to ask for before anything of them has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ahead {
    /// How many.
    pub most: usize,
    /// Those that are known already, by their OIDs.
    pub known: Vec<u32>,
}

/// What is told of it.
#[derive(Debug)]
pub enum Answer {
    /// What the catalogue has of each table, and maybe of others.
    Relations(Vec<(TableName, Relation)>),
    /// How values of each type are written.
    Types(Vec<(u32, Encoding)>),
    /// What tables there are.
    Structure(Structure),
}

/// What became of a frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// It was read; what came of it is at the end of the queue.
    Done,
    /// Nothing yet: the frame is to be given again, once this was told.
    Missing(Missing, Vec<u8>),
}

/// A frame that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It is not what wal2json writes.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The wire was taken up anew in the middle of a transaction, and another one came.
    #[error("the transaction that was being sent did not come again")]
    AnotherTransaction,
}

/// A client's format.
#[derive(Debug)]
pub enum Format {
    /// `wal2json-v1`
    Transactions(Transactions),
    /// `wal2json-v2`
    Records(Records),
    /// `events`
    Events(Box<Events>),
}

impl Format {
    /// Reads a frame and puts what comes of it at the end of `items`.
    pub fn read(&mut self, frame: Vec<u8>, items: &mut VecDeque<Item>) -> Result<Read, ReadError> {
        let read = match self {
            Self::Transactions(transactions) => transactions.read(frame, items),
            Self::Records(records) => records.read(frame, items),
            Self::Events(events) => events.read(frame, items),
        }?;
        if read == Read::Done {
            self.forget_if_too_many();
        }
        Ok(read)
    }

    /// Forgets what was learnt of the catalogue: that of a server with another history is another one, and gives the same numbers to other
    /// transactions.
    pub fn forget(&mut self) {
        match self {
            Self::Events(events) => events.forget(),
            format => format.admission_mut().forget(),
        }
    }

    /// Forgets which tables are for the client, and which are not.
    pub fn forget_admitted(&mut self) {
        self.admission_mut().forget();
    }

    fn forget_if_too_many(&mut self) {
        match self {
            Self::Events(events) => events.forget_if_too_many(),
            format => format.admission_mut().forget_if_too_many(),
        }
    }

    /// Whether a transaction has begun that has not ended: what the server says of its own position means nothing until then.
    pub fn is_inside(&self) -> bool {
        match self {
            Self::Transactions(transactions) => transactions.is_inside(),
            Self::Records(records) => records.is_inside(),
            Self::Events(events) => events.is_inside(),
        }
    }

    /// The transaction that is being read, by its number. What the catalogue says is of use only once it has seen that.
    pub fn xid(&self) -> Option<u32> {
        self.admission().xid
    }

    /// Which tables are of use beside one that is missing, where much is to come at once.
    pub fn ahead(&self) -> Ahead {
        match self {
            Self::Events(events) => events.ahead(),
            Self::Transactions(_) | Self::Records(_) => Ahead::default(),
        }
    }

    /// What was asked for, and more of the kind.
    pub fn learn(&mut self, answer: Answer) {
        match (self, answer) {
            (Self::Events(events), answer) => events.learn(answer),
            (format, Answer::Relations(relations)) => {
                for (table, relation) in relations {
                    format.admission_mut().learn(&table, &relation);
                }
            }
            (format, Answer::Structure(structure)) => {
                format.admission_mut().learn_structure(structure);
            }
            (_, Answer::Types(_)) => {}
        }
    }

    /// What is known of tables is to be looked at again with the next change: they may have been altered.
    pub fn doubt(&mut self) {
        self.admission_mut().doubt();
    }

    /// What must be known before [`Format::admits`] can tell.
    pub fn missing_for(&self, table: &TableName) -> Option<Missing> {
        self.admission().missing_for(table)
    }

    /// Whether a table is for this client.
    pub fn admits(&self, table: &TableName) -> bool {
        self.admission().admits_name(table)
    }

    fn admission(&self) -> &Admission {
        match self {
            Self::Transactions(transactions) => &transactions.admission,
            Self::Records(records) => &records.admission,
            Self::Events(events) => &events.admission,
        }
    }

    fn admission_mut(&mut self) -> &mut Admission {
        match self {
            Self::Transactions(transactions) => &mut transactions.admission,
            Self::Records(records) => &mut records.admission,
            Self::Events(events) => &mut events.admission,
        }
    }

    /// Tells the client something that is no part of the stream, where its format has a way to say it.
    pub fn notice(&self, code: NoticeCode, message: String, table: &TableName) -> Option<String> {
        matches!(self, Self::Events(_)).then(|| events::notice(code, message, table))
    }

    /// The wire is taken up anew, at the end of the last transaction that was read to its end. What was read after that comes again: if there
    /// was a message of it, all that was read is passed over.
    pub fn rewind(&mut self) {
        match self {
            Self::Transactions(transactions) => transactions.rewind(),
            Self::Records(records) => records.rewind(),
            Self::Events(events) => events.rewind(),
        }
    }

    /// Where the transaction ends that has not ended, and of which there were messages.
    pub fn begun(&self) -> Option<Lsn> {
        match self {
            Self::Transactions(transactions) => transactions.begun(),
            Self::Records(records) => records.begun(),
            Self::Events(events) => events.begun(),
        }
    }
}

/// Once a transaction is too long for one message, this is as long as its further messages get: the less has to be in memory.
const PART_BYTES: usize = 1024 * 1024;

/// Makes room for more text in a message of at most `limit` bytes. A long one is given all that it may come to need at once: to be doubled
/// and copied again and again leaves holes in the memory.
fn make_room(text: &mut Vec<u8>, more: usize, limit: usize) {
    let needed = text.len() + more;
    if needed > text.capacity() && needed > PART_BYTES {
        text.reserve_exact(needed.max(limit) - text.len());
    }
}

#[cfg(test)]
mod catalogue;
