//! An SQLite file that can't be written, isn't where it was, or belongs to somebody else for a while.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use sea_orm::{
    ConnectionTrait as _, DatabaseTransaction, SqliteTransactionMode, TransactionOptions,
    TransactionTrait as _,
};
use serde_json::{Value, json};

use crate::postgres::missing;
use crate::support::{Client, Installation, PASSWORD, PATIENCE, column};

const ADA: &str = "ada@example.com";
/// What the contract gives an answer when the database can't: 3 s, and half a second for a busy machine to start a
/// request and to hand over its answer.
const ANSWERED_WITHIN: Duration = Duration::from_millis(3_500);

async fn register(client: &Client, email: &str) -> (u16, Value) {
    client
        .post("/users/", &json!({"email": email, "password": PASSWORD}))
        .await
}

/// A write is refused in time, and says why.
async fn assert_unavailable(client: &Client, email: &str) {
    let started = Instant::now();
    let (status, body) = register(client, email).await;
    let problem = (503, &Value::from("/problems/database-unavailable"));
    assert_eq!((status, &body["type"]), problem, "{body}");
    assert!(started.elapsed() < ANSWERED_WITHIN, "{:?}", started.elapsed());
}

/// Takes SQLite's write lock, as another process does.
async fn lock(installation: &Installation) -> DatabaseTransaction {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let other = installation.database().await;
    other.begin_with_options(options).await.unwrap()
}

#[tokio::test]
async fn a_writer_that_does_not_let_go_is_waited_for_and_reads_go_on() {
    let installation = Installation::new();
    let server = installation.serve().await;
    let client = server.client();
    client.register(ADA).await;
    let token = client.login(ADA).await;
    let writing = lock(&installation).await;
    assert_unavailable(&client, "eve@example.com").await;
    assert_eq!(client.me(&token).await.0, 200);
    writing.rollback().await.unwrap();
    assert_eq!(register(&client, "eve@example.com").await.0, 201);
    server.stop().await;
}

#[tokio::test]
async fn what_was_refused_while_a_writer_held_on_is_not_done_afterwards() {
    let installation = Installation::new();
    let server = installation.serve().await;
    let client = server.client();
    client.register(ADA).await;
    let token = client.login(ADA).await;
    let rename = async |name: String| {
        let put = client.request(Method::PUT, "/users/me").bearer_auth(&token);
        Client::answer(put.json(&json!({ "display_name": name }))).await
    };
    let revision = async || {
        let revisions = "SELECT CAST(revision AS TEXT) FROM users";
        let found = column(&installation.database().await, revisions).await;
        found[0].parse::<i64>().unwrap()
    };
    let first = revision().await;
    let before = client.me(&token).await.1;
    let writing = lock(&installation).await;
    // More than could have their turn one after the other within the patience of any of them.
    for (status, body) in join_all((0..200).map(|number| rename(format!("Late {number}")))).await {
        assert_eq!(
            (status, &body["type"]),
            (503, &Value::from("/problems/database-unavailable"))
        );
    }
    assert_eq!(client.me(&token).await.1, before);
    writing.rollback().await.unwrap();
    let released = Instant::now();
    // Whoever still stood in the queue would be before this one.
    let (status, after) = rename("In time".to_owned()).await;
    assert_eq!((status, &after["display_name"]), (200, &Value::from("In time")));
    assert!(
        released.elapsed() < Duration::from_secs(5),
        "{:?}",
        released.elapsed()
    );
    assert_eq!(revision().await, first + 1);
    server.stop().await;
}

#[tokio::test]
async fn an_import_waits_longer_for_a_writer_than_a_request_does() {
    let installation = Installation::new();
    let server = installation.serve().await;
    let client = server.client();
    let writing = lock(&installation).await;
    let arguments = ["users", "import", "-", "--from", "roster"];
    let row = format!("{{\"email\": \"{ADA}\"}}\n");
    let import = installation.succeeds_with_input(&arguments, &row);
    let meanwhile = async {
        // As long as two requests wait, one after the other.
        assert_unavailable(&client, "eve@example.com").await;
        assert_unavailable(&client, "eve@example.com").await;
        writing.rollback().await.unwrap();
    };
    let (sums, ()) = tokio::join!(import, meanwhile);
    assert!(sums.starts_with("1 row read: 1 imported"), "{sums}");
    server.stop().await;
}

