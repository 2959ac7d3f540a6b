//! Asks a VM's webserver how it is.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::http::X_CUMULET_LOAD;

/// A webserver answers about itself at once, however busy its vCPUs are; a machine whose cores
/// are all taken may need a while to get to it.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether the VM at `address` has nothing to do, by its own word; none if it does not answer.
pub(super) async fn has_nothing_to_do(address: String) -> Option<bool> {
    tokio::time::timeout(PATIENCE, ask(&address)).await.ok()?
}

async fn ask(address: &str) -> Option<bool> {
    let stream = TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    let connection = tokio::spawn(connection);
    let request = Request::get("/health").header("host", address).body(Empty::<Bytes>::new());
    let answer = sender.send_request(request.ok()?).await.ok()?;
    let load = answer.headers().get(X_CUMULET_LOAD)?.to_str().ok()?.to_owned();
    connection.abort();
    Some(is_idle(&load))
}

/// Reads `cpu=0.430 in_flight=2 queued=0`. A load that does not say both counts is not idle.
fn is_idle(load: &str) -> bool {
    let zero = |name: &str| {
        load.split(' ').filter_map(|field| field.split_once('=')).any(|field| field == (name, "0"))
    };
    zero("in_flight") && zero("queued")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_vm_that_says_so_is_idle() {
        assert!(is_idle("cpu=0.430 in_flight=0 queued=0"));
        for busy in ["cpu=0 in_flight=1 queued=0", "in_flight=0 queued=2", "in_flight=0", ""] {
            assert!(!is_idle(busy), "{busy}");
        }
    }
}
