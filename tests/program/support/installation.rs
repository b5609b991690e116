//! An installation of the program: a folder, its settings, and its database.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use sea_orm::DatabaseConnection;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use super::database::{OwnDatabase, connect};
use super::process::{Ended, finish, finish_with_hashes};
use super::{PASSWORD, ROSTER, SECRET, Server};

/// A folder with nothing in it, and the variables of the programs that run there.
pub struct Installation {
    // What a server stands on stays for as long as the server does.
    pub(super) folder: Arc<TempDir>,
    variables: BTreeMap<String, String>,
    pub(super) database: Option<Arc<OwnDatabase>>,
}

impl Installation {
    /// In development, on SQLite, on any free port, with hashes that cost next to nothing.
    pub fn new() -> Self {
        let installation = Self {
            folder: Arc::new(tempfile::tempdir().unwrap()),
            variables: BTreeMap::new(),
            database: None,
        };
        installation
            .with("PATH", std::env::var_os("PATH").unwrap().to_str().unwrap())
            .with("ROSTER__SERVER__PORT", "0")
            .with("ROSTER__PASSWORD__BCRYPT_COST", "4")
            // Everybody has the same address here: a test about limits switches them on.
            .with("ROSTER__LIMITS__ENABLED", "false")
    }

    /// The same on an empty database of the shared PostgreSQL server, if there is one.
    pub async fn on_postgresql() -> Option<Self> {
        let database = OwnDatabase::create().await?;
        let url = database.url.clone();
        let mut installation = Self::new().with("DATABASE_URL", &url);
        installation.database = Some(Arc::new(database));
        Some(installation)
    }

    /// Another one of the same kind, with nothing in it.
    pub async fn another(&self) -> Self {
        match self.database {
            Some(_) => Self::on_postgresql().await.expect("there is a server already"),
            None => Self::new(),
        }
    }

    /// With a variable set, or set to something else.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same folder and database with a variable set, for a server that comes after or stands beside.
    pub fn but_with(&self, name: &str, value: &str) -> Self {
        let same = Self {
            folder: Arc::clone(&self.folder),
            variables: self.variables.clone(),
            database: self.database.clone(),
        };
        same.with(name, value)
    }

    /// Without a variable.
    pub fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    /// As in production, with everything that is asked for there.
    pub fn in_production(self) -> Self {
        self.with("ROSTER_ENV", "production")
            .with("ROSTER__SERVER__PUBLIC_URL", "https://accounts.example.org")
            .with("ROSTER__SECURITY__SECRET_KEY", SECRET)
            .with("ROSTER__PASSWORD__BCRYPT_COST", "10")
    }

    pub fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    /// Every file and folder below, with its mode and content.
    pub fn contents(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        collect(self.folder.path(), self.folder.path(), &mut found);
        found
    }

    /// The database itself, behind the program's back.
    pub async fn database(&self) -> DatabaseConnection {
        let url = match &self.database {
            Some(database) => database.url.clone(),
            None => format!("sqlite://{}", self.path("data/roster.db").display()),
        };
        connect(&url).await
    }

    /// The URL of its PostgreSQL database.
    pub fn url(&self) -> &str {
        &self.database.as_ref().expect("an installation on PostgreSQL").url
    }

    /// Any program, started here.
    pub fn program(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(&self.variables)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a command of Roster's to its end.
    pub async fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with_input(arguments, "").await
    }

    /// The same, with something on standard input.
    pub async fn run_with_input(&self, arguments: &[&str], input: &str) -> Ended {
        let mut command = self.program(ROSTER);
        command.args(arguments);
        finish(command, input).await
    }

    /// Runs a command that succeeds and says nothing on standard error; gives its standard output.
    pub async fn succeeds(&self, arguments: &[&str]) -> String {
        self.succeeds_with_input(arguments, "").await
    }

    /// The same, with something on standard input.
    pub async fn succeeds_with_input(&self, arguments: &[&str], input: &str) -> String {
        let ended = self.run_with_input(arguments, input).await;
        assert_eq!(ended.code, 0, "{arguments:?}: {ended:?}");
        assert_eq!(ended.stderr, "", "{arguments:?}");
        ended.stdout
    }

    /// Every account, with its hash.
    pub async fn export_with_hashes(&self) -> String {
        let mut command = self.program(ROSTER);
        command.args(["users", "export", "--with-password-hashes"]);
        let ended = finish_with_hashes(command, "").await;
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        ended.stdout
    }

    /// The same with `--json`; gives what was printed.
    pub async fn json(&self, arguments: &[&str]) -> Value {
        let printed = self.succeeds(&[arguments, &["--json"]].concat()).await;
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {printed}"))
    }

    /// Runs a command that fails: code 1, nothing on standard output, and one line that says why.
    pub async fn fails(&self, arguments: &[&str]) -> String {
        self.fails_with_input(arguments, "").await
    }

    /// The same, with something on standard input.
    pub async fn fails_with_input(&self, arguments: &[&str], input: &str) -> String {
        let lines = self.fails_with_lines(arguments, input).await;
        assert_eq!(lines.len(), 1, "{arguments:?}: {lines:?}");
        lines.concat()
    }

    /// The same where each of several faults has its line.
    pub async fn fails_with_lines(&self, arguments: &[&str], input: &str) -> Vec<String> {
        let ended = self.run_with_input(arguments, input).await;
        assert_eq!(ended.code, 1, "{arguments:?}: {ended:?}");
        assert_eq!(ended.stdout, "", "{arguments:?}");
        let without_name = |line: &str| line.strip_prefix("roster: ").map(str::to_owned);
        let lines: Option<Vec<String>> = ended.stderr.lines().map(without_name).collect();
        lines.unwrap_or_else(|| panic!("{arguments:?}: {ended:?}"))
    }

    /// Makes an account with [`PASSWORD`].
    pub async fn create_user(&self, email: &str, more: &[&str]) {
        let arguments = [&["users", "create", email, "--password-stdin"], more].concat();
        self.succeeds_with_input(&arguments, PASSWORD).await;
    }

    /// Makes the database and the keys, so that later commands have nothing to tell of.
    pub async fn prepare(&self) {
        self.serve().await.stop().await;
    }

    /// Starts the server, and waits until it serves.
    pub async fn serve(&self) -> Server {
        let mut server = self.start(&["serve"]);
        server.ready().await;
        server
    }

    /// Starts the server and doesn't wait.
    pub fn start(&self, arguments: &[&str]) -> Server {
        let mut command = self.program(ROSTER);
        command.args(arguments);
        Server::start(self, command)
    }
}

fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, (u32, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        let content = if metadata.is_file() {
            fs::read(&path).unwrap()
        } else {
            Vec::new()
        };
        let mode = metadata.permissions().mode() & 0o7777;
        found.insert(path.strip_prefix(root).unwrap().to_owned(), (mode, content));
        if metadata.is_dir() {
            collect(root, &path, found);
        }
    }
}
