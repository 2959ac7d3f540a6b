//! How many requests are worked on, wait or are turned away; and leaving.

use hyper::Method;

use crate::harness::{
    Client, SCENE, Server, endless, metrics, render_path, request, settings_of, stuck,
};

#[tokio::test]
async fn no_more_are_worked_on_than_the_type_allows_and_the_rest_waits() {
    let server = Server::start(stuck()).await;
    let requests: Vec<_> = (0..5).map(|_| server.sending(endless())).collect();
    server.is_at(2, 3).await;
    for request in requests {
        request.abort();
    }
    server.is_at(0, 0).await;
}

#[tokio::test]
async fn beyond_the_longest_queue_the_answer_is_an_empty_503() {
    let mut settings = stuck();
    settings.longest_queue = 1;
    let server = Server::start(settings).await;
    let requests: Vec<_> = (0..3).map(|_| server.sending(endless())).collect();
    server.is_at(2, 1).await;
    let reply = server.send(endless()).await;
    assert_eq!((reply.status, reply.body.len()), (503, 0));
    assert_eq!(reply.header("retry-after"), "1");
    assert_eq!(reply.header("content-length"), "0");
    assert!(reply.header("x-cumulet-reason").contains("queue"), "{:?}", reply.headers);
    for request in requests {
        request.abort();
    }
    server.is_at(0, 0).await;
}

#[tokio::test]
async fn a_client_that_leaves_makes_way_for_the_next_and_is_no_failure() {
    let server = Server::start(stuck()).await;
    let leaving = [server.sending(endless()), server.sending(endless())];
    server.is_at(2, 0).await;
    let waiting = server.sending(endless());
    server.is_at(2, 1).await;
    leaving[0].abort();
    server.is_at(2, 0).await;
    leaving[1].abort();
    waiting.abort();
    server.is_at(0, 0).await;
    let report = server.reports("it is idle", |vm| vm.load.in_flight == 0).await;
    assert_eq!((report.served.requests, report.served.failures), (0, 0));
    let (state, _folder) = server.stopped().await;
    assert_eq!(metrics(&state), []);
}

#[tokio::test]
async fn health_answers_while_all_vcpus_are_busy() {
    let server = Server::start(stuck()).await;
    let requests = [server.sending(endless()), server.sending(endless())];
    server.is_at(2, 0).await;
    let mut client = Client::connect(&server.address).await;
    crate::harness::eventually("the load is 1", async || {
        client.send(request(Method::GET, "/health", "")).await.text() == "OK: 1.000"
    })
    .await;
    drop(requests);
}

#[tokio::test]
async fn an_answer_tells_the_load_without_its_own_request() {
    let server = Server::start(settings_of("t3.micro")).await;
    for _ in 0..5 {
        let reply = server.post(&render_path(32, 20), SCENE).await;
        assert!(reply.header("x-cumulet-load").ends_with(" in_flight=0 queued=0"), "{reply:?}");
    }
}

#[tokio::test]
async fn a_vm_without_limit_works_on_everything_at_once() {
    let server = Server::start(settings_of("local")).await;
    let path = render_path(200, 150);
    let renders: Vec<_> =
        (0..20).map(|_| server.sending(request(Method::POST, &path, SCENE))).collect();
    for render in renders {
        assert_eq!(render.await.unwrap().status, 200);
    }
}
