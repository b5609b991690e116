//! What other systems write about their users, read row by row into [`UserRecord`]s.
//!
//! Nothing is kept but the row at hand, so a file may be of any size. A bad row is refused and the rest goes on; a
//! file that isn't the format at all is a [`ReadFault`]. What has no place in Roster goes into the metadata under the
//! name of its source, and nobody becomes an administrator by being one elsewhere.

mod auth0;
mod better_auth;
mod django;
mod document;
mod draft;
mod fastapi_users;
mod firebase;
mod input;
mod json;
mod keycloak;
mod lines;
mod roster;
mod row;
mod supabase;
mod table;
mod time;

use std::fmt;
use std::io::{self, BufRead};
use std::ops::ControlFlow;
use std::str::FromStr;

use chrono::{DateTime, Utc};

use self::firebase::Parameters;
pub use self::firebase::{FirebaseConfig, FirebaseConfigFault};
use self::input::Input;
use self::row::Row;
use super::model::{Refusal, UserRecord};
use crate::domain::PasswordHash;
use crate::security::passwords::StoredScheme;

/// The longest row that is taken, in bytes; a longer one is refused without being held in memory.
pub const MAX_ROW_BYTES: usize = 1 << 20;

/// Where users come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Another Roster, or whoever writes its lines.
    Roster,
    /// A table with Roster's own names in its header.
    Csv,
    /// Django's `auth_user`.
    Django,
    /// The table of FastAPI Users.
    FastapiUsers,
    /// Supabase's `auth.users`.
    Supabase,
    /// `firebase auth:export`.
    Firebase,
    /// Keycloak's export of a realm or of its users.
    Keycloak,
    /// Auth0's exports, and the format of its imports.
    Auth0,
    /// Better Auth's `user` with the passwords of `account`.
    BetterAuth,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Roster,
        Self::Csv,
        Self::Django,
        Self::FastapiUsers,
        Self::Supabase,
        Self::Firebase,
        Self::Keycloak,
        Self::Auth0,
        Self::BetterAuth,
    ];

    /// Its name: the argument of the command, and the member of the metadata that keeps what has no other place.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Roster => "roster",
            Self::Csv => "csv",
            Self::Django => "django",
            Self::FastapiUsers => "fastapi-users",
            Self::Supabase => "supabase",
            Self::Firebase => "firebase",
            Self::Keycloak => "keycloak",
            Self::Auth0 => "auth0",
            Self::BetterAuth => "better-auth",
        }
    }

    /// How its rows may be written, by the first byte of the file.
    fn shape(self, first: Option<u8>) -> Result<Shape, ReadFault> {
        let is_json = matches!(first, Some(b'{' | b'['));
        match (self, first) {
            (Self::Csv, _) => Ok(Shape::Table(roster::COLUMNS)),
            (Self::Django, _) => Ok(Shape::Table(django::COLUMNS)),
            (Self::FastapiUsers, _) => Ok(Shape::Table(fastapi_users::COLUMNS)),
            (Self::Supabase, _) if !is_json => Ok(Shape::Table(supabase::COLUMNS)),
            (Self::BetterAuth, _) if !is_json => Ok(Shape::Table(better_auth::COLUMNS)),
            (Self::Firebase | Self::Keycloak, Some(b'{' | b'['))
            | (Self::Auth0 | Self::Supabase | Self::BetterAuth, Some(b'[')) => Ok(Shape::Document),
            (Self::Roster | Self::Auth0 | Self::Supabase | Self::BetterAuth, Some(b'{') | None) => {
                Ok(Shape::Lines)
            }
            (Self::Roster, _) => Err(ReadFault::format("must be JSON lines: an object a line")),
            (Self::Auth0, _) => Err(ReadFault::format("must be JSON lines or a JSON array of objects")),
            (Self::Firebase, _) => Err(ReadFault::format(
                r#"must be JSON, {"users": […]}: export with --format=json"#,
            )),
            (Self::Keycloak | Self::Supabase | Self::BetterAuth, _) => Err(ReadFault::format(
                r#"must be JSON: {"users": […]}, or an array of users"#,
            )),
        }
    }

    /// One row as a user.
    fn record(
        self,
        row: Row,
        firebase: Option<&FirebaseConfig>,
        checks: &Checks,
    ) -> Result<UserRecord, Refusal> {
        let draft = match self {
            Self::Roster => roster::of_object(row),
            Self::Csv => roster::of_cells(row),
            Self::Django => django::draft(row),
            Self::FastapiUsers => fastapi_users::draft(row),
            Self::Supabase => supabase::draft(row, checks.now),
            Self::Firebase => firebase::draft(row, firebase),
            Self::Keycloak => keycloak::draft(row),
            Self::Auth0 => auth0::draft(row),
            Self::BetterAuth => better_auth::draft(row, checks.now),
        };
        draft?.finish(checks)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|source| source.as_str() == text)
            .ok_or_else(|| format!("a source is one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// How rows are written.
#[derive(Clone, Copy)]
enum Shape {
    /// An object a line.
    Lines,
    /// An array of objects, or an object with such an array as its member `users`.
    Document,
    /// CSV with a header.
    Table(table::Columns),
}

/// What a row is held to besides its form.
#[derive(Clone, Copy, Debug)]
pub struct Checks {
    /// The present instant: what is banned until later is banned.
    pub now: DateTime<Utc>,
    /// Whether somebody could sign in with a hash; if not, why.
    pub is_readable: fn(&PasswordHash) -> Result<(), String>,
}

impl Checks {
    /// With the hashes that Roster can read.
    #[must_use]
    pub const fn at(now: DateTime<Utc>) -> Self {
        Self {
            now,
            is_readable: |hash| {
                StoredScheme::of(hash)
                    .map(drop)
                    .map_err(|fault| fault.to_string())
            },
        }
    }
}

/// Why a file can't be read on.
#[derive(Debug)]
pub enum ReadFault {
    /// The system said so.
    Io(io::Error),
    /// It isn't the format that it is said to be.
    Format(String),
}

impl ReadFault {
    fn format(detail: impl Into<String>) -> Self {
        Self::Format(detail.into())
    }
}

impl fmt::Display for ReadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot read the file: {error}"),
            Self::Format(detail) => write!(f, "the file {detail}"),
        }
    }
}

