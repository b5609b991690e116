//! The `roster` program: arguments, then a command, then the exit code. This is the only place that has one.

use std::process::ExitCode;

use clap::Parser as _;
use roster::cli::{Cli, run};

fn main() -> ExitCode {
    // A usage error ends here, with code 2.
    run(Cli::parse())
}
