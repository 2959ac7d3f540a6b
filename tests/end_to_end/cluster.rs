//! A cluster of the real binary on a temporary folder, gone when the test ends, however it ends.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use cumulet::domain::vm::{VmId, VmState};
use cumulet::process;
use cumulet::state::StateFolder;
use cumulet::state::as_state::AsStateFile;
use cumulet::state::vm_state::{VmReport, VmStateFile};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::http::{self, Answer};
use crate::support::until;

/// Everything fast, so that a story takes seconds. `local` VMs boot at once.
const FAST: [&str; 10] = [
    "--report-every",
    "200ms",
    "--set",
    "instance_type=local",
    "--set",
    "autoscaler.window=1s",
    "--set",
    "autoscaler.warm_up=0s",
    "--set",
    "autoscaler.scale_out_cooldown=500ms",
];

/// A running cluster.
pub(crate) struct Cluster {
    up: Option<Child>,
    arguments: Vec<String>,
    folder: TempDir,
}

impl Cluster {
    /// Starts a cluster and waits until its VMs serve.
    pub(crate) fn start(vms: u32, more: &[&str]) -> Self {
        let cluster = Self::booting(vms, more);
        until("all VMs run", || {
            (cluster.running().len() == vms as usize && cluster.is_ready()).then_some(())
        });
        cluster
    }

    /// Starts a cluster and does not wait for its VMs.
    pub(crate) fn booting(vms: u32, more: &[&str]) -> Self {
        let mut arguments = FAST.map(str::to_owned).to_vec();
        arguments.extend(["--vms".to_owned(), vms.to_string()]);
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = Self { up: None, arguments, folder };
        cluster.up_again();
        cluster
    }

    /// Starts `cumulet up` on the folder, for the first time or after it was killed.
    pub(crate) fn up_again(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("up.log")).unwrap();
        let child = self
            .command()
            .args(["up", "--port", "0", "--admin-port", "0"])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let pid = child.id();
        self.up = Some(child);
        until("cluster.toml names the cluster", || {
            let file = self.state().read_cluster_file().ok()??;
            (file.pid == pid).then_some(())
        });
    }

    /// The process of `cumulet up`.
    pub(crate) fn pid(&self) -> u32 {
        self.up.as_ref().unwrap().id()
    }

    /// A command on this cluster's folder.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cumulet"));
        command.arg("--state").arg(self.path());
        command
    }

    /// Runs an operator's command.
    pub(crate) fn cumulet(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn state(&self) -> StateFolder {
        StateFolder::open(&self.path()).unwrap()
    }

    /// What `cumulet up` has told so far.
    pub(crate) fn told(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("up.log")).unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let file = self.state().read_cluster_file().unwrap().unwrap();
        file.balancer.parse().unwrap()
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        let file = self.state().read_cluster_file().unwrap().unwrap();
        file.admin.parse().unwrap()
    }

    pub(crate) fn pid_of(&self, role: &str) -> Option<u32> {
        let file = self.state().read_cluster_file().ok()??;
        if role == "balancer" { file.balancer_pid } else { file.autoscaler_pid }
    }

    pub(crate) fn send(&self, path: &str, body: &[u8]) -> Result<Answer, String> {
        http::send(self.address(), "POST", path, body)
    }

    pub(crate) fn get(&self, path: &str) -> Result<Answer, String> {
        http::send(self.address(), "GET", path, b"")
    }

    fn is_ready(&self) -> bool {
        http::send(self.admin(), "GET", "/readyz", b"").is_ok_and(|answer| answer.status == 200)
    }

    pub(crate) fn vms(&self) -> Vec<VmReport> {
        self.state().read::<VmStateFile>().ok().flatten().unwrap_or_default().vms
    }

    pub(crate) fn running(&self) -> Vec<VmReport> {
        self.vms().into_iter().filter(|vm| vm.state == VmState::Running).collect()
    }

    pub(crate) fn vm(&self, id: &str) -> Option<VmReport> {
        let id: VmId = id.parse().unwrap();
        self.vms().into_iter().find(|vm| vm.id == id)
    }

    /// How many sockets of VMs there are.
    pub(crate) fn sockets(&self) -> usize {
        std::fs::read_dir(self.path().join("sockets")).map_or(0, Iterator::count)
    }

    pub(crate) fn orders(&self) -> AsStateFile {
        until("ASState.xml can be read", || self.state().read::<AsStateFile>().ok().flatten())
    }

    /// Replaces text in a file of the folder, as an editor would.
    #[track_caller]
    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let _lock = self.lock(name);
        let path = self.path().join(name);
        let before = std::fs::read_to_string(&path).unwrap();
        assert!(before.contains(from), "{name} does not contain {from}: {before}");
        std::fs::write(&path, before.replacen(from, to, 1)).unwrap();
    }

    /// Replaces a whole file of the folder, as an editor would.
    pub(crate) fn overwrite(&self, name: &str, text: &str) {
        let _lock = self.lock(name);
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// Editors take no lock; but a save in the very instant in which a writer renames its file is
    /// lost, and these writers write five times a second.
    pub(crate) fn lock(&self, name: &str) -> std::fs::File {
        let path = self.path().join(format!("{name}.lock"));
        let file = std::fs::File::options().create(true).append(true).open(path).unwrap();
        file.lock().unwrap();
        file
    }

    /// Asks the cluster to stop and waits for it. Returns its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        self.stop_by(Signal::TERM)
    }

    pub(crate) fn stop_by(&mut self, wish: Signal) -> Option<i32> {
        let mut child = self.up.take().unwrap();
        signal(child.id(), wish);
        until("the cluster stops", || child.try_wait().unwrap()).code()
    }

    /// Kills `cumulet up` itself, so that nothing is tidied up.
    pub(crate) fn kill_up(&mut self) {
        let mut child = self.up.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// The processes on this machine that work on this folder.
    pub(crate) fn processes(&self) -> Vec<process::RoleProcess> {
        processes_on(&self.path())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut child) = self.up.take() {
            signal(child.id(), Signal::KILL);
            let _reaped = child.wait();
        }
        for left in processes_on(&self.path()) {
            signal(left.pid, Signal::KILL);
        }
        if std::thread::panicking() {
            eprintln!("{}", self.told());
        }
    }
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let _gone_already = kill_process(pid, signal);
}

fn processes_on(path: &Path) -> Vec<process::RoleProcess> {
    let path = path.display().to_string();
    let all = process::roles(None).unwrap();
    all.into_iter().filter(|role| role.state.as_deref() == Some(path.as_str())).collect()
}
