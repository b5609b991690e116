//! A client of the API that knows what the tests do with it.

use serde_json::{Value, json};

use super::{PASSWORD, PATIENCE};

/// A client of the API.
#[derive(Clone)]
pub struct Client {
    pub http: reqwest::Client,
    base: String,
}

impl Client {
    pub fn new(base: String) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        Self { http, base }
    }

    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Status and JSON of an answer; null where it has none.
    pub async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let body = response.bytes().await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        Self::answer(self.request(reqwest::Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        Self::answer(self.request(reqwest::Method::POST, path).json(body)).await
    }

    /// Registers with [`PASSWORD`].
    pub async fn register(&self, email: &str) {
        let (status, body) = self
            .post("/users/", &json!({ "email": email, "password": PASSWORD }))
            .await;
        assert_eq!(status, 201, "{body}");
    }

    pub async fn try_login(&self, email: &str, password: &str) -> (u16, Value) {
        self.post("/login", &json!({ "email": email, "password": password }))
            .await
    }

    /// Signs in with [`PASSWORD`]; gives the access token.
    pub async fn login(&self, email: &str) -> String {
        let (status, body) = self.try_login(email, PASSWORD).await;
        assert_eq!(status, 200, "{body}");
        body["access_token"].as_str().unwrap().to_owned()
    }

    pub async fn me(&self, token: &str) -> (u16, Value) {
        Self::answer(self.request(reqwest::Method::GET, "/users/me").bearer_auth(token)).await
    }

    /// Registers, signs in, changes, leaves: each step as it should be.
    pub async fn live_a_whole_life(&self, name: &str) {
        let email = format!("{name}@example.com");
        self.register(&email).await;
        let token = self.login(&email).await;
        assert_eq!(self.me(&token).await.0, 200);
        let change = json!({ "display_name": name, "password": "grape-anchor-window-83", "current_password": PASSWORD });
        let put = self
            .request(reqwest::Method::PUT, "/users/me")
            .bearer_auth(&token)
            .json(&change);
        let (status, body) = Self::answer(put).await;
        assert_eq!(
            (status, body["display_name"].as_str()),
            (200, Some(name)),
            "{body}"
        );
        assert_eq!(self.me(&token).await.0, 401);
        let (status, body) = self.try_login(&email, "grape-anchor-window-83").await;
        assert_eq!(status, 200, "{body}");
        let token = body["access_token"].as_str().unwrap();
        let delete = self
            .request(reqwest::Method::DELETE, "/users/me")
            .bearer_auth(token);
        assert_eq!(Self::answer(delete).await.0, 204);
        assert_eq!(self.me(token).await.0, 401);
        assert_eq!(self.try_login(&email, "grape-anchor-window-83").await.0, 401);
    }
}
