//! When format 1 may be read in whole transactions again, after one that was too long for that.
//!
//! wal2json writes whole transactions about twice as fast as chunks, but it cannot write more than 1 GB, and a long text has to be in memory.
//! Each change of gear makes Postgres decode again from where the slot begins, so it does not go back at once.

/// Transactions below the limit in a row, after which it is whole ones again.
const SHORT_TRANSACTIONS: u32 = 1_000;

/// The transactions that came in chunks.
#[derive(Debug, Default)]
pub(super) struct LowGear {
    /// How many would have fitted, in a row.
    short: u32,
    /// Whether the one that is being read had to be cut.
    is_cut: bool,
}

impl LowGear {
    /// A transaction did not fit.
    pub(super) fn cut(&mut self) {
        self.is_cut = true;
    }

    /// A transaction has ended.
    pub(super) fn end(&mut self) {
        self.short = if self.is_cut { 0 } else { self.short.saturating_add(1) };
        self.is_cut = false;
    }

    /// Whether there were enough short ones.
    pub(super) fn is_over(&self) -> bool {
        self.short >= SHORT_TRANSACTIONS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_transactions_in_a_row_lead_back() {
        let mut gear = LowGear::default();
        (1..SHORT_TRANSACTIONS).for_each(|_| gear.end());
        gear.cut();
        gear.end();
        (1..SHORT_TRANSACTIONS).for_each(|_| gear.end());
        assert!(!gear.is_over());
        gear.end();
        assert!(gear.is_over());
    }
}
