//! What the fuzz targets share: small limits, so that an input that gets around one shows as
//! memory or time long before it would do harm.

use std::num::NonZeroUsize;

use cumulet::workload::{FullSpeed, Limits, Run};

/// The limits that every target works under.
pub fn limits() -> Limits {
    Limits {
        picture_pixels: 60_000,
        window_pixels: 2_000,
        primitives: 400,
        lights: 20,
        texture_bytes: 100_000,
        texture_pixels: 60_000,
    }
}

/// Does something under these limits, on one thread.
pub fn with_limits<T>(task: impl FnOnce(&Run<'_>) -> T) -> T {
    let limits = limits();
    task(&Run { threads: NonZeroUsize::MIN, pacer: &FullSpeed, limits: &limits })
}

/// The first line of an input, which says what to do, and the rest, to do it with.
pub fn first_line(input: &[u8]) -> Option<(&str, &[u8])> {
    let end = input.iter().position(|byte| *byte == b'\n')?;
    Some((std::str::from_utf8(&input[..end]).ok()?, &input[end + 1..]))
}
