//! The screen in a real terminal: what is typed, what is seen, and how the terminal is left.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use cumulet::process;
use cumulet::state::StateFolder;
use cumulet::state::function_state::FunctionStateFile;
use cumulet::state::vm_state::VmStateFile;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::support::until;

/// A terminal with a shell in it, driven by tmux.
struct Terminal {
    /// The name of a tmux server of its own.
    server: String,
    folder: TempDir,
}

impl Terminal {
    /// None where there is no tmux; `test.sh` sees to it that there is one.
    fn open(width: u32, height: u32) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if Command::new("tmux").arg("-V").output().is_err() {
            eprintln!("skipped: tmux is not installed");
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let server = format!("cumulet-test-{}-{number}", std::process::id());
        let terminal = Self { server, folder: tempfile::tempdir().unwrap() };
        let (width, height) = (width.to_string(), height.to_string());
        let folder = terminal.folder.path().to_str().unwrap();
        let size = ["new-session", "-d", "-x", &width, "-y", &height, "-c", folder];
        let shell = ["env", "-u", "NO_COLOR", "LC_ALL=C.UTF-8", "PS1=ready$ ", "sh"];
        let made = terminal.tmux(&[&size[..], &shell[..]].concat());
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Some(terminal)
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        command.args(["-u", "-f", "/dev/null", "-L", &self.server]).args(arguments);
        command.output().unwrap()
    }

    fn type_text(&self, text: &str) {
        assert!(self.tmux(&["send-keys", "-l", text]).status.success());
    }

    fn press(&self, key: &str) {
        assert!(self.tmux(&["send-keys", key]).status.success());
    }

    fn resize(&self, width: u32, height: u32) {
        let (width, height) = (width.to_string(), height.to_string());
        let resized = self.tmux(&["resize-window", "-x", &width, "-y", &height]);
        assert!(resized.status.success(), "{}", String::from_utf8_lossy(&resized.stderr));
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p"]).stdout).into_owned()
    }

    #[track_caller]
    fn until_shown(&self, words: &str) -> String {
        until(&format!("the screen shows `{words}`"), || {
            let shown = self.shown();
            shown.contains(words).then_some(shown)
        })
    }

    /// What tmux says of the terminal: `alternate_on`, `cursor_flag`.
    fn flag(&self, name: &str) -> String {
        let said = self.tmux(&["display-message", "-p", &format!("#{{{name}}}")]).stdout;
        String::from_utf8_lossy(&said).trim().to_owned()
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.shown());
        }
        self.tmux(&["kill-server"]);
    }
}

#[test]
fn a_person_looks_fires_kills_resizes_and_leaves_the_terminal_as_it_was() {
    let cluster = Cluster::start(2, &["--set", "autoscaler.minimum=2"]);
    let Some(terminal) = Terminal::open(120, 40) else { return };
    let program = env!("CARGO_BIN_EXE_cumulet");
    let state = cluster.path();
    terminal.type_text(&format!(
        "stty -g > before; {program} --state {} top; echo \"left $?.\"; stty -g > after",
        state.display()
    ));
    terminal.press("Enter");
    terminal.until_shown("Fleet cpu");
    terminal.until_shown("2 running");
    assert_eq!((terminal.flag("alternate_on"), terminal.flag("cursor_flag")), one("1", "0"));

    // One request, its picture in a folder that the screen names.
    terminal.type_text("3f");
    terminal.until_shown("Fire requests");
    terminal.press("Enter");
    let shown = terminal.until_shown("blur by vm-");
    let (_, after) = shown.split_once("cumulet-pictures/").unwrap();
    let name = after.split_whitespace().next().unwrap();
    let picture = std::fs::read(terminal.folder.path().join("cumulet-pictures").join(name));
    assert!(image::load_from_memory(&picture.unwrap()).is_ok(), "{name} is a picture");

    // Enter never kills, `y` does, and the VM that was meant.
    let before = cluster.vm("vm-1").unwrap().pid;
    terminal.type_text("2K");
    terminal.until_shown(&format!("vm-1 (pid {before})"));
    terminal.press("Enter");
    until("the question is gone", || (!terminal.shown().contains("Kill -9")).then_some(()));
    assert_eq!(cluster.vm("vm-1").unwrap().pid, before);
    terminal.type_text("K");
    terminal.until_shown("Kill -9 vm-1?");
    terminal.type_text("y");
    terminal.until_shown(&format!("vm-1 killed (pid {before})"));
    until("vm-1 is replaced", || {
        cluster
            .running()
            .iter()
            .any(|vm| vm.id.as_str() == "vm-1" && vm.pid != before)
            .then_some(())
    });

    // The smallest window still says how it is, and a larger one shows all again.
    terminal.resize(40, 8);
    until("the small screen is drawn", || {
        let shown = terminal.shown();
        (shown.lines().all(|line| line.chars().count() <= 40) && shown.contains("cpu "))
            .then_some(())
    });
    terminal.resize(100, 30);
    terminal.until_shown("Instances");

    terminal.type_text("q");
    terminal.until_shown("left 0.");
    until("the shell goes on", || (!terminal.file("after").is_empty()).then_some(()));
    assert_eq!(terminal.file("before"), terminal.file("after"), "the terminal's modes");
    assert_eq!((terminal.flag("alternate_on"), terminal.flag("cursor_flag")), one("0", "1"));
    assert_eq!(cluster.running().len(), 2, "looking away ends nothing");
}

