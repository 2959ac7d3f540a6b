//! The sockets that VMs offer in a state folder, beside their ports.
//!
//! Each is named after the VM and its process, so that whoever reaches it reaches that life of the
//! VM or nobody.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use super::StateFolder;
use crate::domain::vm::VmId;
use crate::state::Error;

/// The folder of the sockets.
const FOLDER: &str = "sockets";

/// The place of a socket. The file is removed when this is dropped.
#[derive(Debug)]
pub struct SocketPlace {
    /// Its path from the state folder.
    pub name: String,
    path: PathBuf,
}

impl Drop for SocketPlace {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// The path, from the state folder, of the socket of this life of a VM: `sockets/ID.PID`. No other
/// one is its own, whatever a file says.
pub fn socket_name(id: &VmId, pid: u32) -> String {
    format!("{FOLDER}/{id}.{pid}")
}

/// Removes a socket; anything else stays. What cannot be removed is left to the next sweep.
fn remove(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket()) {
        let _ = fs::remove_file(path);
    }
}

impl StateFolder {
    /// Listens at [`socket_name`].
    ///
    /// # Errors
    /// If the system cannot: not every file system has sockets, and the path from the root of the
    /// file system may have about a hundred bytes (108 on Linux, 104 on macOS: unix(7), unix(4)).
    pub fn open_socket(&self, id: &VmId, pid: u32) -> Result<(UnixListener, SocketPlace), Error> {
        let folder = self.path().join(FOLDER);
        fs::create_dir_all(&folder).map_err(Error::io("make the folder", &folder))?;
        let name = socket_name(id, pid);
        let path = self.path().join(&name);
        // Left by a process of this number that was killed.
        remove(&path);
        let listener = UnixListener::bind(&path).map_err(Error::io("listen at", &path))?;
        Ok((listener, SocketPlace { name, path }))
    }

    /// Removes the sockets of VMs that are no more, by what `lives` says of their ids and processes.
    pub fn sweep_sockets(&self, lives: impl Fn(&VmId, u32) -> bool) {
        let Ok(entries) = fs::read_dir(self.path().join(FOLDER)) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let owner = name.to_str().and_then(|name| {
                let (id, pid) = name.split_once('.')?;
                Some((id.parse::<VmId>().ok()?, pid.parse().ok()?))
            });
            if owner.is_some_and(|(id, pid)| !lives(&id, pid)) {
                remove(&entry.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_go_with_their_vms() {
        let directory = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(directory.path()).unwrap();
        let there = |place: &SocketPlace| folder.path().join(&place.name).exists();
        let (_listens, first) = folder.open_socket(&VmId::numbered(1), 41).unwrap();
        let (_listens, second) = folder.open_socket(&VmId::numbered(2), 42).unwrap();
        assert_eq!(first.name, "sockets/vm-1.41");
        // No socket: somebody's own.
        let foreign = folder.path().join("sockets/syslog.1");
        fs::write(&foreign, "mine").unwrap();
        folder.sweep_sockets(|id, pid| (id, pid) == (&VmId::numbered(2), 42));
        assert!(!there(&first) && there(&second) && foreign.exists());
        // One that a killed process left is no obstacle to the next of the same number.
        let (_listens, again) = folder.open_socket(&VmId::numbered(2), 42).unwrap();
        assert!(there(&again));
        let path = folder.path().join(&again.name);
        drop(again);
        assert!(!path.exists());
    }

    #[test]
    fn a_path_that_is_too_long_is_an_error_and_no_more() {
        let directory = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(&directory.path().join("x".repeat(120))).unwrap();
        let refused = folder.open_socket(&VmId::numbered(1), 41).unwrap_err().to_string();
        assert!(refused.contains("sockets/vm-1.41"), "{refused}");
    }
}
