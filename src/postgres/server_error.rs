//! What Postgres answers when it refuses, and what that means to us: one table from SQLSTATE to condition.

use std::fmt;

/// An error of the server, without any value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// Five characters, as in appendix A of the Postgres manual.
    pub sqlstate: String,
    /// The primary message.
    pub message: String,
    /// Whether wal2json raised it.
    pub by_plugin: bool,
}

impl ServerError {
    /// An error as the server sent it, but for texts that may quote the data: those of data exceptions, broken constraints, and raised by
    /// functions.
    pub(super) fn new(sqlstate: String, message: String) -> Self {
        let quotes_data = sqlstate != "22023" && ["22", "23", "P0"].iter().any(|class| sqlstate.starts_with(class));
        Self { sqlstate, message: if quotes_data { String::from("an error in the data") } else { message }, by_plugin: false }
    }

    /// What the error means to us.
    pub fn condition(&self) -> Condition {
        match Condition::of(&self.sqlstate) {
            Condition::TooLong if !self.by_plugin => Condition::Other,
            condition => condition,
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (SQLSTATE {})", self.message, self.sqlstate)
    }
}

impl std::error::Error for ServerError {}

/// The errors that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Something that must exist does not: a slot, a type, a role.
    NoSuchObject,
    /// Something of that name exists.
    Exists,
    /// A slot is being used, or another object is busy.
    InUse,
    /// A lock was not to be had in time.
    LockTimeout,
    /// A file is not there: the output plugin is not installed.
    NoSuchFile,
    /// The role may not.
    Forbidden,
    /// All slots or WAL senders are taken.
    LimitReached,
    /// `wal_level` is too low, or a slot has lost its WAL.
    NotInState,
    /// The server is a standby.
    ReadOnly,
    /// No such table, column or schema.
    NoSuchTable,
    /// A type has no such operator: its values have no order.
    NoOperator,
    /// Postgres has not been taught to do that: to compare rows by operators that are no order, for one.
    NotSupported,
    /// A snapshot identifier, or another value, means nothing to the server.
    InvalidValue,
    /// A text is no value of its type, or a value is out of range.
    InvalidData,
    /// The server stops, or somebody ended the connection.
    Terminated,
    /// No memory, no disk, or cancelled: it may go better the next time.
    Passing,
    /// wal2json cannot write a text that is so long, now or ever.
    TooLong,
    /// Log-in refused.
    LoginRefused,
    /// Any other.
    Other,
}

impl Condition {
    fn of(sqlstate: &str) -> Self {
        match sqlstate {
            "42704" | "3D000" => Self::NoSuchObject,
            "42710" => Self::Exists,
            "55006" => Self::InUse,
            "55P03" => Self::LockTimeout,
            "58P01" => Self::NoSuchFile,
            "42501" => Self::Forbidden,
            "53300" | "53400" => Self::LimitReached,
            "55000" => Self::NotInState,
            "25006" => Self::ReadOnly,
            "42P01" | "42703" | "3F000" => Self::NoSuchTable,
            "42883" => Self::NoOperator,
            "0A000" => Self::NotSupported,
            "22023" => Self::InvalidValue,
            _ if sqlstate.starts_with("22") => Self::InvalidData,
            "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04" => Self::Terminated,
            "53000" | "53100" | "53200" | "57014" => Self::Passing,
            "54000" => Self::TooLong,
            "28000" | "28P01" => Self::LoginRefused,
            _ => Self::Other,
        }
    }
}
