//! What requests are made of, piece by piece: `cargo bench`, or `cargo bench -- token` for some of them.
//!
//! The last piece is the whole of it: `GET /users/me` on one connection to a server in this process, on SQLite.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement: what goes wrong ends it"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use criterion::{Criterion, criterion_group, criterion_main};
use roster::clock::Ambient;
use roster::config::{Config, Need, Network, Sources};
use roster::domain::{EmailAddress, PasswordAttempt, SessionId, SigningAlgorithm, UserId};
use roster::http::json::{self, Members};
use roster::http::list::PageRequest;
use roster::http::origin::client_address;
use roster::security::passwords::{HashSettings, WorkMemory, verify};
use roster::security::{
    AccessTokenSettings, AccessTokens, KeyRing, KeyState, NewSigningKey, Party, Sealer, StoredSigningKey,
};
use roster::server::RunningServer;
use roster::startup;
use uuid::Uuid;

const PASSWORD: &str = "plum-orbit-canvas-47";

fn tokens(c: &mut Criterion) {
    let ambient = Ambient::system();
    let sealer = Sealer::new(&[7; 32], "signing keys").unwrap();
    let new = NewSigningKey::generate(SigningAlgorithm::Es256, &sealer, &*ambient.random).unwrap();
    let stored = StoredSigningKey {
        id: new.id,
        algorithm: new.algorithm,
        state: KeyState::Current,
        public_jwk: new.public_jwk,
        private_sealed: new.private_sealed,
        created_at: ambient.now(),
        activated_at: Some(ambient.now()),
        superseded_at: None,
    };
    let ring = KeyRing::open(&[stored], &sealer).unwrap();
    let verifier = || {
        let party = Party {
            name: "http://127.0.0.1:8000".to_owned(),
            is_any_port: false,
        };
        let settings = AccessTokenSettings {
            issuer: party.clone(),
            audience: party,
            lifetime: Duration::from_mins(15),
        };
        AccessTokens::new(settings, ambient.clone())
    };
    let remembering = verifier();
    let issued = remembering
        .issue(
            &ring,
            UserId::new(ambient.new_uuid()),
            SessionId::new(ambient.new_uuid()),
        )
        .unwrap();
    c.bench_function("token, first seen", |b| {
        b.iter_batched_ref(
            verifier,
            |tokens| tokens.verify(&ring, issued.expose()),
            criterion::BatchSize::SmallInput,
        );
    });
    c.bench_function("token, remembered", |b| {
        b.iter(|| remembering.verify(&ring, black_box(issued.expose())));
    });
    c.bench_function("token, issue", |b| {
        b.iter(|| {
            remembering.issue(
                &ring,
                UserId::new(ambient.new_uuid()),
                SessionId::new(ambient.new_uuid()),
            )
        });
    });
}

fn parsing(c: &mut Criterion) {
    let body = br#"{"email":"ada@example.com","password":"plum-orbit-canvas-47","display_name":"Ada Lovelace","metadata":{"team":"engines","tags":["a","b"],"n":1.5}}"#;
    c.bench_function("JSON, a registration", |b| {
        b.iter(|| json::parse(black_box(body)));
    });
    c.bench_function("e-mail, plain", |b| {
        b.iter(|| EmailAddress::parse(black_box("Ada.Lovelace@Example.com")));
    });
    c.bench_function("e-mail, international", |b| {
        b.iter(|| EmailAddress::parse(black_box("jörg@bücher.example")));
    });
    let config = config(Path::new("/nonexistent"), "4");
    let page = PageRequest {
        limit: 1,
        after: None,
    };
    let last = Uuid::from_u128(0x0197_8b2e_0000_7000_8000_0000_0000_0001);
    c.bench_function("cursor, there and back", |b| {
        b.iter(|| {
            let mut found = vec![black_box(last); 2];
            let cursor = page.cut(&mut found, |id| *id).unwrap();
            let mut query = serde_json::Map::new();
            query.insert("cursor".to_owned(), cursor.into());
            let mut members = Members::of_form(query);
            <PageRequest as roster::http::body::FromMembers>::from_members(&mut members, &config)
        });
    });
    let trusted: Vec<Network> = vec!["10.0.0.0/8".parse().unwrap()];
    let mut headers = HeaderMap::new();
    headers.insert(
        HeaderName::from_static("x-forwarded-for"),
        HeaderValue::from_static("203.0.113.9, 10.1.2.3"),
    );
    let peer: SocketAddr = "10.0.0.1:4000".parse().unwrap();
    c.bench_function("client address, behind two proxies", |b| {
        b.iter(|| client_address(Some(black_box(peer)), &headers, &trusted));
    });
}

