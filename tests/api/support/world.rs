//! A server of one's own, with everything that surrounds it.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use actix_web::web::ServiceConfig;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use roster::app::AppState;
use roster::clients;
use roster::clock::{Ambient, SystemRandom};
use roster::config::{Config, Need, Sources};
use roster::db::Db;
use roster::domain::{Actor, ClientName, Origin, Role, UserId, UserStatus};
use roster::server::RunningServer;
use roster::startup;
use roster::users;
use sea_orm::DatabaseConnection;
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{Call, Client};
use super::clock::ManualClock;
use super::post::Post;
use super::raw::{self, RawAnswer};
use super::stage::Stage;

/// Under which clients believe to reach the server: `iss` and `aud` of tokens.
pub const PUBLIC_URL: &str = "http://accounts.test";
/// A password that is good enough, and nobody's.
pub const PASSWORD: &str = "plum-orbit-canvas-47";
/// Another one.
pub const OTHER_PASSWORD: &str = "velvet-harbor-cinder-52";

const SECRET_KEY: &str = "9Ry8uJv3Tqv0n1mCz6kYB4dQpXe5WsLhGa2fOiV7tKM=";

/// Settings of a world, as variables of its process's environment. Nothing else of the environment is read.
#[derive(Clone, Debug)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// What every world starts from: hashing that costs next to nothing, and one worker.
    pub(super) fn usual(database_url: &str) -> Self {
        let usual = [
            ("ROSTER__DATABASE__URL", database_url),
            ("ROSTER__DATABASE__MIGRATE_AT_START", "true"),
            ("ROSTER__SERVER__WORKERS", "1"),
            ("ROSTER__SERVER__PUBLIC_URL", PUBLIC_URL),
            ("ROSTER__SECURITY__SECRET_KEY", SECRET_KEY),
            ("ROSTER__PASSWORD__BCRYPT_COST", "4"),
            ("ROSTER__PASSWORD__ARGON2_MEMORY_KIB", "64"),
            ("ROSTER__PASSWORD__ARGON2_ITERATIONS", "1"),
            ("ROSTER__PASSWORD__HASHING_THREADS", "2"),
            // However slow the machine is: a scenario about overload says so.
            ("ROSTER__PASSWORD__HASHING_MAX_WAIT_MS", "60000"),
            // Everybody has the same address here: a scenario about limits switches them on.
            ("ROSTER__LIMITS__ENABLED", "false"),
        ];
        Self(
            usual
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        )
    }

    /// Sets one.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }
}

pub(super) fn configuration(variables: &Variables) -> Config {
    let sources = Sources {
        variables: variables.0.clone(),
        // No file of that name: the checkout's own `config/` is nobody's business here.
        directory: PathBuf::from("/nonexistent"),
        file: None,
    };
    Config::load(&sources, Need::Everything)
        .unwrap_or_else(|faults| panic!("{faults}"))
        .config
}

/// Credentials as HTTP Basic has them.
pub fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}")))
}

/// A running server, its database, its clock and a client. Clones are the same world.
#[derive(Clone)]
pub struct World {
    /// The state that the server shares, for calling services as an operator's command would.
    pub state: AppState,
    /// The time, for every instance on this database.
    pub clock: ManualClock,
    /// Where mails go, once [`World::deliver`] sends them.
    pub post: Post,
    /// Talks to the server and holds its answers against the contract.
    pub client: Client,
    /// Where the server listens.
    pub address: SocketAddr,
    stage: Stage,
    variables: Variables,
    server: actix_web::dev::ServerHandle,
}

/// Somebody with an account.
#[derive(Clone, Debug)]
pub struct Persona {
    pub email: String,
    pub password: String,
    pub id: Uuid,
}

impl Persona {
    /// The same as an id of the domain.
    pub fn user_id(&self) -> UserId {
        UserId::new(self.id)
    }

    /// A change of the profile, together with the current password.
    pub fn confirming(&self, mut change: Value) -> Value {
        change["current_password"] = self.password.as_str().into();
        change
    }
}

impl World {
    /// A world with other settings than the usual ones.
    pub async fn with(stage: &Stage, change: impl FnOnce(&mut Variables)) -> Self {
        Self::at(stage, ManualClock::new(), change).await
    }

    /// The same at another time.
    pub async fn at(stage: &Stage, clock: ManualClock, change: impl FnOnce(&mut Variables)) -> Self {
        let mut variables = Variables::usual(&stage.new_database().await);
        change(&mut variables);
        Self::start(stage, variables, clock, Post::default()).await
    }

    /// A world in production, without a mail server.
    pub async fn in_production(stage: &Stage) -> Self {
        Self::with(stage, |variables| {
            for (name, value) in [
                ("ROSTER_ENV", "production"),
                ("ROSTER__SERVER__PUBLIC_URL", "https://accounts.test"),
                ("ROSTER__PASSWORD__BCRYPT_COST", "10"),
                ("ROSTER__PASSWORD__ARGON2_MEMORY_KIB", "19456"),
                ("ROSTER__PASSWORD__ARGON2_ITERATIONS", "2"),
            ] {
                variables.set(name, value);
            }
        })
        .await
    }

    /// Another server on the same database, with the same clock and settings.
    pub async fn second_instance(&self) -> Self {
        self.second_instance_with(|_| {}).await
    }

    /// Another server on the same database, with other settings.
    pub async fn second_instance_with(&self, change: impl FnOnce(&mut Variables)) -> Self {
        let mut variables = self.variables.clone();
        change(&mut variables);
        Self::start(&self.stage, variables, self.clock.clone(), self.post.clone()).await
    }

