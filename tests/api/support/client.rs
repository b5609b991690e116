//! A client that believes nothing: each answer is held against the contract before anybody looks at it.

use std::future::{Future, IntoFuture};
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Body, Method};
use serde_json::Value;

use super::contract;
use super::stage::Stage;

/// Sends requests to one server.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    is_https: bool,
    stage: Stage,
    http: reqwest::Client,
}

impl Client {
    pub(super) fn new(address: SocketAddr, is_https: bool, stage: Stage) -> Self {
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(Duration::from_mins(2))
            .build()
            .unwrap();
        Self {
            address,
            is_https,
            stage,
            http,
        }
    }

    /// A request to be sent with `.await`. The path may have a query.
    pub fn call(&self, method: Method, path: &str) -> Call {
        Call {
            client: self.clone(),
            method,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: None,
            json: None,
            wants_cookie: false,
        }
    }
}

/// A request on its way.
pub struct Call {
    client: Client,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Option<Body>,
    json: Option<Value>,
    wants_cookie: bool,
}

impl Call {
    /// With one more header; a second one of the same name is sent as well.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_ref()).unwrap(),
        );
        self
    }

    /// As whoever has this token.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// With a JSON body.
    pub fn json(mut self, body: &Value) -> Self {
        self.json = Some(body.clone());
        self.wants_cookie = body.get("cookie").is_some();
        self.body("application/json", body.to_string())
    }

    /// With a form.
    pub fn form(mut self, fields: &[(&str, &str)]) -> Self {
        self.wants_cookie = fields.iter().any(|(name, _)| *name == "cookie");
        let encoded = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.body("application/x-www-form-urlencoded", encoded)
    }

    /// With a body as it is; an empty type sends none.
    pub fn body(mut self, media_type: &str, body: impl Into<Body>) -> Self {
        self.body = Some(body.into());
        if media_type.is_empty() {
            self
        } else {
            self.header("content-type", media_type)
        }
    }

    async fn send(self) -> Answer {
        let url = format!("http://{}{}", self.client.address, self.path);
        let has_token = self.headers.get_all(AUTHORIZATION).iter().any(|value| {
            let scheme = value.as_bytes().split(|&byte| byte == b' ').next();
            scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"))
        });
        let wants_cookie = self.wants_cookie || self.headers.contains_key("cookie");
        let is_preflight = self.headers.contains_key("access-control-request-method");
        let mut request = self
            .client
            .http
            .request(self.method.clone(), &url)
            .headers(self.headers);
        if let Some(body) = self.body {
            request = request.body(body);
        }
        let response = request
            .send()
            .await
            .unwrap_or_else(|error| panic!("{} {}: {error:?}", self.method, self.path));
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response
            .bytes()
            .await
            .unwrap_or_else(|error| panic!("{} {}: {error:?}", self.method, self.path))
            .to_vec();
        let answer = Answer::new(self.method, self.path, status, headers, body);
        self.client.stage.note(answer.to_string());
        let asked = contract::Asked {
            has_token,
            is_preflight,
            is_https: self.client.is_https,
            wants_cookie,
        };
        contract::check(&answer, asked);
        if let Some(sent) = &self.json {
            contract::check_request(&answer, sent);
        }
        answer
    }
}

impl IntoFuture for Call {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// Sends requests all at once; the answers are in the same order.
pub async fn all(calls: impl IntoIterator<Item = Call>) -> Vec<Answer> {
    join_all(calls.into_iter().map(IntoFuture::into_future)).await
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub method: Method,
    /// The path that was asked for, with its query.
    pub path: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    json: Option<Value>,
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = String::from_utf8_lossy(&self.body);
        let shown = text.get(..text.floor_char_boundary(600)).unwrap_or_default();
        write!(f, "{} {} -> {} {shown}", self.method, self.path, self.status)
    }
}

impl Answer {
    pub(super) fn new(method: Method, path: String, status: u16, headers: HeaderMap, body: Vec<u8>) -> Self {
        let is_json = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| {
                value
                    .split(';')
                    .next()
                    .is_some_and(|essence| essence.ends_with("json"))
            });
        let json = (is_json && !body.is_empty()).then(|| {
            serde_json::from_slice(&body)
                .unwrap_or_else(|error| panic!("{method} {path}: JSON that is none: {error}"))
        });
        Self {
            method,
            path,
            status,
            headers,
            body,
            json,
        }
    }

    /// Fails unless it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }

    /// Whether failures of its path are told as RFC 6749 §5.2 has it.
    pub fn is_oauth(&self) -> bool {
        self.path.starts_with("/oauth/")
    }

    /// Fails unless it is a failure of an OAuth endpoint with this code; gives the body.
    #[track_caller]
    pub fn oauth_error(&self, code: &str) -> &Value {
        let status = match code {
            "invalid_client" => 401,
            _ => 400,
        };
        assert_eq!(self.status, status, "{self}");
        assert_eq!(self.json()["error"], code, "{self}");
        self.json()
    }

    /// Fails unless it is a problem of this name; gives the document. Under `/oauth/` it is the one that is told there
    /// in its place.
    #[track_caller]
    pub fn problem(&self, name: &str) -> &Value {
        assert!(self.status >= 400, "{self}");
        if self.is_oauth() {
            let status = match name {
                "malformed-request" | "validation-failed" => 400,
                "payload-too-large" => 413,
                "unsupported-media-type" => 415,
                "method-not-allowed" => 405,
                other => panic!("{other} isn't told under /oauth/: {self}"),
            };
            assert_eq!(self.status, status, "{self}");
            assert_eq!(self.json()["error"], "invalid_request", "{self}");
            return self.json();
        }
        assert_eq!(self.json()["type"], format!("/problems/{name}"), "{self}");
        self.json()
    }

    /// Fails unless exactly these members are at fault, in any order, for these reasons: `("/email", "missing")`.
    #[track_caller]
    pub fn faults(&self, expected: &[(&str, &str)]) -> &Value {
        let document = self.problem("validation-failed");
        if self.is_oauth() {
            let description = document["error_description"].as_str().unwrap();
            for (pointer, _) in expected {
                // Printable ASCII without quotation marks and backslashes is all that may be told.
                let plain = |c: char| {
                    if c == '"' {
                        '\''
                    } else if c.is_ascii() {
                        c
                    } else {
                        '?'
                    }
                };
                let member: String = pointer.trim_start_matches('/').chars().map(plain).collect();
                assert!(description.contains(&member), "{member}: {self}");
            }
            return document;
        }
        let mut found: Vec<(&str, &str)> = document["errors"]
            .as_array()
            .unwrap_or_else(|| panic!("{self}"))
            .iter()
            .map(|fault| {
                (
                    fault["pointer"].as_str().unwrap(),
                    fault["code"].as_str().unwrap(),
                )
            })
            .collect();
        let mut expected = expected.to_vec();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{self}");
        document
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> &Value {
        self.json.as_ref().unwrap_or_else(|| panic!("not JSON: {self}"))
    }

    /// The body as JSON, if it is.
    pub fn maybe_json(&self) -> Option<&Value> {
        self.json.as_ref()
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// A header that has to be there, once.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().unwrap_or_else(|| panic!("no {name}: {self}"));
        assert!(values.next().is_none(), "more than one {name}: {self}");
        value.to_str().unwrap()
    }
}
