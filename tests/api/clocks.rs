//! Clocks that are wrong: at 1970, past 2038, and such as jump while the server runs.
//!
//! What one number at a time does with a clock that is set back is told where that number is tried (`access_tokens`,
//! `sessions::refresh`, `limits::accounts`); here is everything together, and what nobody may notice of it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use entity::{audit_events, idempotency_keys, signing_keys};
use roster::audit::service::{remove_old, seal_all, verify};
use roster::clock::Clock as _;
use roster::{keys, limits, sessions, users};
use sea_orm::{EntityTrait as _, PaginatorTrait as _};
use serde_json::{Value, json};

use crate::support::{
    Answer, ManualClock, OTHER_PASSWORD, PASSWORD, Persona, Stage, World, accepted, decoded, refused, token,
};

const MINUTE: Duration = Duration::from_mins(1);
const TEN_MINUTES: Duration = Duration::from_mins(10);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// How far the clocks of two instances may be apart for limits.
const SKEW: u64 = 60;

/// A server at that time, with the limits that it has by default.
async fn at(stage: &Stage, start: &str) -> World {
    at_with(stage, ManualClock::at(start), &[]).await
}

async fn at_with(stage: &Stage, clock: ManualClock, more: &[(&str, &str)]) -> World {
    World::at(stage, clock, |variables| {
        variables.set("ROSTER__LIMITS__ENABLED", "true");
        variables.set("ROSTER__SERVER__TRUSTED_PROXIES", "127.0.0.1");
        for (name, value) in more {
            variables.set(name, *value);
        }
    })
    .await
}

/// Every `…_at` of a document is a time as RFC 3339 has it, in UTC, and between these two.
#[track_caller]
fn assert_times(document: &Value, from: DateTime<Utc>, to: DateTime<Utc>) -> usize {
    match document {
        Value::Array(items) => items.iter().map(|item| assert_times(item, from, to)).sum(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match value {
                Value::String(text) if name.ends_with("_at") => {
                    let time = DateTime::parse_from_rfc3339(text);
                    let time = time.unwrap_or_else(|error| panic!("{name} is {text}: {error}"));
                    assert!(text.ends_with('Z'), "{name} is {text}");
                    assert!(time >= from && time <= to, "{name} is {text}");
                    1
                }
                other => assert_times(other, from, to),
            })
            .sum(),
        _ => 0,
    }
}

/// A wrong password for somebody, from an address.
async fn guess(world: &World, email: &str, from: &str) -> Answer {
    let call = world
        .log_in(email, "wrong-lantern-88")
        .header("x-forwarded-for", from);
    call.await
}

/// How long a refusal says to wait.
#[track_caller]
fn wait(answer: &Answer) -> u64 {
    answer.problem("too-many-requests");
    answer.header("retry-after").parse().unwrap()
}

/// Guesses from ever other addresses until one isn't looked at; gives how many were, and the wait.
async fn exhaust(world: &World, email: &str) -> (usize, u64) {
    for tries in 0..50 {
        let answer = guess(world, email, &format!("198.51.100.{tries}")).await;
        if answer.status == 429 {
            return (tries, wait(&answer));
        }
        answer.expect(401);
    }
    panic!("fifty guesses on one account");
}

/// A document that some token may read.
async fn read(world: &World, bearer: &str, path: &str) -> Value {
    world.get(path).bearer(bearer).await.expect(200).json().clone()
}

/// What is kept beside requests is kept, whatever the time: the chain is right, and nothing fails.
async fn keep_house(world: &World) {
    seal_all(&world.state).await.unwrap();
    remove_old(&world.state).await.unwrap();
    keys::service::tidy(&world.state).await.unwrap();
    keys::service::reload(&world.state).await.unwrap();
    limits::service::housekeep(&world.state).await.unwrap();
    sessions::service::write_last_uses(&world.state).await.unwrap();
    sessions::service::housekeep(&world.state).await.unwrap();
    users::service::housekeep(&world.state).await.unwrap();
    assert_eq!(verify(&world.state, None).await.unwrap().broken, None);
}