    /// Another server on the same state with more mounted: for what no route of the program does.
    pub fn with_more_mounted(&self, more: fn(&mut ServiceConfig)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = RunningServer::start_with(listener, self.state.clone(), more).unwrap();
        let (address, handle) = (server.address, server.handle.clone());
        self.stage.remember(handle.clone(), tokio::spawn(server.run()));
        Self {
            client: Client::new(address, self.state.is_https, self.stage.clone()),
            address,
            server: handle,
            ..self.clone()
        }
    }

    /// Ends this server and starts another one in its place.
    pub async fn restart(&self) -> Self {
        self.stop().await;
        self.second_instance().await
    }

    /// Ends the server; the database stays.
    pub async fn stop(&self) {
        self.server.stop(false).await;
    }

    async fn start(place: &Stage, variables: Variables, clock: ManualClock, post: Post) -> Self {
        let config = configuration(&variables);
        let ambient = Ambient {
            clock: Arc::new(clock.clone()),
            random: Arc::new(SystemRandom),
        };
        let db = Db::connect(startup::database_settings(&config)).await.unwrap();
        let secret = startup::secret_key(&config, &db, &ambient).await.unwrap();
        let mut state = startup::open_state(config, ambient, db, &secret).await.unwrap();
        if let Some(mail) = &mut state.mail {
            mail.mailer = Arc::new(post.clone());
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = RunningServer::start(listener, state.clone()).unwrap();
        let (address, handle) = (server.address, server.handle.clone());
        place.remember(handle.clone(), tokio::spawn(server.run()));
        Self {
            client: Client::new(address, state.is_https, place.clone()),
            state,
            clock,
            post,
            address,
            stage: place.clone(),
            variables,
            server: handle,
        }
    }

    /// The database, to look at rows or to put some there.
    pub fn db(&self) -> DatabaseConnection {
        self.state.db.connection()
    }

    /// A request to be sent with `.await`.
    pub fn call(&self, method: Method, path: &str) -> Call {
        self.client.call(method, path)
    }

    pub fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    pub fn post(&self, path: &str) -> Call {
        self.call(Method::POST, path)
    }

    pub fn put(&self, path: &str) -> Call {
        self.call(Method::PUT, path)
    }

    pub fn patch(&self, path: &str) -> Call {
        self.call(Method::PATCH, path)
    }

    pub fn delete(&self, path: &str) -> Call {
        self.call(Method::DELETE, path)
    }

    /// Sends bytes as they are on a connection of their own, and reads one answer.
    pub async fn raw(&self, bytes: impl AsRef<[u8]>) -> RawAnswer {
        raw::send(self.address, bytes.as_ref()).await
    }

    /// An open connection, for whoever wants to send in pieces.
    pub async fn connection(&self) -> raw::Connection {
        raw::Connection::open(self.address).await
    }

    /// Somebody who registers as `NAME@example.test`.
    pub async fn register(&self, name: &str) -> Persona {
        // Passwords differ, so that nobody is let in for somebody else.
        let number: u32 = name.bytes().map(u32::from).sum();
        self.register_as(
            &format!("{name}@example.test"),
            &format!("plum-orbit-canvas-{number}"),
        )
        .await
    }

    /// Somebody who registers with this address and password.
    pub async fn register_as(&self, email: &str, password: &str) -> Persona {
        let body = json!({"email": email, "password": password});
        let answer = self.post("/users/").json(&body).await.expect(201);
        Persona {
            email: answer.json()["email"].as_str().unwrap().to_owned(),
            password: password.to_owned(),
            id: answer.json()["id"].as_str().unwrap().parse().unwrap(),
        }
    }

    /// An access token for somebody.
    pub async fn sign_in(&self, persona: &Persona) -> String {
        let answer = self.log_in(&persona.email, &persona.password).await.expect(200);
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// A login, whatever comes of it.
    pub fn log_in(&self, email: &str, password: &str) -> Call {
        let body = json!({"email": email, "password": password});
        self.post("/login").json(&body)
    }

    /// The profile that a token leads to.
    pub async fn profile(&self, token: &str) -> Value {
        self.get("/users/me")
            .bearer(token)
            .await
            .expect(200)
            .json()
            .clone()
    }

    /// Somebody with the role `admin`.
    pub async fn admin(&self) -> Persona {
        let persona = self.register("root-keeper").await;
        self.set_roles(&persona, &["admin"]).await;
        persona
    }

    /// A registered service: the `Authorization` that it sends.
    pub async fn resource_server(&self) -> String {
        let name = ClientName::parse("billing").unwrap();
        let made = clients::service::create(&self.state, name, Actor::Operator, Origin::default()).await;
        let (client, secret) = made.unwrap();
        basic(&client.id.to_string(), &secret.expose())
    }

    /// Somebody whose account an operator has disabled.
    pub async fn disabled_user(&self) -> Persona {
        let persona = self.register("shut-out").await;
        self.set_status(&persona, UserStatus::Disabled).await;
        persona
    }

    /// What an operator does on the command line.
    pub async fn set_roles(&self, persona: &Persona, roles: &[&str]) {
        let roles = roles.iter().map(|role| Role::parse(role).unwrap()).collect();
        users::service::set_roles(
            &self.state,
            persona.user_id(),
            roles,
            Actor::Operator,
            Origin::default(),
        )
        .await
        .unwrap();
    }

    /// What an operator does on the command line.
    pub async fn set_status(&self, persona: &Persona, status: UserStatus) {
        users::service::set_status(
            &self.state,
            persona.user_id(),
            status,
            Actor::Operator,
            Origin::default(),
        )
        .await
        .unwrap();
    }
}
