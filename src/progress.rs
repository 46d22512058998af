//! What one session passed, sent, was told and may confirm: received ≥ sent ≥ acknowledged, and nothing unsent is ever confirmed.
//!
//! A state machine without I/O. Postgres checks no confirmation: a position that is too high makes a slot skip changes, or deaf for
//! ever. So every position is checked twice, where an acknowledgement enters and where a confirmation leaves. Positions are never
//! computed: each was read off the wire, or is the client's word compared with one that was.

use std::collections::VecDeque;

use crate::config::MAX_UNACKED_POSITIONS;
use crate::lsn::Lsn;

/// The positions of one session.
#[derive(Debug)]
pub struct Progress {
    /// All that ends here or before has come over the wire, or was acknowledged before this session. Always between two records.
    passed: Lsn,
    /// Ends of the transactions that were sent and are not acknowledged, rising. Thinned when there are too many.
    unacknowledged: VecDeque<Lsn>,
    /// A position the client says to have, which the wire has yet to reach.
    claimed: Option<Lsn>,
    /// The client's word, so far as it holds for whole transactions.
    acknowledged: Lsn,
    /// What Postgres was told.
    confirmed: Lsn,
    /// Where the server's history became another one than the session began in: what lies above and has not passed is no position of it that
    /// anybody can know.
    forked_at: Option<Lsn>,
}

/// What an acknowledgement meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledged {
    /// A higher position than before: Postgres is to hear of it.
    Higher,
    /// Nothing new: at or below an earlier one, or inside the first transaction that is not acknowledged.
    Nothing,
    /// Above all that this session has seen: only the server knows whether that position exists. See [`Progress::claim`].
    Unseen,
}

/// The position is above everything that Postgres has written: it cannot have come from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{position} is ahead of the server, which has written up to {flushed}: acknowledge positions that came as nextlsn")]
pub struct Ahead {
    /// What the client sent.
    pub position: Lsn,
    /// How far the server is, or how far its history is the one that the client knows.
    pub flushed: Lsn,
}

/// The wire went backwards. Postgres sends transactions in the order of their commits; if it does not, nothing is safe to confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Postgres sent a transaction that ends at {commit_end} after having passed {passed}")]
pub struct Backwards {
    /// Where the late transaction ends.
    pub commit_end: Lsn,
    /// How far the wire already was.
    pub passed: Lsn,
}

/// What is to be done with a transaction that came over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The client gets it, and owes an acknowledgement.
    Send,
    /// The client said to have it.
    Skip,
}

impl Progress {
    /// A session that starts where the client's acknowledgements ended: Postgres sends what was committed after.
    pub fn starting_at(position: Lsn) -> Self {
        Self {
            passed: position,
            unacknowledged: VecDeque::new(),
            claimed: None,
            acknowledged: position,
            confirmed: Lsn::ZERO,
            forked_at: None,
        }
    }

    /// How far the wire is, between two records: where to take it up again.
    pub fn passed(&self) -> Lsn {
        self.passed
    }

    /// Whether the client said to have a transaction that is on its way.
    pub fn is_claimed(&self, commit_end: Lsn) -> bool {
        self.claimed.is_some_and(|claim| commit_end <= claim)
    }

    /// The position that the client says to have and that the wire has yet to reach.
    pub fn claimed(&self) -> Option<Lsn> {
        self.claimed
    }

    /// A transaction with something for the client came over the wire.
    pub fn transaction(&mut self, commit_end: Lsn) -> Result<Verdict, Backwards> {
        self.check_order(commit_end)?;
        if self.is_claimed(commit_end) {
            self.pass(commit_end);
            return Ok(Verdict::Skip);
        }
        // A claim inside this transaction has been met by all before it, and says nothing about this one.
        self.claimed = None;
        self.passed = commit_end;
        self.remember(commit_end);
        Ok(Verdict::Send)
    }

