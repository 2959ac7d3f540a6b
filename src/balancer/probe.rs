//! Asks VMs that seem dead whether they live: `GET /health` on a connection of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::fleet::Fleet;
use super::forward::is_own_lack;
use super::target::Target;
use crate::domain::health::Event;

/// How long a VM may take for a probe. A live one answers in milliseconds; a busy one may take
/// longer, and is not ejected for it (see [`crate::domain::health`]).
const TIMEOUT: Duration = Duration::from_secs(1);
/// How often the age of reports is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Probes whoever needs it, for ever.
pub(super) async fn run(fleet: Arc<Fleet>) {
    loop {
        let now = Instant::now();
        fleet.check_reports(now);
        // For those that wait, time alone may have changed something.
        fleet.dispatch(now);
        let (due, next) = fleet.take_due_probes(now);
        for target in due {
            let fleet = fleet.clone();
            tokio::spawn(async move {
                let event = probe(&target).await;
                tracing::debug!(vm = %target.id, ?event, "probed");
                fleet.tell(&target, event, Instant::now());
            });
        }
        let pause = next.map_or(LOOK_AGAIN, |next| {
            next.saturating_duration_since(Instant::now()).min(LOOK_AGAIN)
        });
        // Woken or not, the answer is to look again.
        let _ = tokio::time::timeout(pause, fleet.probe_wanted.notified()).await;
    }
}

async fn probe(target: &Target) -> Event {
    let stream = match tokio::time::timeout(TIMEOUT, TcpStream::connect(&target.address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if !is_own_lack(&error) => return Event::ProbeRefused,
        Ok(Err(_)) | Err(_) => return Event::ProbeUnanswered,
    };
    match tokio::time::timeout(TIMEOUT, ask(target, stream)).await {
        Ok(Ok(status)) if !status.is_server_error() => Event::ProbeAnswered,
        // It was closed at once, or came to nothing: whoever listens there is not serving.
        Ok(Err(_)) => Event::ProbeRefused,
        Ok(Ok(_)) | Err(_) => Event::ProbeUnanswered,
    }
}

async fn ask(target: &Target, stream: TcpStream) -> Result<StatusCode, anyhow::Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request =
        Request::get("/health").header(HOST, &target.address).body(Empty::<Bytes>::new())?;
    tokio::select! {
        response = sender.send_request(request) => Ok(response?.status()),
        ended = connection => {
            ended?;
            anyhow::bail!("the connection ended before an answer")
        }
    }
}
