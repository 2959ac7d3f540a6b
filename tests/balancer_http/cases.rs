//! Requests that two servers could read in two ways, or no server should read at all, one by one.
//! `cargo test --test balancer_http cases -- --nocapture` prints them.

use std::time::Duration;

use super::cluster::{Answer, Client, Cluster, FakeVm};

/// One message, what it is, and the status that it is answered with.
struct Case {
    group: &'static str,
    name: &'static str,
    request: String,
    status: u16,
}

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\n";
const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n";

fn framing() -> Vec<Case> {
    let case = |name, lines: &str, status| Case {
        group: "framing",
        name,
        request: format!("{POST}{lines}"),
        status,
    };
    let chunks = "\r\n\r\n0\r\n\r\n";
    let te = |value: &str| format!("Transfer-Encoding: {value}{chunks}");
    let mut cases = vec![
        case("CL before TE", &format!("Content-Length: 5\r\n{}", te("chunked")), 400),
        case(
            "TE before CL",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            400,
        ),
        case("two CL that differ", "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400),
        case("two CL that agree", "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
        case("a list of CL", "Content-Length: 5, 5\r\n\r\nhello", 400),
        case("CL with a plus", "Content-Length: +5\r\n\r\nhello", 400),
        case("CL with a minus", "Content-Length: -5\r\n\r\nhello", 400),
        case("CL in hexadecimal", "Content-Length: 0x5\r\n\r\nhello", 400),
        case("CL with a space inside", "Content-Length: 5 5\r\n\r\nhello", 400),
        case("CL with a comma", "Content-Length: 5,\r\n\r\nhello", 400),
        case("CL that overflows", "Content-Length: 99999999999999999999\r\n\r\nhello", 400),
        case("CL of 2^64 - 1", "Content-Length: 18446744073709551615\r\n\r\nhello", 400),
        case("CL that is empty", "Content-Length:\r\n\r\n", 400),
        case("CL, a space before the colon", "Content-Length : 5\r\n\r\nhello", 400),
        case("CL, a VT around the value", "Content-Length: \x0b5\r\n\r\nhello", 400),
        case("CL over the limit for a body", "Content-Length: 999999999\r\n\r\n", 413),
        case("TE, no such coding", &te("xchunked"), 400),
        case("TE, chunked not last", &te("chunked, identity"), 400),
        case("TE identity", "Transfer-Encoding: identity\r\n\r\n", 400),
        case("TE empty", &te(""), 400),
        case("TE chunked with a comma", &te("chunked,"), 400),
        case("TE chunked twice in a list", &te("chunked, chunked"), 501),
        case("TE gzip before chunked", &te("gzip, chunked"), 501),
        case("TE in quotes", &te("\"chunked\""), 400),
        case("TE with a parameter", &te("chunked;q=1"), 400),
        case("two TE lines", &format!("Transfer-Encoding: chunked\r\n{}", te("x")), 400),
        case(
            "two TE lines that agree",
            &format!("Transfer-Encoding: chunked\r\n{}", te("chunked")),
            400,
        ),
        case("TE, a space before the colon", &format!("Transfer-Encoding : chunked{chunks}"), 400),
        case("TE, a tab before the colon", &format!("Transfer-Encoding\t: chunked{chunks}"), 400),
        case("TE, a VT before the value", &te("\x0bchunked"), 400),
        case("TE, a FF after the value", &te("chunked\x0c"), 400),
        case("TE on a folded line", &format!("Transfer-Encoding:\r\n chunked{chunks}"), 400),
        case("TE after a bare CR", &format!("A: b\rTransfer-Encoding: chunked{chunks}"), 400),
    ];
    cases.push(Case {
        group: "framing",
        name: "TE in HTTP/1.0",
        request: "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        status: 400,
    });
    cases
}

fn chunks() -> Vec<Case> {
    let cases = [
        ("size 0x5", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("size +5", "+5\r\nhello\r\n0\r\n\r\n"),
        ("size -5", "-5\r\nhello\r\n0\r\n\r\n"),
        ("size 0_5", "0_5\r\nhello\r\n0\r\n\r\n"),
        ("size with a space before", " 5\r\nhello\r\n0\r\n\r\n"),
        ("size with a space after", "5 \r\nhello\r\n0\r\n\r\n"),
        ("size of 17 digits that is small", "00000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("size of 17 digits that is large", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("size missing", "\r\nhello\r\n0\r\n\r\n"),
        ("no CR LF after the data", "5\r\nhello0\r\n\r\n"),
        ("more data than the size", "5\r\nhelloXX\r\n0\r\n\r\n"),
        ("other bytes after the data", "5\r\nhelloXX0\r\n\r\n"),
        ("bare LF after the size", "5\nhello\r\n0\r\n\r\n"),
        ("bare CR after the size", "5\rhello\r\n0\r\n\r\n"),
        ("bare LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ("NUL in an extension", "5;a\0b\r\nhello\r\n0\r\n\r\n"),
        ("bare LF after the data", "5\r\nhello\n0\r\n\r\n"),
        ("bare LF after the last chunk", "5\r\nhello\r\n0\n\r\n"),
        ("bare LF in the trailers", "5\r\nhello\r\n0\r\nA: b\n\r\n"),
        ("a trailer without a colon", "5\r\nhello\r\n0\r\nGET / HTTP/1.1\r\n\r\n"),
        ("a trailer, a space before the colon", "5\r\nhello\r\n0\r\nA : b\r\n\r\n"),
        ("a trailer with a NUL", "5\r\nhello\r\n0\r\nA: \0\r\n\r\n"),
    ];
    let long = "x".repeat(20_000);
    let extension = format!("5;{long}\r\nhello\r\n0\r\n\r\n");
    let trailers = format!("0\r\nA: {long}\r\n\r\n");
    let case = |(name, body)| Case {
        group: "chunks",
        name,
        request: format!("{CHUNKED}{body}"),
        status: 400,
    };
    let without_end =
        [("an extension without end", &*extension), ("trailers without end", &*trailers)];
    cases.into_iter().chain(without_end).map(case).collect()
}

fn syntax() -> Vec<Case> {
    let cases = [
        ("no Host", "GET / HTTP/1.1\r\n\r\n"),
        ("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        ("two Hosts that agree", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        ("Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        ("Host with a slash", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        ("Host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
        ("Host that is a list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
        ("a folded line", "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n"),
        ("a folded first line", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
        ("NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nA: b\0c\r\n\r\n"),
        ("bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n"),
        ("a control character in a value", "GET / HTTP/1.1\r\nHost: a\r\nA: b\x01\r\n\r\n"),
        ("DEL in a value", "GET / HTTP/1.1\r\nHost: a\r\nA: b\x7f\r\n\r\n"),
        ("bare LF everywhere", "GET / HTTP/1.1\nHost: a\n\n"),
        ("bare LF after a header", "GET / HTTP/1.1\r\nHost: a\nB: c\r\n\r\n"),
        ("bare LF before the empty line", "GET / HTTP/1.1\r\nHost: a\n\r\n"),
        ("a space in a name", "GET / HTTP/1.1\r\nHost: a\r\nA B: c\r\n\r\n"),
        ("a space before the colon", "GET / HTTP/1.1\r\nHost: a\r\nA : c\r\n\r\n"),
        ("a parenthesis in a name", "GET / HTTP/1.1\r\nHost: a\r\nA(B: c\r\n\r\n"),
        ("an empty name", "GET / HTTP/1.1\r\nHost: a\r\n: c\r\n\r\n"),
        ("a line without a colon", "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n"),
        ("a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a control character in the target", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("two spaces in the request line", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a tab in the request line", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a space before the method", " GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a method that is no token", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("HTTP/1.15", "GET / HTTP/1.15\r\nHost: a\r\n\r\n"),
        ("HTTP/9.9", "GET / HTTP/9.9\r\nHost: a\r\n\r\n"),
        ("http/1.1 in small letters", "GET / http/1.1\r\nHost: a\r\n\r\n"),
        ("no version", "GET /\r\n\r\n"),
        ("no HTTP/2 after its first line", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"),
        ("TLS on this port", "\x16\x03\x01\x02\0\x01\0\x01\r\n"),
        ("a target of another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a target with a user", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ];
    let case = |(name, request): (_, &str)| Case {
        group: "syntax",
        name,
        request: request.to_owned(),
        status: 400,
    };
    cases.map(case).into()
}

fn limits_and_methods() -> Vec<Case> {
    let case = |name, request, status| Case { group: "limits", name, request, status };
    let long = |length| "x".repeat(length);
    vec![
        case("a header of 300 KB", format!("{GET}A: {}\r\n\r\n", long(300_000)), 431),
        case("1000 headers", format!("{GET}{}\r\n", "A: b\r\n".repeat(1000)), 431),
        case("101 headers", format!("{GET}{}\r\n", "A: b\r\n".repeat(100)), 431),
        case(
            "a target of 70 KB",
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", long(70_000)),
            431,
        ),
        case("a method of 70 KB", format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", long(70_000)), 431),
    ]
}

/// Sends raw bytes and says what came back before the connection was closed.
async fn answers(cluster: &Cluster, request: &[u8]) -> Vec<Answer> {
    let mut client = Client::open(cluster.address).await;
    client.write(request).await;
    let mut answers = Vec::new();
    // A connection that stays open is a finding, and the finding says so.
    let patience = Duration::from_secs(20);
    loop {
        match tokio::time::timeout(patience, client.next_answer()).await {
            Ok(Some(answer)) => answers.push(answer),
            Ok(None) => return answers,
            Err(_) => {
                let head = "HTTP/1.1 000 the connection stays open\r\n\r\n".to_owned();
                answers.push(Answer { head, ..Answer::default() });
                return answers;
            }
        }
    }
}

/// What is wrong with the answers to a request that is to be refused.
fn finding(case: &Case, answers: &[Answer]) -> Option<String> {
    let [answer] = answers else {
        let statuses: Vec<u16> = answers.iter().map(Answer::status).collect();
        return Some(format!("answered with {statuses:?}"));
    };
    if answer.status() != case.status {
        return Some(format!("answered with {}: {}", answer.status(), answer.text()));
    }
    if answer.header("content-type") != Some("application/problem+json") {
        return Some(format!("not a problem document: {}", answer.head));
    }
    let says_so =
        answer.text().contains("\"detail\":\"") && answer.header("x-request-id").is_some();
    (!says_so).then(|| format!("a document that says little: {}", answer.text()))
}

#[tokio::test]
async fn messages_that_could_be_read_in_two_ways_are_refused_and_not_passed_on() {
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start(&[&vm]).await;
    let hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    let cases: Vec<Case> =
        [framing(), chunks(), syntax(), limits_and_methods()].into_iter().flatten().collect();
    let mut wrong = Vec::new();
    for case in &cases {
        let request = format!("{}{hidden}", case.request);
        let answers = answers(&cluster, request.as_bytes()).await;
        let finding = finding(case, &answers);
        let mark = if finding.is_none() { "ok " } else { "BAD" };
        println!("{mark} {:8} {:40} {}", case.group, case.name, case.status);
        wrong.extend(finding.map(|finding| format!("{}, {}: {finding}", case.group, case.name)));
    }
    println!("{} of {} cases", cases.len() - wrong.len(), cases.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    let hidden_ones = vm.seen().iter().filter(|got| got.head.contains("/hidden")).count();
    assert_eq!(hidden_ones, 0, "a request was smuggled");
    cluster.stop().await;
}

#[tokio::test]
async fn a_request_before_a_refused_one_is_answered_first_and_both_are_accounted_for() {
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start(&[&vm]).await;
    let answers = answers(&cluster, format!("{GET}\r\n{GET}A B: c\r\n\r\n").as_bytes()).await;
    let statuses: Vec<u16> = answers.iter().map(Answer::status).collect();
    assert_eq!(statuses, [200, 400]);
    assert!(answers[1].text().contains("header line 2, `A B: c`"), "{}", answers[1].text());
    super::cluster::eventually(|| async { cluster.file("metrics.txt").contains("status=400") })
        .await;
    cluster.stop().await;
}