    /// A transaction with nothing for the client came over the wire.
    pub fn nothing_for_client(&mut self, commit_end: Lsn) -> Result<(), Backwards> {
        self.check_order(commit_end)?;
        match self.claimed {
            Some(claim) if claim < commit_end => {
                self.claimed = None;
                self.passed = commit_end;
            }
            _ => self.pass(commit_end),
        }
        Ok(())
    }

    /// The server says that it has sent everything up to here. Lower than before, as its first word after a start may be, means nothing.
    pub fn keepalive(&mut self, wal_end: Lsn) {
        if wal_end > self.passed {
            self.pass(wal_end);
        }
    }

    /// The client says that everything up to here is durable.
    ///
    /// Inside a transaction it counts for those wholly before.
    pub fn acknowledge(&mut self, position: Lsn) -> Acknowledged {
        if position > self.passed {
            return Acknowledged::Unseen;
        }
        let sent = self.unacknowledged.back().copied();
        let count = self.unacknowledged.partition_point(|commit_end| *commit_end <= position);
        let last_whole = self.unacknowledged.drain(..count).next_back();
        let holds_for = match (last_whole, sent) {
            // Past the last transaction sent there is nothing but what the client was not to get.
            (_, sent) if sent.is_none_or(|sent| sent <= position) => Some(position),
            (whole, _) => whole,
        };
        match holds_for {
            Some(position) if position > self.acknowledged => {
                self.acknowledged = position;
                Acknowledged::Higher
            }
            _ => Acknowledged::Nothing,
        }
    }

    /// The client says to have everything up to a position that this session has not seen yet, as after a restart.
    ///
    /// It covers all that was sent. What comes up to there is not sent again, and is confirmed once it has passed.
    pub fn claim(&mut self, position: Lsn, flushed: Lsn) -> Result<(), Ahead> {
        if position > flushed {
            return Err(Ahead { position, flushed });
        }
        if let Some(common) = self.forked_at.filter(|common| position > *common) {
            return Err(Ahead { position, flushed: common });
        }
        self.unacknowledged.clear();
        self.acknowledged = self.acknowledged.max(self.passed);
        self.claimed = self.claimed.max(Some(position));
        Ok(())
    }

    /// How many transactions the client was sent and has not acknowledged, so far as they are remembered one by one.
    pub fn unacknowledged(&self) -> usize {
        self.unacknowledged.len()
    }

    /// What the slot can have been told at most. If it stands higher, somebody else was there.
    pub fn settled(&self) -> Lsn {
        self.acknowledged.max(self.confirmed)
    }

    /// What the client has, or says to have: a server that was never there is not one to go on with.
    pub fn held(&self) -> Lsn {
        let latest = self.claimed.max(self.unacknowledged.back().copied());
        latest.unwrap_or_default().max(self.acknowledged)
    }

    /// The server's history is another one after `position`. What has passed since was nothing for the client, and is not settled there.
    pub fn fall_back(&mut self, position: Lsn) {
        self.forked_at = self.forked_at.map_or(Some(position), |former| Some(former.min(position)));
        self.passed = self.passed.min(position);
        self.confirmed = self.confirmed.min(position);
    }

    /// Whether Postgres has not heard of the latest acknowledgement.
    pub fn owes_confirmation(&self) -> bool {
        self.acknowledged > self.confirmed
    }

    /// The position to confirm: exactly the client's word.
    pub fn confirm_acknowledged(&mut self) -> Lsn {
        self.confirmed = self.confirmed.max(self.acknowledged.min(self.passed));
        self.confirmed
    }

    /// The position to confirm when all is quiet: with nothing in flight, all that has passed is settled.
    pub fn confirm_settled(&mut self) -> Lsn {
        if self.unacknowledged.is_empty() && self.claimed.is_none() {
            self.confirmed = self.confirmed.max(self.passed);
        }
        self.confirm_acknowledged()
    }

    /// The client's word, so far as it holds for whole transactions: what must survive a restart of Postgres.
    pub fn acknowledged(&self) -> Lsn {
        self.acknowledged
    }

