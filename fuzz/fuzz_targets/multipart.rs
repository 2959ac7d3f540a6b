//! Forms: a first line with the Content-Type, then the body.
#![no_main]

use cumulet::workload::wire::multipart;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((content_type, body)) = cumulet_fuzz::first_line(input) else { return };
    if let Ok(parts) = multipart::parse(content_type, body) {
        assert!(parts.len() <= multipart::MOST_PARTS);
        let held: usize = parts.iter().map(|part| part.content.len()).sum();
        assert!(held <= body.len(), "parts do not overlap");
    }
});
