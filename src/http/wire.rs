//! The connection below HTTP: problem documents for what the framework refuses by itself.
//!
//! A request that can't be parsed, has no `Host` or too many headers, or doesn't arrive in time never becomes a request
//! that middleware could answer: the framework writes a status with an empty body and closes. [`Wire`] stands between
//! it and the socket, and puts a problem document in that place. Every answer of ours has an `X-Request-Id`, and the
//! framework's own have none: that is how they are told apart.
//!
//! It also keeps times that the framework doesn't: a head has to arrive in time on every request of a connection, not
//! only on the first, and what is written has to be read. Where connections are many, those that are idle longest end
//! early; see the `crowd` module. And it hands on one request at a time, and sees to it that a head that is too
//! long is refused for what it is; see the `pipeline` module.
//!
//! The price is a look at the last four bytes of each write.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::rt::net::{ActixStream, Ready, TcpStream};
use actix_web::web::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::crowd::{Activity, Crowd, Stage};
use super::envelope::{ACCESS_LOG, finish, new_request_id};
use super::pipeline::{Gate, Part};
use super::problem;
use crate::app::AppState;

/// The framework's own time-out for the first head of a connection comes before ours, and answers.
const AFTER_THE_FRAMEWORK: Duration = Duration::from_millis(500);
/// How long the rest of a body that nobody wants is waited for, so that its sender sees the answer.
pub const LINGER: Duration = Duration::from_secs(2);
/// With so much behind a request that isn't answered yet, no more of it is read.
const ENOUGH_AHEAD: usize = 16 * 1024;

const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const START: &[u8] = b"HTTP/1.1 ";

/// A connection of a client.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    state: Arc<AppState>,
    activity: Activity,
    /// When the head that is arriving has to be there.
    head_due: Option<Pin<Box<Sleep>>>,
    /// When the client has to have read some of what waits to be written.
    read_due: Option<Pin<Box<Sleep>>>,
    /// What is written in place of a buffer, and how much of that is done.
    replacement: Option<(Vec<u8>, usize)>,
    /// What has come before it may pass.
    ahead: BytesMut,
    /// Whether the client has said that nothing more comes.
    has_ended: bool,
    /// What of the last head was too long.
    too_long: Option<Part>,
    /// Whether all is written, and the client has been told.
    is_shut: bool,
    /// Until when what a client still sends then is read and thrown away.
    linger_due: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    /// Takes a connection.
    #[must_use]
    pub fn new(stream: TcpStream, state: Arc<AppState>, crowd: &Rc<Crowd>) -> Self {
        state.lifecycle.connect();
        Self {
            stream,
            state,
            activity: crowd.join(),
            head_due: None,
            read_due: None,
            replacement: None,
            ahead: BytesMut::new(),
            has_ended: false,
            too_long: None,
            is_shut: false,
            linger_due: None,
        }
    }

    /// For the envelope, to say what it sees of this connection.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.activity.clone()
    }

    /// Whether the head that is arriving is late.
    fn is_head_late(&mut self, cx: &mut Context<'_>, has_read: bool) -> bool {
        match self.activity.stage() {
            Stage::Idle if has_read => {
                let limit = Duration::from_secs(u64::from(self.state.config.server.header_timeout_seconds));
                self.head_due = Some(Box::pin(sleep(limit + AFTER_THE_FRAMEWORK)));
                self.activity.begin_head();
            }
            // It is there as a whole, and waits for the answers in front of it: a client that reads slowly isn't late.
            Stage::Head if self.activity.gate() == Gate::Shut => self.head_due = None,
            Stage::Head => {}
            Stage::Closing => {
                self.head_due.get_or_insert_with(|| Box::pin(sleep(LINGER)));
            }
            _ => self.head_due = None,
        }
        self.head_due
            .as_mut()
            .is_some_and(|due| due.as_mut().poll(cx).is_ready())
    }

    /// Whether bytes lie in the socket that the runtime doesn't know of yet: it is asked for events now and then, and a
    /// request that has arrived in between is to be answered. Whoever returns without them is woken for them.
    fn has_something_come(&self) -> bool {
        rustix::io::ioctl_fionread(&self.stream).is_ok_and(|count| count > 0)
    }

    /// Reads what may pass now, and keeps what else comes.
    fn read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let mut gate = self.activity.gate();
        if gate == Gate::Shut {
            // Read all the same: a client that has gone is noticed while its request is being answered.
            while self.ahead.len() < ENOUGH_AHEAD && !self.has_ended {
                match Pin::new(&mut self.stream).poll_read(cx, buffer) {
                    Poll::Pending => break,
                    Poll::Ready(read) => read?,
                }
                let come = buffer.filled().get(before..).unwrap_or_default();
                self.has_ended = come.is_empty();
                self.ahead.extend_from_slice(come);
                buffer.set_filled(before);
            }
            let has_come = self.has_ended || !self.ahead.is_empty();
            self.activity.wait_at_gate(cx, has_come);
            return Poll::Pending;
        }
        if !self.ahead.is_empty() {
            let most = self.ahead.len().min(buffer.remaining());
            let count = gate.admit(self.ahead.get(..most).unwrap_or_default());
            buffer.put_slice(self.ahead.get(..count).unwrap_or_default());
            self.ahead.advance(count);
        } else if !self.has_ended {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
            let come = buffer.filled().get(before..).unwrap_or_default();
            let count = gate.admit(come);
            self.ahead
                .extend_from_slice(come.get(count..).unwrap_or_default());
            buffer.set_filled(before + count);
        }
        if let Gate::TooLong(part) = gate {
            // A NUL is malformed anywhere in a head: the framework refuses it, in its turn behind answers that are still
            // to be written, and closes.
            if let Some(last) = buffer.filled_mut().last_mut() {
                *last = 0;
            }
            self.too_long = Some(part);
            gate = Gate::Open;
        }
        self.activity.set_gate(gate);
        Poll::Ready(Ok(()))
    }

    fn write(&mut self, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        if self.replacement.is_none() {
            let Some((start, status)) = find_refusal(buffer) else {
                return Pin::new(&mut self.stream).poll_write(cx, buffer);
            };
            let status = match self.too_long {
                Some(Part::RequestLine) => StatusCode::URI_TOO_LONG,
                Some(Part::Fields) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                None => status,
            };
            let mut whole = buffer.get(..start).unwrap_or_default().to_vec();
            whole.extend(refusal(status, self));
            // The framework closes, and reads on until the client has as well.
            self.activity.set_gate(Gate::Open);
            self.replacement = Some((whole, 0));
        }
        // The framework offers the same buffer again until it is told that it was taken.
        while let Some((whole, done)) = &mut self.replacement {
            let rest = whole.get(*done..).unwrap_or_default();
            if rest.is_empty() {
                self.replacement = None;
                break;
            }
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => *done += count,
            }
        }
        Poll::Ready(Ok(buffer.len()))
    }
}

