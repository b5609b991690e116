//! Clients that go away at any moment, and more requests than there are database connections or hashing threads.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::{Backend, OTHER_PASSWORD, PASSWORD, Stage, World, all, postgres, run};

/// Nobody's password, at a cost that keeps a thread busy for as long as it takes to look at the rest.
const SLOW_HASH: &str = "$2b$14$abcdefghijklmnopqrstuuwxyzABCDEFGHIJKLMNOPQRSTUVWXYZa";

/// Numbers that look like chance and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }
}

fn request(method: &str, path: &str, token: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends a request, or the beginning of one, and resets the connection when somebody else has got so many answers.
async fn send_and_reset(world: &World, bytes: &[u8], answers: usize) {
    let mut connection = world.connection().await;
    connection.send(bytes).await;
    for _ in 0..answers {
        world.get("/livez").await.expect(200);
    }
    connection.reset();
}

/// The sessions of the database that are inside of a transaction: each with the transaction's beginning.
async fn open_transactions(world: &World) -> BTreeSet<String> {
    let db = world.db();
    let query = "SELECT concat_ws(' ', pid, xact_start, state) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL";
    let rows = db
        .query_all_raw(Statement::from_string(db.get_database_backend(), query))
        .await
        .unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

/// The way to PostgreSQL, on which answers can be held back.
struct Link {
    /// The database of a world, by this way.
    url: String,
    hold: Arc<Hold>,
}

struct Hold {
    /// What the server has to be asked for answers to be held from then on.
    after: Mutex<Option<&'static str>>,
    holds: watch::Sender<bool>,
}

impl Link {
    async fn to_the_database_of(world: &World) -> Self {
        let db = world.db();
        let name = Statement::from_string(db.get_database_backend(), "SELECT current_database()::text");
        let row = db.query_one_raw(name).await.unwrap().unwrap();
        let name: String = row.try_get_by_index(0).unwrap();
        let mut url: url::Url = postgres::cluster().unwrap().url(&name).parse().unwrap();
        let server = (url.host_str().unwrap().to_owned(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        // What is encrypted couldn't be watched.
        url.set_query(Some("sslmode=disable"));
        let hold = Arc::new(Hold {
            after: Mutex::default(),
            holds: watch::channel(false).0,
        });
        let shared = Arc::clone(&hold);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&server).await else {
                    return;
                };
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                tokio::spawn(questions(Arc::clone(&shared), from_client, to_server));
                tokio::spawn(answers(Arc::clone(&shared), from_server, to_client));
            }
        });
        Self {
            url: url.to_string(),
            hold,
        }
    }

    fn hold_answers_after(&self, text: &'static str) {
        *self.hold.after.lock().unwrap() = Some(text);
    }

    fn is_holding(&self) -> bool {
        *self.hold.holds.borrow()
    }

    fn release(&self) {
        self.hold.holds.send_replace(false);
    }
}

async fn questions(hold: Arc<Hold>, mut client: OwnedReadHalf, mut server: OwnedWriteHalf) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = client.read(&mut buffer).await {
        let asked = &buffer[..length];
        let is_wanted = |text: &mut &str| asked.windows(text.len()).any(|window| window == text.as_bytes());
        if hold
            .after
            .lock()
            .unwrap()
            .take_if(|text| is_wanted(text))
            .is_some()
        {
            hold.holds.send_replace(true);
        }
        if server.write_all(asked).await.is_err() {
            return;
        }
    }
}

