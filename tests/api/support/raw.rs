//! A client without manners: bytes on a socket.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::client::Answer;
use super::contract;

/// A server that says nothing for so long is stuck.
const PATIENCE: Duration = Duration::from_mins(1);

/// A connection to send anything on.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// One answer as it came over the wire.
#[derive(Clone, Debug)]
pub struct RawAnswer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Sends bytes on a connection of their own and reads one answer. None where the connection was closed without one.
pub(super) async fn send(address: SocketAddr, bytes: &[u8]) -> RawAnswer {
    let mut connection = Connection::open(address).await;
    connection.send(bytes).await;
    connection
        .answer()
        .await
        .unwrap_or_else(|| panic!("closed without an answer to {}", String::from_utf8_lossy(bytes)))
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(address).await.unwrap(),
            unread: Vec::new(),
        }
    }

    /// Sends, as far as the server takes it: it may have answered and closed already.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Reads the next answer; none where the connection is closed instead. To HEAD, use [`Self::head_answer`].
    pub async fn answer(&mut self) -> Option<RawAnswer> {
        self.read_answer(true).await
    }

    /// Reads the answer to a HEAD, which has no body.
    pub async fn head_answer(&mut self) -> Option<RawAnswer> {
        self.read_answer(false).await
    }

    /// Everything up to the end of the connection.
    pub async fn rest(mut self) -> Vec<u8> {
        while self.more().await {}
        self.unread
    }

    /// Cuts the connection with a reset.
    pub fn reset(self) {
        // Linger of zero: the kernel sends RST instead of FIN.
        self.stream.set_zero_linger().unwrap();
    }

    async fn more(&mut self) -> bool {
        let reading = self.stream.read_buf(&mut self.unread);
        let read = tokio::time::timeout(PATIENCE, reading).await;
        read.expect("the server neither answers nor closes").unwrap_or(0) > 0
    }

    async fn read_answer(&mut self, has_body: bool) -> Option<RawAnswer> {
        loop {
            let end = loop {
                if let Some(at) = find(&self.unread, b"\r\n\r\n") {
                    break at + 4;
                }
                if !self.more().await {
                    return None;
                }
            };
            let head = String::from_utf8(self.unread.drain(..end).collect()).unwrap();
            let mut lines = head.trim_end().split("\r\n");
            let status: u16 = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
            let mut headers = HeaderMap::new();
            for line in lines {
                let (name, value) = line.split_once(':').unwrap();
                headers.append(
                    HeaderName::from_bytes(name.as_bytes()).unwrap(),
                    HeaderValue::from_str(value.trim()).unwrap(),
                );
            }
            if status == 100 {
                continue;
            }
            let body = if has_body {
                self.body(&headers, status).await
            } else {
                Vec::new()
            };
            return Some(RawAnswer {
                status,
                headers,
                body,
            });
        }
    }

    async fn body(&mut self, headers: &HeaderMap, status: u16) -> Vec<u8> {
        if status == 204 || status == 304 {
            return Vec::new();
        }
        if headers
            .get("transfer-encoding")
            .is_some_and(|coding| coding == "chunked")
        {
            return self.chunks().await;
        }
        let Some(length) = headers.get("content-length") else {
            while self.more().await {}
            return std::mem::take(&mut self.unread);
        };
        let length: usize = length.to_str().unwrap().parse().unwrap();
        while self.unread.len() < length {
            assert!(self.more().await, "the answer ends early");
        }
        self.unread.drain(..length).collect()
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(at) = find(&self.unread, b"\r\n") {
                    break self.unread.drain(..at + 2).collect::<Vec<u8>>();
                }
                assert!(self.more().await, "the answer ends early");
            };
            let length = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
            while self.unread.len() < length + 2 {
                assert!(self.more().await, "the answer ends early");
            }
            body.extend(self.unread.drain(..length));
            self.unread.drain(..2);
            if length == 0 {
                return body;
            }
        }
    }
}

impl RawAnswer {
    /// Holds it against the contract as the answer to this request, and gives it as the other client does.
    #[track_caller]
    pub fn checked(self, method: Method, path: &str) -> Answer {
        let answer = Answer::new(method, path.to_owned(), self.status, self.headers, self.body);
        contract::check(&answer, contract::Asked::plainly());
        answer
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
