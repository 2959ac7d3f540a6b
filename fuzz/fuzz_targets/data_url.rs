//! Pictures as data URLs: what is read can be written and read again.
#![no_main]

use cumulet::workload::wire::data_url;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let head = data_url::parse_head(body);
    if let Ok(sent) = data_url::parse(body) {
        if let Some(head) = head {
            assert!(sent.payload.starts_with(&head.payload), "the head is its beginning");
        }
        let written = data_url::write(sent.label, &sent.payload);
        assert_eq!(data_url::parse(&written).as_ref(), Ok(&sent));
    }
});
