//! The `housewright` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    housewright::cli::main()
}