/// Tokens live as long as they say, and no longer.
async fn assert_lifetimes(world: &World, persona: &Persona, began: DateTime<Utc>) {
    let tokens = world.begin(persona).await;
    let claims = decoded(&tokens.access).1;
    let issued = world.clock.now().timestamp();
    assert!(issued >= began.timestamp());
    assert_eq!(claims["iat"], issued);
    assert_eq!(claims["exp"], issued + 900);
    world.lives(&tokens).await;
    world.clock.advance(15 * MINUTE);
    refused(world, &tokens.access).await;
    let next = world.refreshed(&tokens.refresh).await;
    world.lives(&next).await;
    // Within its window the same successor; after it the session ends.
    assert_eq!(world.refreshed(&tokens.refresh).await.refresh, next.refresh);
    let stolen = world.begin(persona).await;
    world.refreshed(&stolen.refresh).await;
    world.clock.advance(MINUTE);
    world.refresh(&stolen.refresh).await.oauth_error("invalid_grant");
    world.only_audit("token_reuse").await;
    world.clock.advance(31 * DAY);
    world.is_dead(&next).await;
}

/// Everything that knows the time, on a server that knows no other one.
async fn everything_works(world: &World) {
    let began = world.clock.now();
    // What is dated ahead is dated by at most the life of a session.
    let latest = began + TimeDelta::days(91);
    let keeper = world.admin().await;
    let bearer = world.sign_in(&keeper).await;
    world.deliver().await;

    let key = json!({"email": "ada@example.test", "password": PASSWORD});
    let send = || world.post("/users/").header("idempotency-key", "once").json(&key);
    let made = send().await.expect(201);
    assert_eq!(send().await.expect(201).text(), made.text());
    assert!(assert_times(made.json(), began, began) >= 2, "{made}");
    let ada = Persona {
        email: "ada@example.test".to_owned(),
        password: PASSWORD.to_owned(),
        id: made.json()["id"].as_str().unwrap().parse().unwrap(),
    };
    let letter = world.only_letter().await;
    let body = json!({"token": token(&letter)});
    world.post("/verify-email").json(&body).await.expect(204);
    world.post("/verify-email").json(&body).await.expect(422);

    let (tries, told) = exhaust(world, &ada.email).await;
    assert_eq!((tries, told), (10, 1));
    world.clock.advance(Duration::from_secs(1));
    let tokens = world.begin(&ada).await;
    let letter = world.forgot(&ada.email).await;
    let body = json!({"token": token(&letter), "password": OTHER_PASSWORD});
    world.post("/reset-password").json(&body).await.expect(204);
    world.is_dead(&tokens).await;
    let ada = Persona {
        password: OTHER_PASSWORD.to_owned(),
        ..ada
    };
    let before = world.sign_in(&ada).await;
    world.post("/admin/keys/rotate").bearer(&bearer).await.expect(200);
    for token in [&before, &world.sign_in(&ada).await] {
        accepted(world, token, &ada).await;
    }
    keep_house(world).await;

    for path in [
        "/users/me",
        "/users/me/sessions",
        "/admin/users?sort=created_at",
        "/admin/audit",
        "/admin/keys",
        &format!("/admin/users/{}", ada.id),
        &format!(
            "/admin/audit?after={}",
            began.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
        ),
    ] {
        let document = read(world, &bearer, path).await;
        assert!(assert_times(&document, began, latest) > 0, "{path}: {document}");
    }
    // What is refused on the wire is dated as well, by the same clock.
    let refusal = world.raw("GET / HTTP/1.1\r\n\r\n").await;
    let date = DateTime::parse_from_rfc2822(refusal.headers["date"].to_str().unwrap()).unwrap();
    assert_eq!(date.timestamp(), world.clock.now().timestamp());

    assert_lifetimes(world, &ada, began).await;
    keep_house(world).await;
    assert_eq!(world.count_sessions().await, 0);
    assert_eq!(world.limit_rows().await.len(), 0);
    let remembered = idempotency_keys::Entity::find().count(&world.db()).await;
    assert_eq!(remembered.unwrap(), 0);
    let last = world.restart().await;
    last.lives(&last.begin(&ada).await).await;
}

/// Trail and profile of somebody: read without a fault, every time of them one that the clock has shown.
async fn assert_sane(world: &World, bearer: &str, from: DateTime<Utc>, to: DateTime<Utc>) {
    for path in ["/users/me", "/users/me/sessions", "/users/me/audit"] {
        let document = read(world, bearer, path).await;
        // Sessions say when they will end.
        let to = to + TimeDelta::days(91);
        assert!(assert_times(&document, from, to) > 0, "{path}: {document}");
    }
    let events = audit_events::Entity::find().all(&world.db()).await.unwrap();
    for event in events {
        let at = event.occurred_at.to_utc();
        assert!(at >= from && at <= to, "{event:?}");
    }
}

