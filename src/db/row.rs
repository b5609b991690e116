//! A row, whichever way it was read.

use chrono::{DateTime, FixedOffset, Utc};
use sea_orm::{DbErr, QueryResult};
use uuid::Uuid;

/// A row of a written-out query. Columns are read by position: looking names up costs more than reading the values.
#[derive(Debug)]
pub struct Row<'a>(pub(super) Source<'a>);

/// Where it comes from.
#[derive(Debug)]
pub(super) enum Source<'a> {
    Sqlx(&'a QueryResult),
    Direct(&'a rusqlite::Row<'a>),
}

impl Row<'_> {
    /// An identifier.
    ///
    /// # Errors
    /// Where the column isn't there or holds something else.
    pub fn uuid(&self, index: usize) -> Result<Uuid, DbErr> {
        match self.0 {
            Source::Sqlx(row) => row.try_get_by_index(index),
            Source::Direct(row) => {
                let bytes = row.get_ref(index).map_err(|error| unreadable(&error))?;
                let bytes = bytes.as_blob().map_err(|error| unreadable(&error.into()))?;
                Uuid::from_slice(bytes).map_err(|error| DbErr::Type(error.to_string()))
            }
        }
    }

    /// A text.
    ///
    /// # Errors
    /// Where the column isn't there or holds something else.
    pub fn text(&self, index: usize) -> Result<String, DbErr> {
        match self.0 {
            Source::Sqlx(row) => row.try_get_by_index(index),
            Source::Direct(row) => row.get(index).map_err(|error| unreadable(&error)),
        }
    }

    /// A text, or none.
    ///
    /// # Errors
    /// Where the column isn't there or holds something else.
    pub fn optional_text(&self, index: usize) -> Result<Option<String>, DbErr> {
        match self.0 {
            Source::Sqlx(row) => row.try_get_by_index(index),
            Source::Direct(row) => row.get(index).map_err(|error| unreadable(&error)),
        }
    }

    /// Yes or no.
    ///
    /// # Errors
    /// Where the column isn't there or holds something else.
    pub fn flag(&self, index: usize) -> Result<bool, DbErr> {
        match self.0 {
            Source::Sqlx(row) => row.try_get_by_index(index),
            Source::Direct(row) => row.get(index).map_err(|error| unreadable(&error)),
        }
    }

    /// A whole number.
    ///
    /// # Errors
    /// Where the column isn't there or holds something else.
    pub fn integer(&self, index: usize) -> Result<i64, DbErr> {
        match self.0 {
            Source::Sqlx(row) => row.try_get_by_index(index),
            Source::Direct(row) => row.get(index).map_err(|error| unreadable(&error)),
        }
    }

    /// An instant.
    ///
    /// # Errors
    /// Where the column isn't there or holds something else.
    pub fn time(&self, index: usize) -> Result<DateTime<Utc>, DbErr> {
        self.optional_time(index)?
            .ok_or_else(|| DbErr::Type(format!("column {index} holds no instant")))
    }

    /// An instant, or none.
    ///
    /// # Errors
    /// Where the column isn't there or holds something else.
    pub fn optional_time(&self, index: usize) -> Result<Option<DateTime<Utc>>, DbErr> {
        match self.0 {
            Source::Sqlx(row) => {
                let at: Option<DateTime<FixedOffset>> = row.try_get_by_index(index)?;
                Ok(at.map(|at| at.to_utc()))
            }
            // As the other way writes them: RFC 3339.
            Source::Direct(row) => {
                let text = row.get_ref(index).map_err(|error| unreadable(&error))?;
                let text = text.as_str_or_null().map_err(|error| unreadable(&error.into()))?;
                text.map(DateTime::parse_from_rfc3339)
                    .transpose()
                    .map(|at| at.map(|at| at.to_utc()))
                    .map_err(|error| DbErr::Type(error.to_string()))
            }
        }
    }
}

fn unreadable(error: &rusqlite::Error) -> DbErr {
    DbErr::Type(error.to_string())
}
