//! Pages for people, the documentation among them, and what says how the server is.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use sea_orm::ConnectionTrait as _;

use super::{listed, signed_in, wire};
use crate::support::{Answer, Stage, World, contract};

const PAGES: [&str; 3] = ["/", "/problems", "/problems/not-found"];
const VOID: [&str; 6] = ["meta", "link", "br", "hr", "img", "input"];

/// The elements of a page: names with their attributes, in order. Fails where one isn't closed.
fn elements(html: &str) -> Vec<(String, String)> {
    let body = html.strip_prefix("<!doctype html>").expect("a doctype");
    let mut found = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut rest = body;
    while let Some(start) = rest.find('<') {
        let (text, tag) = rest.split_at(start);
        assert!(!text.contains('>'), "a bare >: {text}");
        let end = tag.find('>').expect("the end of a tag");
        let inner = tag.get(1..end).unwrap();
        rest = tag.get(end + 1..).unwrap();
        if let Some(name) = inner.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "{html}");
            continue;
        }
        let (name, attributes) = inner.split_once(' ').unwrap_or((inner, ""));
        assert!(
            name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()),
            "{name}"
        );
        assert_eq!(attributes.matches('"').count() % 2, 0, "{inner}");
        found.push((name.to_owned(), attributes.to_owned()));
        if !VOID.contains(&name) {
            open.push(name.to_owned());
        }
    }
    assert_eq!(rest, "", "text behind the last element");
    assert!(open.is_empty(), "not closed: {open:?}");
    found
}

/// What elements refer to.
fn references(elements: &[(String, String)]) -> Vec<String> {
    elements
        .iter()
        .flat_map(|(_, attributes)| {
            ["href=\"", "src=\""]
                .into_iter()
                .filter_map(move |name| attributes.split_once(name))
        })
        .map(|(_, value)| value.split('"').next().unwrap().to_owned())
        .collect()
}

/// The directives of a content security policy.
fn policy(answer: &Answer) -> BTreeMap<String, Vec<String>> {
    answer
        .header("content-security-policy")
        .split(';')
        .map(|directive| {
            let mut words = directive.split_whitespace().map(str::to_owned);
            (words.next().unwrap(), words.collect())
        })
        .collect()
}

