//! What is to be done when an answer that streams has gone out.

use std::time::Instant;

use super::forward::{Blame, broken_answer};
use super::lease::Lease;
use super::record::{CLIENT_LEFT, Record};
use super::upstream::{AnswerError, Connection};

/// Holds the VM and the account of a request whose answer streams.
pub(super) struct Finish {
    /// The claim on the VM.
    pub(super) lease: Lease,
    /// The account.
    pub(super) record: Record,
    /// The status that the client has seen.
    pub(super) status: u16,
    /// Bytes of the body that went out.
    pub(super) bytes: u64,
}

impl Finish {
    /// So many more bytes go out.
    pub(super) fn sent(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// The answer is whole; its connection can be used again, or there is none that can.
    pub(super) fn whole(self, connection: Option<Connection>) {
        let now = Instant::now();
        self.lease.answered(self.status, now);
        if let Some(connection) = connection {
            self.lease.target.put_back(connection, now);
        }
        self.record.answered(self.status, self.bytes, now);
    }

    /// The answer broke off. The client has the beginning already, so nobody else can take over: the
    /// connection to the client is cut for it to see.
    pub(super) fn cut_short(self, error: &AnswerError) {
        let error = broken_answer(self.lease.target.id.clone(), error);
        if error.blame() == Blame::Client {
            return self.record.cut_short(CLIENT_LEFT, error.to_string());
        }
        if let Some(symptom) = error.symptom() {
            self.lease.tell(symptom);
        }
        self.lease.failed(false);
        self.record.cut_short(502, format!("{error}; its beginning had gone out already"));
    }
}