fn one(first: &str, second: &str) -> (String, String) {
    (first.to_owned(), second.to_owned())
}

#[test]
fn a_policy_is_tried_on_the_load_that_was_before_it_is_put_in_force() {
    let cluster = Cluster::start(1, &[]);
    let Some(terminal) = Terminal::open(120, 40) else { return };
    let state = cluster.path();
    let program = env!("CARGO_BIN_EXE_cumulet");
    terminal.type_text(&format!("{program} --state {} top", state.display()));
    terminal.press("Enter");
    terminal.until_shown("1 running");
    terminal.type_text("4P");
    terminal.until_shown("nothing changes until Enter");
    for _ in 0..100 {
        terminal.press("BSpace");
    }
    terminal.type_text("threshold high=0.2 low=0.9");
    terminal.until_shown("must be below high=0.2");
    terminal.press("Enter");
    assert_ne!(cluster.orders().policy, "threshold");
    for _ in 0..100 {
        terminal.press("BSpace");
    }
    terminal.type_text("threshold high=0.5 maximum=3");
    terminal.until_shown("as typed");
    assert_ne!(cluster.orders().policy, "threshold");
    terminal.press("Enter");
    terminal.until_shown("in force: threshold high=0.5");
    let orders = cluster.orders();
    assert_eq!((orders.policy.as_str(), orders.maximum), ("threshold", 3));
    assert_eq!(orders.parameters, [("high".to_owned(), "0.5".to_owned())]);
    terminal.type_text("q");
}

#[test]
fn what_the_command_line_can_the_screen_can() {
    let cluster = Cluster::start(2, &["--set", "autoscaler.minimum=2"]);
    let Some(terminal) = Terminal::open(120, 40) else { return };
    let program = env!("CARGO_BIN_EXE_cumulet");
    terminal.type_text(&format!("{program} --state {} top", cluster.path().display()));
    terminal.press("Enter");
    terminal.until_shown("2 running");

    terminal.type_text("2o");
    terminal.until_shown("no scale-in and no refresh takes vm-1 away");
    assert!(cluster.orders().vms.iter().any(|order| order.protected));

    terminal.type_text(":balancing round-robin");
    terminal.press("Enter");
    terminal.until_shown("VMs are chosen by round-robin");

    terminal.type_text(":image vm-1 web");
    terminal.press("Enter");
    terminal.until_shown("image web made of vm-1");
    terminal.type_text(":launch image web");
    terminal.press("Enter");
    terminal.until_shown("vm-3 will be launched from image web");

    terminal.type_text(":limits 2 7");
    terminal.press("Enter");
    terminal.until_shown("nothing changes until Enter");
    terminal.press("Enter");
    terminal.until_shown("2 to 7 VMs");
    assert_eq!(cluster.orders().maximum, 7);

    // A refresh replaces all but the protected one, after a yes.
    let before = cluster.vm("vm-2").unwrap().pid;
    terminal.type_text("R");
    terminal.until_shown("Replace every VM?");
    terminal.press("Enter");
    until("the question is gone", || {
        (!terminal.shown().contains("Replace every VM?")).then_some(())
    });
    assert_eq!(cluster.orders().refresh, None);
    terminal.type_text("R");
    terminal.until_shown("Replace every VM?");
    terminal.type_text("y");
    terminal.until_shown("will be replaced");
    until("vm-2 is replaced and vm-1 is not", || {
        let running = cluster.running();
        let gone = running.iter().all(|vm| vm.pid != before);
        (gone && running.iter().any(|vm| vm.id.as_str() == "vm-1")).then_some(())
    });
    terminal.type_text("q");
}