    fn check_order(&self, commit_end: Lsn) -> Result<(), Backwards> {
        if commit_end > self.passed { Ok(()) } else { Err(Backwards { commit_end, passed: self.passed }) }
    }

    /// The wire is at `position`, between two records, and what came last owes nothing. A claim holds so far.
    fn pass(&mut self, position: Lsn) {
        self.passed = position;
        if let Some(claim) = self.claimed {
            self.acknowledged = self.acknowledged.max(position.min(claim));
            self.claimed = (position < claim).then_some(claim);
        }
    }

    fn remember(&mut self, commit_end: Lsn) {
        if self.unacknowledged.len() >= MAX_UNACKED_POSITIONS {
            self.thin();
        }
        self.unacknowledged.push_back(commit_end);
    }

    /// Forgets every second position of the older half. An acknowledgement of a forgotten one counts for the next lower one kept.
    fn thin(&mut self) {
        let older_half = self.unacknowledged.len() / 2;
        let mut index = 0;
        self.unacknowledged.retain(|_| {
            index += 1;
            index > older_half || index % 2 == 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lsn(position: u64) -> Lsn {
        Lsn::from(position)
    }

    fn sent(commit_ends: &[u64]) -> Progress {
        let mut progress = Progress::starting_at(lsn(10));
        for commit_end in commit_ends {
            assert_eq!(progress.transaction(lsn(*commit_end)), Ok(Verdict::Send));
        }
        progress
    }

    #[test]
    fn an_acknowledgement_is_confirmed_exactly() {
        let mut progress = sent(&[20, 30]);
        assert_eq!(progress.acknowledge(lsn(20)), Acknowledged::Higher);
        assert_eq!(progress.confirm_acknowledged(), lsn(20));
        assert_eq!(progress.confirm_settled(), lsn(20), "30 is in flight");
    }

    #[test]
    fn inside_a_transaction_it_counts_for_those_wholly_before() {
        let mut progress = sent(&[20, 30, 40]);
        assert_eq!(progress.acknowledge(lsn(19)), Acknowledged::Nothing);
        assert_eq!(progress.acknowledge(lsn(39)), Acknowledged::Higher);
        assert_eq!(progress.confirm_acknowledged(), lsn(30));
        assert_eq!(progress.acknowledge(lsn(29)), Acknowledged::Nothing, "lower than before");
        assert_eq!(progress.confirm_acknowledged(), lsn(30));
    }

    #[test]
    fn a_quiet_slot_advances_only_when_nothing_is_in_flight() {
        let mut progress = sent(&[20]);
        progress.keepalive(lsn(50));
        assert_eq!(progress.confirm_settled(), lsn(10));
        progress.acknowledge(lsn(20));
        assert_eq!(progress.confirm_acknowledged(), lsn(20), "at once: exactly the client's word");
        assert_eq!(progress.confirm_settled(), lsn(50));
    }

    #[test]
    fn what_is_not_for_the_client_is_settled_by_itself() {
        let mut progress = Progress::starting_at(lsn(10));
        progress.nothing_for_client(lsn(20)).unwrap();
        assert_eq!(progress.confirm_acknowledged(), lsn(10));
        assert_eq!(progress.confirm_settled(), lsn(20));
        assert_eq!(progress.transaction(lsn(30)), Ok(Verdict::Send));
        progress.nothing_for_client(lsn(40)).unwrap();
        assert_eq!(progress.confirm_settled(), lsn(20), "30 is in flight");
        assert_eq!(progress.acknowledge(lsn(35)), Acknowledged::Higher);
        assert_eq!(progress.confirm_acknowledged(), lsn(35), "there is nothing of the client's between 30 and 40");
    }

    #[test]
    fn a_position_of_the_future_is_refused_and_changes_nothing() {
        let mut progress = sent(&[20]);
        assert_eq!(progress.acknowledge(lsn(21)), Acknowledged::Unseen);
        assert_eq!(progress.claim(lsn(21), lsn(20)), Err(Ahead { position: lsn(21), flushed: lsn(20) }));
        assert_eq!(progress.confirm_settled(), lsn(10));
        assert_eq!(progress.transaction(lsn(30)), Ok(Verdict::Send));
    }

    #[test]
    fn a_claim_holds_once_the_wire_has_passed_it() {
        let mut progress = Progress::starting_at(lsn(10));
        progress.claim(lsn(35), lsn(100)).unwrap();
        assert_eq!(progress.confirm_settled(), lsn(10), "not seen yet");
        assert_eq!(progress.transaction(lsn(20)), Ok(Verdict::Skip));
        assert_eq!(progress.transaction(lsn(30)), Ok(Verdict::Skip));
        assert_eq!(progress.confirm_settled(), lsn(30));
        assert_eq!(progress.transaction(lsn(40)), Ok(Verdict::Send), "35 is inside it");
        assert_eq!(progress.confirm_settled(), lsn(30), "never 35: Postgres would skip the transaction around it");
    }

    #[test]
    fn a_claim_in_an_empty_stretch_is_confirmed_as_it_stands() {
        let mut progress = Progress::starting_at(lsn(10));
        progress.claim(lsn(35), lsn(100)).unwrap();
        progress.keepalive(lsn(30));
        assert_eq!(progress.confirm_acknowledged(), lsn(30));
        progress.keepalive(lsn(50));
        assert_eq!(progress.confirm_acknowledged(), lsn(35));
        assert_eq!(progress.confirm_settled(), lsn(50));
    }

    #[test]
    fn the_wire_may_not_go_backwards() {
        let mut progress = sent(&[20]);
        assert_eq!(progress.transaction(lsn(20)), Err(Backwards { commit_end: lsn(20), passed: lsn(20) }));
        assert!(progress.nothing_for_client(lsn(15)).is_err());
    }

    #[test]
    fn positions_of_a_history_that_was_left_are_not_claimed() {
        let mut progress = sent(&[20]);
        progress.keepalive(lsn(50));
        assert_eq!(progress.held(), lsn(20));
        progress.fall_back(lsn(30));
        assert_eq!(progress.passed(), lsn(30));
        assert_eq!(progress.acknowledge(lsn(40)), Acknowledged::Unseen);
        for position in [40, 55].map(lsn) {
            assert_eq!(progress.claim(position, lsn(60)), Err(Ahead { position, flushed: lsn(30) }));
        }
        assert_eq!(progress.transaction(lsn(45)), Ok(Verdict::Send), "it is another one than was there before");
        assert_eq!(progress.confirm_settled(), lsn(10));
        assert_eq!(progress.acknowledge(lsn(45)), Acknowledged::Higher);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut progress = Progress::starting_at(lsn(0));
        let count = 3 * MAX_UNACKED_POSITIONS as u64;
        for commit_end in 1..=count {
            progress.transaction(lsn(commit_end)).unwrap();
            assert!(progress.unacknowledged.len() <= MAX_UNACKED_POSITIONS);
        }
        let half = count / 2;
        assert_eq!(progress.acknowledge(lsn(half)), Acknowledged::Higher);
        assert!(progress.confirm_acknowledged() <= lsn(half));
        assert!(progress.confirm_acknowledged() > lsn(half - 64), "thinned, not emptied");
        progress.acknowledge(lsn(count));
        assert_eq!(progress.confirm_acknowledged(), lsn(count), "the last one is always exact");
    }

    /// One thing that may happen to a session. Distances are added to what was before, so that every run makes sense.
    #[derive(Debug, Clone)]
    enum Step {
        Transaction(u64),
        NothingForClient(u64),
        Keepalive(u64),
        Acknowledge(u64),
        Claim(u64),
        FallBack(u64),
        Confirm,
        ConfirmSettled,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (1..9u64).prop_map(Step::Transaction),
            1 => (1..9u64).prop_map(Step::NothingForClient),
            1 => (0..9u64).prop_map(Step::Keepalive),
            3 => (0..200u64).prop_map(Step::Acknowledge),
            1 => (1..40u64).prop_map(Step::Claim),
            1 => (0..20u64).prop_map(Step::FallBack),
            2 => Just(Step::Confirm),
            2 => Just(Step::ConfirmSettled),
        ]
    }

    /// What a simple-minded observer knows: every transaction, whether it was sent, and the highest word of the client.
    #[derive(Default)]
    struct Observer {
        wire: u64,
        sent: Vec<(u64, u64)>,
        said: u64,
        forked_at: Option<u64>,
    }

    impl Observer {
        /// A transaction's commit record lies between the two positions: a confirmation above the lower one makes Postgres skip it.
        fn check_confirmation(&self, confirmed: Lsn, settled: bool) {
            for (start, end) in &self.sent {
                assert!(self.said >= *end || confirmed <= lsn(*start), "{confirmed} skips {start}..{end}, said {}", self.said);
            }
            assert!(confirmed <= lsn(self.wire), "{confirmed} is above the wire at {}", self.wire);
            assert!(settled || confirmed <= lsn(self.said.max(10)) || self.said == 0, "{confirmed} was not said");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn nothing_unsent_or_unacknowledged_is_confirmed(steps in prop::collection::vec(step(), 1..200)) {
            let mut progress = Progress::starting_at(lsn(10));
            let mut observer = Observer { wire: 10, ..Observer::default() };
            let mut last_confirmed = Lsn::ZERO;
            let mut ever_settled = false;
            for step in steps {
                match step {
                    Step::Transaction(distance) => {
                        let start = observer.wire;
                        observer.wire += distance;
                        let verdict = progress.transaction(lsn(observer.wire)).unwrap();
                        prop_assert_eq!(verdict == Verdict::Skip, observer.said >= observer.wire);
                        if verdict == Verdict::Send {
                            observer.sent.push((start, observer.wire));
                        }
                    }
                    Step::NothingForClient(distance) => {
                        observer.wire += distance;
                        progress.nothing_for_client(lsn(observer.wire)).unwrap();
                    }
                    Step::Keepalive(distance) => {
                        observer.wire += distance;
                        progress.keepalive(lsn(observer.wire));
                    }
                    Step::Acknowledge(position) => {
                        if progress.acknowledge(lsn(position)) != Acknowledged::Unseen {
                            observer.said = observer.said.max(position);
                        }
                    }
                    Step::Claim(distance) => {
                        let position = observer.wire + distance;
                        let claimed = progress.claim(lsn(position), lsn(position));
                        prop_assert_eq!(claimed.is_err(), observer.forked_at.is_some_and(|common| position > common));
                        if claimed.is_ok() {
                            observer.said = observer.said.max(position);
                        }
                    }
                    Step::FallBack(distance) => {
                        let common = lsn(observer.wire.saturating_sub(distance)).max(progress.held());
                        progress.fall_back(common);
                        observer.forked_at = Some(observer.forked_at.unwrap_or(u64::MAX).min(common.to_u64()));
                        observer.wire = observer.wire.min(common.to_u64());
                        // Inside a transaction that had nothing for it and is no more.
                        observer.said = observer.said.min(common.to_u64().max(progress.held().to_u64()));
                        last_confirmed = last_confirmed.min(common);
                    }
                    Step::Confirm | Step::ConfirmSettled => {
                        ever_settled |= matches!(step, Step::ConfirmSettled);
                        let confirmed = if matches!(step, Step::Confirm) { progress.confirm_acknowledged() } else { progress.confirm_settled() };
                        prop_assert!(confirmed >= last_confirmed, "{} fell to {}", last_confirmed, confirmed);
                        last_confirmed = confirmed;
                        observer.check_confirmation(confirmed, ever_settled);
                    }
                }
            }
            // Whatever happened, an acknowledgement of everything settles everything.
            progress.acknowledge(lsn(observer.wire));
            progress.keepalive(lsn(observer.wire.max(observer.said)));
            prop_assert_eq!(progress.confirm_settled(), lsn(observer.wire.max(observer.said)));
        }
    }
}
