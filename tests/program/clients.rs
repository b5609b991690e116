//! Stock clients in other languages, which know the standards and nothing of Roster.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::postgres::missing;
use crate::support::{Installation, PASSWORD, Server, finish};

const EMAIL: &str = "ada@example.com";

/// A Python that has the clients' libraries.
pub async fn python() -> Option<PathBuf> {
    let chosen = std::env::var_os("ROSTER_TEST_PYTHON").map(PathBuf::from);
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python");
    let python = chosen
        .or_else(|| own.exists().then_some(own))
        .unwrap_or_else(|| "python3".into());
    let check = Command::new(&python)
        .args(["-c", "import authlib, requests, jwt, cryptography"])
        .output()
        .await;
    if check.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    let packages = "authlib, requests and pyjwt[crypto] from PyPI, into target/python or the Python of ROSTER_TEST_PYTHON,";
    missing(&format!("{} with Authlib and PyJWT", python.display()), packages);
    None
}

/// Runs a script of `tests/clients`; gives the JSON that it prints.
async fn run(python: &Path, script: &str, arguments: &[&str], input: &str) -> Value {
    let mut command = Command::new(python);
    command
        .arg(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/clients")
                .join(script),
        )
        .args(arguments)
        .env_remove("http_proxy")
        .env_remove("HTTP_PROXY")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true);
    let ended = finish(command, input).await;
    assert_eq!(ended.code, 0, "{script} {arguments:?}: {ended:?}");
    serde_json::from_str(&ended.stdout).unwrap()
}

/// The folder with the modules of `tests/clients/package.json`, and a Node.js that runs them.
async fn node_modules() -> Option<PathBuf> {
    let chosen = std::env::var_os("ROSTER_TEST_NODE").map(PathBuf::from);
    let folder = chosen.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/node"));
    let node = Command::new("node").arg("--version").output().await;
    let is_there = ["oauth4webapi", "jose"]
        .iter()
        .all(|name| folder.join("node_modules").join(name).exists());
    if node.is_ok_and(|output| output.status.success()) && is_there {
        return Some(folder);
    }
    let packages = "Node.js, and what tests/clients/package.json names from npm into target/node or the folder of \
                    ROSTER_TEST_NODE,";
    missing("a Node.js with oauth4webapi and jose", packages);
    None
}

/// Registers a service; gives its id and secret.
async fn register_service(installation: &Installation) -> (String, String) {
    let made = installation.json(&["clients", "create", "billing"]).await;
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("client_id"), text("client_secret"))
}

async fn serve(installation: &Installation) -> Server {
    let server = installation.serve().await;
    server.client().register(EMAIL).await;
    server
}

#[tokio::test]
async fn authlib_signs_in_with_the_password_grant_and_calls_the_api() {
    let Some(python) = python().await else { return };
    let server = serve(&Installation::new()).await;
    let profile = run(&python, "password_grant.py", &[&server.url(""), EMAIL], PASSWORD).await;
    assert_eq!(
        (&profile["email"], &profile["display_name"]),
        (&json!(EMAIL), &json!("Signed in by Authlib"))
    );
    server.stop().await;
}

#[tokio::test]
async fn authlib_refreshes_by_itself_and_revokes() {
    let Some(python) = python().await else { return };
    let installation = Installation::new();
    let server = serve(&installation).await;
    let (id, secret) = register_service(&installation).await;
    let arguments = [&server.url(""), EMAIL, &id];
    let seen = run(
        &python,
        "sessions.py",
        &arguments,
        &format!("{PASSWORD}\n{secret}\n"),
    )
    .await;
    let (_, user) = server.client().me(&server.client().login(EMAIL).await).await;
    assert_eq!(seen["sub"], user["id"]);
    server.stop().await;
}

#[tokio::test]
async fn oauth4webapi_and_jose_find_everything_in_the_metadata() {
    let Some(folder) = node_modules().await else {
        return;
    };
    let installation = Installation::new();
    let server = serve(&installation).await;
    let (id, secret) = register_service(&installation).await;
    // Node.js looks for modules beside the script.
    let name = "standard_client.mjs";
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients")
        .join(name);
    let script = folder.join(format!("{}-{name}", std::process::id()));
    std::fs::copy(source, &script).unwrap();
    let mut command = Command::new("node");
    command
        .arg(&script)
        .args([&server.url(""), EMAIL, &id])
        .env_remove("http_proxy")
        .env_remove("HTTP_PROXY")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true);
    let ended = finish(command, &format!("{PASSWORD}\n{secret}\n")).await;
    std::fs::remove_file(&script).unwrap();
    assert_eq!(ended.code, 0, "{ended:?}");
    let seen: Value = serde_json::from_str(&ended.stdout).unwrap();
    let (_, user) = server.client().me(&server.client().login(EMAIL).await).await;
    assert_eq!(seen["sub"], user["id"]);
    server.stop().await;
}

#[tokio::test]
async fn pyjwt_verifies_a_token_of_any_algorithm_from_the_published_keys_alone() {
    let Some(python) = python().await else { return };
    for algorithm in ["ES256", "EdDSA", "RS256"] {
        let installation = Installation::new()
            .with("ROSTER__TOKEN__ALGORITHM", algorithm)
            .with("ROSTER__TOKEN__ISSUER", "https://accounts.example.org")
            .with("ROSTER__TOKEN__AUDIENCE", "https://api.example.org");
        let server = serve(&installation).await;
        let token = server.client().login(EMAIL).await;
        let (_, metadata) = server
            .client()
            .get("/.well-known/oauth-authorization-server")
            .await;
        let issuer = metadata["issuer"].as_str().unwrap();
        assert_eq!(issuer, "https://accounts.example.org");
        let arguments = [&server.url(""), algorithm, issuer, "https://api.example.org"];
        let claims = run(&python, "verify_token.py", &arguments, &token).await;
        let (_, user) = server.client().me(&token).await;
        assert_eq!(claims["sub"], user["id"], "{claims}");
        server.stop().await;
    }
}
