//! A primary that is gone for good, and the replica that takes its place, behind HAProxy.
//!
//! sqlx takes one host in a URL, so somebody in between has to know where the database is: HAProxy here, an address that
//! moves or a managed service elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use serde_json::json;
use url::Url;

use crate::postgres::{Cluster, Unprivileged, free_port, missing, programs};
use crate::support::{Client, Installation, Link, PASSWORD, PATIENCE, connect, count};

const ADA: &str = "ada@example.com";

/// A streaming replica of a cluster.
struct Replica {
    port: u16,
    data: PathBuf,
    as_user: Unprivileged,
    _watchdog: Child,
}

impl Replica {
    fn of(primary: &Url) -> Self {
        let programs = programs().unwrap();
        let folder = tempfile::tempdir().unwrap().keep();
        let data = folder.join("data");
        let as_user = Unprivileged::find(&folder);
        let port = free_port();
        run(
            &as_user,
            &programs.join("pg_basebackup"),
            &[
                "-h",
                "127.0.0.1",
                "-p",
                &primary.port().unwrap().to_string(),
                "-U",
                "postgres",
                "-D",
                data.to_str().unwrap(),
                "-R",
                "-X",
                "stream",
                "-c",
                "fast",
            ],
        );
        let settings = format!(
            "\nport = {port}\nunix_socket_directories = '{}'\n",
            folder.display()
        );
        let file = data.join("postgresql.conf");
        fs::write(&file, fs::read_to_string(&file).unwrap() + &settings).unwrap();
        let control = programs.join("pg_ctl");
        let stop = format!("{} -D {} -m immediate stop", control.display(), data.display());
        let watchdog = as_user.watchdog(&stop, &folder);
        let replica = Self {
            port,
            data,
            as_user,
            _watchdog: watchdog,
        };
        replica.control(&["start"]);
        replica
    }

    fn control(&self, arguments: &[&str]) {
        let log = self.data.join("log");
        let common = [
            "-D",
            self.data.to_str().unwrap(),
            "-w",
            "-t",
            "60",
            "-l",
            log.to_str().unwrap(),
        ];
        run(
            &self.as_user,
            &programs().unwrap().join("pg_ctl"),
            &[&common, arguments].concat(),
        );
    }
}

fn run(as_user: &Unprivileged, program: &Path, arguments: &[&str]) {
    let status = as_user
        .command(program)
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.unwrap().success(), "{} {arguments:?}", program.display());
}

