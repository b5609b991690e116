//! Moving users in over HTTP, and handing people what is held about them.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use super::model::Refusal;
use super::service::{self, Import, ImportError, OwnData, Report};
use super::sources::{ReadFault, Source};
use crate::app::AppState;
use crate::audit::api::EventResponse;
use crate::auth::{Administrator, AuthenticatedUser};
use crate::config::Config;
use crate::domain::{Actor, DisplayName, EmailAddress, Locale, Role, SessionId, UserId};
use crate::error::ApiError;
use crate::http::body::FromMembers;
use crate::http::json::Members;
use crate::http::mount::Operation;
use crate::http::openapi::one_of;
use crate::http::origin::RequestOrigin;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::upload::Upload;
use crate::sessions::api::SessionResponse;

/// How many refused rows an answer names; all of them are counted.
const NAMED: usize = 1000;

/// The operations of this feature.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new::<__path_import_users>(|| web::to(import_users)),
        Operation::new::<__path_export_own_data>(|| web::to(export_own_data)),
    ]
}

/// What became of an import: the last three counts add up to `read`
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportReport<'a> {
    /// Whether nothing was written, because that was asked for.
    pub dry_run: bool,
    /// Rows that were read.
    pub read: u64,
    /// Accounts that were made, or would be.
    pub imported: u64,
    /// Rows whose address has an account already: nothing was changed.
    pub existing: u64,
    /// Rows that can't be taken.
    pub refused: u64,
    /// Which ones, and why; the first 1,000 of them.
    pub refusals: Vec<RefusedRow<'a>>,
    /// How many more were refused than `refusals` names; 0 where it names them all.
    pub refusals_omitted: u64,
}

/// A row that can't be taken
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefusedRow<'a> {
    /// The line on which it begins.
    pub line: u64,
    /// The member or column that is at fault; `row` where it is the row as a whole.
    #[schema(example = "email")]
    pub member: &'a str,
    /// What is wrong and what is allowed.
    pub detail: &'a str,
}

/// The name of a source.
struct SourceName;

impl PartialSchema for SourceName {
    fn schema() -> RefOr<Schema> {
        one_of(Source::ALL.map(Source::as_str))
    }
}

impl ToSchema for SourceName {}

struct ImportQuery {
    source: Option<Source>,
    is_dry_run: bool,
}

impl FromMembers for ImportQuery {
    fn from_members(members: &mut Members, _: &Config) -> Option<Self> {
        let source = match members.string("from").map(|name| name.parse::<Source>()) {
            None => None,
            Some(Ok(source)) => Some(source),
            Some(Err(detail)) => {
                members.fault("from", "not_allowed", detail);
                None
            }
        };
        let is_dry_run = match members.string("dry_run") {
            None => false,
            Some(text) => match text.as_str() {
                "true" => true,
                "false" => false,
                _ => {
                    members.fault("dry_run", "not_allowed", "must be true or false");
                    false
                }
            },
        };
        Some(Self { source, is_dry_run })
    }
}

/// Import users
///
/// Makes an account for every row whose address has none, with its password hash as it is: everybody signs in as before,
/// and the hash becomes one of ours then. Rows whose address has an account change nothing, so the same file can be sent
/// again. Bad rows are refused, and the rest goes on. The body is read as it arrives, up to `server.max_import_bytes`.
/// Firebase's passwords need its project's hash parameters: `hash_config` as a member of the document before `users`,
/// an object or the text that the console shows. Needs the role `admin`.
#[utoipa::path(
    post,
    path = "/admin/import",
    tag = "administration",
    params(
        ("from" = inline(Option<SourceName>), Query, description = "What the rows are from. Without it `csv` for `text/csv`, \
            and else `roster`; `firebase` is a document with `hash_config` before `users`", example = "roster"),
        ("dry_run" = Option<bool>, Query, description = "Whether to write nothing, and only to say what would be done"),
    ),
    request_body(content(
        (String = "application/x-ndjson", example = "{\"email\": \"ada@example.com\"}\n"),
        (String = "text/csv", example = "email,display_name\nada@example.com,Ada\n"),
        (Object = "application/json"),
    )),
    responses(
        (status = 200, description = "What became of the rows", body = ImportReport),
        (status = 403, description = "The role `admin` is missing", body = Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "There is no such source, or the body isn't what it says. Rows before that are imported",
            body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn import_users(
    admin: Administrator,
    request: HttpRequest,
    query: Query<ImportQuery>,
    origin: RequestOrigin,
    upload: Upload,
) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(&request)?;
    let ImportQuery { source, is_dry_run } = query.0;
    let by_type = if upload.is_csv {
        Source::Csv
    } else {
        Source::Roster
    };
    let import = Import {
        source: source.unwrap_or(by_type),
        firebase: None,
        is_dry_run,
        actor: Actor::User(admin.0.user.id),
        origin: origin.0,
    };
    let (reader, arriving) = upload.split();
    let mut refusals: Vec<(u64, Refusal)> = Vec::new();
    let importing = service::import(state, import, reader, |_, refused| {
        let room = NAMED.saturating_sub(refusals.len());
        refusals.extend(refused.iter().take(room).cloned());
    });
    let (arrived, imported) = tokio::join!(arriving, importing);
    // What was wrong with the body is the cause, where it ended too early.
    arrived?;
    let report: Report = imported.map_err(|error| match error {
        ImportError::Failed(error) => error,
        ImportError::Read(ReadFault::Format(detail)) => ApiError::invalid("", "invalid_format", detail),
        ImportError::Read(ReadFault::Io(_)) => {
            ApiError::Malformed("The body could not be read to its end.".into())
        }
    })?;
    let omitted = report.refused.saturating_sub(refusals.len() as u64);
    Ok(HttpResponse::Ok().json(ImportReport {
        dry_run: is_dry_run,
        read: report.read,
        imported: report.imported,
        existing: report.existing,
        refused: report.refused,
        refusals: refusals
            .iter()
            .map(|(line, refusal)| RefusedRow {
                line: *line,
                member: &refusal.member,
                detail: &refusal.detail,
            })
            .collect(),
        refusals_omitted: omitted,
    }))
}

/// Everything that is held about a user
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnDataResponse<'a> {
    /// When this was put together.
    pub exported_at: DateTime<Utc>,
    /// The account.
    pub user: OwnAccount<'a>,
    /// Where the user is signed in.
    pub sessions: Vec<SessionResponse<'a>>,
    /// Mails to the user that haven't been sent.
    pub mails: Vec<OwnMail<'a>>,
    /// Codes that the user was mailed and hasn't used.
    pub codes: Vec<OwnCode<'a>>,
    /// What was done to the account, and what the user has done to others or the server, the newest first. Who the others are
    /// isn't said.
    pub audit: Vec<EventResponse<'a>>,
}