#[test]
fn a_signal_ends_the_screen_and_gives_the_terminal_back() {
    let cluster = Cluster::start(1, &[]);
    for signal in [Signal::TERM, Signal::HUP] {
        let Some(terminal) = Terminal::open(80, 24) else { return };
        let program = env!("CARGO_BIN_EXE_cumulet");
        terminal.type_text(&format!(
            "stty -g > before; sh -c 'echo $$ > pid; exec {program} --state {} top'; \
             echo \"left $?.\"; stty -g > after",
            cluster.path().display()
        ));
        terminal.press("Enter");
        terminal.until_shown("1 running");
        let pid = terminal.file("pid").trim().parse().unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
        terminal.until_shown("left 0.");
        until("the shell goes on", || (!terminal.file("after").is_empty()).then_some(()));
        assert_eq!(terminal.file("before"), terminal.file("after"), "the terminal's modes");
        assert_eq!((terminal.flag("alternate_on"), terminal.flag("cursor_flag")), one("0", "1"));
    }
}

/// A terminal that goes away, and a wish to stop in the same moment: what is written to it fails, and
/// none of that may end the cluster before it has stopped its processes.
#[test]
fn a_cluster_whose_terminal_goes_away_stops_whole() {
    for told_too in [false, true] {
        let Some(terminal) = Terminal::open(120, 40) else { return };
        let state = terminal.folder.path().join("state");
        let program = env!("CARGO_BIN_EXE_cumulet");
        terminal.type_text(&format!(
            "{program} --state {} up --vms 2 --port 0 --admin-port 0 --report-every 200ms \
             --set instance_type=local",
            state.display()
        ));
        terminal.press("Enter");
        terminal.until_shown("2 running");
        let folder = StateFolder::existing(&state).unwrap();
        let functions = until("the functions' service says where it is", || {
            folder.read::<FunctionStateFile>().ok().flatten()
        });
        let file = folder.read_cluster_file().unwrap().unwrap();
        let vms = folder.read::<VmStateFile>().unwrap().unwrap().vms;
        let mut pids = vms.iter().map(|vm| vm.pid).collect::<Vec<_>>();
        pids.extend([file.pid, functions.pid]);
        pids.extend([file.balancer_pid, file.autoscaler_pid].into_iter().flatten());
        assert_eq!(pids.len(), 6, "two VMs, the cluster and its three roles");
        if told_too {
            let cluster = Pid::from_raw(i32::try_from(file.pid).unwrap()).unwrap();
            kill_process(cluster, Signal::TERM).unwrap();
        }
        terminal.tmux(&["kill-server"]);
        until("every process is gone", || {
            pids.iter().all(|pid| !process::is_alive(*pid)).then_some(())
        });
        let events = std::fs::read_to_string(state.join("events.log")).unwrap();
        assert!(events.trim_end().ends_with("detail=stopped"), "{events}");
    }
}

#[test]
fn the_exit_code_says_how_the_cluster_is() {
    let mut cluster = Cluster::start(1, &[]);
    until("all is well", || {
        (cluster.cumulet(&["top", "--once"]).status.code() == Some(0)).then_some(())
    });
    cluster.stop();
    for arguments in [["top", "--once"], ["top", "--json"]] {
        let told = cluster.cumulet(&arguments);
        assert_eq!(told.status.code(), Some(2), "{}", String::from_utf8_lossy(&told.stdout));
    }
}
