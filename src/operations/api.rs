//! The front page, health, and the pages of problems.

use std::fmt::Write as _;

use actix_web::http::header::{CACHE_CONTROL, VARY};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::AppState;
use crate::db::schema;
use crate::error::{ApiError, Cause};
use crate::http::mount::Operation;
use crate::http::page;
use crate::http::problem::{self, ProblemKind};

/// The operations of this feature.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new::<__path_index>(|| web::to(index)),
        Operation::new::<__path_livez>(|| web::to(livez)),
        Operation::new::<__path_readyz>(|| web::to(readyz)),
        Operation::new::<__path_list_problems>(|| web::to(list_problems)),
        Operation::new::<__path_explain_problem>(|| web::to(explain_problem)),
    ]
}

/// What this server is, and where to go on
#[derive(Debug, Serialize, ToSchema)]
pub struct Index<'a> {
    /// `Roster`.
    pub name: &'a str,
    /// The version of the program.
    pub version: &'a str,
    /// Paths of this server.
    pub links: Links<'a>,
}

/// Where to go on
#[derive(Debug, Serialize, ToSchema)]
pub struct Links<'a> {
    /// The interactive documentation, where it is switched on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub docs: Option<&'a str>,
    /// The OpenAPI document.
    pub openapi: &'a str,
    /// What each kind of problem means.
    pub problems: &'a str,
    /// The public keys of access tokens.
    pub jwks: &'a str,
}

/// Front page
///
/// Name, version and links; a short page for a browser.
#[utoipa::path(
    get,
    path = "/",
    tag = "operations",
    security(()),
    responses((status = 200, description = "Name, version and links", content(
        (Index = "application/json"),
        (String = "text/html"),
    ))),
)]
async fn index(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(&request)?;
    let docs = state.config.docs.enabled.then_some("/docs");
    if !page::is_wanted(request.headers()) {
        let links = Links {
            docs,
            openapi: "/openapi.json",
            problems: "/problems",
            jwks: "/.well-known/jwks.json",
        };
        let index = Index {
            name: "Roster",
            version: env!("CARGO_PKG_VERSION"),
            links,
        };
        return Ok(HttpResponse::Ok().insert_header((VARY, "Accept")).json(index));
    }
    let docs = docs.map_or(String::new(), |path| {
        format!("<dt><a href=\"{path}\">{path}</a></dt><dd>Interactive documentation: sign in, and try every call.</dd>")
    });
    Ok(page::answer(
        "Roster",
        &format!(
            "<h1>Roster</h1><p>This is an API for user accounts. It has no pages to sign in on; \
             applications call it.</p><dl>{docs}\
             <dt><a href=\"/openapi.json\">/openapi.json</a></dt><dd>The OpenAPI document.</dd>\
             <dt><a href=\"/problems\">/problems</a></dt><dd>What each kind of problem means.</dd></dl>\
             <footer>Version {}</footer>",
            env!("CARGO_PKG_VERSION")
        ),
    ))
}

/// That it is well
#[derive(Debug, Serialize, ToSchema)]
pub struct Health<'a> {
    /// `ok`.
    #[schema(example = "ok")]
    pub status: &'a str,
}

/// Liveness
///
/// 200 for as long as the process runs; it asks nobody else.
#[utoipa::path(
    get,
    path = "/livez",
    tag = "operations",
    security(()),
    responses((status = 200, description = "The process runs", body = Health)),
)]
async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(Health { status: "ok" })
}

/// Readiness
///
/// 200 only with a database that answers and has every migration, and not while the process is ending.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operations",
    security(()),
    responses(
        (status = 200, description = "Requests can be served", body = Health),
        (status = 503, description = "The database doesn't answer or lacks migrations, or the process is ending",
            body = problem::Problem, content_type = "application/problem+json"),
    ),
)]
async fn readyz(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(&request)?;
    if state.lifecycle.is_ending() {
        return Err(ApiError::Unready("The server is shutting down.".into()));
    }
    let pending = state
        .db
        .read(|reader| async move { schema::pending(&reader).await })
        .await;
    match pending {
        Ok(0) => Ok(HttpResponse::Ok().json(Health { status: "ok" })),
        Ok(count) => Err(ApiError::Unready(
            format!("The database lacks {count} migrations: run `roster migrate up`.").into(),
        )),
        Err(error) => Err(ApiError::DatabaseUnavailable(Cause::new(error))),
    }
}

/// A kind of problem
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemPage<'a> {
    /// The `type` of problem documents of this kind.
    #[serde(rename = "type")]
    #[schema(example = "/problems/email-taken")]
    pub kind: String,
    /// The HTTP status that it comes with.
    pub status: u16,
    /// A short summary.
    pub title: &'a str,
    /// What it means and what to do about it.
    pub explanation: &'a str,
}

impl ProblemPage<'_> {
    fn of(kind: &ProblemKind) -> ProblemPage<'_> {
        ProblemPage {
            kind: format!("/problems/{}", kind.name),
            status: kind.status,
            title: kind.title,
            explanation: kind.explanation,
        }
    }
}

/// Every kind of problem
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemList<'a> {
    /// All of them.
    pub problems: Vec<ProblemPage<'a>>,
}

/// Every kind of problem
#[utoipa::path(
    get,
    path = "/problems",
    tag = "operations",
    security(()),
    responses((status = 200, description = "All of them", content(
        (ProblemList = "application/json"),
        (String = "text/html"),
    ))),
)]
async fn list_problems(request: HttpRequest) -> HttpResponse {
    if !page::is_wanted(request.headers()) {
        let problems = problem::ALL.iter().copied().map(ProblemPage::of).collect();
        return cacheable(
            HttpResponse::Ok()
                .insert_header((VARY, "Accept"))
                .json(ProblemList { problems }),
        );
    }
    let mut entries = String::new();
    for kind in problem::ALL {
        let (name, status, title) = (kind.name, kind.status, page::escape(kind.title));
        let _ = write!(
            entries,
            "<dt><a href=\"/problems/{name}\">{name}</a> ({status})</dt><dd>{title}</dd>"
        );
    }
    cacheable(page::answer(
        "Problems",
        &format!("<h1>Problems</h1><dl>{entries}</dl>"),
    ))
}

/// What a problem means
#[utoipa::path(
    get,
    path = "/problems/{name}",
    tag = "operations",
    security(()),
    params(("name" = String, Path, description = "The last part of a problem's `type`")),
    responses(
        (status = 200, description = "What it means and what to do about it", content(
            (ProblemPage = "application/json"),
            (String = "text/html"),
        )),
        (status = 404, description = "No problem has this name", body = problem::Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn explain_problem(request: HttpRequest, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let kind =
        problem::by_name(&name).ok_or_else(|| ApiError::NotFound("No problem has this name.".into()))?;
    if !page::is_wanted(request.headers()) {
        return Ok(cacheable(
            HttpResponse::Ok()
                .insert_header((VARY, "Accept"))
                .json(ProblemPage::of(kind)),
        ));
    }
    Ok(cacheable(page::answer(
        kind.title,
        &format!(
            "<h1>{}</h1><p>{}</p><p>HTTP status {}, <code>type</code> <code>/problems/{}</code>.</p>\
             <footer><a href=\"/problems\">All problems</a></footer>",
            page::escape(kind.title),
            page::prose(kind.explanation),
            kind.status,
            kind.name
        ),
    )))
}

fn cacheable(mut response: HttpResponse) -> HttpResponse {
    let an_hour = actix_web::http::header::HeaderValue::from_static("public, max-age=3600");
    response.headers_mut().insert(CACHE_CONTROL, an_hour);
    response
}
