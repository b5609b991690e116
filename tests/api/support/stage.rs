//! Where a scenario takes place: a database for each world, and the clearing away afterwards.

use std::any::Any;
use std::fs;
use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use futures_util::FutureExt as _;
use roster::clock::{Random as _, SystemRandom};
use roster::config::Config;
use roster::db::schema::SchemaManager;
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, DbBackend, Statement};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::postgres::{self, Cluster};
use super::world::{self, Variables, World};

/// A scenario that takes longer hangs, and should say which one it is.
const PATIENCE: Duration = Duration::from_mins(5);

/// Which database a scenario runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// Makes databases and servers for one scenario, and remembers them until its end. Clones are the same stage.
#[derive(Clone)]
pub struct Stage(Arc<Props>);

struct Props {
    backend: Backend,
    folder: TempDir,
    databases: Mutex<Vec<String>>,
    servers: Mutex<Vec<(ServerHandle, JoinHandle<std::io::Result<()>>)>>,
    transcript: Mutex<Vec<String>>,
}

/// What a scenario can ask for as its argument.
pub trait FromStage: Sized {
    fn from_stage(stage: Stage) -> impl Future<Output = Self>;
}

impl FromStage for Stage {
    async fn from_stage(stage: Stage) -> Self {
        stage
    }
}

impl FromStage for World {
    async fn from_stage(stage: Stage) -> Self {
        Self::with(&stage, |_| {}).await
    }
}

/// Runs a scenario, clears away, and only then fails where the scenario has failed. Without PostgreSQL there is
/// nothing to run its half on, which has been said loudly then.
pub fn run<A: FromStage, F: Future<Output = ()>>(backend: Backend, scenario: impl FnOnce(A) -> F) {
    keep_files_in_memory();
    if backend == Backend::Postgres && postgres::cluster().is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let stage = Stage::new(backend);
        let played = AssertUnwindSafe(async {
            let argument = A::from_stage(stage.clone()).await;
            let ended = tokio::time::timeout(PATIENCE, scenario(argument)).await;
            assert!(ended.is_ok(), "the scenario hangs");
        });
        let outcome: Result<(), Box<dyn Any + Send>> = played.catch_unwind().await;
        stage.clear().await;
        if let Err(panic) = outcome {
            #[expect(
                clippy::print_stdout,
                reason = "the test runner shows it beside the failure, and nothing of a success"
            )]
            {
                println!("{}", stage.0.transcript.lock().unwrap().join("\n"));
            }
            resume_unwind(panic);
        }
    });
}

/// Copying a database takes a quarter of a second on a disk and next to nothing in memory, so that is where files
/// go if there is room. What is lost in a power cut isn't missed.
fn keep_files_in_memory() {
    const ROOM_KIB: u64 = 3 << 20;
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let memory = "/dev/shm";
        let output = Command::new("df").args(["-k", "--output=avail", memory]).output();
        let told = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let available: Option<u64> = told
            .ok()
            .and_then(|told| told.lines().nth(1)?.trim().parse().ok());
        if available.is_some_and(|kib| kib >= ROOM_KIB) {
            let _ = tempfile::env::override_temp_dir(std::path::Path::new(memory));
        }
    });
}

impl Stage {
    fn new(backend: Backend) -> Self {
        Self(Arc::new(Props {
            backend,
            folder: tempfile::tempdir().unwrap(),
            databases: Mutex::default(),
            servers: Mutex::default(),
            transcript: Mutex::default(),
        }))
    }

    /// Which database this is.
    pub fn backend(&self) -> Backend {
        self.0.backend
    }

    /// A folder for files of the scenario.
    pub fn folder(&self) -> &std::path::Path {
        self.0.folder.path()
    }

    /// The URL of a new database with the present schema and nothing in it.
    pub(super) async fn new_database(&self) -> String {
        let name = random_name("roster");
        match self.0.backend {
            Backend::Sqlite => {
                let file = self.0.folder.path().join(format!("{name}.db"));
                fs::write(&file, sqlite_template()).unwrap();
                format!("sqlite://{}", file.display())
            }
            Backend::Postgres => {
                let template = PostgresTemplate::get();
                let name = format!("{}_{name}", template.prefix);
                let server = connect(&template.cluster.url("postgres")).await;
                let create = format!(
                    "CREATE DATABASE {name} TEMPLATE {}{}",
                    template.name(),
                    template.strategy
                );
                server.execute_unprepared(&create).await.unwrap();
                // Who waits for whom is found out after a second otherwise, each time two requests embrace.
                let impatient = format!("ALTER DATABASE {name} SET deadlock_timeout = '20ms'");
                server.execute_unprepared(&impatient).await.unwrap();
                server.close().await.unwrap();
                self.0.databases.lock().unwrap().push(name.clone());
                template.cluster.url(&name)
            }
        }
    }

