//! The `cumulet` binary.
fn main() {}