#[tokio::test]
async fn others_write_while_many_are_imported() {
    const MANY: usize = 15_000;
    let installation = Installation::new();
    let server = installation.serve().await;
    let client = server.client();
    let rows: Vec<String> = (0..MANY)
        .map(|number| format!("{{\"email\": \"many-{number}@example.com\"}}\n"))
        .collect();
    let rows = rows.concat();
    let arguments = ["users", "import", "-", "--from", "roster"];
    let import = installation.succeeds_with_input(&arguments, &rows);
    tokio::pin!(import);
    let (mut registered, mut refused) = (0, 0);
    let sums = loop {
        let email = format!("person-{registered}-{refused}@example.com");
        let one = register(&client, &email);
        tokio::pin!(one);
        let (status, body) = tokio::select! {
            sums = &mut import => {
                one.await;
                break sums;
            }
            answer = &mut one => answer,
        };
        match status {
            201 => registered += 1,
            503 => refused += 1,
            _ => panic!("{status}: {body}"),
        }
    };
    assert!(
        sums.starts_with(&format!("{MANY} rows read: {MANY} imported")),
        "{sums}"
    );
    // On a busy machine a look may come too late for a pause, and another one is waited for.
    assert!(
        registered > 1 && refused <= 1,
        "{registered} registered, {refused} refused"
    );
    server.stop().await;
}

fn move_database(from: &Path, to: &Path) {
    for name in ["roster.db", "roster.db-wal", "roster.db-shm"] {
        if from.join(name).exists() {
            std::fs::rename(from.join(name), to.join(name)).unwrap();
        }
    }
}

#[tokio::test]
async fn a_file_that_is_moved_away_takes_no_writes_until_it_is_back() {
    let installation = Installation::new();
    let server = installation.serve().await;
    let client = server.client();
    client.register(ADA).await;
    let token = client.login(ADA).await;
    // The file with its log; mails are written beside them meanwhile.
    let (data, elsewhere) = (installation.path("data"), installation.path("elsewhere"));
    std::fs::create_dir(&elsewhere).unwrap();
    move_database(&data, &elsewhere);
    // Whatever is answered, it is no refusal of the token and no crash.
    let (status, body) = client.me(&token).await;
    assert!(matches!(status, 200 | 503), "{body}");
    let (status, body) = register(&client, "eve@example.com").await;
    assert!(matches!(status, 201 | 503), "{body}");
    move_database(&elsewhere, &data);
    let back = async { while register(&client, "bob@example.com").await.0 == 503 {} };
    tokio::time::timeout(PATIENCE, back).await.expect("writes again");
    assert_eq!(client.me(&token).await.0, 200);
    server.stop().await;
    // What was acknowledged is in the file that is there now.
    let there = column(&installation.database().await, "SELECT email FROM users").await;
    assert!(there.contains(&ADA.to_owned()) && there.contains(&"bob@example.com".to_owned()));
    assert_eq!(
        status == 201,
        there.contains(&"eve@example.com".to_owned()),
        "{there:?}"
    );
}

#[tokio::test]
async fn no_empty_file_takes_the_place_of_one_that_is_moved_away() {
    let installation = Installation::new();
    let server = installation.serve().await;
    let client = server.client();
    client.register(ADA).await;
    let token = client.login(ADA).await;
    let (here, away) = (
        installation.path("data/roster.db"),
        installation.path("data/away.db"),
    );
    std::fs::rename(&here, &away).unwrap();
    // So many at once that further connections are opened.
    let reads = futures_util::future::join_all((0..40).map(|_| client.get("/readyz")));
    let writes = futures_util::future::join_all((0..20).map(|number| {
        let client = client.clone();
        async move { register(&client, &format!("person-{number}@example.com")).await }
    }));
    let (reads, writes) = tokio::join!(reads, writes);
    for (status, body) in reads.into_iter().chain(writes) {
        assert!(matches!(status, 200 | 201 | 503), "{status}: {body}");
    }
    assert!(!here.exists(), "another file was made");
    std::fs::rename(&away, &here).unwrap();
    let back = async { while register(&client, "bob@example.com").await.0 == 503 {} };
    tokio::time::timeout(PATIENCE, back).await.expect("writes again");
    assert_eq!(client.me(&token).await.0, 200);
    server.stop().await;
}