/// Sends everybody to the primary, and to the replica as soon as that is gone.
struct Proxy {
    port: u16,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Proxy {
    fn between(primary: u16, replica: u16) -> Option<Self> {
        let program = Path::new("/usr/sbin/haproxy");
        if !program.is_file() {
            missing("HAProxy", "haproxy");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("haproxy.cfg");
        let port = free_port();
        let settings = format!(
            "defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1h\n  timeout server 1h\n\
             listen postgresql\n  bind 127.0.0.1:{port}\n  option redispatch\n  retries 2\n\
             \x20 default-server inter 100ms fall 1 rise 1 on-marked-down shutdown-sessions\n\
             \x20 server primary 127.0.0.1:{primary} check\n  server replica 127.0.0.1:{replica} check backup\n"
        );
        fs::write(&file, settings).unwrap();
        let child = Command::new(program)
            .arg("-db")
            .arg("-f")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Some(Self {
            port,
            child,
            _folder: folder,
        })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn register(client: &Client, email: &str) -> u16 {
    let body = json!({"email": email, "password": PASSWORD});
    client.post("/users/", &body).await.0
}

async fn soon(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async { while !holds().await {} };
    let came = tokio::time::timeout(PATIENCE, wait).await;
    assert!(came.is_ok(), "{what}: not in time");
}

/// What a primary with a replica is started with.
const REPLICATION: &str =
    "wal_level = replica\nmax_wal_senders = 4\nsynchronous_commit = on\nhot_standby = on";

#[tokio::test]
async fn a_primary_that_becomes_read_only_and_does_not_hang_up_is_left_for_the_next_one() {
    let Some(cluster) = Cluster::start(REPLICATION, None, |_| {}) else {
        return;
    };
    let primary: Url = cluster.url("postgres").parse().unwrap();
    let replica = Replica::of(&primary);
    let (link, url) = Link::to(primary.as_str()).await;
    let server = Installation::new().with("DATABASE_URL", &url).serve().await;
    let client = server.client();
    client.register(ADA).await;
    let token = client.login(ADA).await;
    let mut of_replica = primary.clone();
    of_replica.set_port(Some(replica.port)).unwrap();
    let (before, standby) = (
        connect(primary.as_str()).await,
        connect(of_replica.as_str()).await,
    );
    soon("replication", async || {
        count(&standby, "SELECT id FROM sessions").await == 1
    })
    .await;

    // Demoted, with every socket still open.
    before
        .execute_unprepared("ALTER SYSTEM SET default_transaction_read_only = on")
        .await
        .unwrap();
    before
        .execute_unprepared("SELECT pg_reload_conf()")
        .await
        .unwrap();
    soon("a refusal", async || {
        register(&client, "bob@example.com").await == 503
    })
    .await;
    for _ in 0..20 {
        assert_eq!(register(&client, "eve@example.com").await, 503);
        assert_eq!(client.me(&token).await.0, 200, "reads go on");
    }
    standby
        .execute_unprepared("SELECT pg_promote(true, 60)")
        .await
        .unwrap();
    standby
        .execute_unprepared("ALTER SYSTEM RESET default_transaction_read_only")
        .await
        .unwrap();
    link.lead_to(replica.port);
    let back = async { while register(&client, "eve@example.com").await == 503 {} };
    let back = tokio::time::timeout(Duration::from_secs(5), back).await;
    assert!(back.is_ok(), "no writes 5 s after the promotion");
    assert_eq!(client.me(&token).await.0, 200);
    server.stop().await;
    assert_eq!(
        count(&standby, "SELECT id FROM users WHERE email = 'eve@example.com'").await,
        1
    );
}

#[tokio::test]
async fn a_replica_takes_over_and_nobody_restarts_anything() {
    let Some(cluster) = Cluster::start(REPLICATION, None, |_| {}) else {
        return;
    };
    let primary: Url = cluster.url("postgres").parse().unwrap();
    let replica = Replica::of(&primary);
    let Some(proxy) = Proxy::between(primary.port().unwrap(), replica.port) else {
        return;
    };
    let mut url = primary.clone();
    url.set_port(Some(proxy.port)).unwrap();
    let installation = Installation::new().with("DATABASE_URL", url.as_str());
    soon("HAProxy", async || {
        tokio::net::TcpStream::connect(("127.0.0.1", proxy.port))
            .await
            .is_ok()
    })
    .await;
    let server = installation.serve().await;
    let client = server.client();
    client.register(ADA).await;
    let token = client.login(ADA).await;
    let mut of_replica = primary.clone();
    of_replica.set_port(Some(replica.port)).unwrap();
    let standby = connect(of_replica.as_str()).await;
    soon("replication", async || {
        count(&standby, "SELECT id FROM sessions").await == 1
    })
    .await;

    cluster.control(&["-m", "immediate", "stop"]);
    // From the replica: what was there is there, and nothing can be written.
    soon("reads", async || {
        let (status, body) = client.me(&token).await;
        assert!(matches!(status, 200 | 503), "an outage is no refusal: {body}");
        status == 200
    })
    .await;
    assert_eq!(
        register(&client, "eve@example.com").await,
        503,
        "a replica takes no writes"
    );
    assert_eq!(client.me(&token).await.0, 200);

    standby
        .execute_unprepared("SELECT pg_promote(true, 60)")
        .await
        .unwrap();
    let back = async { while register(&client, "eve@example.com").await == 503 {} };
    let back = tokio::time::timeout(Duration::from_secs(5), back).await;
    assert!(back.is_ok(), "no writes 5 s after the promotion");
    client.live_a_whole_life("bob").await;
    assert_eq!(client.me(&token).await.0, 200);
    server.stop().await;
}
