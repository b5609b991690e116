//! The schema's history, forwards and backwards, on both databases.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "all of this is test code: what must hold is stated, and fails loudly where it doesn't"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::DateTime;
use clap::Parser;
use migration::{Migrator, MigratorTrait};
use roster::app::AppState;
use roster::clock::{Ambient, Random as _, SystemRandom};
use roster::config::{Config, Need, Sources};
use roster::db::schema::{SchemaError, SchemaManager};
use roster::db::{DatabaseSettings, Db};
use roster::domain::{SearchPrefix, search_key};
use roster::startup;
use roster::users::{self, UserSearch, UserSort};
use sea_orm::{
    ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, Statement,
    TransactionTrait as _,
};
use sea_orm_cli::GenerateSubcommands;
use tempfile::TempDir;
use uuid::Uuid;

#[path = "support/postgres.rs"]
mod postgres;

/// An empty database, and what it takes to look into it.
struct Place {
    url: String,
    folder: TempDir,
    /// On PostgreSQL: where databases are made and dropped, and this one's name.
    server: Option<(String, String)>,
}

impl Place {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            url: format!("sqlite://{}", folder.path().join("roster.db").display()),
            folder,
            server: None,
        }
    }

    /// None without PostgreSQL, which has been said loudly then.
    async fn postgres() -> Option<Self> {
        let cluster = postgres::cluster()?;
        let mut bytes = [0; 8];
        SystemRandom.fill(&mut bytes);
        let name = format!("roster_migrations_{:016x}", u64::from_be_bytes(bytes));
        let server = cluster.url("postgres");
        run(&server, &format!("CREATE DATABASE {name}")).await;
        Some(Self {
            url: cluster.url(&name),
            folder: tempfile::tempdir().unwrap(),
            server: Some((server, name)),
        })
    }

    fn config(&self) -> Config {
        let variables = [
            ("ROSTER__DATABASE__URL", self.url.as_str()),
            (
                "ROSTER__SECURITY__SECRET_KEY",
                "9Ry8uJv3Tqv0n1mCz6kYB4dQpXe5WsLhGa2fOiV7tKM=",
            ),
        ];
        let sources = Sources {
            variables: variables
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            directory: PathBuf::from("/nonexistent"),
            file: None,
        };
        Config::load(&sources, Need::Everything)
            .expect("good settings")
            .config
    }

    fn settings(&self) -> DatabaseSettings {
        DatabaseSettings::new(&self.config().database, 1).create_if_missing()
    }

    /// The application on this database, as a command of the program has it.
    async fn application(&self) -> AppState {
        let (config, ambient) = (self.config(), Ambient::system());
        let db = Db::connect(startup::database_settings(&config)).await.unwrap();
        let secret = startup::secret_key(&config, &db, &ambient).await.unwrap();
        startup::open_state(config, ambient, db, &secret).await.unwrap()
    }

    async fn schema(&self) -> SchemaManager {
        SchemaManager::connect(&self.settings()).await.unwrap()
    }

    async fn connection(&self) -> DatabaseConnection {
        let url = if self.server.is_some() {
            self.url.clone()
        } else {
            format!("{}?mode=rwc", self.url)
        };
        connect(&url).await
    }

    /// Everything that the database holds by way of schema: a line for each thing.
    async fn snapshot(&self) -> Vec<String> {
        let connection = self.connection().await;
        let snapshot = snapshot(&connection).await;
        connection.close().await.unwrap();
        snapshot
    }

    async fn clear(self) {
        if let Some((server, name)) = self.server {
            run(&server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }
}

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = sea_orm::ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

async fn run(url: &str, sql: &str) {
    let connection = connect(url).await;
    connection.execute_unprepared(sql).await.unwrap();
    connection.close().await.unwrap();
}

/// Somebody as the first version wrote it.
async fn add_user(connection: &impl ConnectionTrait, number: usize, display_name: Option<&str>) {
    let sql = "INSERT INTO users (id, email, email_verified, display_name, metadata, status, revision, created_at, updated_at) \
               VALUES ($1, $2, $3, $4, '{}', 'active', 1, $5, $5)";
    let id = Uuid::from_u128(0x019a_0000_0000_7000_8000_0000_0000_0000 + number as u128);
    let at = DateTime::from_timestamp(1_900_000_000, 0).unwrap().fixed_offset();
    let values: [sea_orm::Value; 5] = [
        id.into(),
        format!("somebody-{number}@example.test").into(),
        false.into(),
        display_name.into(),
        at.into(),
    ];
    let backend = connection.get_database_backend();
    connection
        .execute_raw(Statement::from_sql_and_values(backend, sql, values))
        .await
        .unwrap();
}

async fn lines(connection: &impl ConnectionTrait, sql: &str) -> Vec<String> {
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let rows = connection.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

const SQLITE_SCHEMA: &str = "\
SELECT type || ' ' || name || ' on ' || tbl_name || ': ' || coalesce(sql, '') FROM sqlite_master ORDER BY 1";

const POSTGRES_SCHEMA: [&str; 5] = [
    "SELECT concat_ws(' ', 'column', table_name, ordinal_position, column_name, data_type, is_nullable, column_default) \
     FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1",
    "SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
    "SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint \
     WHERE connamespace = 'public'::regnamespace ORDER BY 1",
    "SELECT 'relation ' || relkind::text || ' ' || relname FROM pg_class WHERE relnamespace = 'public'::regnamespace \
     ORDER BY 1",
    "SELECT 'type ' || typname FROM pg_type WHERE typnamespace = 'public'::regnamespace UNION ALL \
     SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1",
];

async fn snapshot(connection: &impl ConnectionTrait) -> Vec<String> {
    if connection.get_database_backend() == DbBackend::Sqlite {
        return lines(connection, SQLITE_SCHEMA).await;
    }
    let mut found = Vec::new();
    for query in POSTGRES_SCHEMA {
        found.extend(lines(connection, query).await);
    }
    found
}

/// What is left when everything of Roster's is gone: the empty list of what has been applied.
fn without_bookkeeping(snapshot: &[String]) -> Vec<&String> {
    snapshot
        .iter()
        .filter(|line| !line.contains("seaql_migrations"))
        .collect()
}

fn count() -> u32 {
    u32::try_from(Migrator::migrations().len()).unwrap()
}

/// Tests, each of which runs on both databases.
macro_rules! on_both {
    ($($(#[$attribute:meta])* async fn $name:ident($place:ident: &Place) $body:block)+) => {$(
        mod $name {
            use super::*;

            $(#[$attribute])*
            async fn test($place: &Place) $body

            #[tokio::test]
            async fn sqlite() {
                let place = Place::sqlite();
                test(&place).await;
                place.clear().await;
            }

            #[tokio::test]
            async fn postgres() {
                if let Some(place) = Place::postgres().await {
                    test(&place).await;
                    place.clear().await;
                }
            }
        }
    )+};
}

on_both! {
    async fn up_and_down_and_up_again_is_the_same_schema(place: &Place) {
        let empty = place.snapshot().await;
        assert!(empty.is_empty(), "{empty:?}");
        let schema = place.schema().await;
        let applied = schema.up().await.unwrap();
        assert_eq!(applied.len(), Migrator::migrations().len());
        let first = place.snapshot().await;
        for table in ["users", "user_roles", "sessions", "refresh_tokens", "signing_keys", "audit_events"] {
            assert!(first.iter().any(|line| line.contains(table)), "{table}");
        }

        let mut undone = schema.down(count()).await.unwrap();
        undone.reverse();
        assert_eq!(undone, applied);
        let gone = place.snapshot().await;
        assert_eq!(without_bookkeeping(&gone), Vec::<&String>::new());
        let connection = place.connection().await;
        assert!(lines(&connection, "SELECT version FROM seaql_migrations").await.is_empty());
        connection.close().await.unwrap();

        assert_eq!(schema.up().await.unwrap(), applied);
        assert_eq!(place.snapshot().await, first);
        assert!(schema.up().await.unwrap().is_empty(), "nothing is applied twice");
        schema.close().await;
    }

    async fn each_step_back_undoes_what_the_step_did(place: &Place) {
        let schema = place.schema().await;
        schema.up().await.unwrap();
        schema.down(count()).await.unwrap();
        // One step at a time, by the migrations themselves.
        let connection = place.connection().await;
        let mut stages = vec![snapshot(&connection).await];
        for _ in 0..count() {
            Migrator::up(&connection, Some(1)).await.unwrap();
            stages.push(snapshot(&connection).await);
        }
        connection.close().await.unwrap();
        while let Some(stage) = stages.pop() {
            assert_eq!(place.snapshot().await, stage);
            let undone = schema.down(1).await.unwrap();
            assert_eq!(undone.len(), usize::from(!stages.is_empty()));
        }
        schema.close().await;
    }

    async fn what_is_not_ours_stays(place: &Place) {
        let schema = place.schema().await;
        schema.up().await.unwrap();
        let connection = place.connection().await;
        connection.execute_unprepared("CREATE TABLE notes (text text)").await.unwrap();
        connection.execute_unprepared("INSERT INTO notes VALUES ('kept')").await.unwrap();
        schema.fresh().await.unwrap();
        schema.down(count()).await.unwrap();
        assert_eq!(lines(&connection, "SELECT text FROM notes").await, ["kept"]);
        connection.close().await.unwrap();
        schema.close().await;
    }

    async fn fresh_is_an_empty_database_with_the_same_schema(place: &Place) {
        let schema = place.schema().await;
        schema.up().await.unwrap();
        let before = place.snapshot().await;
        let connection = place.connection().await;
        let event = "INSERT INTO audit_events (id, occurred_at, action, outcome, actor_kind, details, mac) \
                     VALUES ('019a0000-0000-7000-8000-000000000001', '2031-05-06T07:08:09Z', 'x', 'success', 'operator', '{}', '')";
        connection.execute_unprepared(event).await.unwrap();
        assert_eq!(lines(&connection, "SELECT action FROM audit_events").await.len(), 1);
        connection.close().await.unwrap();
        schema.fresh().await.unwrap();
        assert_eq!(place.snapshot().await, before);
        let connection = place.connection().await;
        assert!(lines(&connection, "SELECT action FROM audit_events").await.is_empty());
        connection.close().await.unwrap();
        schema.close().await;
    }

    async fn a_migration_that_fails_half_way_leaves_nothing(place: &Place) {
        // The last migration meets a table of its own name.
        let connection = place.connection().await;
        connection.execute_unprepared("CREATE TABLE audit_events (text text)").await.unwrap();
        let before = snapshot(&connection).await;
        let schema = place.schema().await;
        let refused = schema.up().await.unwrap_err();
        assert!(matches!(refused, SchemaError::Failed(_)), "{refused}");
        assert_eq!(place.snapshot().await, before);
        connection.execute_unprepared("DROP TABLE audit_events").await.unwrap();
        connection.close().await.unwrap();
        assert_eq!(schema.up().await.unwrap().len(), Migrator::migrations().len());
        schema.close().await;
    }

    async fn a_migration_that_is_killed_half_way_leaves_nothing_and_can_be_run_again(place: &Place) {
        let connection = place.connection().await;
        let transaction: DatabaseTransaction = connection.begin().await.unwrap();
        Migrator::up(&transaction, Some(count() - 1)).await.unwrap();
        assert!(!without_bookkeeping(&snapshot(&transaction).await).is_empty());
        // What the end of a process does to its transactions.
        drop(transaction);
        assert_eq!(snapshot(&connection).await, Vec::<String>::new());
        connection.close().await.unwrap();
        let schema = place.schema().await;
        assert_eq!(schema.up().await.unwrap().len(), Migrator::migrations().len());
        schema.close().await;
    }

    async fn instances_that_start_together_migrate_once(place: &Place) {
        let first = place.schema().await;
        let second = place.schema().await;
        let (one, other) = tokio::join!(first.up(), second.up());
        let applied = [one.unwrap().len(), other.unwrap().len()];
        assert_eq!(applied.iter().sum::<usize>(), Migrator::migrations().len(), "{applied:?}");
        assert!(applied.contains(&0), "{applied:?}");
        first.close().await;
        second.close().await;
    }

    async fn names_that_were_there_before_they_could_be_searched_for_are_found(place: &Place) {
        let names = ["Ada", "\u{c4}rger", "E\u{301}mile", "\u{3a3}\u{3af}\u{3c3}\u{3c5}", "\u{1c5}ara", "100% O'Neill_\\"];
        let connection = place.connection().await;
        // As far as the version went that knew no search.
        let before = Migrator::migrations().iter().position(|step| step.name().ends_with("search_users")).unwrap();
        Migrator::up(&connection, Some(u32::try_from(before).unwrap())).await.unwrap();
        let transaction = connection.begin().await.unwrap();
        add_user(&transaction, 0, None).await;
        // More than are read at a time.
        for number in 1..=1_200 {
            let name = names.get(number - 1).map_or_else(|| format!("User {number}"), |name| (*name).to_owned());
            add_user(&transaction, number, Some(&name)).await;
        }
        transaction.commit().await.unwrap();
        connection.close().await.unwrap();

        let schema = place.schema().await;
        for turn in ["the first time", "and again after a step back"] {
            schema.up().await.unwrap();
            let connection = place.connection().await;
            let originals = "SELECT display_name FROM users WHERE display_name IS NOT NULL ORDER BY id";
            let keyed = "SELECT display_name_key FROM users WHERE display_name_key IS NOT NULL ORDER BY id";
            let keys = lines(&connection, keyed).await;
            assert_eq!(keys.len(), 1_200, "{turn}");
            let wanted: Vec<String> = lines(&connection, originals).await.iter().map(|name| search_key(name)).collect();
            assert_eq!(keys, wanted, "{turn}");
            connection.close().await.unwrap();

            let state = place.application().await;
            for name in names.iter().copied().chain(["User 1001", "uSER 1200"]) {
                let prefix = name.to_uppercase();
                let wanted = UserSearch {
                    prefix: SearchPrefix::parse(&prefix).unwrap(),
                    email: None,
                    role: None,
                    status: None,
                    created_after: None,
                    created_before: None,
                    sort: UserSort::from_name("created_at").unwrap(),
                };
                let (found, _) = users::service::search(&state, wanted, None, 10).await.unwrap();
                assert_eq!(found.len(), 1, "{turn}: {name}");
                let found = found[0].user.display_name.clone().unwrap();
                assert_eq!(search_key(&found), search_key(name), "{turn}");
            }
            state.db.close().await;
            schema.down(count() - u32::try_from(before).unwrap()).await.unwrap();
        }
        let connection = place.connection().await;
        assert_eq!(lines(&connection, "SELECT display_name FROM users WHERE display_name = 'Ada'").await, ["Ada"]);
        connection.close().await.unwrap();
        schema.close().await;
    }

    async fn a_database_of_a_newer_version_is_left_alone(place: &Place) {
        let schema = place.schema().await;
        schema.up().await.unwrap();
        let connection = place.connection().await;
        let newer = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29991231_000001_tomorrow', 1)";
        connection.execute_unprepared(newer).await.unwrap();
        connection.close().await.unwrap();
        let before = place.snapshot().await;
        for refused in [
            schema.up().await.map(drop),
            schema.down(1).await.map(drop),
            schema.fresh().await,
            schema.status().await.map(drop),
        ] {
            let refused = refused.unwrap_err();
            assert!(matches!(&refused, SchemaError::Newer { unknown } if unknown.contains("tomorrow")), "{refused}");
        }
        assert_eq!(place.snapshot().await, before);
        schema.close().await;
    }
}

/// The server process of a migration that waits in its last step is ended: what a crash of the database does.
#[tokio::test]
async fn a_migration_whose_connection_is_cut_half_way_leaves_nothing() {
    let Some(place) = Place::postgres().await else {
        return;
    };
    // Somebody else is about to make a table of that name, and so the last migration waits.
    let other = place.connection().await;
    let blocking = other.begin().await.unwrap();
    blocking
        .execute_unprepared("CREATE TABLE audit_events (text text)")
        .await
        .unwrap();
    let schema = place.schema().await;
    let migrating = tokio::spawn(async move { (schema.up().await, schema) });
    let observer = place.connection().await;
    let waiting = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while lines(&observer, waiting).await.is_empty() {
        tokio::task::yield_now().await;
    }
    let (refused, schema) = migrating.await.unwrap();
    assert!(matches!(refused, Err(SchemaError::Failed(_))), "{refused:?}");
    blocking.rollback().await.unwrap();
    assert_eq!(snapshot(&observer).await, Vec::<String>::new());
    drop(schema);
    let again = place.schema().await;
    assert_eq!(again.up().await.unwrap().len(), Migrator::migrations().len());
    again.close().await;
    other.close().await.unwrap();
    observer.close().await.unwrap();
    place.clear().await;
}

#[derive(Parser)]
struct Generator {
    #[command(subcommand)]
    command: GenerateSubcommands,
}

/// The entities that SeaORM's generator makes of a migrated database.
async fn entities(place: &Place) -> BTreeMap<String, String> {
    let schema = place.schema().await;
    schema.up().await.unwrap();
    schema.close().await;
    let into = place.folder.path().join("entities");
    std::fs::create_dir(&into).unwrap();
    let arguments = [
        "generator",
        "entity",
        "--lib",
        "--entity-format",
        "dense",
        "--with-prelude",
        "none",
        "--database-url",
        &place.url,
        "--output-dir",
        into.to_str().unwrap(),
    ];
    let generator = Generator::try_parse_from(arguments).unwrap();
    sea_orm_cli::run_generate_command(generator.command, false)
        .await
        .unwrap();
    texts(&into)
}

fn texts(folder: &Path) -> BTreeMap<String, String> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// What the generator writes differently without a difference in the schema.
fn in_one_spelling(mut entities: BTreeMap<String, String>) -> BTreeMap<String, String> {
    for (name, text) in &mut entities {
        // Bytes of any length, as each database calls them.
        *text = text.replace("Binary(1)", "VarBinary(StringLen::None)");
        if name == "signing_keys.rs" {
            // The index is unique among current and next keys only, which the generator doesn't see on SQLite.
            let state = "#[sea_orm(column_type = \"Text\", unique)]\n    pub state";
            *text = text.replace(state, "#[sea_orm(column_type = \"Text\")]\n    pub state");
        }
        // Attributes are broken into lines where they are long.
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        *text = text.replace("( ", "(").replace(" )", ")");
    }
    entities
}

#[tokio::test]
async fn the_entities_of_one_database_are_those_of_the_other() {
    let Some(server) = Place::postgres().await else {
        return;
    };
    let file = Place::sqlite();
    let (ours, theirs) = (entities(&file).await, entities(&server).await);
    assert_eq!(in_one_spelling(ours), in_one_spelling(theirs));
    server.clear().await;
}
