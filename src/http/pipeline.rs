//! Requests that a client sends without waiting for answers (RFC 9112 §9.3.2) reach the framework one by one.
//!
//! The framework reads ahead while a request is being answered, and what it encodes answers by is the head that it read
//! last: a HEAD with a GET behind it was answered with a body, a GET with a HEAD behind it without, and the client took
//! for the next answer what wasn't one. So whatever comes behind a request is kept until that has its answer.
//!
//! Where a head ends is seen here. How its body is measured is told by whoever was given the parsed head, so that no
//! second parser can disagree with the framework's. A body in chunks is followed with the framework's own steps, and
//! where those refuse it, everything passes: the framework closes. So does everything behind a body of any other kind,
//! as RFC 9112 asks nobody to send more behind it.
//!
//! Behind a request whose answer closes, nothing passes, ever (RFC 9112 §9.6): the rest of its body is followed to its
//! end, and whoever reads on there is told that the client has ended. The framework would go on with the next head as
//! soon as it saw one, in the rest of a body in chunks or while a long answer is still being written.
//!
//! How long a head is, is seen here as well, and which part of it is too long: the framework counts both together, calls
//! a long target malformed, and doesn't outlive the name of a header that is longer than [`LONGEST_PART`].
//!
//! The price is a look at each byte of a head and of what stands between chunks, and a copy of what came in one read
//! with it.

use actix_web::http::Method;
use actix_web::http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING, UPGRADE};

/// How many bytes the request line may have, and the header section behind it, with the ends of their lines.
///
/// Both together are what the framework reads of a head (128 KiB), so its own limit, which can't tell them apart, is
/// never met. It is just below what the `http` crate takes of a target (65,534 bytes) and of a header's name (65,535):
/// the framework answers a longer target with 400, and panics at a longer name.
pub const LONGEST_PART: usize = 64 * 1024;

/// What of a connection's bytes may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// A head, to its end.
    Head(Head),
    /// Everything, for good, as this part of a head is longer than it may be. The last byte that has passed is the first
    /// one too many.
    TooLong(Part),
    /// Nothing, until the request is answered.
    Shut,
    /// So many bytes of a body.
    Body(u64),
    /// So many bytes of a body that was answered without, and nothing behind them.
    Rest(u64),
    /// A body in chunks, to its end.
    Chunks {
        /// How far it has come.
        at: Chunked,
        /// What passes at its end.
        behind: Behind,
    },
    /// Everything, for good.
    Open,
    /// Nothing, for good: the answer that closes is given. Whatever comes now is read as the end.
    Closed,
}

/// What passes behind a body in chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// Nothing, until the request is answered.
    Answer,
    /// The next head: it has its answer already.
    Head,
    /// Nothing, for good: its answer closes.
    End,
}

/// How far a head has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    line: Line,
    part: Part,
    /// How many bytes of the part have come; empty lines before a request are part of its first line.
    length: usize,
}

/// A part of a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// The request line (RFC 9112 §3).
    #[default]
    RequestLine,
    /// The header section, to the empty line at its end (RFC 9112 §5).
    Fields,
}

/// What has come of the line of a head that is arriving.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Line {
    /// Nothing, and nothing before it: empty lines before a request are passed over (RFC 9112 §2.2).
    #[default]
    First,
    /// Nothing: if it ends like that, so does the head.
    Empty,
    /// Something.
    Begun,
}

/// What has come of a body in chunks (RFC 9112 §7.1). These are the framework's own states with its own steps: whoever
/// is stricter or laxer than it sees another end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunked {
    /// All of a chunk, or nothing yet: a size is next.
    Start,
    /// Digits of a size.
    Size(u64),
    /// White space behind a size.
    Space(u64),
    /// Some of what may be said beside a size.
    Extension(u64),
    /// The first half of the end of a size's line.
    SizeLf(u64),
    /// Data, and so much of it is left.
    Data(u64),
    /// All data of a chunk, and its line isn't ended.
    DataCr,
    /// The first half of the end of its line.
    DataLf,
    /// A whole line behind the last chunk: there may be more, or an empty one as the end.
    EndCr,
    /// Some of a line behind the last chunk.
    Trailer,
    /// The first half of its end.
    TrailerLf,
    /// The first half of the end of all.
    EndLf,
    /// All.
    End,
}

