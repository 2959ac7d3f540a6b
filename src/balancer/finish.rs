//! What is to be done when an answer that streams has gone out.

use std::time::Instant;

use super::forward::broken_answer;
use super::lease::Lease;
use super::record::Record;
use super::target::Connection;

/// Holds the VM, the connection and the account of a request whose answer streams. Dropped before
/// the end (the client has left) it closes the connection, which stops the VM.
pub(super) struct Finish {
    /// The claim on the VM.
    pub(super) lease: Lease,
    /// The connection that the answer comes over.
    pub(super) connection: Connection,
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

    /// The answer is whole.
    pub(super) fn whole(self) {
        self.lease.answered(self.status);
        self.lease.target.put_back(self.connection, Instant::now());
        self.record.answered(self.status, self.bytes);
    }

    /// The VM broke off. The client has the beginning already, so nobody else can take over: the
    /// connection to the client is cut for it to see.
    pub(super) fn cut_short(self, error: &hyper::Error) {
        let error = broken_answer(self.lease.target.id.clone(), error);
        if let Some(symptom) = error.symptom() {
            self.lease.tell(symptom);
        }
        self.lease.failed(false);
        self.record.cut_short(502, format!("{error}; its beginning had gone out already"));
    }
}
