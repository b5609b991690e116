//! `roster users update`: what `PATCH /admin/users/{id}` changes, by the same service.

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::Context;
use super::super::dry_run::DryRun;
use super::super::output::{shown_json, table};
use super::account::{AccountArgument, find, show};
use super::values::{
    EmailArgument, parse_display_name, parse_locale, parse_metadata, parse_role, parse_status,
};
use crate::app::AppState;
use crate::domain::{
    Actor, Change, DisplayName, EmailAddress, Locale, Metadata, Origin, Precondition, Role, UserStatus,
};
use crate::startup::{StartError, start_error};
use crate::users::{AccountChanges, AdminUser, service};

pub(super) const EXAMPLES: &str = "\
What isn't named stays as it is; all of it is changed or nothing. `users set-password` sets a password.

Examples:
  roster users update ada@example.com --email ada@example.org --email-verified true
  roster users update ada@example.com --display-name '' --role editor --role author
  roster users update 0190a5d0-3c5e-7b2f-8a41-0d6f2b7c9e13 --metadata '{\"plan\": \"pro\"}' --dry-run";

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The e-mail address, or the id
    #[arg(value_name = "EMAIL|ID")]
    account: AccountArgument,
    #[command(flatten)]
    changes: NamedChanges,
    #[command(flatten)]
    dry_run: DryRun,
}

/// A change at least has to be named.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct NamedChanges {
    /// A new address, in force at once; it counts as unproven unless --email-verified true is said as well
    #[arg(long, value_name = "EMAIL")]
    email: Option<EmailArgument>,
    /// Whether the address counts as proven
    #[arg(long, value_name = "true|false")]
    email_verified: Option<bool>,
    /// A new name; '' removes it
    #[arg(long, value_name = "TEXT", value_parser = parse_display_name)]
    display_name: Option<Change<DisplayName>>,
    /// Another language of mails, as a BCP 47 tag; '' removes it
    #[arg(long, value_name = "TAG", value_parser = parse_locale)]
    locale: Option<Change<Locale>>,
    /// New metadata, in place of the old as a whole: a JSON object of at most 16 KiB
    #[arg(long, value_name = "JSON", value_parser = parse_metadata)]
    metadata: Option<Metadata>,
    /// A role, in place of the present ones; can be repeated
    #[arg(long = "role", value_name = "NAME", value_parser = parse_role)]
    roles: Vec<Role>,
    /// Take all roles away
    #[arg(long, conflicts_with = "roles")]
    no_roles: bool,
    /// active or disabled; where it changes, every session ends
    #[arg(long, value_name = "S", value_parser = parse_status)]
    status: Option<UserStatus>,
}

impl From<NamedChanges> for AccountChanges {
    fn from(named: NamedChanges) -> Self {
        let names_roles = named.no_roles || !named.roles.is_empty();
        Self {
            email: named.email.map(|email| email.0),
            password: None,
            display_name: named.display_name.unwrap_or_default(),
            locale: named.locale.unwrap_or_default(),
            metadata: named.metadata,
            roles: names_roles.then_some(named.roles),
            status: named.status,
            email_verified: named.email_verified,
        }
    }
}

/// A member that would be another one.
#[derive(Debug, PartialEq, Serialize)]
struct Difference {
    member: &'static str,
    from: Value,
    to: Value,
}

pub(super) async fn update(
    context: &Context,
    state: &AppState,
    arguments: Arguments,
) -> Result<(), StartError> {
    let before = find(state, &arguments.account).await?;
    let changes = AccountChanges::from(arguments.changes);
    let differences = differences(&before, &changes)?;
    let dry_run = arguments.dry_run;
    let after = service::change_account(
        &dry_run.on(state),
        before.user.id,
        changes,
        Precondition::None,
        Actor::Operator,
        Origin::default(),
    )
    .await?;
    if dry_run.is_on() {
        preview(context, &before, &differences)
    } else {
        show(context, &after)
    }
}

/// What a change would make of an account.
fn differences(before: &AdminUser, changes: &AccountChanges) -> Result<Vec<Difference>, StartError> {
    let user = &before.user;
    let mut found = Vec::new();
    let mut compare = |member, from: Value, to: Value| {
        if from != to {
            found.push(Difference { member, from, to });
        }
    };
    let email = changes
        .email
        .as_ref()
        .map_or(user.email.as_str(), EmailAddress::as_str);
    compare("email", json!(user.email), json!(email));
    if email != user.email {
        // What waits to be confirmed goes with the old address.
        compare("pending_email", json!(user.pending_email), Value::Null);
    }
    // Another address isn't proven, unless that is said as well.
    let stays_verified = user.email_verified && email == user.email;
    let is_verified = changes.email_verified.unwrap_or(stays_verified);
    compare("email_verified", json!(user.email_verified), json!(is_verified));
    let name = after(
        &changes.display_name,
        user.display_name.as_deref(),
        DisplayName::as_str,
    );
    compare("display_name", json!(user.display_name), json!(name));
    let locale = after(&changes.locale, user.locale.as_deref(), Locale::as_str);
    compare("locale", json!(user.locale), json!(locale));
    if let Some(metadata) = &changes.metadata {
        let read = |text: &str| serde_json::from_str::<Value>(text).map_err(start_error);
        let present = read(user.metadata.as_json())?;
        compare("metadata", present, read(metadata.as_json())?);
    }
    if let Some(roles) = &changes.roles {
        let mut names: Vec<&str> = roles.iter().map(Role::as_str).collect();
        names.sort_unstable();
        names.dedup();
        compare("roles", json!(user.roles), json!(names));
    }
    let status = changes.status.unwrap_or(user.status);
    compare("status", json!(user.status.as_str()), json!(status.as_str()));
    if status != user.status {
        compare("sessions", json!(before.sessions), json!(0));
    }
    Ok(found)
}

fn after<'a, T>(
    change: &'a Change<T>,
    present: Option<&'a str>,
    text: impl Fn(&'a T) -> &'a str,
) -> Option<&'a str> {
    match change {
        Change::Keep => present,
        Change::Remove => None,
        Change::Set(value) => Some(text(value)),
    }
}

fn preview(context: &Context, before: &AdminUser, differences: &[Difference]) -> Result<(), StartError> {
    let email = &before.user.email;
    let would = if differences.is_empty() {
        format!("nothing would be changed: {email} is like that already")
    } else {
        format!("{email} would be changed")
    };
    let data = json!({ "dry_run": true, "would": would, "changes": differences });
    context.output.data(&data, |_| {
        let would = format!("{would} (a dry run: nothing was changed)");
        if differences.is_empty() {
            return would;
        }
        let rows: Vec<Vec<String>> = differences
            .iter()
            .map(|difference| {
                vec![
                    difference.member.to_owned(),
                    shown_json(&difference.from.to_string()),
                    shown_json(&difference.to.to_string()),
                ]
            })
            .collect();
        format!("{}\n\n{would}", table(&["MEMBER", "NOW", "THEN"], &rows))
    })
}
