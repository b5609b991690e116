//! Requests that a client sends without waiting for answers (RFC 9112 §9.3.2) reach the framework one by one.
//!
//! The framework reads ahead while a request is being answered, and what it encodes answers by is the head that it read
//! last: a HEAD with a GET behind it was answered with a body, a GET with a HEAD behind it without, and the client took
//! for the next answer what wasn't one. So whatever comes behind a request is kept until that has its answer.
//!
//! Where a head ends is seen here. How far its body goes is told by whoever was given the parsed head, so that no second
//! parser can disagree with the framework's. A body that isn't measured by a length isn't followed: on such a connection
//! everything passes from there on, as RFC 9112 asks nobody to send more behind it.
//!
//! The price is a look at each byte of a head, and a copy of what came in one read with it.

use actix_web::http::Method;
use actix_web::http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING, UPGRADE};

/// What of a connection's bytes may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// A head, to its end.
    Head(Line),
    /// Nothing, until the request is answered.
    Shut,
    /// So many bytes of a body.
    Body(u64),
    /// Everything, for good.
    Open,
}

/// What has come of the line of a head that is arriving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Nothing, and nothing before it: empty lines before a request are passed over (RFC 9112 §2.2).
    First,
    /// Nothing: if it ends like that, so does the head.
    Empty,
    /// Something.
    Begun,
}

impl Default for Gate {
    fn default() -> Self {
        Self::Head(Line::First)
    }
}

impl Gate {
    /// What passes behind a head: its body, as the framework measures it.
    #[must_use]
    pub fn behind(method: &Method, headers: &HeaderMap) -> Self {
        let is_unmeasured = headers.contains_key(TRANSFER_ENCODING) || headers.contains_key(UPGRADE);
        if is_unmeasured || method == Method::CONNECT {
            return Self::Open;
        }
        let Some(length) = headers.get(CONTENT_LENGTH) else {
            return Self::Shut;
        };
        let length = length.to_str().ok().and_then(|length| length.trim().parse().ok());
        length.map_or(Self::Open, Self::body)
    }

    const fn body(length: u64) -> Self {
        if length == 0 {
            Self::Shut
        } else {
            Self::Body(length)
        }
    }

    /// Once the request that has passed is answered. Of a body that wasn't waited for nobody knows the end: the framework
    /// closes such a connection, and has to see what it still gets.
    #[must_use]
    pub fn after_answer(self, is_closing: bool) -> Self {
        match self {
            Self::Shut if !is_closing => Self::default(),
            Self::Head(_) if !is_closing => self,
            _ => Self::Open,
        }
    }

    /// How many of these bytes pass now.
    pub fn admit(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Open => bytes.len(),
            Self::Shut => 0,
            Self::Body(left) => {
                let count = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *self = Self::body(*left - count as u64);
                count
            }
            Self::Head(line) => {
                for (at, byte) in bytes.iter().enumerate() {
                    match byte {
                        b'\n' if *line == Line::Empty => {
                            *self = Self::Shut;
                            return at + 1;
                        }
                        b'\n' if *line == Line::Begun => *line = Line::Empty,
                        b'\n' | b'\r' => {}
                        _ => *line = Line::Begun,
                    }
                }
                bytes.len()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_passes_to_its_end_however_it_is_cut() {
        for (head, behind) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD / HTTP/1.1\r\n"),
            ("\r\n\r\nGET / HTTP/1.1\r\n\r\n", "\r\n"),
            ("GET / HTTP/1.1\nHost: a\n\n", "\n"),
            ("GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n", "{}"),
        ] {
            let all = format!("{head}{behind}");
            for cut in 0..=all.len() {
                let mut gate = Gate::default();
                let (first, second) = all.as_bytes().split_at(cut);
                let passed = gate.admit(first) + gate.admit(second);
                assert_eq!((passed, gate), (head.len(), Gate::Shut), "{all:?} at {cut}");
            }
        }
    }

    #[test]
    fn a_body_passes_as_far_as_its_length_goes() {
        let behind = |headers: &[(&'static str, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(name.parse().unwrap(), value.parse().unwrap());
            }
            Gate::behind(&Method::POST, &map)
        };
        assert_eq!(behind(&[]), Gate::Shut);
        assert_eq!(behind(&[("content-length", "0")]), Gate::Shut);
        assert_eq!(behind(&[("transfer-encoding", "chunked")]), Gate::Open);
        assert_eq!(
            behind(&[("content-length", "5"), ("upgrade", "websocket")]),
            Gate::Open
        );
        let mut gate = behind(&[("content-length", "5")]);
        assert_eq!((gate.admit(b"abc"), gate), (3, Gate::Body(2)));
        assert_eq!(gate.after_answer(false), Gate::Open);
        assert_eq!((gate.admit(b"deHEAD"), gate), (2, Gate::Shut));
        assert_eq!(gate.admit(b"HEAD"), 0);
        assert_eq!(gate.after_answer(false), Gate::default());
        assert_eq!(gate.after_answer(true), Gate::Open);
    }
}
