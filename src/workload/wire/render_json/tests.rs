use super::*;
use proptest::prelude::*;

fn read(body: &str) -> Result<RenderBody, Error> {
    parse(body.as_bytes(), &Limits::default())
}

fn message(body: &str) -> String {
    read(body).unwrap_err().to_string()
}

fn texmap(list: &str) -> Vec<u8> {
    let body = format!(r#"{{"scene":"","texmap":{list}}}"#);
    read(&body).unwrap().texmap.expect("a texture")
}

#[test]
fn texture_bytes_are_taken_modulo_256() {
    assert_eq!(texmap("[300, -5,255,0 , 256,-2147483648,\n 1]"), [44, 251, 255, 0, 0, 0, 1]);
    assert!(texmap("[ ]").is_empty());
    assert_eq!(texmap("[999,1000,  12345678,7]"), [231, 232, 78, 7]);
}

#[test]
fn integers_are_read_however_they_are_spaced() {
    let numbers: Vec<i32> = (-999..1500).collect();
    let bytes: Vec<u8> = numbers.iter().map(|number| number.to_le_bytes()[0]).collect();
    let texts: Vec<String> = numbers.iter().map(i32::to_string).collect();
    for separator in [",", ", ", " ,", "\n,\t", ",\n        ", ",                    "] {
        assert_eq!(texmap(&format!("[{}]", texts.join(separator))), bytes, "{separator:?}");
    }
}

#[test]
fn what_is_wrong_among_many_integers_is_found() {
    let many = "17,".repeat(50);
    for wrong in ["1 2", "--1", "- 1", "1-", "", "é", "1.5", "0x1", "9999999999", "+1"] {
        for before in 100..128 {
            let body = format!("{{\"texmap\":[{}{wrong},{many}1]}}", "17,".repeat(before));
            assert!(message(&body).contains(" at byte 3"), "{wrong}: {}", message(&body));
        }
    }
}

/// Integers, now and then something else, and what comes before each.
fn elements() -> impl Strategy<Value = Vec<(String, &'static str)>> {
    let odd = prop::sample::select(vec!["-", "1 2", "--3", "4-", "5.", "99999999999", "x"]);
    let text = prop_oneof![
        400 => (-999..1000).prop_map(|number: i32| number.to_string()),
        4 => any::<i32>().prop_map(|number| number.to_string()),
        1 => odd.prop_map(str::to_owned),
    ];
    let space = prop::sample::select(vec!["", "", " ", "    ", "\n  ", "\r\n\t"]);
    prop::collection::vec((text, space), 1..200)
}

proptest! {
    #[test]
    fn lists_are_read_as_one_integer_after_the_other(elements in elements()) {
        let integers: Result<Vec<u8>, _> = elements
            .iter()
            .map(|(text, _)| text.parse::<i32>().map(|number| number.to_le_bytes()[0]))
            .collect();
        let list: Vec<_> = elements.iter().map(|(text, space)| format!("{space}{text}")).collect();
        let body = format!(r#"{{"scene":"","texmap":[{}]}}"#, list.join(","));
        prop_assert_eq!(read(&body).ok().map(|body| body.texmap), integers.ok().map(Some));
    }
}

#[test]
fn an_absent_texture_may_be_null() {
    assert_eq!(read(r#"{"texmap":null,"scene":"a"}"#).unwrap().texmap, None);
}

#[test]
fn members_of_other_names_are_passed_over() {
    let body = r#" { "x": [1, {"texmap": "no"}, [], {}, true, null, -1.5e3], "scene": "s" } "#;
    assert_eq!(read(body).unwrap(), RenderBody { scene: "s".to_owned(), texmap: None });
    assert_eq!(read(r#"{"scene":"a","scene":"b"}"#).unwrap().scene, "b");
}

#[test]
fn escapes_are_resolved() {
    let body = r#"{"scene":"a\r\n\t\"\\\/\b\f\u00e9\ud83d\ude00é"}"#;
    assert_eq!(read(body).unwrap().scene, "a\r\n\t\"\\/\u{8}\u{c}é😀é");
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    assert!(message(r#"{"scene":"","texmap":[1,2.5]}"#).contains("`.` at byte 25"));
    assert!(message(r#"{"scene":"","texmap":[1,"2"]}"#).contains("byte 24"));
    assert!(message(r#"{"scene":"","texmap":"AAAA"}"#).contains("byte 21"));
    assert!(message(r#"{"scene":"","texmap":[4294967296]}"#).contains("32 bits"));
    assert!(message(r#"{"scene":"","texmap":[1,]}"#).contains("`]` at byte 24"));
    assert!(message(r#"{"scene":1}"#).contains("`1` at byte 9"));
    assert!(message(r#"{"scene":"a"#).contains("ends at byte 11"));
    assert!(message(r#"{"scene":"\ud800"}"#).contains("half a character"));
    assert!(message("{\"scene\":\"\n\"}").contains("line feed at byte 10"));
    assert!(message(r#"{"scene":""} x"#).contains("byte 13"));
    assert!(message("{}").contains("no member `scene`"));
    assert!(message("").contains("ends at byte 0"));
    let deep = format!(r#"{{"x":{}"#, "[".repeat(65));
    assert!(message(&deep).contains("64 levels"));
}

#[test]
fn a_texture_has_a_limit() {
    let limits = Limits { texture_bytes: 20, ..Limits::default() };
    let body =
        |count: usize| format!(r#"{{"scene":"","texmap":[{}]}}"#, vec!["7"; count].join(","));
    assert!(parse(body(20).as_bytes(), &limits).is_ok());
    let error = parse(body(21).as_bytes(), &limits).unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: "texture_bytes", .. }), "{error}");
}

proptest! {
    #[test]
    fn what_a_json_library_writes_is_read(
        scene in "\\PC{0,20}[\r\n\t\"\\\\]{0,3}",
        numbers in proptest::collection::vec(-1000i32..1000, 0..60),
        pretty: bool,
    ) {
        let value = serde_json::json!({ "scene": scene, "texmap": numbers, "more": { "a": [1.5] } });
        let body = if pretty {
            serde_json::to_string_pretty(&value)
        } else {
            serde_json::to_string(&value)
        };
        let read = read(&body.unwrap()).unwrap();
        prop_assert_eq!(read.scene, scene);
        let bytes: Vec<u8> = numbers.iter().map(|number| number.to_le_bytes()[0]).collect();
        prop_assert_eq!(read.texmap, Some(bytes));
    }

    #[test]
    fn no_body_makes_it_panic(
        body in "\\{?(\"scene\"|\"texmap\"|:|,|\\[|\\]|[0-9]{1,4}|-|\\.|\"|\\\\|u|\\PC|\n){0,40}",
        bytes in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let _ = (read(&body), parse(&bytes, &Limits::default()));
        let _ = read(&format!(r#"{{"texmap":[{body}"#));
    }
}
