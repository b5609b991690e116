//! `roster users create`: this is how the first admin comes to be.

use clap::Args;

use super::super::Context;
use super::super::dry_run::DryRun;
use super::account::show;
use super::password::{PasswordSource, read_password};
use super::values::{EmailArgument, parse_display_name, parse_locale, parse_metadata, parse_role};
use crate::app::AppState;
use crate::domain::{Actor, Change, DisplayName, Locale, Metadata, Origin, Role};
use crate::startup::StartError;
use crate::users::{NewAccount, service};

pub(super) const EXAMPLES: &str = "\
Examples:
  roster users create ada@example.com --role admin
  roster users create ada@example.com --password-stdin < password.txt
  roster users create grace@example.com --display-name Grace --invite";

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The e-mail address
    email: EmailArgument,
    /// A role to give; can be repeated
    #[arg(long = "role", value_name = "NAME", value_parser = parse_role)]
    roles: Vec<Role>,
    /// The name to be shown
    #[arg(long, value_name = "TEXT", value_parser = parse_display_name)]
    display_name: Option<Change<DisplayName>>,
    /// The language of mails to the user, as a BCP 47 tag such as de or en-GB
    #[arg(long, value_name = "TAG", value_parser = parse_locale)]
    locale: Option<Change<Locale>>,
    /// What is kept with the account: a JSON object of at most 16 KiB
    #[arg(long, value_name = "JSON", value_parser = parse_metadata)]
    metadata: Option<Metadata>,
    /// The address needs no proof
    #[arg(long)]
    email_verified: bool,
    #[command(flatten)]
    password: PasswordSource,
    /// Give no password: the owner is mailed an invitation to choose one
    #[arg(long, conflicts_with = "password_stdin")]
    invite: bool,
    #[command(flatten)]
    dry_run: DryRun,
}

pub(super) async fn create(
    context: &Context,
    state: &AppState,
    arguments: Arguments,
) -> Result<(), StartError> {
    if arguments.invite && !state.config.sends_mail() {
        return Err(StartError::new(
            "this server sends no mail to invite somebody with: set mail.smtp_url, or give a password",
        ));
    }
    let password = if arguments.invite {
        None
    } else {
        Some(read_password(arguments.password, state)?)
    };
    let is_invited = password.is_none();
    let new = NewAccount {
        email: arguments.email.0,
        password,
        display_name: arguments.display_name.and_then(Change::into_set),
        locale: arguments.locale.and_then(Change::into_set),
        metadata: arguments.metadata.unwrap_or_default(),
        roles: arguments.roles,
        email_verified: arguments.email_verified,
    };
    let dry_run = arguments.dry_run;
    let made =
        service::create_account(&dry_run.on(state), new, Actor::Operator, Origin::default(), None).await?;
    if !dry_run.is_on() {
        return show(context, &made);
    }
    let roles = match made.user.roles.as_slice() {
        [] => "without a role".to_owned(),
        roles => format!("with the roles {}", roles.join(", ")),
    };
    let invitation = if is_invited { ", and invited by mail" } else { "" };
    context
        .output
        .would(&format!("{} would be made {roles}{invitation}", made.user.email))
}
