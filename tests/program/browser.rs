//! Swagger UI in a real browser: Debian's headless Chromium, told what to do over `WebDriver` (W3C).

use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine as _;
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::postgres::missing;
use crate::support::{Installation, Lines, PASSWORD, PATIENCE};

const EVE: &str = "eve@example.com";
/// What `WebDriver` calls an element in its answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
const CONTROL: &str = "\u{e009}";
/// Ends a chord such as Control-A.
const RELEASE: &str = "\u{e000}";

/// A browser with one page open. It ends with the test, and so does everything that it has started.
pub struct Browser {
    driver: Child,
    http: reqwest::Client,
    session: String,
    profile: TempDir,
}

impl Browser {
    pub async fn start() -> Option<Self> {
        let is_there = |name: &str| {
            ["/usr/bin", "/usr/local/bin"]
                .iter()
                .any(|folder| Path::new(folder).join(name).exists())
        };
        if !is_there("chromedriver") || !is_there("chromium") {
            missing("Chromium with its WebDriver", "chromium and chromium-driver");
            return None;
        }
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", profile.path())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (mut lines, _) = Lines::of(driver.stdout.take().unwrap());
        let line = lines.wait_for("started successfully on port").await;
        let port = line.trim_end_matches('.').rsplit(' ').next().unwrap().to_owned();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        let mut browser = Self {
            driver,
            http,
            session: format!("http://127.0.0.1:{port}/session"),
            profile,
        };
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1200,1000",
            &format!(
                "--user-data-dir={}",
                browser.profile.path().join("profile").display()
            ),
        ];
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "timeouts": { "implicit": 20_000, "pageLoad": 30_000, "script": 20_000 },
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } });
        let started = browser.call(Method::POST, "", capabilities).await;
        browser.session = format!("{}/{}", browser.session, started["sessionId"].as_str().unwrap());
        Some(browser)
    }

    async fn call(&self, method: Method, command: &str, body: Value) -> Value {
        let request = self.http.request(method, format!("{}{command}", self.session));
        let request = if body.is_null() {
            request
        } else {
            request.json(&body)
        };
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        let error = &answer["value"]["error"];
        assert!(
            error.is_null(),
            "{command} {body}: {error}: {}",
            answer["value"]["message"]
        );
        answer["value"].clone()
    }

    pub async fn open(&self, url: &str) {
        self.call(Method::POST, "/url", json!({ "url": url })).await;
    }

    /// Waits for an element.
    pub async fn find(&self, css: &str) -> Element<'_> {
        let found = self
            .call(
                Method::POST,
                "/element",
                json!({ "using": "css selector", "value": css }),
            )
            .await;
        Element {
            browser: self,
            id: found[ELEMENT].as_str().unwrap().to_owned(),
        }
    }

    /// Waits until a script's condition holds, as the page changes.
    pub async fn until(&self, condition: &str) {
        let script = format!(
            "const done = arguments[0]; const holds = () => {condition}; if (holds()) return done(true);
             const seen = new MutationObserver(() => {{ if (holds()) {{ seen.disconnect(); done(true); }} }});
             seen.observe(document, {{ subtree: true, childList: true, attributes: true, characterData: true }});"
        );
        self.call(
            Method::POST,
            "/execute/async",
            json!({ "script": script, "args": [] }),
        )
        .await;
    }

    /// Makes the window another size, in CSS pixels.
    pub async fn resize(&self, width: u32, height: u32) {
        let emulated = json!({
            "cmd": "Emulation.setDeviceMetricsOverride",
            "params": { "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false },
        });
        self.call(Method::POST, "/goog/cdp/execute", emulated).await;
    }

    /// What a script returns.
    pub async fn evaluate(&self, script: &str) -> Value {
        let body = json!({ "script": script, "args": [] });
        self.call(Method::POST, "/execute/sync", body).await
    }

    async fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.call(Method::POST, "/se/log", json!({ "type": kind })).await;
        entries.as_array().unwrap().clone()
    }

    /// Keeps a picture for whoever wants to see what the test saw.
    pub async fn picture(&self, name: &str) {
        let picture = self.call(Method::GET, "/screenshot", Value::Null).await;
        let bytes = base64::prelude::BASE64_STANDARD
            .decode(picture.as_str().unwrap())
            .unwrap();
        std::fs::write(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name), bytes).unwrap();
    }

    pub async fn quit(self) {
        self.call(Method::DELETE, "", Value::Null).await;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(id) = self
            .driver
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
        {
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

pub struct Element<'a> {
    browser: &'a Browser,
    id: String,
}

impl Element<'_> {
    async fn call(&self, method: Method, command: &str, body: Value) -> Value {
        self.browser
            .call(method, &format!("/element/{}{command}", self.id), body)
            .await
    }

    pub async fn click(&self) {
        self.call(Method::POST, "/click", json!({})).await;
    }

    /// Types in place of what is there.
    pub async fn fill(&self, text: &str) {
        let keys = format!("{CONTROL}a{RELEASE}{text}");
        self.call(Method::POST, "/value", json!({ "text": keys })).await;
    }

    pub async fn text(&self) -> String {
        self.call(Method::GET, "/text", Value::Null)
            .await
            .as_str()
            .unwrap()
            .to_owned()
    }
}

