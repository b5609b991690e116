//! Mounting is documenting: an [`Operation`] holds a handler and its entry in the OpenAPI document, and method, path
//! and access are read from that entry alone. What isn't documented can't be mounted, and what is documented as
//! private is behind the bearer check, because it is the same statement.
//!
//! utoipa-actix-web offers the first half of this. It mounts what `.route(..)` adds without documenting it, and
//! knows nothing of access; the 405 and its `Allow` would have to be added by hand for each resource.

use std::collections::BTreeMap;

use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, Route, guard};
use utoipa::openapi::path::{HttpMethod, Operation as OperationDocument};
use utoipa::openapi::{OpenApi, RefOr, Schema, SecurityRequirement};

use super::{oauth, openapi, problem};

/// One operation of the API: documented, and ready to be mounted.
///
/// Its entry in the document is made when it is needed and not kept: every worker mounts every operation, and all entries
/// at once are some mebibytes, which the allocator would keep for each worker.
pub struct Operation {
    path: String,
    methods: Vec<HttpMethod>,
    access: Access,
    entry: fn() -> OperationDocument,
    /// Adds the schemas that the entry refers to. The document needs them, and mounting doesn't.
    schemas: fn(&mut Vec<(String, RefOr<Schema>)>),
    handler: Box<dyn Fn() -> Route>,
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operation")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Operation {
    /// Puts a handler and its documentation together: `D` is the type that `#[utoipa::path]` makes for it.
    pub fn new<D>(handler: impl Fn() -> Route + 'static) -> Self
    where
        D: utoipa::Path + utoipa::__dev::SchemaReferences + for<'t> utoipa::__dev::Tags<'t>,
    {
        Self {
            path: D::path(),
            methods: D::methods(),
            access: Access::of(&D::operation()),
            entry: entry::<D>,
            schemas: D::schemas,
            handler: Box::new(handler),
        }
    }
}

/// What the document says of an operation.
fn entry<D>() -> OperationDocument
where
    D: utoipa::Path + for<'t> utoipa::__dev::Tags<'t>,
{
    let mut entry = D::operation();
    entry.tags = Some(D::tags().into_iter().map(str::to_owned).collect());
    entry
}

/// Who may call an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Anyone, with `security(())`.
    Anyone,
    /// A service that an operator has registered, with `security(("client" = []))`: its handler takes
    /// [`super::basic::BasicCredentials`], and a service checks them.
    RegisteredClient,
    /// Whoever is signed in.
    SignedIn,
}

impl Access {
    /// Silence means whoever is signed in, and so does anything that isn't known here.
    fn of(entry: &OperationDocument) -> Self {
        let Some(alternatives) = &entry.security else {
            return Self::SignedIn;
        };
        if alternatives.contains(&SecurityRequirement::default()) {
            Self::Anyone
        } else if *alternatives == openapi::registered_client() {
            Self::RegisteredClient
        } else {
            Self::SignedIn
        }
    }
}

/// Mounts operations. `protect` puts the bearer check in front of a route.
pub fn mount(config: &mut ServiceConfig, operations: Vec<Operation>, protect: impl Fn(Route) -> Route) {
    let mut resources: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
    for operation in operations {
        resources
            .entry(operation.path.clone())
            .or_default()
            .push(operation);
    }
    for (path, operations) in resources {
        let allow = allow(&operations);
        let mut resource = web::resource(pattern(&path));
        for operation in &operations {
            for method in operation.methods.iter().map(method) {
                let mut route = (operation.handler)();
                // HEAD is GET without the content (RFC 9110 §9.3.2); the server leaves that away itself.
                route = if method == Method::GET {
                    route.guard(guard::Any(guard::Get()).or(guard::Head()))
                } else {
                    route.method(method)
                };
                resource = resource.route(match operation.access {
                    Access::SignedIn => protect(route),
                    Access::Anyone | Access::RegisteredClient => route,
                });
            }
        }
        let options = allow.clone();
        resource = resource.route(web::method(Method::OPTIONS).to(move || {
            let answer = HttpResponse::NoContent()
                .insert_header(("allow", options.clone()))
                .finish();
            async move { answer }
        }));
        config.service(resource.default_service(web::to(move || {
            let answer = problem::method_not_allowed(&allow);
            async move { answer }
        })));
    }
}

/// The OpenAPI document of operations.
#[must_use]
pub fn document(operations: Vec<Operation>) -> OpenApi {
    let mut document = openapi::base();
    let components = document.components.get_or_insert_default();
    for operation in &operations {
        let mut schemas = Vec::new();
        (operation.schemas)(&mut schemas);
        components.schemas.extend(schemas);
    }
    for operation in operations {
        let is_behind_bearer = operation.access == Access::SignedIn;
        let is_single = operation.methods.len() == 1;
        for method in operation.methods {
            let mut entry = (operation.entry)();
            if !is_single {
                // Operation ids have to be unique.
                entry.operation_id = entry.operation_id.map(|id| format!("{id}_{}", name(&method)));
            }
            if is_behind_bearer {
                entry.security = Some(openapi::private());
            }
            openapi::add_common_answers(&mut entry, !is_behind_bearer, oauth::is_oauth(&operation.path));
            document
                .paths
                .add_path_operation(&operation.path, vec![method], entry);
        }
    }
    document
}

/// Paths are mounted in the spelling without a trailing slash; the envelope takes one off before.
fn pattern(path: &str) -> &str {
    if path == "/" {
        path
    } else {
        path.trim_end_matches('/')
    }
}

fn allow(operations: &[Operation]) -> String {
    let mut names = Vec::new();
    for method in operations
        .iter()
        .flat_map(|operation| &operation.methods)
        .map(method)
    {
        names.push(method.as_str().to_owned());
        if method == Method::GET {
            names.push("HEAD".to_owned());
        }
    }
    names.push("OPTIONS".to_owned());
    names.join(", ")
}

const fn name(method: &HttpMethod) -> &'static str {
    match method {
        HttpMethod::Get => "get",
        HttpMethod::Post => "post",
        HttpMethod::Put => "put",
        HttpMethod::Delete => "delete",
        HttpMethod::Options => "options",
        HttpMethod::Head => "head",
        HttpMethod::Patch => "patch",
        HttpMethod::Trace => "trace",
    }
}

fn method(method: &HttpMethod) -> Method {
    match method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Delete => Method::DELETE,
        HttpMethod::Options => Method::OPTIONS,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Trace => Method::TRACE,
    }
}
