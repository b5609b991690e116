//! `roster users`: accounts, for operators. This is how the first admin comes to be.

use std::io::{self, BufRead as _, IsTerminal as _};

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Context;
use super::output::{confirm, print, table};
use super::transfer::{self, ExportArguments, ImportArguments};
use crate::app::AppState;
use crate::domain::{
    Actor, EmailAddress, Metadata, Origin, Password, PasswordLength, Precondition, Role, UserId, UserStatus,
};
use crate::error::ApiError;
use crate::startup::{StartError, start_error};
use crate::users::{NewUser, User, UserFilter, service};

/// How many accounts are read at a time.
const PAGE: u64 = 200;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an account; the password is asked for, or read from standard input
    Create {
        /// The e-mail address
        email: EmailArgument,
        /// A role to give; can be repeated
        #[arg(long = "role", value_name = "NAME", value_parser = parse_role)]
        roles: Vec<Role>,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// List accounts in order of registration
    List {
        /// Only those with this role
        #[arg(long, value_name = "NAME", value_parser = parse_role)]
        role: Option<Role>,
        /// Only those in this state: active or disabled
        #[arg(long, value_name = "S", value_parser = parse_status)]
        status: Option<UserStatus>,
        /// Only those whose address or display name begins so
        #[arg(short, value_name = "TEXT")]
        q: Option<String>,
    },
    /// Show an account
    Show {
        /// The e-mail address
        email: EmailArgument,
    },
    /// Set an account's password, and end its sessions
    SetPassword {
        /// The e-mail address
        email: EmailArgument,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Set an account's roles to exactly these; none takes all away
    SetRole {
        /// The e-mail address
        email: EmailArgument,
        /// The roles
        #[arg(value_name = "NAME", value_parser = parse_role)]
        roles: Vec<Role>,
    },
    /// Close an account, and end its sessions
    Disable {
        /// The e-mail address
        email: EmailArgument,
    },
    /// Open a closed account again
    Enable {
        /// The e-mail address
        email: EmailArgument,
    },
    /// Show how many accounts have their passwords hashed how
    Schemes,
    /// Take over accounts, with their password hashes as they are
    Import(ImportArguments),
    /// Print every account as a line of JSON, in the form that `users import --from roster` takes
    Export(ExportArguments),
    /// Remove an account and all that hangs on it, for good
    Delete {
        /// The e-mail address
        email: EmailArgument,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct PasswordSource {
    /// Read the password from the first line of standard input, without asking
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Clone, Debug)]
pub(super) struct EmailArgument(EmailAddress);

impl std::str::FromStr for EmailArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        EmailAddress::parse(text)
            .map(Self)
            .map_err(|fault| fault.detail().to_owned())
    }
}

fn parse_role(text: &str) -> Result<Role, String> {
    Role::parse(text).map_err(|fault| fault.to_string())
}

fn parse_status(text: &str) -> Result<UserStatus, String> {
    UserStatus::from_name(text).ok_or_else(|| "a status is active or disabled".to_owned())
}

/// An account as an operator sees it: never a hash.
#[derive(Serialize)]
struct Row<'a> {
    id: Uuid,
    email: &'a str,
    email_verified: bool,
    pending_email: Option<&'a str>,
    display_name: Option<&'a str>,
    metadata: &'a RawValue,
    roles: &'a [String],
    status: &'static str,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    last_login_at: Option<DateTime<Utc>>,
}

impl<'a> Row<'a> {
    fn of(user: &'a User) -> Result<Self, StartError> {
        Ok(Self {
            id: user.id.get(),
            email: &user.email,
            email_verified: user.email_verified,
            pending_email: user.pending_email.as_deref(),
            display_name: user.display_name.as_deref(),
            metadata: serde_json::from_str(user.metadata.as_json()).map_err(start_error)?,
            roles: &user.roles,
            status: user.status.as_str(),
            created_at: user.created_at,
            updated_at: user.updated_at,
            last_login_at: user.last_login_at,
        })
    }

