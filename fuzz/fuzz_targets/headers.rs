//! What comes in headers, and what the framework writes for requests that it can't read.
//!
//! The first byte says which: `f` X-Forwarded-For, `b` a bearer token, `c` Basic credentials, `m` If-Match, `k` cookies,
//! `o` who sent a cookie, `u` an URL's origin, `g` a user agent, `a` Accept, `i` Idempotency-Key, `w` a refusal of the
//! framework's, `p` bytes of a connection on which requests follow each other. Several values are lines.

#![no_main]

use std::net::{IpAddr, SocketAddr};

use actix_web::dev::Payload;
use actix_web::http::header::{ACCEPT, AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue, IF_MATCH};
use actix_web::test::TestRequest;
use actix_web::{FromRequest, HttpRequest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use libfuzzer_sys::{Corpus, fuzz_target};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use roster::config::Network;
use roster::domain::Precondition;
use roster::http::basic::BasicCredentials;
use roster::http::bearer::BearerToken;
use roster::http::conditional::{IfMatch, entity_tag};
use roster::http::idempotency::IdempotencyKey;
use roster::http::origin::client_address;
use roster::http::pipeline::Gate;
use roster::http::{fuzzing, page};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Some((&kind, rest)) = bytes.split_first() else {
        return Corpus::Reject;
    };
    if kind == b'w' {
        refusal(rest);
        return Corpus::Keep;
    }
    if kind == b'p' {
        pipelined(rest);
        return Corpus::Keep;
    }
    let lines = rest.split(|&byte| byte == b'\n').map(HeaderValue::from_bytes);
    let Ok(values) = lines.collect::<Result<Vec<_>, _>>() else {
        return Corpus::Reject;
    };
    match kind {
        b'f' => forwarded_for(&values),
        b'b' => bearer(&values),
        b'c' => basic(&values),
        b'm' => if_match(&values),
        b'k' => cookies(&values),
        b'o' => sender(&values),
        b'u' => origin(&values),
        b'g' => user_agent(&values),
        b'a' => accept(&values),
        b'i' => idempotency_key(&values),
        _ => return Corpus::Reject,
    }
    Corpus::Keep
});

fn headers(name: &HeaderName, values: &[HeaderValue]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(name.clone(), value.clone());
    }
    headers
}

fn request(name: &HeaderName, values: &[HeaderValue]) -> HttpRequest {
    let mut request = TestRequest::default();
    for value in values {
        request = request.append_header((name.clone(), value.clone()));
    }
    request.to_http_request()
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("a header")
}

/// Always an address, and none from left of one that isn't trusted.
fn forwarded_for(values: &[HeaderValue]) {
    const NAME: HeaderName = HeaderName::from_static("x-forwarded-for");
    let address = |text: &str| -> IpAddr { text.parse().expect("an address") };
    let trusted: Vec<Network> = ["10.0.0.0/8", "fd00::/8", "::1"]
        .map(|network| network.parse().expect("a network"))
        .into();
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let client = |peer: IpAddr, values: &[HeaderValue]| {
        client_address(Some(SocketAddr::new(peer, 9)), &headers(&NAME, values), &trusted)
            .expect("there is a peer, so there is an address")
    };
    for peer in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"].map(address) {
        assert_eq!(
            client(peer, values),
            peer.to_canonical(),
            "a stranger isn't believed"
        );
    }
    for peer in ["10.0.0.1", "fd00::1", "::ffff:10.0.0.1"].map(address) {
        let found = client(peer, values);
        assert_eq!(found, found.to_canonical());
        let forged = address("203.0.113.9");
        let with_forged = client(peer, &[&[header("203.0.113.9")], values].concat());
        // What stands further left counts only where all the rest is of trusted proxies.
        assert!(with_forged == found || with_forged == forged && is_trusted(found));
        let garbage = client(peer, &[&[header("?")], values].concat());
        assert!(garbage == found || garbage == peer.to_canonical() && is_trusted(found));
        if let Ok(lines) = values
            .iter()
            .map(HeaderValue::to_str)
            .collect::<Result<Vec<_>, _>>()
        {
            assert_eq!(
                client(peer, &[header(&lines.join(","))]),
                found,
                "lines are one list"
            );
        }
        let nearest = client(peer, &[values, &[header("198.51.100.7")]].concat());
        assert_eq!(
            nearest,
            address("198.51.100.7"),
            "what the proxy has added itself"
        );
    }
}

