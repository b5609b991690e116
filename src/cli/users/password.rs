//! Passwords come from a prompt or from standard input, never from an argument, which every user of the machine can read.

use std::io::{self, BufRead as _, IsTerminal as _};

use clap::Args;
use zeroize::Zeroizing;

use crate::app::AppState;
use crate::domain::{Password, PasswordLength};
use crate::error::ApiError;
use crate::startup::{StartError, start_error};

#[derive(Clone, Copy, Debug, Args)]
pub(in crate::cli) struct PasswordSource {
    /// Read the password from the first line of standard input, without asking
    #[arg(long)]
    password_stdin: bool,
}

/// From a prompt, twice; or from the first line of standard input.
pub(super) fn read_password(source: PasswordSource, state: &AppState) -> Result<Password, StartError> {
    let explain = |error: io::Error| StartError::new(format!("cannot read the password: {error}"));
    let text = if source.password_stdin || !io::stdin().is_terminal() {
        let mut line = Zeroizing::new(String::new());
        if io::stdin().lock().read_line(&mut line).map_err(explain)? == 0 {
            return Err(StartError::new("there is no password on standard input"));
        }
        let end = line.trim_end_matches(['\r', '\n']).len();
        line.truncate(end);
        line
    } else {
        let first = Zeroizing::new(rpassword::prompt_password("Password: ").map_err(explain)?);
        let second = Zeroizing::new(rpassword::prompt_password("Once more: ").map_err(explain)?);
        if *first != *second {
            return Err(StartError::new("the two passwords differ"));
        }
        first
    };
    let config = &state.config.password;
    Password::parse(
        &text,
        &PasswordLength {
            min: config.min_length,
            max: config.max_length,
        },
    )
    .map_err(|fault| start_error(ApiError::invalid("password", fault.code(), fault.detail())))
}
