//! One balancer after another on the same sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use cumulet::process;
use rustix::process::Signal;

use crate::cluster::{Cluster, signal};
use crate::support::{SCENE, render_path, until};

/// A client that keeps its connection until it is told that an answer was the last one on it.
struct Kept {
    address: SocketAddr,
    open: Option<BufReader<TcpStream>>,
    connections: u32,
}

impl Kept {
    fn get(&mut self) -> std::io::Result<u16> {
        let address = self.address;
        let stream = match &mut self.open {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(Duration::from_mins(2)))?;
                self.connections += 1;
                none.insert(BufReader::new(stream))
            }
        };
        write!(stream.get_mut(), "GET /test HTTP/1.1\r\nHost: a\r\n\r\n")?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        let head = head.to_ascii_lowercase();
        let value = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name));
            line.map(|value| value.trim().to_owned())
        };
        let length = value("content-length:").and_then(|length| length.parse().ok()).unwrap_or(0);
        stream.read_exact(&mut vec![0; length])?;
        if value("connection:").as_deref() == Some("close") {
            self.open = None;
        }
        Ok(head.split(' ').nth(1).unwrap().parse().unwrap())
    }
}

#[test]
fn a_restart_of_the_balancer_under_load_fails_no_request() {
    let mut cluster = Cluster::start(2, &["--set", "autoscaler.minimum=2"]);
    let (done, answered) = (AtomicBool::new(false), AtomicU32::new(0));
    let path = render_path(200, 150);
    std::thread::scope(|scope| {
        let mut kept = Vec::new();
        for _ in 0..4 {
            kept.push(scope.spawn(|| {
                let address = cluster.address();
                let mut client = Kept { address, open: None, connections: 0 };
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(client.get().expect("no request is lost"), 200);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                client.connections
            }));
        }
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let answer = cluster.send(&path, SCENE.as_bytes()).expect("no request is lost");
                    assert_eq!(answer.status, 200, "{}", answer.text());
                }
            });
        }
        for _ in 0..3 {
            let before = cluster.pid_of("balancer").unwrap();
            let said = cluster.cumulet(&["balancer", "restart"]);
            assert!(said.status.success(), "{said:?}");
            assert_ne!(cluster.pid_of("balancer"), Some(before));
            until("the one before has left", || (!process::is_alive(before)).then_some(()));
            let so_far = answered.load(Ordering::Relaxed);
            until("requests go on", || {
                (answered.load(Ordering::Relaxed) > so_far + 40).then_some(())
            });
        }
        done.store(true, Ordering::Relaxed);
        for client in kept {
            assert_eq!(client.join().unwrap(), 4, "one connection to each balancer");
        }
    });
    assert_eq!(cluster.stop(), Some(0));
    assert_eq!(cluster.processes(), []);
}

#[cfg(target_os = "linux")]
#[test]
fn connections_wait_when_an_adopted_balancer_dies() {
    let mut cluster = Cluster::start(1, &[]);
    cluster.kill_up();
    cluster.up_again();
    let balancer = cluster.pid_of("balancer").unwrap();
    // While the cluster stands still nobody starts another balancer.
    signal(cluster.pid(), Signal::STOP);
    signal(balancer, Signal::KILL);
    until("it is dead", || (!process::is_alive(balancer)).then_some(()));
    let address = cluster.address();
    let waiting = TcpStream::connect(address).expect("the connection waits, it is not refused");
    signal(cluster.pid(), Signal::CONT);
    let mut client = Kept { address, open: Some(BufReader::new(waiting)), connections: 1 };
    assert_eq!(client.get().unwrap(), 200);
    assert_eq!(cluster.stop(), Some(0));
}
