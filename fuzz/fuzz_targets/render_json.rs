//! The JSON body of a render: never more memory than the body has, and a limit that holds.
#![no_main]

use cumulet::workload::wire::render_json;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let limits = cumulet_fuzz::limits();
    if let Ok(sent) = render_json::parse(body, &limits) {
        assert!(sent.scene.len() <= body.len());
        let texture = sent.texmap.unwrap_or_default();
        assert!(texture.len() as u64 <= limits.texture_bytes);
        assert!(texture.capacity() <= body.len());
    }
});