impl Default for Gate {
    fn default() -> Self {
        Self::Head(Head::default())
    }
}

impl Gate {
    /// What passes behind a head: its body, as the framework measures it, in the framework's order.
    ///
    /// A way that is open for a head behind which the framework expects another one is a way around all of this: an
    /// `Upgrade` to anything but a websocket says nothing of the body.
    #[must_use]
    pub fn behind(method: &Method, headers: &HeaderMap) -> Self {
        if let Some(coding) = headers.get(TRANSFER_ENCODING) {
            return Self::behind_coded(coding, headers);
        }
        // All that comes is the body of a request for a websocket, and of a CONNECT that has no other.
        if headers.get_all(UPGRADE).any(is_websocket) {
            return Self::Open;
        }
        let length = match headers.get(CONTENT_LENGTH) {
            Some(length) => length
                .to_str()
                .ok()
                .and_then(|length| length.trim().parse::<u64>().ok()),
            None => Some(0),
        };
        match length {
            Some(0) if method == Method::CONNECT => Self::Open,
            Some(length) => Self::body(length),
            None => Self::Open,
        }
    }

    /// The framework takes no other coding than this one, and no length beside it: nothing else is expected here.
    fn behind_coded(coding: &HeaderValue, headers: &HeaderMap) -> Self {
        let is_chunked = coding
            .to_str()
            .is_ok_and(|coding| coding.trim().eq_ignore_ascii_case("chunked"));
        if is_chunked && !headers.contains_key(CONTENT_LENGTH) {
            Self::Chunks {
                at: Chunked::Start,
                behind: Behind::Answer,
            }
        } else {
            Self::Open
        }
    }

    const fn body(length: u64) -> Self {
        if length == 0 {
            Self::Shut
        } else {
            Self::Body(length)
        }
    }

    /// Once the request that has passed is answered, and whether the connection ends with that. Where a body with a
    /// length wasn't waited for, it always does: the framework reads the rest and closes. One in chunks it reads to its
    /// end, and goes on behind that unless it closes.
    #[must_use]
    pub fn after_answer(self, is_closing: bool) -> Self {
        match self {
            Self::Open | Self::TooLong(_) => Self::Open,
            Self::Body(left) | Self::Rest(left) => Self::Rest(left),
            Self::Chunks { at, .. } => Self::Chunks {
                at,
                behind: if is_closing { Behind::End } else { Behind::Head },
            },
            Self::Shut | Self::Head(_) if is_closing => Self::Closed,
            Self::Shut => Self::default(),
            Self::Head(_) | Self::Closed => self,
        }
    }

    /// How many of these bytes pass now.
    pub fn admit(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Open | Self::TooLong(_) => bytes.len(),
            Self::Shut | Self::Closed => 0,
            Self::Body(left) => {
                let count = at_most(*left, bytes);
                *self = Self::body(*left - count as u64);
                count
            }
            Self::Rest(left) => {
                let count = at_most(*left, bytes);
                *self = match *left - count as u64 {
                    0 => Self::Closed,
                    left => Self::Rest(left),
                };
                count
            }
            Self::Chunks { at, behind } => {
                let Some(count) = at.admit(bytes) else {
                    // No such body: the framework sees that as well, and refuses it. Behind the last answer it must not.
                    let (gate, count) = match *behind {
                        Behind::End => (Self::Closed, 0),
                        Behind::Answer | Behind::Head => (Self::Open, bytes.len()),
                    };
                    *self = gate;
                    return count;
                };
                if *at == Chunked::End {
                    *self = match *behind {
                        Behind::Answer => Self::Shut,
                        Behind::Head => Self::default(),
                        Behind::End => Self::Closed,
                    };
                }
                count
            }
            Self::Head(head) => {
                for (at, &byte) in bytes.iter().enumerate() {
                    if let Some(behind) = head.step(byte) {
                        *self = behind;
                        return at + 1;
                    }
                }
                bytes.len()
            }
        }
    }
}