/// Opens an operation, sends it by *Try it out* and *Execute*, and gives the status of the live response.
async fn execute(browser: &Browser, operation: &str, body: Option<Value>) -> String {
    let block = format!("#operations-{operation}");
    browser
        .find(&format!("{block} .opblock-summary-control"))
        .await
        .click()
        .await;
    let try_out = browser.find(&format!("{block} .try-out__btn")).await;
    // The page may have pressed it already; it reads *Cancel* or *Reset* then.
    if try_out.text().await == "Try it out" {
        try_out.click().await;
    }
    if let Some(body) = body {
        browser
            .find(&format!("{block} textarea.body-param__text"))
            .await
            .fill(&body.to_string())
            .await;
    }
    browser.find(&format!("{block} .btn.execute")).await.click().await;
    let status = browser
        .find(&format!(
            "{block} .live-responses-table tbody .response-col_status"
        ))
        .await;
    status
        .text()
        .await
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test]
async fn swagger_ui_signs_in_and_sends_all_five_calls_from_this_server_alone() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let server = Installation::new().serve().await;
    server.client().register(EVE).await;
    browser.open(&server.url("/docs")).await;

    browser.find(".auth-wrapper .btn.authorize").await.click().await;
    browser.find("#oauth_username").await.fill(EVE).await;
    browser.find("#oauth_password").await.fill(PASSWORD).await;
    browser
        .find(".auth-container:has(#oauth_username) .btn.authorize")
        .await
        .click()
        .await;
    // Signed in, the dialog offers to sign out.
    browser
        .until("[...document.querySelectorAll('.modal-ux .btn.auth')].some(b => b.textContent === 'Logout')")
        .await;
    browser.find(".modal-ux .btn-done").await.click().await;

    let calls = [
        // What the page proposes works as it stands.
        ("accounts-register", None, "201"),
        ("tokens-login", None, "200"),
        ("accounts-read_profile", None, "200"),
        (
            "accounts-change_profile_put",
            Some(json!({ "display_name": "Eve" })),
            "200",
        ),
        ("accounts-delete_account", None, "204"),
    ];
    for (operation, body, expected) in calls {
        let status = execute(&browser, operation, body).await;
        if status != expected {
            browser.picture("swagger.png").await;
        }
        assert_eq!(
            status, expected,
            "{operation}: see swagger.png in the folder tmp of target"
        );
    }
    // It was her profile that was read, changed and removed, and not the other one.
    assert_eq!(server.client().try_login(EVE, PASSWORD).await.0, 401);
    server.client().login("ada@example.com").await;

    let complaints: Vec<_> = browser
        .log("browser")
        .await
        .into_iter()
        .filter(|entry| entry["level"] == "WARNING" || entry["level"] == "SEVERE")
        .collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    let origin = server.url("/");
    let mut requests = 0;
    for entry in browser.log("performance").await {
        let event: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
        let parameters = &event["message"]["params"];
        let url = match event["message"]["method"].as_str().unwrap() {
            "Network.requestWillBeSent" => &parameters["request"]["url"],
            "Network.webSocketCreated" | "Network.webTransportCreated" => &parameters["url"],
            _ => continue,
        };
        let url = url.as_str().unwrap();
        // The browser's own pages and the images inside the page don't leave it.
        let stays = ["data:", "about:", "chrome:", "blob:"]
            .iter()
            .any(|scheme| url.starts_with(scheme));
        assert!(stays || url.starts_with(&origin), "a request to elsewhere: {url}");
        requests += usize::from(url.starts_with(&origin));
    }
    // The page, its files, the document, the sign-in and the calls.
    assert!(requests >= 10, "{requests}");
    browser.quit().await;
    server.stop().await;
}
