//! A connection on which another protocol has begun (RFC 9110, section 7.8), such as WebSocket:
//! bytes go both ways as they come.

use hyper::http::response::Parts;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Response, upgrade};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

use super::lease::Lease;
use super::record::Record;
use super::strict::Strict;
use super::target::Connection;

/// The VM's end, the claim on the VM and the account of the request: all until both sides are done.
pub(super) struct Tunnel {
    vm: OnUpgrade,
    lease: Lease,
    connection: Connection,
    record: Record,
}

/// The status of an answer with which another protocol begins.
const SWITCHED: u16 = 101;

impl Tunnel {
    /// The VM has answered with this head that another protocol begins.
    pub(super) fn new(
        head: &mut Parts,
        lease: Lease,
        connection: Connection,
        record: Record,
    ) -> Self {
        let mut response = Response::new(());
        std::mem::swap(response.extensions_mut(), &mut head.extensions);
        Self { vm: upgrade::on(&mut response), lease, connection, record }
    }

    /// Passes bytes both ways until both sides are done.
    pub(super) async fn run(self, client: OnUpgrade) {
        let Self { vm, lease, connection, record } = self;
        let passed = match (client.await, vm.await) {
            (Ok(client), Ok(vm)) => pass(client, vm).await,
            (Err(error), _) | (_, Err(error)) => Err(std::io::Error::other(error)),
        };
        match passed {
            Ok(bytes) => record.answered(SWITCHED, bytes),
            Err(error) => record.cut_short(SWITCHED, format!("its tunnel broke: {error}")),
        }
        drop((lease, connection));
    }
}

/// Bytes that went to the client.
async fn pass(client: Upgraded, vm: Upgraded) -> std::io::Result<u64> {
    let client = client
        .downcast::<TokioIo<Strict<TcpStream>>>()
        .map_err(|_| std::io::Error::other("a connection of an unknown kind"))?;
    let (mut stream, held) = client.io.into_inner().into_inner();
    let mut vm = TokioIo::new(vm);
    vm.write_all(&client.read_buf).await?;
    vm.write_all(&held).await?;
    let (_to_vm, to_client) = copy_bidirectional(&mut stream, &mut vm).await?;
    Ok(to_client)
}
