use super::*;
use proptest::prelude::*;

const START: &str = "POST / HTTP/1.1\r\nHost: a\r\n";

/// How many bytes pass, and whether something is wrong then.
fn scan(request: &str) -> (usize, bool) {
    let verdict = Scanner::default().scan(request.as_bytes());
    (verdict.passed, verdict.fault.is_some())
}

fn is_refused(request: &str) -> bool {
    scan(request).1
}

#[test]
fn requests_that_follow_one_another_pass() {
    let requests = [
        format!("{START}Content-Length: 3\r\n\r\nabc"),
        "\r\nGET /a?b HTTP/1.0\r\n\r\n".to_owned(),
        format!("{START}Transfer-Encoding: chunked\r\n\r\n3;x=\"y\"\r\nabc\r\n0\r\n\r\n"),
        format!("{START}Transfer-Encoding: Chunked\r\n\r\nA\r\n0123456789\r\n00\r\nT: v\r\n\r\n"),
        format!("{START}Content-Length: 0\r\n\r\n"),
    ];
    let mut scanner = Scanner::default();
    for request in requests.iter().chain(&requests) {
        let whole = Verdict { passed: request.len(), fault: None };
        assert_eq!(scanner.scan(request.as_bytes()), whole, "{request:?}");
        assert!(scanner.is_at_head(), "{request:?}");
    }
    assert_eq!(scanner.heads, 10);
}

#[test]
fn nothing_of_a_head_passes_before_it_is_whole_and_sound() {
    let head = format!("{START}\r\n");
    for end in 0..head.len() {
        assert_eq!(scan(&head[..end]), (0, false), "{end}");
    }
    assert_eq!(scan(&head), (head.len(), false));
    let both = format!("{START}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(scan(&format!("{head}{both}")), (head.len(), true));
}

#[test]
fn what_can_never_become_a_head_is_refused_at_once() {
    assert!(is_refused("GET / HTTP/1.1\n"));
    assert!(is_refused("GET / HTTP/1.1\r\nA: \0"));
    assert!(is_refused(&"x".repeat(LONGEST_HEAD + 1)));
    assert!(!is_refused(&"x".repeat(LONGEST_HEAD)));
}

#[test]
fn after_an_upgrade_everything_is_held_back() {
    let head = format!("{START}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    let mut scanner = Scanner::default();
    let verdict = scanner.scan(format!("{head}\0anything").as_bytes());
    assert_eq!(verdict, Verdict { passed: head.len(), fault: None });
    assert!(scanner.is_undecided() && scanner.asks_for_upgrade);
}

#[test]
fn no_head_with_two_readings_passes() {
    for lines in [
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 1",
        "Content-Length: 1\r\nContent-Length: 1",
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: 1, 1",
        "Content-Length: +1",
        "Content-Length: -1",
        "Content-Length: 0x1",
        "Content-Length: 1 1",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
        "Content-Length: 18446744073709551615",
        "Content-Length: 1\u{b}",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding:",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding: chunked\u{c}",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding : chunked",
        "Content-Length : 1",
        "Transfer-Encoding\u{b}: chunked",
        "A: b\r\n folded",
        "A: b\r\n\tfolded",
        "no colon",
        ": no name",
        "X(A: b",
        "X A: b",
        "A: b\u{7f}",
        "A: b\u{1}",
        "A: b\rB: c",
    ] {
        assert!(is_refused(&format!("{START}{lines}\r\n\r\n")), "{lines:?}");
    }
    for line in [
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /a b HTTP/1.1",
        "GET /\u{7f} HTTP/1.1",
        "GET /\u{1} HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET / HTTP/1.15",
        "GET / HTTP/9.9",
        "GET / HTTP/2.0",
        "GET / http/1.1",
        "GET /",
        " GET / HTTP/1.1",
        "G(T / HTTP/1.1",
        "GET http:// HTTP/1.1",
    ] {
        assert!(is_refused(&format!("{line}\r\nHost: a\r\n\r\n")), "{line:?}");
    }
    assert!(is_refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"));
}

#[test]
fn no_chunk_with_two_readings_passes() {
    for body in [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0_5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "00000000000000005\r\nhello\r\n0\r\n\r\n",
        "\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\0b\r\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "0\r\nA: b\n\r\n",
        "0\r\n\n",
        "0\r\nA b: c\r\n\r\n",
        "0\r\nA\r\n\r\n",
        "0\r\n: c\r\n\r\n",
        "0\r\nGET / HTTP/1.1\r\n\r\n",
        "0\r\nA: \0\r\n\r\n",
    ] {
        let request = format!("{START}Transfer-Encoding: chunked\r\n\r\n{body}");
        assert!(is_refused(&request), "{body:?}");
    }
    let chunked = format!("{START}Transfer-Encoding: chunked\r\n\r\n");
    let long = "x".repeat(LONGEST_ASIDE as usize);
    assert!(is_refused(&format!("{chunked}1;{long}\r\na\r\n0\r\n\r\n")));
    assert!(is_refused(&format!("{chunked}0\r\nA: {long}\r\n\r\n")));
}

/// Scans in pieces, as a connection does: what was held back comes again with what is new.
fn scan_in_pieces(whole: &[u8], cuts: &[usize]) -> (usize, bool) {
    let mut scanner = Scanner::default();
    let (mut held, mut passed, mut rest) = (Vec::new(), 0, whole);
    for cut in cuts.iter().copied().chain([usize::MAX]) {
        let (piece, after) = rest.split_at(cut.min(rest.len()));
        rest = after;
        held.extend_from_slice(piece);
        let verdict = scanner.scan(&held);
        passed += verdict.passed;
        if verdict.fault.is_some() {
            return (passed, true);
        }
        held.drain(..verdict.passed);
    }
    (passed, false)
}

proptest! {
    #[test]
    fn how_the_bytes_are_cut_into_pieces_makes_no_difference(
        cuts in proptest::collection::vec(1..40_usize, 0..20),
        bad in any::<bool>(),
    ) {
        let end = if bad { "5\nhello" } else { "5\r\nhello\r\n0\r\n\r\n" };
        let whole = format!(
            "{START}Content-Length: 4\r\n\r\nabcd{START}Transfer-Encoding: chunked\r\n\r\n{end}"
        );
        let expected = scan(&whole);
        prop_assert_eq!(expected.1, bad);
        prop_assert_eq!(scan_in_pieces(whole.as_bytes(), &cuts), expected);
    }

    #[test]
    fn any_bytes_at_all_are_borne(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let verdict = Scanner::default().scan(&bytes);
        prop_assert!(verdict.passed <= bytes.len());
    }
}
