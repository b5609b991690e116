//! What the OpenAPI document says of the API as a whole.

use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{
    Flow, HttpAuthScheme, HttpBuilder, OAuth2, Password, Scopes, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    Components, ContactBuilder, ContentBuilder, HeaderBuilder, InfoBuilder, LicenseBuilder, OpenApi,
    OpenApiBuilder, Ref, RefOr, ResponseBuilder,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::oauth::OAuthError;
use super::problem::{self, Problem, ProblemField};

const DESCRIPTION: &str = "\
User accounts: register, sign in, read and change the profile, leave.\n\n\
Press **Authorize** and sign in with an e-mail address and a password; the private operations then carry the token.\n\n\
Every path answers with and without its trailing slash. Failures are problem documents (RFC 9457); `type` leads to \
a page that explains it. Under `/oauth/` they are what RFC 6749 says. HEAD is answered wherever GET is, and OPTIONS everywhere. Every answer has an `X-Request-Id`.";

/// The name of the scheme that signs in at `/login`.
const LOGIN: &str = "login";
/// The name of the scheme for a token that one has already.
const BEARER: &str = "bearer";

/// The name of the scheme for services that were registered by an operator.
const CLIENT: &str = "client";

/// The schema of a text that is one of these: where the names are a list already, and a type of their own would be another.
#[must_use]
pub fn one_of(names: impl IntoIterator<Item = &'static str>) -> RefOr<Schema> {
    let names = names.into_iter().collect::<Vec<_>>();
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names))
        .into()
}

/// The document without its operations.
#[must_use]
pub fn base() -> OpenApi {
    let mut components = Components::new();
    components
        .schemas
        .insert(Problem::name().into_owned(), Problem::schema());
    components
        .schemas
        .insert(ProblemField::name().into_owned(), ProblemField::schema());
    // Not advertised as an OAuth grant to third parties; this flow is how Swagger UI and generated clients know how
    // to sign in.
    let login = OAuth2::new([Flow::Password(Password::with_refresh_url(
        "/login",
        Scopes::new(),
        "/oauth/token",
    ))]);
    components
        .security_schemes
        .insert(LOGIN.into(), RefOr::T(SecurityScheme::OAuth2(login)));
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .build();
    components
        .security_schemes
        .insert(BEARER.into(), RefOr::T(SecurityScheme::Http(bearer)));
    let client = HttpBuilder::new().scheme(HttpAuthScheme::Basic).build();
    components
        .security_schemes
        .insert(CLIENT.into(), RefOr::T(SecurityScheme::Http(client)));
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Roster")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(DESCRIPTION))
                .contact(Some(ContactBuilder::new().name(Some("Roster")).build()))
                .license(Some(LicenseBuilder::new().name("MIT").build()))
                .build(),
        )
        .components(Some(components))
        .build()
}

/// What a private operation asks for: either scheme.
#[must_use]
pub fn private() -> Vec<SecurityRequirement> {
    [LOGIN, BEARER]
        .map(|scheme| SecurityRequirement::new(scheme, Vec::<String>::new()))
        .into()
}

/// What an operation asks for that is for registered services.
#[must_use]
pub fn registered_client() -> Vec<SecurityRequirement> {
    vec![SecurityRequirement::new(CLIENT, Vec::<String>::new())]
}

/// Adds the answers that any operation of its sort can give, where it hasn't said them itself.
pub fn add_common_answers(operation: &mut Operation, is_public: bool, is_oauth: bool) {
    let has_body = operation.request_body.is_some();
    let answers = [
        (true, &problem::MALFORMED_REQUEST),
        (!is_public, &problem::INVALID_TOKEN),
        (has_body, &problem::PAYLOAD_TOO_LARGE),
        (has_body, &problem::UNSUPPORTED_MEDIA_TYPE),
        // Under /oauth/ that is a 400, as RFC 6749 §5.2 has it.
        (has_body && !is_oauth, &problem::VALIDATION_FAILED),
        (true, &problem::INTERNAL_ERROR),
        (!is_public || has_body, &problem::DATABASE_UNAVAILABLE),
    ];
    for (_, kind) in answers.into_iter().filter(|(applies, _)| *applies) {
        let (name, media_type) = if is_oauth {
            (OAuthError::name(), "application/json")
        } else {
            (Problem::name(), problem::MEDIA_TYPE)
        };
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name(name)))
            .build();
        let response = ResponseBuilder::new()
            .description(kind.title)
            .content(media_type, content)
            .build();
        operation
            .responses
            .responses
            .entry(kind.status.to_string())
            .or_insert(RefOr::T(response));
    }
    add_rate_limit_fields(operation);
}

/// Adds the fields that tell how a client stands, where an operation says that it has limits: where it can answer 429.
fn add_rate_limit_fields(operation: &mut Operation) {
    const FIELDS: [(&str, &str, &str); 2] = [
        (
            "RateLimit-Policy",
            "The limits that the request was held to: `q` attempts in `w` seconds",
            "\"account\";q=10;w=36000, \"address\";q=100;w=3600",
        ),
        (
            "RateLimit",
            "How many attempts are left (`r`), and in how many seconds there is one more (`t`)",
            "\"address\";r=99;t=36",
        ),
    ];
    let limited = problem::TOO_MANY_REQUESTS.status.to_string();
    if !operation.responses.responses.contains_key(&limited) {
        return;
    }
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        for (name, description, example) in FIELDS {
            let header = HeaderBuilder::new()
                .schema(Some(String::schema()))
                .description(Some(description))
                .example(Some(example.into()))
                .build();
            response.headers.insert(name.to_owned(), RefOr::T(header));
        }
        if *status == limited {
            let header = HeaderBuilder::new()
                .schema(Some(u32::schema()))
                .description(Some("After how many seconds the next attempt is looked at"))
                .build();
            response
                .headers
                .insert("Retry-After".to_owned(), RefOr::T(header));
        }
    }
}
