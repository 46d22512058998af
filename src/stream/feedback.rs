//! What Postgres hears of a session, and how the session finds out that it is not heard any more.

use tokio::time::Instant;

use super::Session;
use super::probe::Doubt;
use super::source::Heard;
use crate::config::{IMPATIENT_TIMEOUT, QUIET_AFTER_ACK};
use crate::room::Sender;

impl Session {
    /// Tells Postgres of the client's latest word.
    pub(super) async fn confirm_acknowledged(&mut self) {
        self.keep();
        if self.progress.owes_confirmation() {
            self.source.confirm(self.progress.confirm_acknowledged()).await;
        }
    }

    /// Postgres hears of us, and what owes nothing to anybody is settled, unless somebody may be looking for an acknowledgement.
    pub(super) async fn feedback(&mut self, out: &Sender) {
        self.keep();
        self.reply_requests = 0;
        let is_listening = !out.is_full() && self.is_window_open() && self.question.is_none();
        let heard = self.source.hear(is_listening);
        let is_quiet = self.acknowledged_at.is_none_or(|at| at.elapsed() >= QUIET_AFTER_ACK);
        let position = if is_quiet { self.progress.confirm_settled() } else { self.progress.confirm_acknowledged() };
        self.source.confirm(position).await;
        self.feedback_due.as_mut().reset(Instant::now() + self.source.status_interval());
        match heard {
            Heard::Something => self.occupant.has_stalled(None),
            Heard::Nothing(lasted) => self.doubt(Doubt::Silence(lasted)),
            Heard::NotAsked if !is_listening && self.source.is_open() => self.doubt(Doubt::Unread),
            Heard::NotAsked => {}
        }
        if let Some(time) = self.source.away_for().filter(|time| *time >= IMPATIENT_TIMEOUT) {
            self.occupant.has_stalled(Some(format!("Postgres has been away for {} s", time.as_secs())));
        }
    }

    /// Marks the client's word to be kept where Postgres does not forget it.
    fn keep(&mut self) {
        let acknowledged = self.progress.acknowledged();
        if acknowledged > self.kept {
            self.kept = acknowledged;
            self.route.registry.acknowledged(&self.route.ownership, acknowledged, self.source.timeline());
        }
    }
}
