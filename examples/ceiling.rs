//! What Roster is measured against: the same framework, database and processor without Roster around them.
//!
//! - `ceiling bare PORT`: a handler that answers with constant bytes.
//! - `ceiling read PORT DATABASE_URL JWK each|remembered`: a real ES256 check of the bearer token, at each request or once
//!   a token, and the one read of Roster through plain sqlx, with every column decoded. The answer is constant bytes: no
//!   rendering, no headers, no log, and the database is asked through sqlx's pool.
//! - `ceiling hash SECONDS`: bcrypt at cost 12 on every core; prints hashes per second.
//!
//! See `scripts/benchmark`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a yardstick for benchmarks, not a server"
)]

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use actix_web::http::header::AUTHORIZATION;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use chrono::{DateTime, FixedOffset, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::Jwk};
use sea_orm::sqlx::{self, Row as _};
use serde::Deserialize;
use uuid::Uuid;

const BODY: &str = r#"{"id":"01a20761-20c6-7c5a-a593-b758521e382a","email":"ada@example.com","email_verified":false,"pending_email":null,"display_name":null,"metadata":{},"roles":[],"created_at":"2026-11-23T07:48:55.622Z","updated_at":"2026-11-23T07:48:55.622Z","last_login_at":"2026-11-23T07:48:55.878Z"}"#;

/// Word for word the query of `src/auth/store.rs`.
const READ: &str = "\
SELECT u.email, u.email_verified, u.pending_email, u.display_name, u.metadata, u.created_at, u.updated_at, \
u.last_login_at, u.revision, r.role, s.last_used_at, u.id \
FROM sessions s \
JOIN users u ON u.id = s.user_id \
LEFT JOIN user_roles r ON r.user_id = u.id \
WHERE s.id = $1 AND s.user_id = $2 AND s.expires_at > $3 AND u.status = 'active' \
ORDER BY r.role";

#[derive(Clone, Copy, Deserialize)]
struct Claims {
    sub: Uuid,
    sid: Uuid,
}

enum Pool {
    Sqlite(sqlx::SqlitePool),
    Postgres(sqlx::PgPool),
}

struct Reading {
    pool: Pool,
    key: DecodingKey,
    validation: Validation,
    remembered: Option<Mutex<HashMap<String, Claims>>>,
}

impl Reading {
    fn new(url: &str, jwk: &str, check: &str) -> Self {
        let pool = if url.starts_with("sqlite") {
            let options = sqlx::sqlite::SqlitePoolOptions::new().max_connections(8);
            Pool::Sqlite(options.test_before_acquire(false).connect_lazy(url).unwrap())
        } else {
            let options = sqlx::postgres::PgPoolOptions::new().max_connections(10);
            Pool::Postgres(options.test_before_acquire(false).connect_lazy(url).unwrap())
        };
        let jwk: Jwk = serde_json::from_str(jwk).expect("a JWK");
        let mut validation = Validation::new(Algorithm::ES256);
        validation.validate_aud = false;
        Self {
            pool,
            key: DecodingKey::from_jwk(&jwk).unwrap(),
            validation,
            remembered: (check == "remembered").then(Mutex::default),
        }
    }

    fn check(&self, token: &str) -> Option<Claims> {
        if let Some(remembered) = &self.remembered
            && let Some(claims) = remembered.lock().unwrap().get(token)
        {
            return Some(*claims);
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)
            .ok()?
            .claims;
        if let Some(remembered) = &self.remembered {
            remembered.lock().unwrap().insert(token.to_owned(), claims);
        }
        Some(claims)
    }

    async fn read(&self, claims: Claims) {
        /// The same for either database.
        macro_rules! read {
            ($pool:expr) => {{
                let query = sqlx::query(READ).bind(claims.sid).bind(claims.sub);
                let rows = query
                    .bind(Utc::now().fixed_offset())
                    .fetch_all($pool)
                    .await
                    .unwrap();
                let row = rows.first().expect("a session");
                std::hint::black_box((
                    row.get::<String, _>(0),
                    row.get::<bool, _>(1),
                    row.get::<Option<String>, _>(2),
                    row.get::<Option<String>, _>(3),
                    row.get::<String, _>(4),
                    row.get::<DateTime<FixedOffset>, _>(5),
                    row.get::<DateTime<FixedOffset>, _>(6),
                    row.get::<Option<DateTime<FixedOffset>>, _>(7),
                    row.get::<i64, _>(8),
                    row.get::<Option<String>, _>(9),
                    row.get::<DateTime<FixedOffset>, _>(10),
                    row.get::<Uuid, _>(11),
                ));
            }};
        }
        match &self.pool {
            Pool::Sqlite(pool) => read!(pool),
            Pool::Postgres(pool) => read!(pool),
        }
    }
}

async fn answer(request: HttpRequest, reading: web::Data<Option<Reading>>) -> HttpResponse {
    if let Some(reading) = reading.as_ref() {
        let header = request
            .headers()
            .get(AUTHORIZATION)
            .and_then(|header| header.to_str().ok());
        let token = header.and_then(|header| header.strip_prefix("Bearer "));
        let Some(claims) = token.and_then(|token| reading.check(token)) else {
            return HttpResponse::Unauthorized().finish();
        };
        reading.read(claims).await;
    }
    HttpResponse::Ok().content_type("application/json").body(BODY)
}

/// Hashes per second of all cores together.
fn hash(length: Duration) -> f64 {
    let cores = std::thread::available_parallelism().unwrap().get();
    let started = Instant::now();
    let threads: Vec<_> = (0..cores)
        .map(|_| {
            std::thread::spawn(move || {
                let mut count = 0_u32;
                while started.elapsed() < length {
                    bcrypt::hash_with_salt("plum-orbit-canvas-47", 12, [9; 16]).unwrap();
                    count += 1;
                }
                f64::from(count) / started.elapsed().as_secs_f64()
            })
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).sum()
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (port, reading): (u16, Option<[String; 3]>) = match arguments.as_slice() {
        ["hash", seconds] => {
            println!("{}", hash(Duration::from_secs(seconds.parse().expect("seconds"))));
            return Ok(());
        }
        ["bare", port] => (port.parse().expect("a port"), None),
        ["read", port, url, jwk, check] => (
            port.parse().expect("a port"),
            Some([*url, *jwk, *check].map(str::to_owned)),
        ),
        _ => panic!("usage: ceiling bare PORT | read PORT DATABASE_URL JWK each|remembered | hash SECONDS"),
    };
    HttpServer::new(move || {
        let reading = reading
            .as_ref()
            .map(|[url, jwk, check]| Reading::new(url, jwk, check));
        App::new()
            .app_data(web::Data::new(reading))
            .route("/users/me", web::get().to(answer))
    })
    .workers(2)
    .bind(("127.0.0.1", port))?
    .run()
    .await
}
