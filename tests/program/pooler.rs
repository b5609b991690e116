//! Behind a transaction-mode pooler, where a statement may run on another connection than the one before it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use url::Url;

use crate::postgres::{Unprivileged, free_port, missing};
use crate::support::{Client, Installation};

/// Debian's `PgBouncer` in transaction mode, with nothing set that would make it more lenient.
struct Pooler {
    port: u16,
    process: Child,
    watchdog: Child,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.process.wait();
    }
}

impl Pooler {
    /// In front of the server of a URL.
    fn start(server: &Url) -> Option<Self> {
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"]
            .into_iter()
            .map(Path::new)
            .find(|path| path.is_file());
        let Some(program) = program else {
            missing("PgBouncer", "pgbouncer");
            return None;
        };
        let folder = tempfile::tempdir().unwrap().keep();
        let port = free_port();
        let (configuration, users) = (folder.join("pgbouncer.ini"), folder.join("users.txt"));
        let (user, password) = (server.username(), server.password().unwrap_or_default());
        fs::write(&users, format!("\"{user}\" \"{password}\"\n")).unwrap();
        let settings = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = transaction\n\
             default_pool_size = 5\nmax_client_conn = 500\npidfile = {}\n",
            server.host_str().unwrap(),
            server.port().unwrap_or(5432),
            users.display(),
            folder.join("pid").display()
        );
        fs::write(&configuration, settings).unwrap();
        let as_user = Unprivileged::find(&folder);
        let mut command = as_user.command(program);
        let mut child = command
            .arg(&configuration)
            .current_dir("/")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let watchdog = as_user.watchdog(&format!("kill {}", child.id()), &folder);
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        while !said
            .last()
            .is_some_and(|line: &String| line.contains("process up"))
        {
            said.push(
                log.next()
                    .unwrap_or_else(|| panic!("PgBouncer did not start: {said:#?}"))
                    .unwrap(),
            );
        }
        // It must not meet a closed pipe.
        std::thread::spawn(move || log.for_each(drop));
        Some(Self {
            port,
            process: child,
            watchdog,
        })
    }

    /// The URL of the same database through it.
    fn url(&self, direct: &Url) -> String {
        format!(
            "postgres://{}@127.0.0.1:{}{}",
            direct.username(),
            self.port,
            direct.path()
        )
    }
}

#[tokio::test]
async fn roster_runs_behind_a_transaction_mode_pooler() {
    let Some(direct) = Installation::on_postgresql().await else {
        return;
    };
    let url = direct.url().parse().unwrap();
    let Some(pooler) = Pooler::start(&url) else {
        return;
    };
    let installation = Installation::new()
        .with("DATABASE_URL", &pooler.url(&url))
        .with("ROSTER__DATABASE__PREPARED_STATEMENTS", "false");
    installation.succeeds(&["migrate", "up"]).await;
    let server = installation.serve().await;
    let client = server.client();
    client.live_a_whole_life("ada").await;

    // Ten accounts at a time, five requests each in flight: more than the pooler has connections.
    join_all((0..10).map(|number| {
        let client = client.clone();
        async move {
            let email = format!("user{number}@example.com");
            client.register(&email).await;
            let tokens = join_all((0..5).map(|_| client.login(&email))).await;
            let (client, email) = (&client, &email);
            let rounds = tokens.iter().map(|token| async move {
                assert_eq!(client.me(token).await.0, 200);
                let change = json!({ "metadata": { "round": number } });
                let put = client
                    .request(Method::PUT, "/users/me")
                    .bearer_auth(token)
                    .json(&change);
                assert_eq!(Client::answer(put).await.0, 200);
                assert_eq!(client.me(token).await.1["metadata"]["round"], number);
                assert_eq!(client.try_login(email, "not-the-password").await.0, 401);
            });
            join_all(rounds).await;
        }
    }))
    .await;
    join_all((10..20).map(|number| {
        let client = client.clone();
        async move { client.live_a_whole_life(&format!("user{number}")).await }
    }))
    .await;

    installation
        .create_user("admin@example.com", &["--role", "admin"])
        .await;
    let listed = installation.succeeds(&["users", "list", "--json"]).await;
    assert_eq!(listed.lines().count(), 11);
    installation.succeeds(&["keys", "rotate"]).await;
    assert_eq!(client.get("/readyz").await.0, 200);
    for line in server.stop().await {
        assert!(!line.contains(" ERROR "), "{line}");
    }
    installation
        .succeeds(&["migrate", "down", "-n", "4", "--yes"])
        .await;
}