/// The token as it was sent, of a token's characters, from the only header.
fn bearer(values: &[HeaderValue]) {
    let read = |values: &[HeaderValue]| {
        BearerToken::from_request(&request(&AUTHORIZATION, values), &mut Payload::None).into_inner()
    };
    let Ok(token) = read(values) else { return };
    let token = token.expose();
    assert_eq!(values.len(), 1);
    let sent = values
        .first()
        .and_then(|value| value.to_str().ok())
        .expect("a text");
    assert!(
        sent.get(..7)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer "))
    );
    assert_eq!(sent.rsplit(' ').next(), Some(token));
    assert!(
        !token.is_empty()
            && token
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b))
    );
    let again = read(&[header(&format!("Bearer {token}"))]).expect("what was read can be sent");
    assert_eq!(again.expose(), token);
    assert!(read(&[values, values].concat()).is_err(), "two identities");
}

/// What was read can be written, and is then read the same.
fn basic(values: &[HeaderValue]) {
    let read = |values: &[HeaderValue]| {
        BasicCredentials::from_request(&request(&AUTHORIZATION, values), &mut Payload::None).into_inner()
    };
    let Ok(found) = read(values) else { return };
    assert_eq!(values.len(), 1);
    let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let joined = BASE64_STANDARD.encode(format!("{}:{}", encode(&found.id), encode(&found.secret)));
    let again = read(&[header(&format!("Basic {joined}"))]).expect("what was read can be sent");
    assert_eq!((again.id, again.secret), (found.id, found.secret));
    assert!(read(&[values, values].concat()).is_err(), "two identities");
}

/// Only revisions whose very tags were sent.
fn if_match(values: &[HeaderValue]) {
    let read = |values: &[HeaderValue]| {
        IfMatch::from_request(&request(&IF_MATCH, values), &mut Payload::None)
            .into_inner()
            .map(|found| found.0)
    };
    let Ok(Precondition::RevisionIn(revisions)) = read(values) else {
        return;
    };
    let tags: Vec<_> = revisions
        .iter()
        .map(|revision| entity_tag(*revision).to_str().expect("a text").to_owned())
        .collect();
    for tag in &tags {
        let is_sent = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains(tag));
        assert!(values.iter().any(is_sent), "{tag}");
    }
    if !tags.is_empty() {
        assert_eq!(
            read(&[header(&tags.join(", "))]).ok(),
            Some(Precondition::RevisionIn(revisions))
        );
    }
}

/// No other cookie hides ours, none is taken for it, and two of them are two.
fn cookies(values: &[HeaderValue]) {
    for is_https in [false, true] {
        let found = fuzzing::cookie_values(&headers(&COOKIE, values), is_https);
        assert!(found.iter().all(|value| !value.contains(';')));
        let ours = header(&format!("a=b; {}=roster_rt_x", fuzzing::cookie_name(is_https)));
        for values in [
            [std::slice::from_ref(&ours), values].concat(),
            [values, std::slice::from_ref(&ours)].concat(),
        ] {
            let with_ours = fuzzing::cookie_values(&headers(&COOKIE, &values), is_https);
            assert_eq!(with_ours.len(), found.len() + 1);
            assert!(with_ours.iter().any(|value| value == "roster_rt_x"));
        }
    }
}

/// Lines are Origin, Sec-Fetch-Site and Host; an empty one isn't sent.
fn sender(values: &[HeaderValue]) {
    let line = |at: usize| {
        values
            .get(at)
            .and_then(|value| value.to_str().ok())
            .filter(|text| !text.is_empty())
    };
    let (origin, site, host) = (line(0), line(1), line(2));
    let allowed = ["https://app.example.org".to_owned()];
    let found = fuzzing::is_own_page(
        origin,
        site,
        host,
        "https://accounts.example.org:443/base",
        &allowed,
    );
    assert_eq!(found.is_none(), origin.is_none() && site.is_none());
    if found == Some(true) {
        let is_known = origin.is_some_and(|origin| {
            ["https://accounts.example.org", "https://app.example.org"]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(origin))
        });
        match site {
            None | Some("same-site") => assert!(is_known),
            Some("same-origin") => {
                let is_hosts =
                    |origin: &str| host.is_some_and(|host| origin.ends_with(&format!("://{host}")));
                assert!(is_known || origin.is_none_or(is_hosts));
            }
            Some(other) => panic!("{other}"),
        }
    }
}

