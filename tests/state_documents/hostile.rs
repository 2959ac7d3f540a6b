//! Files that nobody should write, and what becomes of them: an error with a place, never a panic,
//! never a wrong document.

use std::fmt::Write as _;

use cumulet::state::Document;
use cumulet::state::as_state::AsStateFile;
use cumulet::state::lb_state::LbStateFile;
use cumulet::state::vm_state::VmStateFile;
use proptest::prelude::*;

use crate::any;

const VM_STATE: &str = include_str!("../documents/VMState.xml");
const AS_STATE: &str = include_str!("../documents/ASState.xml");
const EDITED: &str = include_str!("../documents/ASState.edited.xml");

/// What is wrong with these bytes as VMState.xml.
fn problem(bytes: impl AsRef<[u8]>) -> String {
    match VmStateFile::parse(bytes.as_ref()) {
        Err(problem) => problem.to_string(),
        Ok(document) => panic!("accepted as {document:?}"),
    }
}

/// A VMState.xml with this in the middle.
fn around(middle: &str) -> String {
    format!("<VMState version=\"1\" seq=\"1\">{middle}</VMState>")
}

#[test]
fn entities_and_document_types_are_refused() {
    let mut laughs = String::from("<!DOCTYPE VMState [<!ENTITY l0 \"ha\">");
    for level in 1..10 {
        let below = format!("&l{};", level - 1).repeat(10);
        write!(laughs, "<!ENTITY l{level} \"{below}\">").unwrap();
    }
    laughs.push_str("]><VMState version=\"1\">&l9;</VMState>");
    let external = "<!DOCTYPE VMState SYSTEM \"file:///etc/passwd\"><VMState version=\"1\"/>";
    let parameter = "<!DOCTYPE a [<!ENTITY % p SYSTEM \"http://localhost/\"> %p;]><VMState/>";
    for text in [laughs.as_str(), external, parameter, "<!doctype html><VMState/>"] {
        assert!(problem(text).contains("1:1: a document type definition"), "{}", problem(text));
    }
    assert!(problem(around("&l9;")).contains("1:30: `&l9;` stands for nothing"));
    let text = VM_STATE.replace("t3.micro", "&xxe;");
    assert!(problem(text).contains("`&xxe;` stands for nothing"));
}

#[test]
fn sizes_are_bounded() {
    let deep = "<a>".repeat(1_000_000);
    assert!(problem(around(&deep)).contains("nested deeper than 8"));
    let wide = "<a/>".repeat(100_001);
    assert!(problem(around(&wide)).contains("more than 100000 elements"));
    let mut attributes = String::new();
    for number in 0..100_000 {
        write!(attributes, " a{number}=\"\"").unwrap();
    }
    assert!(problem(around(&format!("<a{attributes}/>"))).contains("more than 64 attributes"));
    let long = "x".repeat(16 << 20);
    assert!(problem(around(&format!("<a b=\"{long}\"/>"))).contains("at most 16777216 are read"));
    // What is large and within the bounds is kept whole.
    let long = "x".repeat(1 << 20);
    let document = VmStateFile::parse(around(&format!("<a b=\"{long}\"/>")).as_bytes()).unwrap();
    assert!(document.render().contains(&long));
}

#[test]
fn other_encodings_are_named() {
    let units: Vec<u16> = VM_STATE.encode_utf16().collect();
    let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    let with_mark = [&b"\xFF\xFE"[..], &little].concat();
    for bytes in [little, big, with_mark] {
        assert_eq!(problem(bytes), "1:1: this is UTF-16; save the file as UTF-8");
    }
    let latin = [&b"<VMState version=\"1\">\n<!-- caf\xE9"[..], b" --></VMState>"].concat();
    assert_eq!(problem(latin), "2:9: this byte is not UTF-8; save the file as UTF-8");
    let declared = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><VMState version=\"1\"/>";
    assert!(problem(declared).contains("must say encoding=\"UTF-8\""));
    let marked = [&b"\xEF\xBB\xBF"[..], VM_STATE.as_bytes()].concat();
    assert_eq!(VmStateFile::parse(&marked).unwrap().render(), VM_STATE);
}

