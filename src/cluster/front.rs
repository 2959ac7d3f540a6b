//! The sockets that clients see. The cluster holds them, and the balancer inherits them: while a
//! balancer that died is started again, connections wait instead of being refused.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use anyhow::Context;

use crate::process::descriptors;

/// The two listening sockets, or just their addresses where a balancer from before holds them and
/// the system gives no copies of them.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) address: SocketAddr,
    pub(super) admin: SocketAddr,
    sockets: Option<(TcpListener, TcpListener)>,
}

impl Front {
    /// Opens both sockets.
    ///
    /// # Errors
    /// If a port is taken or may not be used; says which flag chooses another.
    pub(super) fn open(port: u16, admin_port: u16) -> anyhow::Result<Self> {
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let listener = TcpListener::bind(any).with_context(|| {
            format!("port {port} for the balancer cannot be used (--port chooses another)")
        })?;
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, admin_port));
        let admin = TcpListener::bind(loopback).with_context(|| {
            format!("port {admin_port} for admin cannot be used (--admin-port chooses another)")
        })?;
        Ok(Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, listener.local_addr()?.port())),
            admin: admin.local_addr()?,
            sockets: Some((listener, admin)),
        })
    }

    /// The sockets are held by a balancer that an earlier cluster started, as its stdin and stdout.
    /// Copies of them keep connections waiting, should it die; without, they are refused for as
    /// long as it takes to open them again.
    pub(super) fn held_by(pid: u32, address: SocketAddr, admin: SocketAddr) -> Self {
        let copy = |number, address: SocketAddr| {
            let listener = TcpListener::from(descriptors::copy_of(pid, number)?);
            let is_it = listener.local_addr()?.port() == address.port();
            is_it.then_some(listener).ok_or(io::Error::from(io::ErrorKind::NotFound))
        };
        let sockets = copy(0, address).and_then(|listener| Ok((listener, copy(1, admin)?)));
        if let Err(error) = &sockets {
            tracing::warn!(
                %error,
                "the balancer from before (pid {pid}) alone holds the listening sockets"
            );
        }
        Self { address, admin, sockets: sockets.ok() }
    }

    /// The sockets as a child's stdin and stdout, as inetd handed them on.
    ///
    /// # Errors
    /// If they cannot be opened (again).
    pub(super) fn hand_on(&mut self) -> anyhow::Result<(Stdio, Stdio)> {
        if self.sockets.is_none() {
            *self = Self::open(self.address.port(), self.admin.port())?;
        }
        let (listener, admin) = self.sockets.as_ref().context("the sockets were just opened")?;
        let (listener, admin) = (listener.try_clone()?, admin.try_clone()?);
        Ok((OwnedFd::from(listener).into(), OwnedFd::from(admin).into()))
    }

    /// No new connections are taken from here.
    pub(super) fn close(&mut self) {
        self.sockets = None;
    }
}