impl<'a> OwnDataResponse<'a> {
    /// What is held about the user with this id, put together now; `asking` is the session that asks, where one does.
    ///
    /// # Errors
    /// Where stored metadata or details aren't JSON, which only a hand in the database can do.
    pub fn of(
        data: &'a OwnData,
        id: UserId,
        asking: Option<SessionId>,
        now: DateTime<Utc>,
    ) -> Result<Self, ApiError> {
        let OwnData {
            user: account,
            sessions,
            mails,
            codes,
            events,
        } = data;
        Ok(Self {
            exported_at: now,
            user: OwnAccount {
                id: account.id.map(UserId::get),
                email: account.email.as_str(),
                email_verified: account.email_verified,
                pending_email: account.pending_email.as_ref().map(EmailAddress::as_str),
                display_name: account.display_name.as_ref().map(DisplayName::as_str),
                locale: account.locale.as_ref().map(Locale::to_string),
                metadata: serde_json::from_str(account.metadata.as_json()).map_err(ApiError::internal)?,
                roles: account.roles.iter().map(Role::as_str).collect(),
                status: account.status.as_str(),
                has_password: account.password_hash.is_some(),
                password_changed_at: account.password_changed_at,
                created_at: account.created_at,
                updated_at: account.updated_at,
                last_login_at: account.last_login_at,
            },
            sessions: sessions
                .iter()
                .map(|session| SessionResponse::of(session, asking))
                .collect(),
            mails: mails
                .iter()
                .map(|mail| OwnMail {
                    kind: &mail.kind,
                    to: &mail.recipient,
                    created_at: mail.created_at,
                })
                .collect(),
            codes: codes
                .iter()
                .map(|code| OwnCode {
                    purpose: &code.purpose,
                    email: &code.email,
                    created_at: code.created_at,
                    expires_at: code.expires_at,
                })
                .collect(),
            audit: events
                .iter()
                .map(|event| EventResponse::for_one_of_them(event, id))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// A mail that hasn't been sent
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnMail<'a> {
    /// What it is about.
    #[schema(example = "password_changed")]
    pub kind: &'a str,
    /// The address that it goes to.
    pub to: &'a str,
    /// When it was caused.
    pub created_at: DateTime<Utc>,
}

/// A code that was mailed; the code itself isn't held
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnCode<'a> {
    /// What it is good for.
    #[schema(example = "reset_password")]
    pub purpose: &'a str,
    /// The address that it was mailed to.
    pub email: &'a str,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it is worth nothing any more.
    pub expires_at: DateTime<Utc>,
}

/// An account, in full but for the password's hash
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnAccount<'a> {
    /// A `UUIDv7`, or what the account had for an id where it came from.
    #[schema(required)]
    pub id: Option<Uuid>,
    /// The address.
    pub email: &'a str,
    /// Whether its owner has shown that mail to it arrives.
    pub email_verified: bool,
    /// An address that waits to be confirmed, or null.
    #[schema(required)]
    pub pending_email: Option<&'a str>,
    /// The name to be shown, or null.
    #[schema(required)]
    pub display_name: Option<&'a str>,
    /// The language of mails, or null.
    #[schema(required)]
    pub locale: Option<String>,
    /// What the client keeps with the account.
    #[schema(value_type = Object)]
    pub metadata: &'a RawValue,
    /// Names of roles, in order.
    pub roles: Vec<&'a str>,
    /// `active` or `disabled`.
    pub status: &'static str,
    /// Whether there is a password.
    pub has_password: bool,
    /// When the password was chosen, or null.
    #[schema(required)]
    pub password_changed_at: Option<DateTime<Utc>>,
    /// When the account was registered.
    #[schema(required)]
    pub created_at: Option<DateTime<Utc>>,
    /// When it was changed last.
    #[schema(required)]
    pub updated_at: Option<DateTime<Utc>>,
    /// When somebody signed in last, or null.
    #[schema(required)]
    pub last_login_at: Option<DateTime<Utc>>,
}

/// Take one's data along
///
/// Everything that is held about whoever is signed in, but for the password's hash: the account, its sessions, mails and
/// codes that wait, and what the audit trail says.
#[utoipa::path(
    get,
    path = "/users/me/export",
    tag = "accounts",
    responses((status = 200, description = "All of it", body = OwnDataResponse)),
)]
async fn export_own_data(
    user: AuthenticatedUser,
    request: HttpRequest,
    origin: RequestOrigin,
) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(&request)?;
    let id = user.user.id;
    let data = service::own_data(state, id, Actor::User(id), &origin.0).await?;
    let now = state.ambient.now();
    Ok(HttpResponse::Ok().json(OwnDataResponse::of(&data, id, Some(user.session_id), now)?))
}