#[test]
fn what_is_not_one_document_of_this_kind_is_refused() {
    for (text, words) in [
        ("", "1:1: the file holds no element"),
        ("  \n ", "2:2: the file holds no element"),
        ("\0\0\0", "1:1: the character U+0000 is not allowed"),
        ("hello", "1:1: text outside the root: `hello`"),
        ("<ASState version=\"1\"/>", "1:1: the root is <ASState>, it must be <VMState>"),
        ("<VMState/>", "1:1: <VMState> needs the attribute `version`"),
        ("<VMState version=\"2\"/>", "version 2 of <VMState> is not known here"),
        ("<VMState version=\"1.0\"/>", "`1.0` is not a whole number from 0 to 2^32 - 1"),
        ("<VMState version=\"1\"/><VMState version=\"1\"/>", "1:23: a second root element"),
        ("<VMState version=\"1\"/>\nrest", "2:1: text outside the root: `rest`"),
        ("<VMState version=\"1\"/>&amp;", "text outside the root: `&`"),
        ("<VMState version=\"1\"></VM>", "expected `</VMState>`"),
        ("<VMState version=\"1\"><VM></VMState>", "1:26: this is not well-formed XML"),
        (
            "<VMState version=\"1\" version=\"1\"/>",
            "1:22: <VMState> has the attribute `version` twice",
        ),
        ("<VMState version=1/>", "1:18: <VMState> has a value without quotes"),
        ("<VMState version/>", "has an attribute without `=\"value\"`"),
        ("<VMState version=/>", "has an attribute without a value"),
        ("<VMState version=\"1\"seq=\"1\"/>", "1:21: attributes need a space between them"),
        ("<VMState version=\"1\" 1a=\"\"/>", "1:22: `1a` cannot name an attribute"),
        ("<VMState version=\"1\" a=\"<\"/>", "1:25: `<` in an attribute's value"),
        ("<VMState version=\"1\" a=\"b & c\"/>", "1:27: `&` is written `&amp;`"),
        ("<VMState version=\"1\" a=\"&#0;\"/>", "`&#0;` stands for nothing"),
        ("<VMState version=\"1\" a=\"&#xD800;\"/>", "`&#xD800;` stands for nothing"),
        ("<VMState version=\"1\" a=\"&#+65;\"/>", "`&#+65;` stands for nothing"),
        ("<VMState version=\"1\"><a:b:c/></VMState>", "`a:b:c` cannot name an element"),
        ("<VMState version=\"1\"><!-- a -- b --></VMState>", "`--` was found in a comment"),
        ("<VMState version=\"1\"><?php echo 1 ?></VMState>", "a processing instruction"),
        (" <?xml version=\"1.0\"?><VMState version=\"1\"/>", "only stand at the very start"),
        ("<?xml version=\"1.1\"?><VMState version=\"1\"/>", "must say version=\"1.0\""),
        ("<VMState version=\"1\" a=\"\u{1}\"/>", "1:25: the character U+0001 is not allowed"),
    ] {
        let said = problem(text);
        assert!(said.contains(words), "{text}\n  says     {said}\n  expected {words}");
    }
}

/// Every beginning of a document is an error or says all that the whole says.
fn assert_no_half_documents<D: Document>(text: &str) {
    let whole = D::parse(text.as_bytes()).unwrap();
    for end in 0..text.len() {
        if let Ok(part) = D::parse(&text.as_bytes()[..end]) {
            assert_eq!(part, whole, "cut at byte {end}");
        }
    }
}

#[test]
fn a_file_cut_at_any_byte_is_never_taken_for_another() {
    assert_no_half_documents::<VmStateFile>(VM_STATE);
    assert_no_half_documents::<AsStateFile>(AS_STATE);
    // Its last comment belongs to the root, so nothing is lost before the end tag is whole.
    assert_no_half_documents::<AsStateFile>(EDITED);
    assert_no_half_documents::<LbStateFile>(include_str!("../documents/LBState.xml"));
}

/// Whatever is accepted is accepted again after writing, as the same.
fn assert_stable<D: Document>(bytes: &[u8]) {
    if let Ok(document) = D::parse(bytes) {
        let text = document.render();
        let again = D::parse(text.as_bytes()).unwrap_or_else(|problem| {
            panic!("{problem}\n{}\nbecame\n{text}", String::from_utf8_lossy(bytes))
        });
        assert_eq!(again.render(), text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        assert_stable::<VmStateFile>(&bytes);
    }

    #[test]
    fn pieces_of_xml_never_panic(
        pieces in proptest::collection::vec(proptest::sample::select(&[
            "<", ">", "/", "=", "\"", "'", "&", ";", "#x41", "<!--", "-->", "<![CDATA[", "]]>",
            "<?xml version=\"1.0\"?>", "<?", "?>", "<!DOCTYPE ", "[", "<VMState version=\"1\">",
            "</VMState>", "<VM ", "id=\"vm-1\"", "<Load cpu=\"1\"/>", "seq=\"7\"", " ", "\n", "\r",
            "a", "é", "\u{FEFF}", "<a>", "</a>", "<a b='c'/>", "&lt;", "&#10;", "--",
        ][..]), 0..24),
    ) {
        let text = pieces.concat();
        assert_stable::<VmStateFile>(text.as_bytes());
        assert_stable::<VmStateFile>(around(&text).as_bytes());
    }

    #[test]
    fn documents_with_a_few_bytes_changed_never_panic(
        document in any::as_state(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = document.render().into_bytes();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        assert_stable::<AsStateFile>(&bytes);
    }

    #[test]
    fn documents_with_a_piece_missing_or_doubled_never_panic(
        document in any::vm_state(),
        from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(), double: bool,
    ) {
        let bytes = document.render().into_bytes();
        let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
        let (from, to) = (from.min(to), from.max(to));
        let middle = if double { bytes[from..to].repeat(2) } else { Vec::new() };
        assert_stable::<VmStateFile>(&[&bytes[..from], &middle, &bytes[to..]].concat());
    }
}
