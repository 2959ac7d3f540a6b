//! A request as a VM gets it: a first line with the path, a second one with the Content-Type, then
//! the body.
#![no_main]

use cumulet::vm::job::{Kind, perform};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((path, rest)) = cumulet_fuzz::first_line(input) else { return };
    let Some((content_type, body)) = cumulet_fuzz::first_line(rest) else { return };
    let kind = match path.as_bytes() {
        [b'/', b'b', ..] => Kind::Blur,
        [b'/', b'e', ..] => Kind::Enhance,
        _ => Kind::Raytrace,
    };
    let request = hyper::Request::post(path)
        .header("content-type", content_type)
        .header("accept", content_type);
    let Ok(request) = request.body(()) else { return };
    let (head, ()) = request.into_parts();
    cumulet_fuzz::with_limits(|run| {
        if let Ok(output) = perform(kind, &head, body.to_vec().into(), run) {
            assert!(!output.body.is_empty());
        }
    });
});
