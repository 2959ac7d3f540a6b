//! Descriptors of other processes, which only Linux gives (`pidfd_getfd(2)`, from 5.6 on).

use std::io;
use std::os::fd::OwnedFd;

/// A copy of what another process of this user has open under this number, if the system allows
/// it: see [`let_others_copy`].
///
/// # Errors
/// If there is no such process or descriptor, the system refuses, or it is not Linux.
#[cfg(target_os = "linux")]
pub fn copy_of(pid: u32, number: i32) -> io::Result<OwnedFd> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
    let process = super::raw(pid).ok_or(io::ErrorKind::NotFound)?;
    let process = pidfd_open(process, PidfdFlags::empty())?;
    Ok(pidfd_getfd(process, number, PidfdGetfdFlags::empty())?)
}

/// Not known here.
#[cfg(not(target_os = "linux"))]
pub fn copy_of(_pid: u32, _number: i32) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Lets other processes of this user copy this one's descriptors where the system keeps them from
/// it otherwise (Yama's `ptrace_scope` 1, see `PR_SET_PTRACER` in `prctl(2)`). What cannot be
/// allowed is not needed: without Yama it is allowed already.
#[cfg(target_os = "linux")]
pub fn let_others_copy() {
    let _allowed_already = rustix::process::set_ptracer(rustix::process::PTracer::Any);
}

/// Not needed here.
#[cfg(not(target_os = "linux"))]
pub fn let_others_copy() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_listening_socket_is_copied_and_what_is_not_there_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let copy = copy_of(std::process::id(), listener.as_raw_fd()).unwrap();
        let copy = TcpListener::from(copy);
        assert_eq!(copy.local_addr().unwrap(), listener.local_addr().unwrap());
        assert!(copy_of(std::process::id(), 987_654).is_err());
        assert!(copy_of(0, 0).is_err() && copy_of(u32::MAX, 0).is_err());
    }
}
