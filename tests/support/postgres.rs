//! PostgreSQL for tests: the server that `ROSTER_TEST_DATABASE_URL` names, or a throwaway cluster of the installed
//! programs, also where the tests run as root. The cluster ends with the test process, however that ends.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// A PostgreSQL server.
#[derive(Debug)]
pub struct Cluster {
    base_url: String,
    /// None for a server that isn't ours.
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    control: PathBuf,
    data: PathBuf,
    as_user: Unprivileged,
    /// Holds the pipe whose end tells the watchdog to stop the server.
    _watchdog: Child,
}

impl Cluster {
    /// The URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("{}/{database}", self.base_url)
    }

    /// Starts a cluster of its own with more lines for `postgresql.conf` and, where given, another `pg_hba.conf`.
    /// `prepare` may put files (certificates) into the data folder before the start.
    pub fn start(configuration: &str, access: Option<&str>, prepare: impl FnOnce(&Path)) -> Option<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir().unwrap().keep();
        let data = folder.join("data");
        let as_user = Unprivileged::find(&folder);
        as_user.run(
            &programs.join("initdb"),
            &[
                "-D",
                text(&data),
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-sync",
            ],
        );
        let port = free_port();
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\nmax_connections = 300\n\
             fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nshared_buffers = 64MB\n{configuration}\n",
            text(&folder)
        );
        let file = data.join("postgresql.conf");
        fs::write(
            &file,
            format!("{}\n{settings}", fs::read_to_string(&file).unwrap()),
        )
        .unwrap();
        if let Some(access) = access {
            fs::write(data.join("pg_hba.conf"), access).unwrap();
        }
        prepare(&data);
        as_user.own(&data);
        let control = programs.join("pg_ctl");
        let stop = format!("{} -D {} -m immediate stop", text(&control), text(&data));
        let watchdog = as_user.watchdog(&stop, &folder);
        let cluster = Self {
            base_url: format!("postgres://postgres@127.0.0.1:{port}"),
            own: Some(Own {
                control,
                data,
                as_user,
                _watchdog: watchdog,
            }),
        };
        cluster.control(&["start"]);
        Some(cluster)
    }

    /// Stops the server, starts it again, or whatever else `pg_ctl` does; waits until that is done.
    pub fn control(&self, arguments: &[&str]) {
        let own = self.own.as_ref().expect("a cluster of the test's own");
        let log = own.data.join("log");
        let common = ["-D", text(&own.data), "-w", "-t", "60", "-l", text(&log)];
        own.as_user.run(&own.control, &[&common, arguments].concat());
    }
}

/// The server that the tests of this process share, if there is one to be had. Where there is none, says so loudly;
/// with `CI` set, fails instead: there, nothing is skipped.
pub fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    CLUSTER
        .get_or_init(|| {
            if let Some(url) = std::env::var_os("ROSTER_TEST_DATABASE_URL") {
                let url = url.into_string().expect("ROSTER_TEST_DATABASE_URL in UTF-8");
                let base_url = url
                    .rsplit_once('/')
                    .map_or(url.clone(), |(base, _)| base.to_owned());
                return Some(Cluster { base_url, own: None });
            }
            Cluster::start("", None, |_| {})
        })
        .as_ref()
}

/// Says that something is missing, so that tests are skipped; fails where nothing may be skipped.
pub fn missing(what: &str, package: &str) {
    let message = format!("{what} is missing: install {package} to run these tests");
    assert!(std::env::var_os("CI").is_none(), "{message}");
    // Straight to the terminal: the test runner would keep what is printed to itself.
    let line = format!("\n*** SKIPPED: {message} ***\n");
    let open = |path| fs::OpenOptions::new().append(true).open(path);
    let terminal = open("/dev/tty").or_else(|_| open("/dev/stderr"));
    let _ = terminal.and_then(|mut terminal| std::io::Write::write_all(&mut terminal, line.as_bytes()));
}

/// The folder of PostgreSQL's programs.
pub fn programs() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| {
            entries
                .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
                .collect()
        })
        .unwrap_or_default();
    folders.sort();
    folders.reverse();
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&path));
    let found = folders
        .into_iter()
        .find(|folder| folder.join("initdb").is_file() && folder.join("pg_ctl").is_file());
    if found.is_none() {
        static ONCE: OnceLock<()> = OnceLock::new();
        ONCE.get_or_init(|| {
            missing(
                "PostgreSQL",
                "Debian's postgresql, or set ROSTER_TEST_DATABASE_URL,",
            );
        });
    }
    found
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Servers such as PostgreSQL refuse to run as root: the user to run them as.
#[derive(Debug)]
pub struct Unprivileged(Option<&'static str>);

impl Unprivileged {
    /// The present user, or a system user where that is root; it gets the folder.
    pub fn find(folder: &Path) -> Self {
        let is_root = output("id", &["-u"]).trim() == "0";
        let user = ["postgres", "nobody"].into_iter().find(|user| {
            Command::new("id")
                .arg(user)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .unwrap()
                .success()
        });
        let found = Self(if is_root { user } else { None });
        found.own(folder);
        found
    }

    /// Gives the user a folder and all that is in it.
    pub fn own(&self, folder: &Path) {
        if let Some(user) = self.0 {
            assert!(
                Command::new("chown")
                    .args(["-R", user, text(folder)])
                    .status()
                    .unwrap()
                    .success()
            );
        }
    }

    /// A command of a program, run as that user.
    pub fn command(&self, program: &Path) -> Command {
        match self.0 {
            Some(user) => {
                let mut command = Command::new("setpriv");
                let group = output("id", &["-g", user]);
                command
                    .args(["--reuid", user, "--regid", group.trim(), "--clear-groups"])
                    .arg(program);
                command
            }
            None => Command::new(program),
        }
    }

    fn run(&self, program: &Path, arguments: &[&str]) {
        let mut command = self.command(program);
        // The server's process must not hold the test runner's pipes open.
        let status = command
            .args(arguments)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success(), "{} {arguments:?}", program.display());
    }

    /// Runs `stop` and removes the folder when this process ends: the pipe closes then, whatever ends it.
    pub fn watchdog(&self, stop: &str, folder: &Path) -> Child {
        let script = format!(
            "trap '' HUP INT TERM; cat >/dev/null; {{ {stop}; }} >/dev/null 2>&1; rm -rf {}",
            text(folder)
        );
        let mut command = self.command(Path::new("/bin/sh"));
        command
            .arg("-c")
            .arg(script)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.spawn().unwrap()
    }
}

fn output(program: &str, arguments: &[&str]) -> String {
    String::from_utf8(Command::new(program).args(arguments).output().unwrap().stdout).unwrap()
}
