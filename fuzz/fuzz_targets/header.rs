//! The size of a picture from the first bytes of its file.
#![no_main]

use cumulet::workload::imaging::{Format, probe_header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(header) = probe_header(bytes) {
        assert_eq!(Format::sniff(bytes), Some(header.format));
    }
});
