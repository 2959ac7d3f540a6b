//! VMs that listen at a socket in the state folder beside their port.

use cumulet::balancer::Settings;
use cumulet::state::vm_state::VmReport;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener};
use tokio::task::JoinHandle;

use super::cluster::{Act, Cluster, FakeVm, eventually};

/// Where it listens, from the state folder.
const SOCKET: &str = "sockets/vm-1.1";

/// Puts all that comes in at the socket through to `behind`.
fn open_socket(cluster: &Cluster, behind: &FakeVm) -> JoinHandle<()> {
    let path = cluster.folder.path().join(SOCKET);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(path).unwrap();
    let address = behind.address.clone();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let address = address.clone();
            tokio::spawn(async move {
                let mut to = TcpStream::connect(address).await.ok()?;
                copy_bidirectional(&mut from, &mut to).await.ok()
            });
        }
    })
}

/// A VM whose port and socket are told apart by who answers there.
struct TwoDoors {
    port: FakeVm,
    socket: FakeVm,
}

impl TwoDoors {
    async fn new() -> Self {
        Self { port: FakeVm::start("vm-1").await, socket: FakeVm::start("vm-1").await }
    }

    fn report(&self) -> VmReport {
        VmReport { socket: Some(SOCKET.to_owned()), ..self.port.report() }
    }

    fn seen(&self) -> [usize; 2] {
        [self.port.seen().len(), self.socket.seen().len()]
    }
}

#[tokio::test]
async fn a_vm_is_reached_through_its_socket_while_it_has_one() {
    let vm = TwoDoors::new().await;
    let cluster = Cluster::start(&[]).await;
    let open = open_socket(&cluster, &vm.socket);
    cluster.set_vms(vec![vm.report()]);
    let body = vec![7; 100_000];
    for _ in 0..2 {
        assert_eq!(cluster.post("/blurimage", &body).await.status(), 200);
    }
    assert_eq!(vm.seen(), [0, 2]);
    assert_eq!(vm.socket.seen()[0].body, body);
    assert_eq!(vm.socket.connections(), 1, "it is kept");
    // Nobody listens there any more, though the file is still there: what the port says, counts.
    open.abort();
    vm.socket.kill();
    eventually(|| async { vm.socket.open_connections() == 0 }).await;
    assert_eq!(cluster.get("/").await.status(), 200);
    assert_eq!(vm.seen(), [1, 2]);
    cluster.stop().await;
}

#[tokio::test]
async fn an_answer_cut_off_at_a_socket_is_asked_for_again_elsewhere() {
    let vm = TwoDoors::new().await;
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_vec();
    vm.socket.set_script(move |_| Act::RawThenClose(cut.clone()));
    let cluster = Cluster::start(&[]).await;
    let _open = open_socket(&cluster, &vm.socket);
    let other = FakeVm::start("vm-2").await;
    cluster.set_vms(vec![vm.report(), other.report()]);
    for _ in 0..4 {
        let answer = cluster.get("/x").await;
        assert_eq!((answer.status(), answer.vm()), (200, "vm-2"));
    }
    assert!(!vm.socket.seen().is_empty(), "none was asked for again");
    cluster.stop().await;
}

#[tokio::test]
async fn sockets_can_be_left_alone() {
    let vm = TwoDoors::new().await;
    let settings = Settings { vm_sockets: false, ..Settings::default() };
    let cluster = Cluster::start_with(settings, &[]).await;
    let _open = open_socket(&cluster, &vm.socket);
    cluster.set_vms(vec![vm.report()]);
    assert_eq!(cluster.get("/").await.status(), 200);
    assert_eq!(vm.seen(), [1, 0]);
    cluster.stop().await;
}

#[tokio::test]
async fn only_the_vms_own_socket_is_believed() {
    for other in ["", "/", "sockets/../sockets/vm-1.1", "sockets/vm-1.2"] {
        let vm = TwoDoors::new().await;
        let cluster = Cluster::start(&[]).await;
        let _open = open_socket(&cluster, &vm.socket);
        let path = cluster.folder.path();
        std::fs::hard_link(path.join(SOCKET), path.join("sockets/vm-1.2")).unwrap();
        let own = path.join(SOCKET).display().to_string();
        let other = if other == "/" { own } else { other.to_owned() };
        cluster.set_vms(vec![VmReport { socket: Some(other.clone()), ..vm.report() }]);
        assert_eq!(cluster.get("/").await.status(), 200);
        assert_eq!(vm.seen(), [1, 0], "{other}");
        cluster.stop().await;
    }
}