impl std::error::Error for ReadFault {}

impl From<io::Error> for ReadFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Hands on a row: the line on which it begins, and what it holds or why it can't be read.
type TakeRow<'a> = dyn FnMut(u64, Result<Row, Refusal>) -> ControlFlow<()> + 'a;

/// Reads a file and hands on each user with the line on which its row begins, in JSON arrays too. Memory is bounded
/// whatever the size of the file, and of a row; a row of more than [`MAX_ROW_BYTES`] is refused. It ends early,
/// without a fault, where `each` breaks off. A file of Firebase's may have the hash parameters of its project as its
/// member `hash_config`, before its users; `firebase` is what was given besides.
///
/// # Errors
/// A [`ReadFault`]; rows before it have been handed on.
pub fn read(
    source: Source,
    firebase: Option<&FirebaseConfig>,
    checks: &Checks,
    input: impl BufRead,
    each: &mut dyn FnMut(u64, Result<UserRecord, Refusal>) -> ControlFlow<()>,
) -> Result<(), ReadFault> {
    let mut input = Input::open(input)?;
    let parameters = Parameters::given(firebase);
    let mut take = |line: u64, row: Result<Row, Refusal>| {
        each(
            line,
            row.and_then(|row| source.record(row, parameters.get(), checks)),
        )
    };
    input.skip_white_space()?;
    match source.shape(input.peek()?)? {
        Shape::Lines => lines::read(&mut input, &mut take),
        Shape::Document => {
            let mut beside = |member: document::Beside<'_>| match source {
                Source::Firebase => parameters.take(&member),
                _ => Ok(()),
            };
            document::read(&mut input, &mut beside, &mut take)
        }
        Shape::Table(columns) => table::read(&mut input, columns, &mut take),
    }
}