fn is_websocket(protocol: &HeaderValue) -> bool {
    protocol
        .to_str()
        .is_ok_and(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
}

impl Head {
    /// Takes the next byte. Gives what may pass behind it, where that is something else than more of the head.
    fn step(&mut self, byte: u8) -> Option<Gate> {
        if self.length == LONGEST_PART {
            return Some(Gate::TooLong(self.part));
        }
        self.length += 1;
        match (byte, self.line) {
            (b'\n', Line::Empty) => return Some(Gate::Shut),
            (b'\n', Line::Begun) => {
                self.line = Line::Empty;
                if self.part == Part::RequestLine {
                    self.part = Part::Fields;
                    self.length = 0;
                }
            }
            (b'\n' | b'\r', _) => {}
            _ => self.line = Line::Begun,
        }
        None
    }
}

impl Chunked {
    /// How many of these bytes belong to the body; none where it is malformed.
    fn admit(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut rest = bytes;
        while *self != Self::End
            && let Some((&byte, behind)) = rest.split_first()
        {
            if let Self::Data(left) = *self {
                let count = at_most(left, rest);
                *self = Self::data(left - count as u64);
                rest = rest.get(count..).unwrap_or_default();
            } else {
                *self = self.step(byte)?;
                rest = behind;
            }
        }
        Some(bytes.len() - rest.len())
    }

    const fn data(left: u64) -> Self {
        if left == 0 { Self::DataCr } else { Self::Data(left) }
    }

    /// What the next byte leads to, outside of data; none where it mustn't come.
    fn step(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Start, _) => Self::Size(digit(byte)?),
            (Self::Size(size) | Self::Space(size) | Self::Extension(size), b'\r') => Self::SizeLf(size),
            (Self::Size(size) | Self::Space(size), b'\t' | b' ') => Self::Space(size),
            (Self::Size(size) | Self::Space(size), b';')
            | (Self::Extension(size), b'\t' | b' '..=b'~' | 0x80..=0xff) => Self::Extension(size),
            (Self::Size(size), _) => Self::Size(size.checked_mul(16)? + digit(byte)?),
            (Self::SizeLf(0) | Self::TrailerLf, b'\n') => Self::EndCr,
            (Self::SizeLf(size), b'\n') => Self::Data(size),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Start,
            (Self::EndCr, b'\r') => Self::EndLf,
            (Self::Trailer, b'\r') => Self::TrailerLf,
            (Self::EndCr | Self::Trailer, _) => Self::Trailer,
            (Self::EndLf, b'\n') => Self::End,
            _ => return None,
        })
    }
}

/// How many of these bytes there are, of so many at most.
fn at_most(limit: u64, bytes: &[u8]) -> usize {
    usize::try_from(limit).map_or(bytes.len(), |limit| limit.min(bytes.len()))
}

