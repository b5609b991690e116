//! `roster users`: accounts, for operators. What an admin does over HTTP, by the same services and with the same events.

mod account;
mod create;
mod list;
mod password;
mod personal_data;
mod sessions;
mod update;
mod values;

use clap::Subcommand;

use super::Context;
use super::dry_run::DryRun;
use super::output::confirm;
use super::transfer::{self, ExportArguments, ImportArguments};
use crate::app::AppState;
use crate::domain::{Actor, Origin, Precondition, Role, UserStatus};
use crate::startup::StartError;
use crate::users::service;

use account::{find, or_dash, show};
use password::{PasswordSource, read_password};
use values::parse_role;

pub(super) use account::{AccountArgument, time};
pub(super) use values::parse_time;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an account; the password is asked for, or read from standard input
    #[command(after_help = create::EXAMPLES)]
    Create(Box<create::Arguments>),
    /// Find accounts; all of them, in order of registration, where nothing else is said
    #[command(after_help = list::EXAMPLES)]
    List(Box<list::Arguments>),
    /// Show an account
    Show {
        /// The e-mail address, or the id
        #[arg(value_name = "EMAIL|ID")]
        account: AccountArgument,
    },
    /// Change an account's address, profile, roles or status
    #[command(after_help = update::EXAMPLES)]
    Update(Box<update::Arguments>),
    /// Set an account's password, and end its sessions
    SetPassword {
        /// The e-mail address, or the id
        #[arg(value_name = "EMAIL|ID")]
        account: AccountArgument,
        #[command(flatten)]
        password: PasswordSource,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Mail the owner of an account a code to choose a new password
    Reset {
        /// The e-mail address, or the id
        #[arg(value_name = "EMAIL|ID")]
        account: AccountArgument,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Set an account's roles to exactly these; none takes all away
    SetRole {
        /// The e-mail address, or the id
        #[arg(value_name = "EMAIL|ID")]
        account: AccountArgument,
        /// The roles
        #[arg(value_name = "NAME", value_parser = parse_role)]
        roles: Vec<Role>,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Show where somebody is signed in, or end that
    #[command(after_help = sessions::EXAMPLES)]
    Sessions(sessions::Arguments),
    /// Close an account, and end its sessions
    Disable {
        /// The e-mail address, or the id
        #[arg(value_name = "EMAIL|ID")]
        account: AccountArgument,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Open a closed account again
    Enable {
        /// The e-mail address, or the id
        #[arg(value_name = "EMAIL|ID")]
        account: AccountArgument,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Show how many accounts have their passwords hashed how
    Schemes,
    /// Take over accounts, with their password hashes as they are
    Import(ImportArguments),
    /// Print every account as a line of JSON, in the form that `users import --from roster` takes
    Export(ExportArguments),
    /// Print everything that is held about one person
    #[command(after_help = personal_data::EXAMPLES)]
    PersonalData {
        /// The e-mail address, or the id
        #[arg(value_name = "EMAIL|ID")]
        account: AccountArgument,
    },
    /// Remove an account and all that hangs on it, for good
    Delete {
        /// The e-mail address, or the id
        #[arg(value_name = "EMAIL|ID")]
        account: AccountArgument,
        /// Don't ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        dry_run: DryRun,
    },
}

pub(super) async fn run(context: &Context, command: Command) -> Result<(), StartError> {
    context
        .with_state(async |state| run_on(context, state, command).await)
        .await
}

async fn run_on(context: &Context, state: &AppState, command: Command) -> Result<(), StartError> {
    match command {
        Command::Create(arguments) => create::create(context, state, *arguments).await,
        Command::List(arguments) => list::list(context, state, *arguments).await,
        Command::Show { account } => show(context, &find(state, &account).await?),
        Command::Update(arguments) => update::update(context, state, *arguments).await,
        Command::SetPassword {
            account,
            password,
            dry_run,
        } => set_password(context, state, &account, password, dry_run).await,
        Command::Reset { account, dry_run } => reset(context, state, &account, dry_run).await,
        Command::SetRole {
            account,
            roles,
            dry_run,
        } => set_roles(context, state, &account, roles, dry_run).await,
        Command::Sessions(arguments) => sessions::sessions(context, state, arguments).await,
        Command::Disable { account, dry_run } => {
            set_status(context, state, &account, UserStatus::Disabled, dry_run).await
        }
        Command::Enable { account, dry_run } => {
            set_status(context, state, &account, UserStatus::Active, dry_run).await
        }
        Command::Schemes => transfer::schemes(context, state).await,
        Command::Import(arguments) => transfer::import(context, state, arguments).await,
        Command::Export(arguments) => transfer::export(state, arguments).await,
        Command::PersonalData { account } => personal_data::personal_data(context, state, &account).await,
        Command::Delete {
            account,
            yes,
            dry_run,
        } => delete(context, state, &account, yes, dry_run).await,
    }
}

async fn set_password(
    context: &Context,
    state: &AppState,
    account: &AccountArgument,
    password: PasswordSource,
    dry_run: DryRun,
) -> Result<(), StartError> {
    let seen = find(state, account).await?;
    let password = read_password(password, state)?;
    service::set_password(
        &dry_run.on(state),
        &seen.user,
        password,
        Actor::Operator,
        Origin::default(),
    )
    .await?;
    let email = &seen.user.email;
    if dry_run.is_on() {
        let lost = count_of_sessions(seen.sessions);
        return context
            .output
            .would(&format!("{email} would have a new password, and lose {lost}"));
    }
    context
        .output
        .done(&format!("{email} has a new password, and no session"))
}

async fn reset(
    context: &Context,
    state: &AppState,
    account: &AccountArgument,
    dry_run: DryRun,
) -> Result<(), StartError> {
    let user = find(state, account).await?.user;
    service::mail_reset(&dry_run.on(state), user.id, Actor::Operator, Origin::default()).await?;
    let email = &user.email;
    if dry_run.is_on() {
        return context.output.would(&format!(
            "{email} would be mailed a code to choose a new password"
        ));
    }
    // The mail is in the outbox; a command sends none.
    context.output.done(&format!(
        "a code to choose a new password is mailed to {email} as soon as a server runs"
    ))
}

async fn set_roles(
    context: &Context,
    state: &AppState,
    account: &AccountArgument,
    roles: Vec<Role>,
    dry_run: DryRun,
) -> Result<(), StartError> {
    let user = find(state, account).await?.user;
    let names: Vec<&str> = roles.iter().map(Role::as_str).collect();
    let wanted = or_dash(names.join(", "));
    service::set_roles(
        &dry_run.on(state),
        user.id,
        roles,
        Actor::Operator,
        Origin::default(),
    )
    .await?;
    if dry_run.is_on() {
        let present = or_dash(user.roles.join(", "));
        return context.output.would(&format!(
            "{} would have the roles {wanted} in place of {present}",
            user.email
        ));
    }
    show(context, &service::administered(state, user.id).await?)
}

async fn set_status(
    context: &Context,
    state: &AppState,
    account: &AccountArgument,
    status: UserStatus,
    dry_run: DryRun,
) -> Result<(), StartError> {
    let seen = find(state, account).await?;
    service::set_status(
        &dry_run.on(state),
        seen.user.id,
        status,
        Actor::Operator,
        Origin::default(),
    )
    .await?;
    let email = &seen.user.email;
    let output = &context.output;
    let is_so_already = seen.user.status == status;
    match (status, dry_run.is_on()) {
        (_, true) if is_so_already => output.would(&format!("{email} would stay as it is")),
        (UserStatus::Active, false) => output.done(&format!("{email} is enabled")),
        (UserStatus::Active, true) => output.would(&format!("{email} would be enabled")),
        (UserStatus::Disabled, false) => output.done(&format!("{email} is disabled, and has no session")),
        (UserStatus::Disabled, true) => {
            let lost = count_of_sessions(seen.sessions);
            output.would(&format!("{email} would be disabled, and lose {lost}"))
        }
    }
}

async fn delete(
    context: &Context,
    state: &AppState,
    account: &AccountArgument,
    yes: bool,
    dry_run: DryRun,
) -> Result<(), StartError> {
    let seen = find(state, account).await?;
    let email = &seen.user.email;
    if !dry_run.is_on() {
        confirm(
            &format!("Remove {email} and all that hangs on it, for good?"),
            yes,
        )?;
    }
    service::delete(
        &dry_run.on(state),
        seen.user.id,
        None,
        Precondition::None,
        Actor::Operator,
        Origin::default(),
    )
    .await?;
    if dry_run.is_on() {
        let lost = count_of_sessions(seen.sessions);
        return context
            .output
            .would(&format!("{email} would be removed for good, with {lost}"));
    }
    context.output.done(&format!("{email} is removed"))
}

fn count_of_sessions(count: u64) -> String {
    match count {
        0 => "no session".to_owned(),
        1 => "1 session".to_owned(),
        count => format!("{count} sessions"),
    }
}
