//! Where a request comes from: for the audit trail and the logs.

use std::future::{Ready, ready};
use std::net::{IpAddr, SocketAddr};

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};

use crate::app::AppState;
use crate::config::Network;
use crate::domain::Origin;
use crate::error::ApiError;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const MAX_USER_AGENT: usize = 512;

/// The id of a request, as a header value that clones without copying.
#[derive(Clone, Debug)]
pub struct RequestId(pub HeaderValue);

impl RequestId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// The origin of a request, for handlers that write to the audit trail.
#[derive(Debug)]
pub struct RequestOrigin(pub Origin);

impl FromRequest for RequestOrigin {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(AppState::of(request).map(|state| {
            Self(Origin {
                ip: client_address(
                    request.peer_addr(),
                    request.headers(),
                    &state.config.server.trusted_proxies,
                ),
                user_agent: request.headers().get(USER_AGENT).map(user_agent),
                request_id: request
                    .extensions()
                    .get::<RequestId>()
                    .map(|id| id.as_str().to_owned()),
            })
        }))
    }
}

/// The client's address: the nearest one, from the right of `X-Forwarded-For`, that isn't a trusted proxy's. What a
/// client writes itself stands further left and isn't heard. What can't be read counts as the peer's own address:
/// never as none, which would lift every limit by address.
#[must_use]
pub fn client_address(peer: Option<SocketAddr>, headers: &HeaderMap, trusted: &[Network]) -> Option<IpAddr> {
    let peer = peer?.ip().to_canonical();
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(peer) {
        return Some(peer);
    }
    let values: Vec<_> = headers.get_all(X_FORWARDED_FOR).collect();
    let mut nearest = peer;
    for value in values.into_iter().rev() {
        let Ok(text) = value.to_str() else {
            return Some(peer);
        };
        for entry in text.rsplit(',') {
            let Some(address) = parse_address(entry.trim()) else {
                return Some(peer);
            };
            nearest = address;
            if !is_trusted(address) {
                return Some(address);
            }
        }
    }
    Some(nearest)
}

/// An address, with or without a port, as proxies write it.
fn parse_address(text: &str) -> Option<IpAddr> {
    let address = text
        .parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())?;
    Some(address.to_canonical())
}

/// As text that fits into one line and one column.
pub(super) fn user_agent(value: &HeaderValue) -> String {
    let text = String::from_utf8_lossy(value.as_bytes());
    let mut cut: String = text.chars().filter(|c| !c.is_control()).collect();
    cut.truncate(cut.floor_char_boundary(MAX_USER_AGENT));
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_str(value).unwrap());
        }
        let trusted: Vec<Network> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        client_address(
            Some(SocketAddr::new(peer.parse().unwrap(), 1)),
            &headers,
            &trusted,
        )
        .unwrap()
        .to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed_and_only_from_the_right() {
        assert_eq!(client("9.9.9.9", &["1.1.1.1"], &[]), "9.9.9.9");
        assert_eq!(
            client("10.0.0.1", &["1.1.1.1, 2.2.2.2"], &["10.0.0.0/8"]),
            "2.2.2.2"
        );
        assert_eq!(
            client("10.0.0.1", &["1.1.1.1, 2.2.2.2, 10.0.0.7"], &["10.0.0.0/8"]),
            "2.2.2.2"
        );
        assert_eq!(
            client("10.0.0.1", &["1.1.1.1", "2.2.2.2"], &["10.0.0.0/8"]),
            "2.2.2.2"
        );
        assert_eq!(client("10.0.0.1", &["10.0.0.9"], &["10.0.0.0/8"]), "10.0.0.9");
        assert_eq!(
            client("10.0.0.1", &["[2001:db8::1]:443"], &["10.0.0.0/8"]),
            "2001:db8::1"
        );
        assert_eq!(
            client("::ffff:10.0.0.1", &["2.2.2.2:80"], &["10.0.0.0/8"]),
            "2.2.2.2"
        );
    }

    #[test]
    fn what_cannot_be_read_is_the_peer() {
        for value in ["", "unknown", "1.1.1.1, evil", "1.1.1.1,", "999.1.1.1"] {
            assert_eq!(
                client("10.0.0.1", &[value], &["10.0.0.0/8"]),
                "10.0.0.1",
                "{value:?}"
            );
        }
    }
}
