//! The `RateLimit` and `RateLimit-Policy` fields (draft-ietf-httpapi-ratelimit-headers-10, structured fields of RFC 9651):
//! how a client stands, also before it stands badly.
//!
//! A handler notes what a service has told; the envelope puts it on the answer, whatever that has become.

use std::fmt::Write as _;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpMessage as _, HttpRequest};

use crate::domain::{Limited, Standing};

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Notes how the client stands, and hands on what came of its request.
pub fn told<T>(request: &HttpRequest, limited: Limited<T>) -> T {
    if let Some(standing) = limited.standing {
        request.extensions_mut().insert(standing);
    }
    limited.outcome
}

/// Tells what was noted for this request.
pub fn add_fields(request: &HttpRequest, headers: &mut HeaderMap) {
    let extensions = request.extensions();
    let Some(standing) = extensions.get::<Standing>() else {
        return;
    };
    for (name, text) in [
        (RATELIMIT_POLICY, policies(standing)),
        (RATELIMIT, remaining(standing)),
    ] {
        if let Ok(value) = HeaderValue::from_str(&text)
            && !text.is_empty()
        {
            headers.insert(name, value);
        }
    }
}

fn policies(standing: &Standing) -> String {
    let mut text = String::new();
    for policy in &standing.policies {
        let separator = if text.is_empty() { "" } else { ", " };
        // Writing to a string doesn't fail.
        let _ = write!(
            text,
            "{separator}\"{}\";q={};w={}",
            policy.name, policy.quota, policy.window_seconds
        );
    }
    text
}

fn remaining(standing: &Standing) -> String {
    let told = standing.remaining.as_ref();
    told.map_or_else(String::new, |left| {
        format!("\"{}\";r={};t={}", left.name, left.remaining, left.reset_seconds)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{QuotaPolicy, RemainingQuota};

    #[test]
    fn they_are_lists_of_strings_with_parameters() {
        let policy = |name, quota| QuotaPolicy {
            name,
            quota,
            window_seconds: 60,
        };
        let standing = Standing {
            policies: vec![policy("account", 10), policy("address", 100)],
            remaining: Some(RemainingQuota {
                name: "address",
                remaining: 9,
                reset_seconds: 6,
            }),
        };
        assert_eq!(
            policies(&standing),
            r#""account";q=10;w=60, "address";q=100;w=60"#
        );
        assert_eq!(remaining(&standing), r#""address";r=9;t=6"#);
        assert_eq!(remaining(&Standing::default()), "");
    }
}