scenario! {
    async fn a_browser_gets_a_page_and_anybody_else_json(world: World) {
        let browsers = [
            "text/html",
            "TEXT/HTML",
            "text/html; charset=utf-8",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            "text/html;q=0.9,*/*;q=0.1",
        ];
        let others = [
            "",
            "*/*",
            "application/*",
            "application/json",
            "application/json, text/plain, */*",
            "application/json, text/html;q=0.5",
            "application/json, text/html;q=0",
            "text/html;q=0, */*",
            "text/html;q=0.0",
            "text/html5",
            "text/htmlx, */*",
            "text/plain",
            "image/png",
        ];
        for path in PAGES {
            for accept in browsers {
                let answer = world.get(path).header("accept", accept).await.expect(200);
                assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{accept}: {answer}");
                assert!(listed(&answer, "vary").contains("accept"), "{answer}");
            }
            for accept in others {
                let answer = world.get(path).header("accept", accept).await.expect(200);
                assert_eq!(answer.header("content-type"), "application/json", "{accept}: {answer}");
                assert!(listed(&answer, "vary").contains("accept"), "{answer}");
            }
            let answer = world.get(path).header("accept", "application/json").header("accept", "text/html;q=0.1").await;
            assert_eq!(answer.header("content-type"), "application/json", "{answer}");
        }
        // What isn't for people stays what it is.
        let (_, token) = signed_in(&world, "ada").await;
        for path in ["/livez", "/readyz", "/openapi.json", "/users/me", "/.well-known/jwks.json"] {
            let answer = world.get(path).bearer(&token).header("accept", "text/html").await.expect(200);
            assert_eq!(answer.header("content-type"), "application/json", "{answer}");
        }
        world.get("/nowhere").header("accept", "text/html").await.problem("not-found");
        world.get("/users/me").header("accept", "text/html").await.problem("invalid-token");
    }

    async fn a_page_is_small_and_valid_and_does_nothing(world: World) {
        for path in PAGES {
            let answer = world.get(path).header("accept", "text/html").await.expect(200);
            let html = answer.text();
            assert!(html.len() < 16 * 1024, "{}", html.len());
            let elements = elements(html);
            let names: Vec<&str> = elements.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names.get(..2), Some(&["html", "head"][..]));
            for once in ["title", "style", "body", "h1"] {
                assert_eq!(names.iter().filter(|name| **name == once).count(), 1, "{once}: {html}");
            }
            assert!(html.contains("<html lang=\"en\">") && html.contains("<meta charset=\"utf-8\">"), "{html}");
            for (name, attributes) in &elements {
                assert!(!["script", "iframe", "form", "object", "img", "base"].contains(&name.as_str()), "{name}");
                assert!(!attributes.contains(" on") && !attributes.starts_with("on"), "{attributes}");
                assert!(!attributes.contains("style="), "{attributes}");
            }
            for reference in references(&elements) {
                assert!(reference.starts_with('/') && !reference.starts_with("//"), "{reference}");
                world.get(&reference).await.expect(200);
            }
        }
    }

    async fn the_policy_of_a_page_allows_its_style_and_nothing_else(world: World) {
        for path in PAGES {
            let answer = world.get(path).header("accept", "text/html").await.expect(200);
            let style = answer.text().split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
            let hash = BASE64_STANDARD.encode(digest(&SHA256, style.as_bytes()));
            let mut expected = BTreeMap::from([("style-src".to_owned(), vec![format!("'sha256-{hash}'")])]);
            for name in ["default-src", "base-uri", "form-action", "frame-ancestors"] {
                expected.insert(name.to_owned(), vec!["'none'".to_owned()]);
            }
            assert_eq!(policy(&answer), expected, "{answer}");
        }
    }

    async fn the_front_page_says_what_this_is(world: World) {
        let index = world.get("/").await.expect(200).json().clone();
        assert_eq!(index["name"], "Roster");
        assert_eq!(index["version"], env!("CARGO_PKG_VERSION"));
        for link in index["links"].as_object().unwrap().values() {
            world.get(link.as_str().unwrap()).await.expect(200);
        }
        let page = world.get("/").header("accept", "text/html").await;
        for text in ["Roster", env!("CARGO_PKG_VERSION"), "/docs", "/openapi.json", "/problems"] {
            assert!(page.text().contains(text), "{text}");
        }
    }

    async fn every_problem_is_listed_and_explained(world: World) {
        let list = world.get("/problems").await.expect(200).json()["problems"].clone();
        let told: BTreeSet<(String, u64)> = list
            .as_array()
            .unwrap()
            .iter()
            .map(|problem| (problem["type"].as_str().unwrap().to_owned(), problem["status"].as_u64().unwrap()))
            .collect();
        let expected: BTreeSet<(String, u64)> = contract::PROBLEMS
            .iter()
            .map(|(name, status)| (format!("/problems/{name}"), u64::from(*status)))
            .collect();
        assert_eq!(told, expected);
        let overview = world.get("/problems").header("accept", "text/html").await.expect(200);
        for problem in list.as_array().unwrap() {
            let path = problem["type"].as_str().unwrap();
            let answer = world.get(path).await.expect(200);
            assert_eq!(answer.json(), problem);
            let page = world.get(path).header("accept", "text/html").await.expect(200);
            let title = problem["title"].as_str().unwrap();
            assert!(page.text().contains(&format!("<h1>{title}</h1>")), "{page}");
            assert!(page.text().contains(&problem["status"].to_string()), "{page}");
            assert!(!elements(page.text()).is_empty());
            assert!(overview.text().contains(&format!("href=\"{path}\"")), "{path}");
        }
        for name in ["unknown", "", "not-found%00", "%3Cscript%3E", "NOT-FOUND", "..", "404"] {
            let path = format!("/problems/{name}");
            let raw = world.raw(wire("GET", &path, &[("Accept", "text/html")], "")).await;
            if name.is_empty() {
                assert_eq!(raw.status, 200, "the list, with a slash");
            } else {
                raw.checked(Method::GET, &path).problem("not-found");
            }
        }
    }

    async fn the_documentation_comes_from_here_alone(world: World) {
        let page = world.get("/docs").await.expect(200);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        let elements = elements(page.text());
        let files = references(&elements);
        assert!(files.len() >= 3, "{files:?}");
        for file in &files {
            assert!(file.starts_with("/docs/"), "{file}");
        }
        assert!(!page.text().contains("<script>"), "a script inside of the page");
        let policy = policy(&page);
        assert_eq!(policy["default-src"], ["'none'"]);
        for name in ["script-src", "connect-src"] {
            assert_eq!(policy[name], ["'self'"], "{name}");
        }
        for (name, sources) in &policy {
            let elsewhere = sources.iter().any(|source| source.contains("http") || source.contains('*') || source.contains("eval"));
            assert!(!elsewhere, "{name} {sources:?}");
        }
        for (file, media_type) in files.iter().map(|file| {
            let is_a = |extension: &str| std::path::Path::new(file).extension().is_some_and(|found| found == extension);
            let media_type = if is_a("js") {
                "text/javascript"
            } else if is_a("css") {
                "text/css"
            } else {
                "image/png"
            };
            (file, media_type)
        }) {
            let answer = world.get(file).await.expect(200);
            assert!(answer.header("content-type").starts_with(media_type), "{answer}");
            // Nobody has asked for a coding.
            assert!(!answer.headers.contains_key("content-encoding"), "{file}");
            assert!(answer.body.len() > 100, "{file}");
            if media_type == "text/css" {
                let text = answer.text();
                assert!(!text.contains("@import") && !text.contains("url(http") && !text.contains("url(//"), "{file}");
            }
        }
        let start = world.get("/docs/start.js").await.expect(200);
        assert!(start.text().contains("'/openapi.json'") && !start.text().contains("http"), "{start}");
        assert!(start.text().contains("validatorUrl: null"), "{start}");
        for file in ["index.html", "oauth2-redirect.html", "swagger-ui.css.map", "swagger-initializer.js", "Cargo.toml", "x"] {
            world.get(&format!("/docs/{file}")).await.problem("not-found");
        }
    }

    async fn documentation_that_is_switched_off_is_not_there(stage: Stage) {
        let world = World::with(&stage, |variables| variables.set("ROSTER__DOCS__ENABLED", "false")).await;
        for path in ["/docs", "/docs/", "/docs/start.js", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"] {
            world.get(path).await.problem("not-found");
            world.get(path).header("accept", "text/html").await.problem("not-found");
        }
        assert!(world.get("/").await.json()["links"].get("docs").is_none());
        let page = world.get("/").header("accept", "text/html").await.expect(200);
        assert!(!page.text().contains("/docs"), "{page}");
        world.get("/openapi.json").await.expect(200);
    }

    async fn the_document_is_served_as_it_is_committed(world: World) {
        let answer = world.get("/openapi.json").await.expect(200);
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.text(), include_str!("../../../openapi.json"));
    }

    async fn health_says_little_and_nothing_of_what_is_behind_it(world: World) {
        for path in ["/livez", "/readyz"] {
            assert_eq!(world.get(path).await.expect(200).text(), "{\"status\":\"ok\"}");
        }
        let unapplied = "DELETE FROM seaql_migrations WHERE version = (SELECT max(version) FROM seaql_migrations)";
        world.db().execute_unprepared(unapplied).await.unwrap();
        let document = world.get("/readyz").await.problem("overloaded").clone();
        assert!(document["detail"].as_str().unwrap().contains("migration"), "{document}");
        world.get("/livez").await.expect(200);
        world.db().execute_unprepared("DROP TABLE seaql_migrations").await.unwrap();
        world.get("/readyz").await.problem("overloaded");
        world.get("/livez").await.expect(200);
    }

    async fn a_server_that_is_about_to_end_says_so_and_goes_on_meanwhile(world: World) {
        let (_, token) = signed_in(&world, "ada").await;
        world.state.lifecycle.end();
        world.get("/readyz").await.problem("overloaded");
        world.get("/livez").await.expect(200);
        world.get("/users/me").bearer(&token).await.expect(200);
    }
}
