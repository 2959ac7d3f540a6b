//! A connection on which another protocol has begun (RFC 9110, section 7.8), such as WebSocket:
//! bytes go both ways as they come.

use std::time::Instant;

use bytes::BytesMut;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

use super::lease::Lease;
use super::record::Record;
use super::strict::Strict;
use super::upstream::Wire;

/// The VM's end, the claim on the VM and the account of the request: all until both sides are done.
pub(super) struct Tunnel {
    /// Its connection, and what it has said on it already.
    vm: (Wire, BytesMut),
    lease: Lease,
    record: Record,
}

/// The status of an answer with which another protocol begins.
const SWITCHED: u16 = 101;

impl Tunnel {
    /// The VM has answered that another protocol begins.
    pub(super) fn new(vm: (Wire, BytesMut), lease: Lease, record: Record) -> Self {
        Self { vm, lease, record }
    }

    /// Passes bytes both ways until both sides are done.
    pub(super) async fn run(self, client: OnUpgrade) {
        let Self { vm, lease, record } = self;
        let passed = match client.await {
            Ok(client) => pass(client, vm).await,
            Err(error) => Err(std::io::Error::other(error)),
        };
        match passed {
            Ok(bytes) => record.answered(SWITCHED, bytes, Instant::now()),
            Err(error) => record.cut_short(SWITCHED, format!("its tunnel broke: {error}")),
        }
        drop(lease);
    }
}

/// Bytes that went to the client.
async fn pass(client: Upgraded, vm: (Wire, BytesMut)) -> std::io::Result<u64> {
    let client = client
        .downcast::<TokioIo<Strict<TcpStream>>>()
        .map_err(|_| std::io::Error::other("a connection of an unknown kind"))?;
    let (mut stream, held) = client.io.into_inner().into_inner();
    let (mut vm, said) = vm;
    vm.write_all(&client.read_buf).await?;
    vm.write_all(&held).await?;
    stream.write_all(&said).await?;
    let (_to_vm, to_client) = copy_bidirectional(&mut stream, &mut vm).await?;
    Ok(to_client + said.len() as u64)
}
