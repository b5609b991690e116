//! Searching among accounts at a cost that is bounded, however many there are.
//!
//! The statements are written out, as each has to be answered from one index on both databases. `docs/decisions/0020-search.md`
//! has the reasoning.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult};
use uuid::Uuid;

use super::super::model::{Found, Hit, Position, SortColumn, UserSearch};
use super::statement::Query;
use crate::domain::UserId;

/// How many entries of an index are looked at for one page. So many rows, each of them elsewhere on the disk, are read
/// and sorted in some milliseconds.
const MOST: u64 = 1_000;
/// The same for the holders of a role, whose index is narrow and says nothing but who they are. Nothing but this index leads
/// to a role: where more hold it, they may be anywhere in the order, and pages on the way to them may be empty. So many are
/// looked up and sorted in a time that is still bearable for a page.
const MOST_HOLDERS: u64 = 4_000;

/// What narrows a search down to a part of the table, by an index of its own.
#[derive(Clone, Copy)]
enum Source {
    Email,
    Prefix,
    Role,
    Status,
    Created,
}

impl Source {
    /// How many accounts may answer to this for all of them to be sorted for a page.
    const fn most(self) -> u64 {
        match self {
            Self::Role => MOST_HOLDERS,
            Self::Email | Self::Prefix | Self::Status | Self::Created => MOST,
        }
    }
}

/// What is looked for, and how the database spells the order of code points.
struct Search<'a> {
    wanted: &'a UserSearch,
    backend: DbBackend,
    by_code_point: &'static str,
}

/// A page of the accounts that are looked for, in the order that is wanted, from after a position on.
///
/// # Errors
/// The database's.
pub async fn search(
    connection: &impl ConnectionTrait,
    wanted: &UserSearch,
    after: Option<&Position>,
    limit: u64,
) -> Result<Found, DbErr> {
    let backend = connection.get_database_backend();
    let by_code_point = match backend {
        DbBackend::Postgres => " COLLATE \"C\"",
        _ => "",
    };
    let search = Search {
        wanted,
        backend,
        by_code_point,
    };
    let sources = search.sources();
    for source in &sources {
        if search.is_small(connection, *source).await? {
            let hits = search.among(connection, *source, after, limit).await?;
            return Ok(found(hits, limit, None));
        }
    }
    // Many accounts answer to each of these: they are met soon on the way through the order itself.
    let end = if sources.is_empty() {
        None
    } else {
        search.end_of_stretch(connection, after).await?
    };
    let hits = search.along(connection, after, end.as_ref(), limit).await?;
    Ok(found(hits, limit, end))
}

/// One hit more than the page has tells whether there is another page. A stretch that was searched and has too few leads
/// to the next stretch.
fn found(mut hits: Vec<Hit>, limit: u64, end: Option<Position>) -> Found {
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    if hits.len() <= wanted {
        return Found {
            ids: hits.into_iter().map(|hit| hit.id).collect(),
            next: end,
        };
    }
    hits.truncate(wanted);
    Found {
        next: hits.last().map(|hit| hit.position.clone()),
        ids: hits.into_iter().map(|hit| hit.id).collect(),
    }
}

