//! `workitem`: the program. All of it is in the library, so that what reads data from outside can be fuzzed.

use std::process::ExitCode;

fn main() -> ExitCode {
    workitem_cli::main()
}