/// What is mounted at a folder, for as long as it is looked at.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    /// A small file system.
    fn small_disk(at: &'a Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        Self::mount(at, &["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
    }

    /// The folder itself, read-only for whoever opens a file in it from now on.
    fn read_only(at: &'a Path) -> Option<Self> {
        let mounted = Self::mount(at, &["--bind", at.to_str().unwrap()])?;
        mounted.remount("bind,ro");
        Some(mounted)
    }

    fn mount(at: &'a Path, what: &[&str]) -> Option<Self> {
        let mounted = Command::new("mount").args(what).arg(at).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(at));
        }
        missing("the right to mount", "nothing, but run as root,");
        None
    }

    fn remount(&self, option: &str) {
        let remounted = Command::new("mount")
            .args(["-o", &format!("remount,{option}")])
            .arg(self.0)
            .status();
        assert!(remounted.unwrap().success(), "{option}");
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_loses_nothing() {
    let installation = Installation::new();
    let folder = installation.path("data");
    let Some(disk) = Mounted::small_disk(&folder) else {
        return;
    };
    let server = installation.serve().await;
    let client = server.client();
    client.register(ADA).await;
    let token = client.login(ADA).await;
    // Somebody else fills it.
    let filling = std::fs::write(folder.join("filling"), vec![0_u8; 16 << 20]);
    assert!(filling.is_err(), "it isn't full");
    let mut acknowledged = vec![ADA.to_owned()];
    let refused = loop {
        let email = format!("person-{}@example.com", acknowledged.len());
        let (status, body) = register(&client, &email).await;
        if status != 201 {
            break (status, body);
        }
        acknowledged.push(email);
    };
    assert_eq!(refused.0, 503, "{}", refused.1);
    assert_eq!(client.me(&token).await.0, 200, "reads go on");
    assert_eq!(client.get("/livez").await.0, 200);
    std::fs::remove_file(folder.join("filling")).unwrap();
    assert_eq!(register(&client, "late@example.com").await.0, 201);
    disk.remount("size=64m");
    client.live_a_whole_life("eve").await;
    server.stop().await;
    let there = column(&installation.database().await, "SELECT email FROM users").await;
    assert!(
        acknowledged.iter().all(|email| there.contains(email)),
        "{there:?}"
    );
}

#[tokio::test]
async fn a_log_that_a_long_reader_kept_long_is_used_again_when_it_has_gone() {
    let installation = Installation::new();
    let server = installation.serve().await;
    let client = server.client();
    let log = installation.path("data/roster.db-wal");
    let size = || std::fs::metadata(&log).unwrap().len();
    let other = installation.database().await;
    let reader = other.begin().await.unwrap();
    reader
        .query_all_raw(sea_orm::Statement::from_string(
            reader.get_database_backend(),
            "SELECT count(*) FROM users",
        ))
        .await
        .unwrap();
    for number in 0..300 {
        client.register(&format!("person-{number}@example.com")).await;
    }
    let kept = size();
    reader.rollback().await.unwrap();
    for number in 300..700 {
        client.register(&format!("person-{number}@example.com")).await;
    }
    // Written from its beginning again, so it grows no longer than it was then, and a little.
    assert!(size() <= kept + (4 << 20), "{} after {kept}", size());
    server.stop().await;
}

/// Sets the size that a file of a running process may grow to.
fn let_files_grow_to(size: &str, id: u32) {
    let set = Command::new("prlimit")
        .args([&format!("--fsize={size}:"), "--pid", &id.to_string()])
        .status();
    assert!(set.unwrap().success(), "{size}");
}

#[tokio::test]
async fn files_that_may_not_grow_take_no_writes_until_they_may() {
    let installation = Installation::new();
    let server = installation.serve().await;
    let client = server.client();
    client.register(ADA).await;
    let token = client.login(ADA).await;
    let_files_grow_to("0", server.id());
    for number in 0..10 {
        let started = Instant::now();
        let (status, body) = register(&client, &format!("person-{number}@example.com")).await;
        let problem = (503, &Value::from("/problems/database-unavailable"));
        assert_eq!((status, &body["type"]), problem, "{body}");
        assert!(
            started.elapsed() < Duration::from_secs(3),
            "{:?}",
            started.elapsed()
        );
        assert_eq!(client.me(&token).await.0, 200, "reads go on");
    }
    let_files_grow_to("unlimited", server.id());
    let back = async { while register(&client, "bob@example.com").await.0 == 503 {} };
    let back = tokio::time::timeout(Duration::from_secs(5), back).await;
    assert!(back.is_ok(), "no writes 5 s later");
    client.live_a_whole_life("eve").await;
    server.stop().await;
    let mut there = column(&installation.database().await, "SELECT email FROM users").await;
    there.sort();
    assert_eq!(there, [ADA, "bob@example.com"]);
}

#[tokio::test]
async fn connections_of_a_read_only_time_are_replaced_after_it() {
    let installation = Installation::new();
    let server = installation.serve().await;
    let client = server.client();
    client.register(ADA).await;
    let token = client.login(ADA).await;
    let folder = installation.path("data");
    let Some(read_only) = Mounted::read_only(&folder) else {
        return;
    };
    // So many at once that further connections are opened, which can only read.
    let reads = futures_util::future::join_all((0..40).map(|_| client.get("/readyz"))).await;
    assert!(reads.iter().all(|(status, _)| *status == 200), "{reads:?}");
    let mut acknowledged = vec![ADA.to_owned()];
    let mut refused = 0;
    for number in 0..20 {
        let email = format!("person-{number}@example.com");
        match register(&client, &email).await {
            (201, _) => acknowledged.push(email),
            (503, body) => {
                assert_eq!(body["type"], "/problems/database-unavailable");
                refused += 1;
            }
            (status, body) => panic!("{status}: {body}"),
        }
        assert_eq!(client.me(&token).await.0, 200, "reads go on");
    }
    assert_ne!(refused, 0, "no connection was read-only");
    drop(read_only);
    // As many in a row as there may be connections, and more.
    let written = async {
        let mut in_a_row = 0;
        while in_a_row < 40 {
            let email = format!("late-{}@example.com", acknowledged.len());
            match register(&client, &email).await.0 {
                201 => {
                    acknowledged.push(email);
                    in_a_row += 1;
                }
                _ => in_a_row = 0,
            }
        }
    };
    let written = tokio::time::timeout(PATIENCE, written).await;
    assert!(written.is_ok(), "some connections take no writes for good");
    server.stop().await;
    let mut there = column(&installation.database().await, "SELECT email FROM users").await;
    there.sort();
    acknowledged.sort();
    assert_eq!(there, acknowledged);
}

#[tokio::test]
async fn damaged_pages_are_told_as_an_outage_and_nothing_is_made_up() {
    let installation = Installation::new();
    installation.prepare().await;
    installation.create_user(ADA, &[]).await;
    let server = installation.serve().await;
    let client = server.client();
    let token = client.login(ADA).await;
    let other = installation.database().await;
    // Everything is in the file itself, and every page behind the first is overwritten there.
    other
        .execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)")
        .await
        .unwrap();
    let file = installation.path("data/roster.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let kept = bytes.clone();
    bytes[4096..].fill(0xff);
    overwrite(&file, &bytes);
    // A write by somebody else, on the first page: what others have in their memory is old then.
    other.execute_unprepared("PRAGMA user_version = 1").await.unwrap();
    for _ in 0..3 {
        let (status, body) = client.me(&token).await;
        let problem = (503, &Value::from("/problems/database-unavailable"));
        assert_eq!((status, &body["type"]), problem, "{body}");
        assert_unavailable(&client, "eve@example.com").await;
        assert_eq!(client.get("/livez").await.0, 200);
    }
    other.close().await.unwrap();
    server.stop().await;
    // From a copy, it is what it was.
    for rest in ["data/roster.db-wal", "data/roster.db-shm"] {
        let _ = std::fs::remove_file(installation.path(rest));
    }
    overwrite(&file, &kept);
    let server = installation.serve().await;
    assert_eq!(server.client().me(&token).await.0, 200);
    server.stop().await;
}

/// In its place: the file stays the one that others have open.
fn overwrite(file: &Path, bytes: &[u8]) {
    let mut file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    file.write_all(bytes).unwrap();
}

#[tokio::test]
async fn a_log_that_a_long_reader_made_long_gives_the_disk_back() {
    const LARGEST: u64 = 64 << 20;
    let installation = Installation::new();
    let server = installation.serve().await;
    let client = server.client();
    client.register(ADA).await;
    let log = installation.path("data/roster.db-wal");
    let size = || std::fs::metadata(&log).unwrap().len();
    let (reading, writing) = (installation.database().await, installation.database().await);
    let reader = reading.begin().await.unwrap();
    let query = sea_orm::Statement::from_string(reader.get_database_backend(), "SELECT count(*) FROM users");
    reader.query_all_raw(query).await.unwrap();
    writing
        .execute_unprepared("CREATE TABLE ballast (filling); INSERT INTO ballast VALUES (zeroblob(80 << 20)); DROP TABLE ballast")
        .await
        .unwrap();
    assert!(size() > LARGEST, "{}", size());
    reader.rollback().await.unwrap();
    // The first brings everything into the file, and the next begins the log again.
    for name in ["bob", "eve", "joe"] {
        client.register(&format!("{name}@example.com")).await;
    }
    assert!(size() <= LARGEST, "{}", size());
    server.stop().await;
}
