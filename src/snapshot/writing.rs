//! Rows as COPY writes them become JSON, in pieces.

use bytes::Bytes;

use crate::query::Selection;
use crate::row::{copy, write_row};

/// Rows travel in pieces of about this size.
const PIECE_BYTES: usize = 64 * 1024;

/// What stands round rows and between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// One JSON array.
    Array,
    /// One row a line.
    Lines,
}

/// Postgres sent text that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Postgres sent a row that is not UTF-8")]
pub struct NotText;

/// Makes pieces of rows.
pub(super) struct Writer<'a> {
    selection: &'a Selection,
    framing: Framing,
    piece: Vec<u8>,
    rows: u64,
}

impl<'a> Writer<'a> {
    pub(super) fn new(selection: &'a Selection, framing: Framing) -> Self {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        if framing == Framing::Array {
            piece.push(b'[');
        }
        Self { selection, framing, piece, rows: 0 }
    }

    /// How many rows there have been.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds rows; returns a piece when there is enough for one.
    pub(super) fn add(&mut self, lines: &[u8]) -> Result<Option<Bytes>, NotText> {
        let lines = std::str::from_utf8(lines).map_err(|_| NotText)?;
        let Selection { row, numbers, .. } = self.selection;
        for line in lines.split_terminator('\n') {
            if self.framing == Framing::Array && self.rows > 0 {
                self.piece.push(b',');
            }
            write_row(&mut self.piece, row, *numbers, copy::values(line, row.len()));
            if self.framing == Framing::Lines {
                self.piece.push(b'\n');
            }
            self.rows += 1;
        }
        if self.piece.len() < PIECE_BYTES {
            return Ok(None);
        }
        Ok(Some(std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 8)).into()))
    }

    /// The last piece.
    pub(super) fn finish(mut self) -> Bytes {
        if self.framing == Framing::Array {
            self.piece.push(b']');
        }
        self.piece.into()
    }
}
