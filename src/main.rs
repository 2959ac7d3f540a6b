//! The `cumulet` binary: arguments to a role, and how an error is shown.
fn main() {}