    pub(super) fn remember(&self, handle: ServerHandle, task: JoinHandle<std::io::Result<()>>) {
        self.0.servers.lock().unwrap().push((handle, task));
    }

    pub(super) fn note(&self, line: String) {
        self.0.transcript.lock().unwrap().push(line);
    }

    async fn clear(&self) {
        let servers = std::mem::take(&mut *self.0.servers.lock().unwrap());
        for (handle, task) in servers {
            handle.stop(false).await;
            let _ = task.await;
        }
        let databases = std::mem::take(&mut *self.0.databases.lock().unwrap());
        if databases.is_empty() {
            return;
        }
        let server = connect(&PostgresTemplate::get().cluster.url("postgres")).await;
        for name in databases {
            let _ = server
                .execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)"))
                .await;
        }
        let _ = server.close().await;
    }
}

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = sea_orm::ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

fn random_name(prefix: &str) -> String {
    let mut bytes = [0; 8];
    SystemRandom.fill(&mut bytes);
    format!("{prefix}_{:016x}", u64::from_be_bytes(bytes))
}

/// Brings the schema of a database up to date, on a runtime of its own: the first scenario that needs a template
/// makes it, and every other one waits for that.
fn migrate(url: String) {
    let migrating = move || {
        let config = configuration(&url);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let settings = roster::startup::database_settings(&config);
            let schema = SchemaManager::connect(&settings).await.unwrap();
            schema.up().await.unwrap();
            schema.close().await;
        });
    };
    std::thread::spawn(migrating)
        .join()
        .expect("the schema can be migrated");
}

fn configuration(url: &str) -> Config {
    world::configuration(&Variables::usual(url))
}

/// The bytes of a migrated database file.
fn sqlite_template() -> &'static [u8] {
    static TEMPLATE: OnceLock<Vec<u8>> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("template.db");
        migrate(format!("sqlite://{}", file.display()));
        // The last connection to close has put the write-ahead log into the file.
        assert!(
            !folder.path().join("template.db-wal").exists(),
            "the template is in one file"
        );
        fs::read(file).unwrap()
    })
}

/// A migrated database that others are cloned from.
struct PostgresTemplate {
    cluster: &'static Cluster,
    prefix: String,
    /// How to copy it.
    strategy: &'static str,
    _watchdog: Option<Child>,
}

impl PostgresTemplate {
    fn get() -> &'static Self {
        static TEMPLATE: OnceLock<PostgresTemplate> = OnceLock::new();
        TEMPLATE.get_or_init(|| {
            let cluster = postgres::cluster().expect("the scenario would not run without");
            let prefix = random_name("roster_test");
            let mut template = Self {
                cluster,
                _watchdog: watchdog(cluster, &prefix),
                prefix,
                strategy: "",
            };
            let create = format!("CREATE DATABASE {}", template.name());
            let server = cluster.url("postgres");
            let creating = move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let server = connect(&server).await;
                    server.execute_unprepared(&create).await.unwrap();
                    let version = "SELECT current_setting('server_version_num')::int";
                    let version = Statement::from_string(DbBackend::Postgres, version);
                    let row = server.query_one_raw(version).await.unwrap().unwrap();
                    server.close().await.unwrap();
                    row.try_get_by_index::<i32>(0).unwrap()
                })
            };
            let version = std::thread::spawn(creating)
                .join()
                .expect("a database can be made");
            // From 15 on one can choose, and the default is the slower one where nothing has to reach a disk.
            if version >= 150_000 && !is_foreign() {
                template.strategy = " STRATEGY FILE_COPY";
            }
            migrate(cluster.url(&template.name()));
            template
        })
    }

    fn name(&self) -> String {
        format!("{}_template", self.prefix)
    }
}

/// On a server that isn't ours and goes on after us: drops what this process has made, when it ends, however that
/// ends. Its end closes the pipe.
fn watchdog(cluster: &Cluster, prefix: &str) -> Option<Child> {
    if !is_foreign() {
        return None;
    }
    let url = cluster.url("postgres");
    let find = format!(
        "SELECT 'DROP DATABASE ' || datname || ' WITH (FORCE)' FROM pg_database WHERE datname LIKE '{prefix}%' \\gexec"
    );
    let script = format!("cat >/dev/null; echo \"{find}\" | psql -q \"{url}\" >/dev/null 2>&1");
    Command::new("/bin/sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .spawn()
        .ok()
}

/// Whether the server was there before us.
fn is_foreign() -> bool {
    std::env::var_os("ROSTER_TEST_DATABASE_URL").is_some()
}
