//! The `cumulet` binary: arguments to a role, and how an error is shown.

use std::process::ExitCode;

fn main() -> ExitCode {
    cumulet::cli::main()
}