/// Where a refusal of the framework's begins in what it writes, and its status.
pub(super) fn find_refusal(buffer: &[u8]) -> Option<(usize, StatusCode)> {
    if !buffer.ends_with(END_OF_HEAD) {
        return None;
    }
    let start = buffer.windows(START.len()).rposition(|window| window == START)?;
    let head = buffer.get(start..)?;
    let status = StatusCode::from_bytes(head.get(START.len()..START.len() + 3)?).ok()?;
    let is_ours = head
        .windows(14)
        .any(|window| window.eq_ignore_ascii_case(b"x-request-id: "));
    (status.as_u16() >= 400 && !is_ours).then_some((start, status))
}

/// The whole answer that a refusal becomes.
fn refusal(status: StatusCode, wire: &Wire) -> Vec<u8> {
    let state = &wire.state;
    let id = new_request_id(&state.ambient);
    let detail = match status {
        StatusCode::REQUEST_TIMEOUT => "The request did not arrive in time.",
        StatusCode::URI_TOO_LONG => "The first line of the request is too long.",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "The headers of the request are too many or too long.",
        _ => "The start of the request or a header is malformed, or there is not exactly one Host.",
    };
    let body = problem::refusal_json(status, detail, id.as_str());
    let peer = wire
        .stream
        .peer_addr()
        .map_or_else(|_| "-".to_owned(), |peer| peer.ip().to_canonical().to_string());
    log::info!(
        target: ACCESS_LOG,
        status = status.as_u16(),
        ip = peer.as_str(),
        request_id = id.as_str();
        "refused"
    );
    let mut headers = HeaderMap::new();
    finish(&mut headers, &id, state);
    let date = state.ambient.now().format("%a, %d %b %Y %H:%M:%S GMT");
    let mut answer = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\ncontent-type: {}\r\ndate: {date}\r\n",
        body.len(),
        problem::MEDIA_TYPE,
    )
    .into_bytes();
    for (name, value) in headers {
        answer.extend_from_slice(name.as_str().as_bytes());
        answer.extend_from_slice(b": ");
        answer.extend_from_slice(value.as_bytes());
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"\r\n");
    answer.extend_from_slice(body.as_bytes());
    answer
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.write(cx, buffer);
        if written.is_ready() {
            self.read_due = None;
            // After the last answer nobody may read again by himself: this sees to it that somebody does.
            let _ = self.is_head_late(cx, false);
            return written;
        }
        let limit = Duration::from_secs(u64::from(self.state.config.server.write_timeout_seconds));
        let due = self.read_due.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(due.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = &mut *self;
        if !wire.is_shut {
            ready!(Pin::new(&mut wire.stream).poll_shutdown(cx))?;
            wire.is_shut = true;
            // A socket that is closed with something unread in it is reset, and what its client hasn't read is lost.
            if !wire.has_ended && (!wire.ahead.is_empty() || wire.has_something_come()) {
                wire.ahead.clear();
                wire.linger_due = Some(Box::pin(sleep(LINGER)));
            }
        }
        let Some(due) = &mut wire.linger_due else {
            return Poll::Ready(Ok(()));
        };
        let mut waste = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut waste);
            match Pin::new(&mut wire.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return due.as_mut().poll(cx).map(Ok),
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.read(cx, buffer);
        let has_read = buffer.filled().len() > before;
        if self.is_head_late(cx, has_read) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if read.is_pending() && self.activity.is_to_leave(cx) && !self.has_something_come() {
            // As if the client had said that nothing more comes: what was answered is still written.
            return Poll::Ready(Ok(()));
        }
        read
    }
}

impl ActixStream for Wire {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(&self.stream, cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&self.stream, cx)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.activity.leave();
        self.state.lifecycle.disconnect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_frameworks_own_refusals_are_found() {
        let found =
            |text: &str| find_refusal(text.as_bytes()).map(|(start, status)| (start, status.as_u16()));
        let bare =
            "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        assert_eq!(found(bare), Some((0, 431)));
        let before = "HTTP/1.1 200 OK\r\nx-request-id: a\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(found(&format!("{before}{bare}")), Some((before.len(), 431)));
        assert_eq!(found(before), None);
        assert_eq!(found("HTTP/1.1 204 No Content\r\nx-request-id: a\r\n\r\n"), None);
        assert_eq!(
            found("HTTP/1.1 404 Not Found\r\nx-request-id: a\r\ncontent-length: 9\r\n\r\n"),
            None
        );
        assert_eq!(found("HTTP/1.1 100 Continue\r\n\r\n"), None);
    }
}
