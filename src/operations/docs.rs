//! The OpenAPI document, and Swagger UI served from the binary: no page loads anything from elsewhere.

use std::sync::{Arc, OnceLock};

use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::app::AppState;
use crate::error::ApiError;
use crate::http::mount::Operation;
use crate::http::problem::Problem;

/// The OpenAPI document as it is served: made when somebody first asks for it, and then kept. What makes it is a good part
/// of the program's code, which a server that nobody asks never maps. The price is some milliseconds of a worker, once.
///
/// Clones share what was made.
#[derive(Clone, Debug)]
pub struct OpenApiDocument {
    make: fn() -> Result<String, serde_json::Error>,
    made: Arc<OnceLock<Bytes>>,
}

impl OpenApiDocument {
    /// A document that is still to be made.
    #[must_use]
    pub fn new(make: fn() -> Result<String, serde_json::Error>) -> Self {
        Self {
            make,
            made: Arc::default(),
        }
    }

    /// Two that are the first at once both make it, and one of the two equal documents is kept.
    fn bytes(&self) -> Result<Bytes, ApiError> {
        if let Some(made) = self.made.get() {
            return Ok(made.clone());
        }
        let made = Bytes::from((self.make)().map_err(ApiError::internal)?);
        Ok(self.made.get_or_init(|| made).clone())
    }
}

/// The operations of this feature.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new::<__path_openapi>(|| web::to(openapi)),
        Operation::new::<__path_docs>(|| web::to(docs)),
        Operation::new::<__path_docs_file>(|| web::to(docs_file)),
    ]
}

/// Swagger UI's own files go by their own names; the start script is ours.
const FILES: [&str; 3] = ["swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"];
const START_SCRIPT: &str = "start.js";

/// Swagger UI sets styles on elements, and shows images from `data:` addresses. Scripts come from this server alone.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

const PAGE: &str = "\
<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>Roster API</title>\
<link rel=\"icon\" type=\"image/png\" href=\"/docs/favicon-32x32.png\">\
<link rel=\"stylesheet\" href=\"/docs/swagger-ui.css\"></head>\
<body><div id=\"swagger-ui\"></div>\
<script src=\"/docs/swagger-ui-bundle.js\"></script><script src=\"/docs/start.js\"></script></body></html>";

/// `validatorUrl` is null: the badge would send the address of this document to a service on the internet.
const SCRIPT: &str = "\
window.ui = SwaggerUIBundle({ url: '/openapi.json', dom_id: '#swagger-ui', deepLinking: true, validatorUrl: null, \
displayRequestDuration: true, tryItOutEnabled: true, presets: [SwaggerUIBundle.presets.apis] });\n";

/// The OpenAPI document
///
/// What a client may rely on, as OpenAPI 3.1.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operations",
    security(()),
    responses((status = 200, description = "The document", body = Object, content_type = "application/json")),
)]
async fn openapi(document: web::Data<OpenApiDocument>) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .content_type("application/json")
        .body(document.bytes()?))
}

/// Interactive documentation
///
/// Swagger UI: press *Authorize*, sign in, and try every operation.
#[utoipa::path(
    get,
    path = "/docs",
    tag = "operations",
    security(()),
    responses(
        (status = 200, description = "The page", body = String, content_type = "text/html"),
        (status = 404, description = "`docs.enabled` is off", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn docs(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    check_enabled(&request)?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .content_type("text/html; charset=utf-8")
        .body(PAGE))
}

/// Files of the interactive documentation
#[utoipa::path(
    get,
    path = "/docs/{file}",
    tag = "operations",
    security(()),
    params(("file" = String, Path, description = "The name of a file of Swagger UI")),
    responses(
        (status = 200, description = "The file", content(
            (String = "text/css"),
            (String = "text/javascript"),
            (String = "image/png"),
        )),
        (status = 404, description = "No such file, or `docs.enabled` is off", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn docs_file(request: HttpRequest, file: web::Path<String>) -> Result<HttpResponse, ApiError> {
    check_enabled(&request)?;
    let mut response = HttpResponse::Ok();
    response.insert_header((CACHE_CONTROL, "public, max-age=3600"));
    if file.as_str() == START_SCRIPT {
        return Ok(response
            .content_type("text/javascript; charset=utf-8")
            .body(SCRIPT));
    }
    let not_found = || ApiError::NotFound("The documentation has no such file.".into());
    if !FILES.contains(&file.as_str()) {
        return Err(not_found());
    }
    let served = utoipa_swagger_ui::serve(&file, Arc::new(utoipa_swagger_ui::Config::from("/openapi.json")))
        .map_err(|error| ApiError::internal(error.to_string()))?
        .ok_or_else(not_found)?;
    if served.gzpipped {
        response.insert_header((CONTENT_ENCODING, "gzip"));
    }
    let media_type = if file.ends_with(".js") {
        "text/javascript".to_owned()
    } else {
        served.content_type
    };
    Ok(response.content_type(media_type).body(served.bytes.into_owned()))
}

fn check_enabled(request: &HttpRequest) -> Result<(), ApiError> {
    if AppState::of(request)?.config.docs.enabled {
        Ok(())
    } else {
        Err(ApiError::NotFound(
            "The interactive documentation is switched off (docs.enabled).".into(),
        ))
    }
}