/// The origin of an http URL is the one of the URL standard.
fn origin(values: &[HeaderValue]) {
    let Some(text) = values.first().and_then(|value| value.to_str().ok()) else {
        return;
    };
    let _ = fuzzing::origin_of(text);
    if let Ok(url) = url::Url::parse(text)
        && matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
    {
        assert_eq!(
            fuzzing::origin_of(url.as_str()),
            url.origin().ascii_serialization()
        );
    }
}

/// One line that fits into its column.
fn user_agent(values: &[HeaderValue]) {
    for value in values {
        let text = fuzzing::user_agent(value);
        assert!(text.len() <= 512 && !text.contains(char::is_control));
        assert_eq!(fuzzing::user_agent(&header(&text)), text);
    }
}

/// A page is for those only who name one.
fn accept(values: &[HeaderValue]) {
    if page::is_wanted(&headers(&ACCEPT, values)) {
        let names_it = |value: &HeaderValue| {
            value
                .to_str()
                .is_ok_and(|text| text.to_ascii_lowercase().contains("text/html"))
        };
        assert!(values.iter().any(names_it));
    }
}

/// The text that was sent, with quotes or without, from the only header.
fn idempotency_key(values: &[HeaderValue]) {
    const NAME: HeaderName = HeaderName::from_static("idempotency-key");
    let read = |values: &[HeaderValue]| {
        IdempotencyKey::from_request(&request(&NAME, values), &mut Payload::None)
            .into_inner()
            .map(|key| key.0)
    };
    let Ok(Some(key)) = read(values) else { return };
    assert_eq!(values.len(), 1);
    assert!((1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()));
    let quoted = key.replace('\\', "\\\\").replace('"', "\\\"");
    let again = read(&[header(&format!("\"{quoted}\""))]).expect("what was read can be sent");
    assert_eq!(again.as_ref(), Some(&key));
    assert!(read(&[values, values].concat()).is_err(), "two requests");
}

/// A failure's head at the very end, and never an answer of ours.
fn refusal(buffer: &[u8]) {
    let Some((start, status)) = fuzzing::find_refusal(buffer) else {
        return;
    };
    let head = buffer.get(start..).expect("it begins inside");
    assert!(head.starts_with(b"HTTP/1.1 ") && head.ends_with(b"\r\n\r\n"));
    assert!((400..=999).contains(&status));
    let ours = [&buffer[..buffer.len() - 2], b"X-Request-Id: a\r\n\r\n"].concat();
    assert_eq!(fuzzing::find_refusal(&ours), None);
}

/// However a head arrives, the same of it passes: all to its end, and nothing behind it. The first byte says where it is cut.
fn pipelined(bytes: &[u8]) {
    let Some((&cut, bytes)) = bytes.split_first() else {
        return;
    };
    let (first, second) = bytes.split_at(usize::from(cut).min(bytes.len()));
    let mut gate = Gate::default();
    let passed = gate.admit(bytes);
    let mut cut_gate = Gate::default();
    assert_eq!(cut_gate.admit(first) + cut_gate.admit(second), passed);
    assert_eq!(cut_gate, gate);

    // Lines without what doesn't count in them, and where each ends.
    let mut ends = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(at, _)| at + 1);
    let mut start = 0;
    let mut has_begun = false;
    let end = ends.find(|&end| {
        let is_empty = bytes[start..end].iter().all(|byte| matches!(byte, b'\r' | b'\n'));
        start = end;
        has_begun |= !is_empty;
        has_begun && is_empty
    });
    assert_eq!(passed, end.unwrap_or(bytes.len()));
    assert_eq!(gate == Gate::Shut, end.is_some());
    if end.is_some() {
        assert_eq!(gate.admit(b"GET / HTTP/1.1\r\n\r\n"), 0);
    }
}