scenario! {
    async fn a_server_in_1970_lacks_nothing(stage: Stage) {
        let world = at(&stage, "1970-01-01T00:00:07.250Z").await;
        everything_works(&world).await;
    }

    async fn a_server_that_lives_through_january_2038_lacks_nothing(stage: Stage) {
        // Seconds in 31 bits end at 03:14:07.
        let world = at(&stage, "2038-01-19T03:14:06.999Z").await;
        everything_works(&world).await;
    }

    async fn a_server_past_2038_lacks_nothing(stage: Stage) {
        let world = at(&stage, "2040-02-29T12:00:00Z").await;
        everything_works(&world).await;
    }

    async fn a_server_past_2106_lacks_nothing(stage: Stage) {
        // Seconds in 32 bits are over as well.
        let world = at(&stage, "2110-12-31T23:59:59.500Z").await;
        everything_works(&world).await;
    }

    async fn a_clock_that_jumps_an_hour_ahead_and_back_costs_nobody_a_session(stage: Stage) {
        let world = at(&stage, "2031-05-06T07:08:09.123Z").await;
        let from = world.clock.now();
        let ada = world.register("ada").await;
        let ben = world.register("ben").await;
        world.deliver().await;
        let key = json!({"email": "cyn@example.test", "password": PASSWORD});
        let send = || world.post("/users/").header("idempotency-key", "once").json(&key);
        let made = send().await.expect(201);
        let code = token(&world.only_letter().await);
        let reset = token(&world.forgot(&ada.email).await);
        let tokens = world.begin(&ada).await;
        assert_eq!(exhaust(&world, &ben.email).await, (10, 1));

        world.clock.advance(HOUR);
        let to = world.clock.now();
        // Access tokens are over; a refresh is what a client does then.
        refused(&world, &tokens.access).await;
        let tokens = world.refreshed(&tokens.refresh).await;
        world.lives(&tokens).await;
        assert_eq!(send().await.expect(201).text(), made.text());
        let body = json!({"token": reset, "password": OTHER_PASSWORD});
        // From elsewhere, as a wrong one counts: an address has an hour for all that it may guess, and the clock jumps by one.
        let late = world.post("/reset-password").header("x-forwarded-for", "203.0.113.3").json(&body);
        late.await.problem("invalid-or-expired-code");
        // An hour has let one guess go; there is one, and no more.
        guess(&world, &ben.email, "203.0.113.1").await.expect(401);
        assert_eq!(wait(&guess(&world, &ben.email, "203.0.113.2").await), 1);
        // What is done in that hour has its mail, whenever that is sent.
        world.post("/forgot-password").json(&json!({"email": ada.email})).await.expect(202);
        keep_house(&world).await;

        world.clock.turn_back(HOUR);
        assert!(!refused_for_long(&world, &ben).await);
        let reset = token(&world.only_letter().await);
        // Issued in an hour that isn't yet: not good now, and a refresh is the way on, once more.
        refused(&world, &tokens.access).await;
        let tokens = world.refreshed(&tokens.refresh).await;
        world.lives(&tokens).await;
        assert_eq!(send().await.expect(201).text(), made.text());
        world.post("/verify-email").json(&json!({"token": code})).await.expect(204);
        keep_house(&world).await;
        assert_sane(&world, &tokens.access, from, to).await;
        let body = json!({"token": reset, "password": OTHER_PASSWORD});
        world.post("/reset-password").json(&body).await.expect(204);
        world.is_dead(&tokens).await;

        let ada = Persona { password: OTHER_PASSWORD.to_owned(), ..ada };
        let tokens = world.begin(&ada).await;
        world.clock.advance(15 * MINUTE);
        refused(&world, &tokens.access).await;
        world.clock.advance(31 * DAY);
        world.is_dead(&tokens).await;
        keep_house(&world).await;
    }

    async fn a_clock_that_is_set_back_ten_minutes_opens_no_gate_and_locks_none(stage: Stage) {
        // All of what an address has comes back in twelve minutes and in seventeen: longer than the clock goes back.
        let limits = [
            ("ROSTER__LIMITS__ADDRESS_BURST", "20"),
            ("ROSTER__LIMITS__REGISTRATION_BURST", "5"),
            ("ROSTER__LIMITS__REGISTRATION_REFILL_SECONDS", "200"),
        ];
        let world = at_with(&stage, ManualClock::new(), &limits).await;
        let ada = world.register("ada").await;
        for name in ["a", "b", "c", "d"] {
            world.register(name).await;
        }
        let one_more = || {
            let email = format!("u{}@example.test", world.now_in_milliseconds());
            world.post("/users/").json(&json!({"email": email, "password": PASSWORD}))
        };
        assert_eq!(wait(&one_more().await), 200);
        let attacker = "203.0.113.9";
        let looked_at = async |guesses: usize| {
            let mut count = 0;
            for number in 0..guesses {
                let answer = guess(&world, &format!("nobody-{number}@example.test"), attacker).await;
                assert!(matches!(answer.status, 401 | 429), "{answer}");
                count += usize::from(answer.status == 401);
            }
            count
        };
        assert_eq!(looked_at(30).await, 20);
        assert_eq!(exhaust(&world, &ada.email).await, (10, 1));

        world.clock.turn_back(TEN_MINUTES);
        // A correction is worth one attempt, and not as many as before.
        assert_eq!(looked_at(30).await, 1);
        assert!(wait(&guess(&world, "nobody@example.test", attacker).await) <= 36 + SKEW);
        let told = wait_of(&guess(&world, &ada.email, "198.51.100.200").await);
        assert!(told <= 900 + SKEW, "{told}");
        let registered = one_more().await;
        assert!(registered.status == 201 || wait(&registered) <= 200 + SKEW, "{registered}");

        // Whoever waits as long as is documented gets in, from anywhere.
        world.clock.advance(Duration::from_secs(900 + SKEW));
        for from in [attacker, "198.51.100.201"] {
            let call = world.log_in(&ada.email, &ada.password).header("x-forwarded-for", from);
            call.await.expect(200);
        }
        one_more().await.expect(201);
        // And the limits are the ones that they were.
        world.clock.advance(HOUR);
        assert_eq!(looked_at(30).await, 20);
    }

    async fn a_clock_that_is_set_back_ten_minutes_makes_nothing_last(stage: Stage) {
        let world = at(&stage, "2031-05-06T07:08:09.123Z").await;
        let to = world.clock.now();
        let ada = world.register("ada").await;
        let key = json!({"email": "cyn@example.test", "password": PASSWORD});
        let send = || world.post("/users/").header("idempotency-key", "once").json(&key);
        let made = send().await.expect(201);
        world.deliver().await;
        let reset = token(&world.forgot(&ada.email).await);
        let first = world.begin(&ada).await;
        let second = world.refreshed(&first.refresh).await;

        world.clock.turn_back(TEN_MINUTES);
        let from = world.clock.now();
        refused(&world, &second.access).await;
        let third = world.refreshed(&second.refresh).await;
        world.lives(&third).await;
        assert_sane(&world, &third.access, from, to).await;
        keep_house(&world).await;
        assert_eq!(send().await.expect(201).text(), made.text());

        // Each past its time by no more than the clock went back.
        world.clock.advance(15 * MINUTE);
        refused(&world, &third.access).await;
        world.clock.advance(10 * MINUTE);
        refused(&world, &second.access).await;
        world.refresh(&first.refresh).await.oauth_error("invalid_grant");
        world.clock.advance(15 * MINUTE);
        let body = json!({"token": reset, "password": OTHER_PASSWORD});
        world.post("/reset-password").json(&body).await.problem("invalid-or-expired-code");
        world.clock.advance(DAY.saturating_sub(30 * MINUTE));
        send().await.expect(409).problem("email-taken");
        keep_house(&world).await;
    }

    async fn mails_of_a_clock_that_was_far_ahead_are_sent_all_the_same(stage: Stage) {
        // A machine that starts with a wrong clock, and is corrected by the network.
        let world = at(&stage, "2039-01-01T00:00:00Z").await;
        let ada = world.register("ada").await;
        world.deliver().await;
        for _ in 0..2 {
            world.forgot(&ada.email).await;
        }
        world.register("ben").await;
        world.clock.turn_back(3000 * DAY);
        assert_eq!(world.only_letter().await.to.as_str(), "ben@example.test");
        assert!(world.deliver().await.is_empty(), "sent once");
        // Nor does what was sent in that future keep anything back.
        let letter = world.forgot(&ada.email).await;
        let body = json!({"token": token(&letter), "password": OTHER_PASSWORD});
        world.post("/reset-password").json(&body).await.expect(204);
    }

    async fn a_clock_that_is_set_back_does_not_let_more_mails_go(stage: Stage) {
        let world = at(&stage, "2031-05-06T07:08:09.123Z").await;
        let ada = world.register("ada").await;
        world.deliver().await;
        let mut sent = 1;
        for _ in 0..3 {
            for _ in 0..4 {
                world.post("/forgot-password").json(&json!({"email": ada.email})).await.expect(202);
            }
            sent += world.deliver().await.len();
            world.clock.turn_back(TEN_MINUTES);
        }
        assert_eq!(sent, 3);
        world.clock.advance(HOUR + 3 * TEN_MINUTES);
        world.deliver().await;
        world.forgot(&ada.email).await;
    }

    async fn keys_of_a_jumping_clock_go_on_signing_and_go_when_their_time_has_come(stage: Stage) {
        let world = at(&stage, "2031-05-06T07:08:09.123Z").await;
        let keeper = world.admin().await;
        let bearer = world.sign_in(&keeper).await;
        let rotate = async |bearer: &str| {
            world.post("/admin/keys/rotate").bearer(bearer).await.expect(200);
        };
        rotate(&bearer).await;
        // Superseded an hour ago, as far as anybody can tell: it goes, and what it has signed has expired by the same clock.
        world.clock.advance(HOUR);
        keep_house(&world).await;
        assert_eq!(count_keys(&world).await, 2);
        let ahead = world.begin(&keeper).await;
        rotate(&ahead.access).await;
        world.clock.turn_back(HOUR);
        // A key that was superseded in an hour that isn't yet is kept: what it has signed isn't over.
        keep_house(&world).await;
        assert_eq!(count_keys(&world).await, 3);
        refused(&world, &bearer).await;
        let tokens = world.refreshed(&ahead.refresh).await;
        accepted(&world, &tokens.access, &keeper).await;
        rotate(&tokens.access).await;
        accepted(&world, &tokens.access, &keeper).await;
        assert_eq!(count_keys(&world).await, 4);
        let other = world.second_instance().await;
        accepted(&other, &tokens.access, &keeper).await;
        // Past its time by the hour, and not for good.
        world.clock.advance(HOUR + 17 * MINUTE);
        keep_house(&world).await;
        assert_eq!(count_keys(&world).await, 2);
        let document = read(&world, &world.sign_in(&keeper).await, "/admin/keys").await;
        assert_eq!(assert_times(&document, world.clock.now() - TimeDelta::hours(3), world.clock.now()), 3);
    }

    async fn a_trail_that_a_jumping_clock_has_written_is_sealed_shown_and_let_go(stage: Stage) {
        let days = [("ROSTER__AUDIT__RETENTION_DAYS", "30")];
        let world = at_with(&stage, ManualClock::new(), &days).await;
        let from = world.clock.now();
        let keeper = world.admin().await;
        world.clock.advance(HOUR);
        let to = world.clock.now();
        world.register("ahead").await;
        seal_all(&world.state).await.unwrap();
        world.clock.turn_back(HOUR + TEN_MINUTES);
        world.register("behind").await;
        keep_house(&world).await;
        let bearer = world.sign_in(&keeper).await;
        // Page by page nothing is missing and nothing comes twice, and the newest comes first.
        let mut seen = Vec::new();
        let mut path = "/admin/audit?limit=2".to_owned();
        loop {
            let page = read(&world, &bearer, &path).await;
            assert_times(&page, from - TimeDelta::minutes(10), to);
            for item in page["items"].as_array().unwrap() {
                let at: DateTime<Utc> = item["occurred_at"].as_str().unwrap().parse().unwrap();
                seen.push((at, item["id"].as_str().unwrap().to_owned()));
            }
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/admin/audit?limit=2&cursor={cursor}");
        }
        let rows = audit_events::Entity::find().count(&world.db()).await.unwrap();
        assert_eq!(seen.len() as u64, rows);
        assert!(seen.windows(2).all(|pair| pair[0].0 >= pair[1].0 && pair[0].1 > pair[1].1), "{seen:?}");

        // What is between two that may go and isn't old enough holds up those behind it, and is no gap.
        seal_all(&world.state).await.unwrap();
        world.clock.advance(30 * DAY + Duration::from_mins(30));
        let removed = remove_old(&world.state).await.unwrap();
        assert!(removed > 0 && removed < rows, "{removed}");
        keep_house(&world).await;
        world.clock.advance(2 * HOUR);
        assert_eq!(removed + remove_old(&world.state).await.unwrap(), rows);
        keep_house(&world).await;
    }
}

/// The wait that an answer tells; none where it was looked at.
#[track_caller]
fn wait_of(answer: &Answer) -> u64 {
    if answer.status == 401 { 0 } else { wait(answer) }
}

/// Whether somebody with the right password is kept out for longer than a wait may last.
async fn refused_for_long(world: &World, persona: &Persona) -> bool {
    let answer = world.log_in(&persona.email, &persona.password).await;
    answer.status != 200 && wait(&answer) > 900 + SKEW
}

async fn count_keys(world: &World) -> u64 {
    signing_keys::Entity::find().count(&world.db()).await.unwrap()
}