fn digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(headers: &[(&'static str, &'static str)]) -> Gate {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(name.parse().unwrap(), value.parse().unwrap());
        }
        Gate::behind(&Method::POST, &map)
    }

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
    fn a_part_of_a_head_that_is_too_long_is_told_however_it_is_cut() {
        let line = |more: usize| format!("GET /{} HTTP/1.1\r\n", "x".repeat(LONGEST_PART - 16 + more));
        let fields = |more: usize| format!("a: {}\r\n\r\n", "x".repeat(LONGEST_PART - 7 + more));
        let name = |more: usize| format!("{}:\r\n\r\n", "x".repeat(LONGEST_PART - 5 + more));
        let empty = "\r\n".repeat(LONGEST_PART / 2);
        for (text, passed, behind) in [
            (line(0) + &fields(0), 2 * LONGEST_PART, Gate::Shut),
            (line(0) + &name(0), 2 * LONGEST_PART, Gate::Shut),
            (
                line(1) + &fields(0),
                LONGEST_PART + 1,
                Gate::TooLong(Part::RequestLine),
            ),
            (
                line(9) + &fields(0),
                LONGEST_PART + 1,
                Gate::TooLong(Part::RequestLine),
            ),
            (
                line(0) + &fields(1),
                2 * LONGEST_PART + 1,
                Gate::TooLong(Part::Fields),
            ),
            (
                line(0) + &name(9),
                2 * LONGEST_PART + 1,
                Gate::TooLong(Part::Fields),
            ),
            (
                empty + &line(0),
                LONGEST_PART + 1,
                Gate::TooLong(Part::RequestLine),
            ),
        ] {
            for size in [1, 1000, LONGEST_PART, 3 * LONGEST_PART] {
                let mut gate = Gate::default();
                let mut count = 0;
                for piece in text.as_bytes().chunks(size) {
                    count += gate.admit(piece);
                    if !matches!(gate, Gate::Head(_)) {
                        break;
                    }
                }
                assert_eq!((count, gate), (passed, behind), "{size} at a time");
            }
        }
    }

    #[test]
    fn a_body_passes_as_far_as_its_length_goes() {
        assert_eq!(behind(&[]), Gate::Shut);
        assert_eq!(behind(&[("content-length", "0")]), Gate::Shut);
        assert_eq!(
            behind(&[("content-length", "5"), ("upgrade", "websocket")]),
            Gate::Open
        );
        // Nothing comes of these, and the framework goes on with the next head.
        for protocol in ["h2c", "websocket, h2c", ""] {
            assert_eq!(behind(&[("upgrade", protocol)]), Gate::Shut, "{protocol}");
        }
        assert_eq!(behind(&[("upgrade", " WebSocket")]), Gate::Open);
        let tunnel = |headers: &HeaderMap| Gate::behind(&Method::CONNECT, headers);
        let mut headers = HeaderMap::new();
        assert_eq!(tunnel(&headers), Gate::Open);
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        assert_eq!(tunnel(&headers), Gate::Open);
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("5"));
        assert_eq!(tunnel(&headers), Gate::Body(5));
        let mut gate = behind(&[("content-length", "5")]);
        assert_eq!((gate.admit(b"abc"), gate), (3, Gate::Body(2)));
        // Answered without it, whatever the answer says: its rest still passes, and nothing behind it.
        for is_closing in [false, true] {
            let mut rest = gate.after_answer(is_closing);
            assert_eq!((rest.admit(b"d"), rest), (1, Gate::Rest(1)));
            assert_eq!((rest.admit(b"eHEAD"), rest), (1, Gate::Closed));
            assert_eq!((rest.admit(b"HEAD"), rest), (0, Gate::Closed));
        }
        assert_eq!((gate.admit(b"deHEAD"), gate), (2, Gate::Shut));
        assert_eq!(gate.admit(b"HEAD"), 0);
        assert_eq!(gate.after_answer(false), Gate::default());
        let mut gate = gate.after_answer(true);
        assert_eq!((gate.admit(b"HEAD"), gate), (0, Gate::Closed));
        assert_eq!(gate.after_answer(false), Gate::Closed);
    }

    #[test]
    fn a_gate_that_is_open_for_good_stays_so() {
        for gate in [Gate::Open, Gate::TooLong(Part::Fields)] {
            for is_closing in [false, true] {
                assert_eq!(gate.after_answer(is_closing), Gate::Open);
            }
        }
    }

    const CHUNKED: (&str, &str) = ("transfer-encoding", "chunked");

    #[test]
    fn a_body_in_chunks_passes_to_its_end_however_it_is_cut() {
        for (body, next) in [
            ("0\r\n\r\n", "HEAD / HTTP/1.1\r\n"),
            ("5\r\nabcde\r\n0\r\n\r\n", "\r\n"),
            // What looks like the end, as data.
            ("A \t;a=\"\tb\"\r\n0\r\n\r\n0\r\nxy\r\n00\r\n\r\n", "0\r\n\r\n"),
            ("1;\r\n\n\r\n0\r\na: b\r\n\nc\r\n\r\n", "x"),
        ] {
            let all = format!("{body}{next}");
            for cut in 0..=all.len() {
                let mut gate = behind(&[CHUNKED]);
                let (first, second) = all.as_bytes().split_at(cut);
                let passed = gate.admit(first) + gate.admit(second);
                assert_eq!((passed, gate), (body.len(), Gate::Shut), "{all:?} at {cut}");
            }
            let mut gate = behind(&[CHUNKED]);
            let passed: usize = all.as_bytes().chunks(1).map(|byte| gate.admit(byte)).sum();
            assert_eq!((passed, gate), (body.len(), Gate::Shut), "{all:?} byte by byte");
            for cut in 0..body.len() {
                let (first, second) = all.as_bytes().split_at(cut);
                let mut unanswered = behind(&[CHUNKED]);
                assert_eq!(unanswered.admit(first), cut);
                for (is_closing, end) in [(false, Gate::default()), (true, Gate::Closed)] {
                    let mut gate = unanswered.after_answer(is_closing);
                    let passed = gate.admit(second);
                    let what = format!("{all:?} at {cut}, {is_closing}");
                    assert_eq!((passed, gate), (body.len() - cut, end), "{what}");
                }
            }
        }
    }

    #[test]
    fn behind_an_answer_that_closes_what_is_no_chunk_does_not_pass_either() {
        let mut gate = behind(&[CHUNKED]);
        assert_eq!(gate.admit(b"5\r\nab"), 5);
        let mut gate = gate.after_answer(true);
        assert_eq!(gate.admit(b"c"), 1);
        assert_eq!(
            (gate.admit(b"dexGET / HTTP/1.1\r\n\r\n"), gate),
            (0, Gate::Closed)
        );
    }

    #[test]
    fn data_of_a_chunk_passes_at_once() {
        let mut gate = behind(&[CHUNKED]);
        assert_eq!(gate.admit(b"ffffffffffffffff\r\nabc"), 21);
        let left = |left| Gate::Chunks {
            at: Chunked::Data(left),
            behind: Behind::Answer,
        };
        assert_eq!(gate, left(u64::MAX - 3));
        assert_eq!((gate.admit(b"0\r\n\r\n"), gate), (5, left(u64::MAX - 8)));
    }

    #[test]
    fn everything_passes_behind_what_is_no_chunk() {
        for start in [
            "\r\n",
            "g",
            "-1",
            "0x1",
            "1 1",
            "1\n",
            "1;\n",
            "1;\x7f",
            "1\rx",
            "fffffffffffffffff",
            "1\r\nab",
            "1\r\na\rb",
            "0\r\n\rx",
            "0\r\na\r\r",
        ] {
            let all = format!("{start}\r\n0\r\n\r\nHEAD / HTTP/1.1\r\n\r\n");
            for cut in 0..=all.len() {
                let mut gate = behind(&[CHUNKED]);
                let (first, second) = all.as_bytes().split_at(cut);
                let passed = gate.admit(first) + gate.admit(second);
                assert_eq!((passed, gate), (all.len(), Gate::Open), "{all:?} at {cut}");
            }
        }
    }

    #[test]
    fn only_chunks_alone_are_followed() {
        assert_eq!(behind(&[("transfer-encoding", " CHUNKED")]), behind(&[CHUNKED]));
        // The framework looks for chunks first.
        assert_eq!(behind(&[CHUNKED, ("upgrade", "websocket")]), behind(&[CHUNKED]));
        for headers in [
            [CHUNKED, ("content-length", "5")],
            [("transfer-encoding", "identity"), ("host", "a")],
            [("transfer-encoding", "gzip, chunked"), ("host", "a")],
        ] {
            assert_eq!(behind(&headers), Gate::Open, "{headers:?}");
        }
    }
}
