//! The stream of bytes to a VM: through its port, or through the socket that it offers beside.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::balancer::target::Target;
use crate::http::socket;

/// A connected stream to a VM.
pub(in crate::balancer) enum Wire {
    /// Through its port.
    Port(TcpStream),
    /// Through its socket in the state folder.
    Socket(UnixStream),
}

impl Wire {
    /// Connects to a VM through its socket, if it offers one and takes connections there, else
    /// through its port. A socket may be missing or dead for reasons that say nothing about the VM:
    /// a folder that was cleared, or one that another machine shares. What the port says, counts.
    ///
    /// # Errors
    /// If the port takes no connection.
    pub(in crate::balancer) async fn to(target: &Target) -> io::Result<Self> {
        if let Some(path) = &target.socket {
            match UnixStream::connect(path).await {
                Ok(stream) => {
                    socket::widen(&stream);
                    return Ok(Self::Socket(stream));
                }
                Err(error) => {
                    tracing::debug!(vm = %target.id, %error, "not reached through its socket");
                }
            }
        }
        let stream = TcpStream::connect(&target.address).await?;
        stream.set_nodelay(true)?;
        Ok(Self::Port(stream))
    }

    /// Reads what is known to be there, without waiting.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if nothing is, else that of the connection.
    pub(super) fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Port(stream) => stream.try_read(into),
            Self::Socket(stream) => stream.try_read(into),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Port(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Socket(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Port(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Socket(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Port(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Self::Socket(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Port(stream) => Pin::new(stream).poll_flush(cx),
            Self::Socket(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Port(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Socket(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