impl Search<'_> {
    /// What the order alone doesn't narrow down.
    fn sources(&self) -> Vec<Source> {
        let wanted = self.wanted;
        let is_by_email = wanted.sort.column == SortColumn::Email;
        let has_bounds = wanted.created_after.is_some() || wanted.created_before.is_some();
        [
            wanted.email.as_ref().map(|_| Source::Email),
            wanted.prefix.as_ref().map(|_| Source::Prefix),
            wanted.role.as_ref().map(|_| Source::Role),
            wanted.status.map(|_| Source::Status),
            (is_by_email && has_bounds).then_some(Source::Created),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Whether few enough accounts answer to this to be sorted for a page.
    async fn is_small(&self, connection: &impl ConnectionTrait, source: Source) -> Result<bool, DbErr> {
        let mut query = Query::new();
        if matches!(source, Source::Prefix) {
            // Whoever answers to both counts twice: taking them together would cost more than it shows.
            query.push("SELECT (SELECT count(*) FROM (");
            self.by_email(&mut query);
            query.push(") by_email) + (SELECT count(*) FROM (");
            self.by_name(&mut query);
            query.push(") by_name)");
        } else {
            query.push("SELECT count(*) FROM (");
            self.entries(&mut query, source);
            query.push(") entries");
        }
        let rows = query.all(connection).await?;
        let count: i64 = match rows.first() {
            Some(row) => row.try_get_by_index(0)?,
            None => 0,
        };
        Ok(u64::try_from(count).is_ok_and(|count| count <= source.most()))
    }

    /// The ids that a source has, at most one more than are sorted. In the order of its index, so that the database reads
    /// that far and no further.
    fn entries(&self, query: &mut Query, source: Source) {
        let most = format!(" LIMIT {}", source.most() + 1);
        match source {
            Source::Email => {
                query.push("SELECT id FROM users WHERE ");
                self.email(query, "");
            }
            Source::Prefix => {
                query.push("SELECT id FROM (");
                self.by_email(query);
                query.push(") by_email UNION SELECT id FROM (");
                self.by_name(query);
                query.push(") by_name");
            }
            Source::Role => {
                query.push("SELECT user_id AS id FROM user_roles WHERE role = ");
                query.bind(self.role());
                query.push(" ORDER BY role, user_id").push(&most);
            }
            Source::Status => {
                query.push("SELECT id FROM users WHERE status = ");
                query.bind(self.status());
                query.push(" ORDER BY status, created_at, id").push(&most);
            }
            Source::Created => {
                query.push("SELECT id FROM users WHERE 1 = 1");
                self.created(query, "created_at");
                query.push(" ORDER BY created_at, id").push(&most);
            }
        }
    }

    fn by_email(&self, query: &mut Query) {
        query.push("SELECT id, email FROM users WHERE ");
        self.range(query, "email");
        let c = self.by_code_point;
        query.push(&format!(" ORDER BY email{c}, created_at, id LIMIT {}", MOST + 1));
    }

    fn by_name(&self, query: &mut Query) {
        query.push("SELECT id, display_name_key FROM users WHERE ");
        self.range(query, "display_name_key");
        let c = self.by_code_point;
        query.push(&format!(
            " ORDER BY display_name_key{c}, created_at, id, email LIMIT {}",
            MOST + 1
        ));
    }

    /// A page of the accounts of a source that is small enough.
    async fn among(
        &self,
        connection: &impl ConnectionTrait,
        source: Source,
        after: Option<&Position>,
        limit: u64,
    ) -> Result<Vec<Hit>, DbErr> {
        let mut query = Query::new();
        query.push("SELECT u.id, u.created_at, u.email FROM (");
        self.entries(&mut query, source);
        // Always this way round: the entries first, each account by its id.
        query.push(") entries CROSS JOIN users u WHERE u.id = entries.id");
        self.filters(&mut query);
        self.created(&mut query, &self.created_column());
        self.beyond(&mut query, after, false);
        self.in_order(&mut query, limit + 1);
        hits(self.wanted, &query.all(connection).await?)
    }

    /// A page on the way through the order itself.
    async fn along(
        &self,
        connection: &impl ConnectionTrait,
        after: Option<&Position>,
        end: Option<&Position>,
        limit: u64,
    ) -> Result<Vec<Hit>, DbErr> {
        let mut query = Query::new();
        query.push("SELECT u.id, u.created_at, u.email FROM users u WHERE 1 = 1");
        self.filters(&mut query);
        self.created(&mut query, &self.created_column());
        self.beyond(&mut query, after, false);
        self.beyond(&mut query, end, true);
        self.in_order(&mut query, limit + 1);
        hits(self.wanted, &query.all(connection).await?)
    }

    /// The last account of the stretch that one page looks at; none where the list ends before.
    async fn end_of_stretch(
        &self,
        connection: &impl ConnectionTrait,
        after: Option<&Position>,
    ) -> Result<Option<Position>, DbErr> {
        let mut query = Query::new();
        // No more than the index of the order has: nothing is read of what is passed over.
        match self.wanted.sort.column {
            SortColumn::Created => {
                query.push("SELECT u.id, u.created_at FROM users u WHERE 1 = 1");
                self.created(&mut query, "u.created_at");
            }
            SortColumn::Email => {
                query.push("SELECT u.id, u.created_at, u.email FROM users u WHERE 1 = 1");
            }
        }
        self.beyond(&mut query, after, false);
        self.in_order(&mut query, 1);
        query.push(&format!(" OFFSET {}", MOST - 1));
        let rows = hits(self.wanted, &query.all(connection).await?)?;
        Ok(rows.into_iter().next().map(|hit| hit.position))
    }

    fn filters(&self, query: &mut Query) {
        let wanted = self.wanted;
        if wanted.email.is_some() {
            query.push(" AND ");
            self.email(query, "u.");
        }
        if wanted.prefix.is_some() {
            query.push(" AND (");
            self.range(query, &self.by_itself("u.email"));
            query.push(" OR ");
            self.range(query, &self.by_itself("u.display_name_key"));
            query.push(")");
        }
        if wanted.status.is_some() {
            query.push(" AND u.status = ").bind(self.status());
        }
        if wanted.role.is_some() {
            query.push(" AND EXISTS (SELECT 1 FROM user_roles r WHERE r.user_id = u.id AND r.role = ");
            query.bind(self.role()).push(")");
        }
    }

    fn email(&self, query: &mut Query, table: &str) {
        let email = self.wanted.email.as_ref().map_or("", |email| email.as_str());
        query.push(&format!("{table}email = ")).bind(email);
    }

    fn role(&self) -> String {
        self.wanted
            .role
            .as_ref()
            .map_or_else(String::new, ToString::to_string)
    }

    fn status(&self) -> &'static str {
        self.wanted.status.map_or("", |status| status.as_str())
    }

    fn range(&self, query: &mut Query, column: &str) {
        let Some(prefix) = &self.wanted.prefix else { return };
        let c = self.by_code_point;
        query.push(&format!("({column}{c} >= ")).bind(prefix.first());
        if let Some(after) = prefix.after() {
            query.push(&format!(" AND {column}{c} < ")).bind(after);
        }
        query.push(")");
    }

    /// A column of text that is only looked at, and no way into the table: the databases would gather all that answer by
    /// the indexes of both, and sort them.
    fn by_itself(&self, column: &str) -> String {
        match self.backend {
            DbBackend::Postgres => format!("({column} || '')"),
            _ => format!("+{column}"),
        }
    }

    /// When an account was made: a way into the table only where that is the order as well.
    fn created_column(&self) -> String {
        match (self.wanted.sort.column, self.backend) {
            (SortColumn::Created, _) => "u.created_at".to_owned(),
            (SortColumn::Email, DbBackend::Postgres) => "(u.created_at + interval '0')".to_owned(),
            (SortColumn::Email, _) => "+u.created_at".to_owned(),
        }
    }

    fn created(&self, query: &mut Query, column: &str) {
        if let Some(at) = self.wanted.created_after {
            query.push(&format!(" AND {column} > ")).bind(at.fixed_offset());
        }
        if let Some(at) = self.wanted.created_before {
            query.push(&format!(" AND {column} < ")).bind(at.fixed_offset());
        }
    }

    /// Past a position in the order, or, with `up_to`, not past it.
    fn beyond(&self, query: &mut Query, position: Option<&Position>, up_to: bool) {
        let Some(position) = position else { return };
        let comparison = match (self.wanted.sort.is_descending, up_to) {
            (false, false) => ">",
            (false, true) => "<=",
            (true, false) => "<",
            (true, true) => ">=",
        };
        match position {
            Position::Created(at, id) => {
                query.push(&format!(" AND (u.created_at, u.id) {comparison} ("));
                query.bind(at.fixed_offset()).push(", ").bind(id.get()).push(")");
            }
            Position::Email(email) => {
                let c = self.by_code_point;
                query
                    .push(&format!(" AND u.email{c} {comparison} "))
                    .bind(email.as_str());
            }
        }
    }

    fn in_order(&self, query: &mut Query, limit: u64) {
        let direction = if self.wanted.sort.is_descending {
            " DESC"
        } else {
            ""
        };
        let c = self.by_code_point;
        query.push(&match self.wanted.sort.column {
            SortColumn::Created => {
                format!(" ORDER BY u.created_at{direction}, u.id{direction} LIMIT {limit}")
            }
            SortColumn::Email => format!(" ORDER BY u.email{c}{direction} LIMIT {limit}"),
        });
    }
}

fn hits(wanted: &UserSearch, rows: &[QueryResult]) -> Result<Vec<Hit>, DbErr> {
    rows.iter()
        .map(|row| {
            let id = UserId::new(row.try_get_by_index::<Uuid>(0)?);
            let position = match wanted.sort.column {
                SortColumn::Created => Position::Created(row.try_get_by_index::<DateTime<Utc>>(1)?, id),
                SortColumn::Email => Position::Email(row.try_get_by_index(2)?),
            };
            Ok(Hit { id, position })
        })
        .collect()
}