async fn answers(hold: Arc<Hold>, mut server: OwnedReadHalf, mut client: OwnedWriteHalf) {
    let mut holds = hold.holds.subscribe();
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = server.read(&mut buffer).await {
        let is_free = holds.wait_for(|holds| !holds).await.is_ok();
        if !is_free || client.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

/// The client goes away at the worst of moments: the database has been asked and hasn't answered yet. A `BEGIN` that
/// is dropped then leaves its connection inside of a transaction.
#[test]
fn a_write_goes_on_to_its_end_when_its_client_has_gone() {
    run(Backend::Postgres, async |stage: Stage| {
        let world = World::with(&stage, |_| {}).await;
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        for moment in ["BEGIN", "UPDATE", "COMMIT"] {
            let link = Link::to_the_database_of(&world).await;
            let behind = world
                .second_instance_with(|variables| {
                    variables.set("ROSTER__DATABASE__URL", &link.url);
                    variables.set("ROSTER__DATABASE__MAX_CONNECTIONS", "1");
                })
                .await;
            behind.get("/users/me").bearer(&token).await.expect(200);
            link.hold_answers_after(moment);
            let mut connection = behind.connection().await;
            let change = json!({"display_name": moment});
            connection
                .send(request("PUT", "/users/me", &token, &change))
                .await;
            pass_time(&behind, || link.is_holding()).await;
            connection.reset();
            // Time enough for the server to notice.
            let mut answered = 0;
            pass_time(&behind, || {
                answered += 1;
                answered > 20
            })
            .await;
            link.release();
            for _ in 0..500 {
                behind.get("/livez").await.expect(200);
                let is_done = world.user_row(&ada).await.display_name.as_deref() == Some(moment);
                if is_done && open_transactions(&world).await.is_empty() {
                    break;
                }
            }
            assert_eq!(world.user_row(&ada).await.display_name.as_deref(), Some(moment));
            assert_eq!(open_transactions(&world).await, BTreeSet::new(), "{moment}");
            // And what comes next on that connection is there for everybody.
            let email = format!("after-{}@example.test", moment.to_lowercase());
            let body = json!({"email": email, "password": PASSWORD});
            behind.post("/users/").json(&body).await.expect(201);
            assert_eq!(world.count_users_of(&email).await, 1);
            behind.stop().await;
        }
    });
}

/// Lets a server answer others until something has come about.
async fn pass_time(world: &World, mut has_come: impl FnMut() -> bool) {
    for _ in 0..200_000 {
        if has_come() {
            return;
        }
        world.get("/livez").await.expect(200);
    }
    panic!("it never comes");
}

scenario! {
    /// A `BEGIN` that is dropped on its way would leave its connection inside of a transaction: the next write on it
    /// would be acknowledged and lost.
    async fn clients_that_reset_their_connections_lose_nobody_a_write(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__DATABASE__MAX_CONNECTIONS", "2");
            // However many of the sign-ins succeed whose clients have gone, the first session stays.
            variables.set("ROSTER__SESSION__MAX_PER_USER", "1000");
        })
        .await;
        let mallory = world.register("mallory").await;
        let (honest, token) = (world.register("honest").await, world.sign_in(&mallory).await);
        let honest_token = world.sign_in(&honest).await;
        let mut numbers = Numbers(7);
        let mut acknowledged = Vec::new();
        for round in 0..60 {
            let hostile: Vec<(Vec<u8>, usize)> = (0..4)
                .map(|n| {
                    let mut bytes = match n {
                        0 => request("POST", "/users/", "", &json!({"email": format!("cut-{round}@example.test"), "password": PASSWORD})),
                        1 => request("PUT", "/users/me", &token, &json!({"display_name": format!("Mallory {round}")})),
                        2 => request("POST", "/login", "", &json!({"email": mallory.email, "password": mallory.password})),
                        _ => request("PATCH", "/users/me", &token, &json!({"metadata": {"round": round}})),
                    };
                    if numbers.next(8) == 0 {
                        bytes.truncate(numbers.next(bytes.len()));
                    }
                    (bytes, numbers.next(12))
                })
                .collect();
            let resetting = join_all(hostile.iter().map(|(bytes, answers)| send_and_reset(&world, bytes, *answers)));
            let email = format!("kept-{round}@example.test");
            let name = format!("Honest {round}");
            let writing = async {
                let body = json!({"email": email, "password": PASSWORD});
                let (registered, renamed) = tokio::join!(
                    world.post("/users/").json(&body).into_future(),
                    world.put("/users/me").bearer(&honest_token).json(&json!({"display_name": name})).into_future(),
                );
                // What is acknowledged is there for everybody, on a connection that isn't the server's.
                if registered.status == 201 {
                    assert_eq!(world.count_users_of(&email).await, 1, "{registered}");
                    acknowledged.push(email.clone());
                }
                if renamed.status == 200 {
                    assert_eq!(world.user_row(&honest).await.display_name.as_ref(), Some(&name), "{renamed}");
                }
                for answer in [registered, renamed] {
                    assert!(matches!(answer.status, 200 | 201 | 503), "{answer}");
                }
            };
            tokio::join!(resetting, writing);
        }
        assert!(acknowledged.len() > 50, "the server was busy most of the time: {}", acknowledged.len());

        // Nothing is left lying in the pool: what is open now has ended when so many others have been answered.
        let open = if stage.backend() == Backend::Postgres { open_transactions(&world).await } else { BTreeSet::new() };
        for round in 0..20 {
            let email = format!("after-{round}@example.test");
            world.post("/users/").json(&json!({"email": email, "password": PASSWORD})).await.expect(201);
            acknowledged.push(email);
        }
        if stage.backend() == Backend::Postgres {
            let still: Vec<String> = open.intersection(&open_transactions(&world).await).cloned().collect();
            assert!(still.is_empty(), "stuck inside of a transaction: {still:?}");
        }
        for email in acknowledged {
            assert_eq!(world.count_users_of(&email).await, 1, "{email}");
        }
        let cut: u64 = {
            let mut found = 0;
            for round in 0..60 {
                found += world.count_users_of(&format!("cut-{round}@example.test")).await;
            }
            found
        };
        assert!(cut > 0, "every cut came too early to be of any interest");
        assert_eq!(world.profile(&token).await["email"], mallory.email);
    }

    async fn a_login_that_nobody_waits_for_any_more_keeps_its_thread(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__PASSWORD__HASHING_THREADS", "1");
            variables.set("ROSTER__PASSWORD__HASHING_MAX_WAIT_MS", "0");
        })
        .await;
        let ada = world.register("ada").await;
        let slow = world.register("slow").await;
        world.put_hash(&slow, Some(SLOW_HASH)).await;
        let hashing = || format!("{:?}", world.state.passwords);
        assert!(hashing().contains("HashingPool(0 running, 0 queued)"), "{}", hashing());
        let body = json!({"email": slow.email, "password": slow.password});
        let mut connection = world.connection().await;
        connection.send(request("POST", "/login", "", &body)).await;
        // Until the only thread is at it: what nobody waits for any more before that isn't begun.
        pass_time(&world, || hashing().contains("HashingPool(1 running, 0 queued)")).await;
        connection.reset();
        for _ in 0..3 {
            world.get("/livez").await.expect(200);
        }
        let refused = world.log_in(&ada.email, &ada.password).await;
        refused.problem("overloaded");
        // Other requests don't wait for it.
        world.get("/users/me").await.expect(401);
        world.get("/readyz").await.expect(200);
        pass_time(&world, || hashing().contains("HashingPool(0 running, 0 queued)")).await;
        let token = world.sign_in(&ada).await;
        assert_eq!(world.profile(&token).await["email"], ada.email);
        assert_eq!(world.sessions_of(&slow).await.len(), 0);
    }

    async fn a_crowd_that_goes_away_leaves_nothing_behind(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__PASSWORD__HASHING_THREADS", "1");
        })
        .await;
        let ada = world.register("ada").await;
        let body = json!({"email": ada.email, "password": "not-her-password"});
        let bytes = request("POST", "/login", "", &body);
        let mut numbers = Numbers(3);
        let delays: Vec<usize> = (0..60).map(|_| numbers.next(6)).collect();
        join_all(delays.iter().map(|answers| send_and_reset(&world, &bytes, *answers))).await;
        let token = world.sign_in(&ada).await;
        assert_eq!(world.profile(&token).await["email"], ada.email);
        assert_eq!(world.sessions_of(&ada).await.len(), 1);
    }

    async fn more_requests_than_connections_are_served_or_told_to_wait(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__DATABASE__MAX_CONNECTIONS", "2");
        })
        .await;
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        let calls = (0..100).map(|number| match number % 5 {
            0 => world.post("/users/").json(&json!({"email": format!("new-{number}@example.test"), "password": PASSWORD})),
            1 => world.log_in(&ada.email, &ada.password),
            2 => world.put("/users/me").bearer(&token).json(&json!({"display_name": format!("Ada {number}")})),
            _ => world.get("/users/me").bearer(&token),
        });
        let answers = all(calls.collect::<Vec<_>>()).await;
        let mut registered = 0;
        for answer in &answers {
            match answer.status {
                503 => assert!(["overloaded", "database-unavailable"].iter().any(|name| {
                    answer.json()["type"] == format!("/problems/{name}")
                }), "{answer}"),
                201 => registered += 1,
                _ => assert_eq!(answer.status, 200, "{answer}"),
            }
        }
        assert!(answers.iter().any(|answer| answer.status == 200));
        assert_eq!(world.count_users().await, registered + 1);
        // And it is over when it is over.
        world.get("/users/me").bearer(&token).await.expect(200);
        world.put("/users/me").bearer(&token).json(&json!({"display_name": "Ada"})).await.expect(200);
    }

    async fn of_parallel_password_changes_one_is_done(world: World) {
        for round in 0..5 {
            let ada = world.register(&format!("ada-{round}")).await;
            let tokens = [world.sign_in(&ada).await, world.sign_in(&ada).await];
            let chosen: Vec<String> = (0..6).map(|number| format!("{OTHER_PASSWORD}-{number}")).collect();
            let calls = chosen.iter().enumerate().map(|(number, password)| {
                let change = json!({"password": password, "current_password": ada.password});
                world.put("/users/me").bearer(&tokens[number % 2]).json(&change)
            });
            let answers = all(calls.collect::<Vec<_>>()).await;
            let done: Vec<usize> = (0..6).filter(|number| answers[*number].status == 200).collect();
            for answer in &answers {
                // Too late: the session is over, the password is another one, or both came at the same moment.
                assert!(matches!(answer.status, 200 | 401 | 403 | 409), "{answer}");
            }
            assert_eq!(done.len(), 1, "{done:?}");
            assert_eq!(world.sessions_of(&ada).await.len(), 1);
            for token in &tokens {
                world.get("/users/me").bearer(token).await.expect(401);
            }
            for (number, password) in chosen.iter().enumerate() {
                let status = world.log_in(&ada.email, password).await.status;
                assert_eq!(status, if done == [number] { 200 } else { 401 });
            }
            world.log_in(&ada.email, &ada.password).await.expect(401);
        }
    }
}