fn hashing(c: &mut Criterion) {
    let settings = HashSettings {
        bcrypt_cost: 4,
        ..HashSettings::default()
    };
    let mut memory = WorkMemory::new(0);
    let hash = settings.hash(PASSWORD, [9; 16], &mut memory).unwrap();
    let attempt = PasswordAttempt::parse(PASSWORD);
    c.bench_function("password, bcrypt at cost 4", |b| {
        b.iter(|| verify(&hash, &attempt, &mut memory).unwrap());
    });
}

fn config(folder: &Path, cost: &str) -> Config {
    let database = format!("sqlite://{}", folder.join("bench.db").display());
    let secret = folder.join("secret").display().to_string();
    let variables = [
        ("DATABASE_URL", database.as_str()),
        ("ROSTER__SECURITY__SECRET_KEY_PATH", secret.as_str()),
        ("ROSTER__PASSWORD__BCRYPT_COST", cost),
        ("ROSTER__SERVER__WORKERS", "1"),
        ("ROSTER__LIMITS__ENABLED", "false"),
    ];
    let sources = Sources {
        variables: variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>(),
        directory: PathBuf::from("/nonexistent"),
        file: None,
    };
    Config::load(&sources, Need::Everything).unwrap().config
}

/// A server on a thread of its own; it ends with the process.
fn serve(config: Config) -> SocketAddr {
    let (tell, hear) = mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async {
            let ambient = Ambient::system();
            let (db, secret) = startup::open(&config, &ambient).await.unwrap();
            let state = startup::open_state(config, ambient, db, &secret).await.unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let server = RunningServer::start(listener, state).unwrap();
            tell.send(server.address).unwrap();
            server.run().await.unwrap();
        });
    });
    hear.recv().unwrap()
}

/// Sends a request, and gives the body of its answer.
fn ask(stream: &mut TcpStream, request: &[u8], buffer: &mut Vec<u8>) -> String {
    stream.write_all(request).unwrap();
    buffer.clear();
    loop {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).unwrap();
        assert!(count > 0, "the server has closed the connection");
        buffer.extend_from_slice(chunk.get(..count).unwrap());
        let text = String::from_utf8_lossy(buffer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .expect("a length");
        if body.len() >= length.parse::<usize>().unwrap() {
            assert!(head.starts_with("HTTP/1.1 20"), "{text}");
            return body.to_owned();
        }
    }
}

fn hot_read(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let address = serve(config(folder.path(), "4"));
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = Vec::new();
    let mut post = |path: &str, kind: &str, body: &str| {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        ask(&mut stream, request.as_bytes(), &mut buffer)
    };
    post(
        "/users/",
        "application/json",
        &format!(r#"{{"email":"ada@example.com","password":"{PASSWORD}"}}"#),
    );
    let answer = post(
        "/login",
        "application/x-www-form-urlencoded",
        &format!("username=ada@example.com&password={PASSWORD}"),
    );
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let token = answer
        .get("access_token")
        .and_then(|token| token.as_str())
        .unwrap();
    let request =
        format!("GET /users/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n").into_bytes();
    c.bench_function("GET /users/me on one connection, SQLite", |b| {
        b.iter(|| ask(&mut stream, &request, &mut buffer));
    });
}

criterion_group!(pieces, tokens, parsing, hashing, hot_read);
criterion_main!(pieces);