    fn text(&self) -> String {
        let time = |at: DateTime<Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let rows = [
            ("id", self.id.to_string()),
            ("email", self.email.to_owned()),
            ("email verified", self.email_verified.to_string()),
            ("pending email", self.pending_email.unwrap_or("-").to_owned()),
            (
                "display name",
                self.display_name.unwrap_or("-").escape_debug().to_string(),
            ),
            ("status", self.status.to_owned()),
            ("roles", or_dash(self.roles.join(", "))),
            ("metadata", self.metadata.get().to_owned()),
            ("created", time(self.created_at)),
            ("updated", time(self.updated_at)),
            (
                "last login",
                self.last_login_at.map_or_else(|| "-".to_owned(), time),
            ),
        ];
        rows.map(|(name, value)| format!("{name:15} {value}")).join("\n")
    }
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

pub(super) async fn run(context: &Context, command: Command) -> Result<(), StartError> {
    let state = context.open_state().await?;
    let result = run_on(context, &state, command).await;
    state.db.close().await;
    result
}

async fn run_on(context: &Context, state: &AppState, command: Command) -> Result<(), StartError> {
    let actor = Actor::Operator;
    let origin = Origin::default();
    match command {
        Command::Create {
            email,
            roles,
            password,
        } => {
            let password = read_password(&password, state)?;
            let new = NewUser {
                locale: None,
                email: email.0,
                password,
                display_name: None,
                metadata: Metadata::default(),
                roles,
            };
            let user = service::create(state, new, actor, origin)
                .await
                .map_err(start_error)?;
            show(context, &user)
        }
        Command::List { role, status, q } => {
            list(
                context,
                state,
                &UserFilter {
                    role,
                    status,
                    prefix: q,
                },
            )
            .await
        }
        Command::Show { email } => show(context, &find(state, &email).await?),
        Command::SetPassword { email, password } => {
            let user = find(state, &email).await?;
            let password = read_password(&password, state)?;
            service::set_password(state, &user, password, actor, origin)
                .await
                .map_err(start_error)?;
            context
                .output
                .done(&format!("{} has a new password, and no session", user.email))
        }
        Command::SetRole { email, roles } => {
            let user = find(state, &email).await?;
            service::set_roles(state, user.id, roles, actor, origin)
                .await
                .map_err(start_error)?;
            show(context, &find(state, &email).await?)
        }
        Command::Disable { email } => {
            let user = find(state, &email).await?;
            let status = UserStatus::Disabled;
            service::set_status(state, user.id, status, actor, origin)
                .await
                .map_err(start_error)?;
            context
                .output
                .done(&format!("{} is disabled, and has no session", user.email))
        }
        Command::Enable { email } => {
            let user = find(state, &email).await?;
            let status = UserStatus::Active;
            service::set_status(state, user.id, status, actor, origin)
                .await
                .map_err(start_error)?;
            context.output.done(&format!("{} is enabled", user.email))
        }
        Command::Schemes => transfer::schemes(context, state).await,
        Command::Import(arguments) => transfer::import(context, state, arguments).await,
        Command::Export(arguments) => transfer::export(state, arguments).await,
        Command::Delete { email, yes } => {
            let user = find(state, &email).await?;
            confirm(
                &format!("Remove {} and all that hangs on it, for good?", user.email),
                yes,
            )?;
            service::delete(state, user.id, None, Precondition::None, actor, origin)
                .await
                .map_err(start_error)?;
            context.output.done(&format!("{} is removed", user.email))
        }
    }
}

async fn find(state: &AppState, email: &EmailArgument) -> Result<User, StartError> {
    service::find(state, &email.0)
        .await
        .map(|account| account.user)
        .map_err(start_error)
}

fn show(context: &Context, user: &User) -> Result<(), StartError> {
    context.output.data(&Row::of(user)?, Row::text)
}

/// A page at a time, so that a million accounts need no more memory than two hundred. As JSON, one account a line.
async fn list(context: &Context, state: &AppState, filter: &UserFilter) -> Result<(), StartError> {
    let mut after: Option<UserId> = None;
    let mut is_first = true;
    loop {
        let users = service::list(state, filter, after, PAGE)
            .await
            .map_err(start_error)?;
        if context.output.is_json() {
            for user in &users {
                context.output.data(&Row::of(user)?, Row::text)?;
            }
        } else if is_first || !users.is_empty() {
            let cells = |user: &User| {
                vec![
                    user.email.clone(),
                    user.status.to_string(),
                    or_dash(user.roles.join(",")),
                    user.id.to_string(),
                ]
            };
            let rows: Vec<_> = users.iter().map(cells).collect();
            let text = table(&["EMAIL", "STATUS", "ROLES", "ID"], &rows);
            let text = if is_first {
                text.as_str()
            } else {
                text.split_once('\n').map_or("", |(_, rows)| rows)
            };
            print(text)?;
        }
        is_first = false;
        match users.last() {
            Some(last) if users.len() as u64 == PAGE => after = Some(last.id),
            _ => return Ok(()),
        }
    }
}

/// From a prompt, twice; or from the first line of standard input.
fn read_password(source: &PasswordSource, state: &AppState) -> Result<Password, StartError> {
    let explain = |error: io::Error| StartError::new(format!("cannot read the password: {error}"));
    let text = if source.password_stdin || !io::stdin().is_terminal() {
        let mut line = Zeroizing::new(String::new());
        io::stdin().lock().read_line(&mut line).map_err(explain)?;
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
