//! A picture's whole way: a first line `blur png` or `enhance jpg`, then the file.
#![no_main]

use cumulet::workload::imaging::{Filter, OutputFormat, apply, probe_header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((wish, file)) = cumulet_fuzz::first_line(input) else { return };
    let filter = if wish.starts_with('e') { Filter::Enhance } else { Filter::Blur };
    let output = match wish.split_once(' ') {
        Some((_, label)) => OutputFormat::from_label(label),
        None => OutputFormat::SameAsInput,
    };
    if let Ok(done) = cumulet_fuzz::with_limits(|run| apply(filter, file, output, run)) {
        assert_eq!(done.refusal.is_some(), done.bytes.is_empty());
        if let Some(format) = done.output_format {
            let header = probe_header(&done.bytes).expect("what is written can be read");
            assert_eq!((header.width, header.height), (done.width, done.height));
            assert_eq!(header.format, format);
        }
    }
});
