//! HTTP by hand, for what a well-behaved client never sends or never sees.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::{PASSWORD, PATIENCE};

/// A connection.
pub struct Raw(TcpStream);

impl Raw {
    pub async fn connect(address: &str) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// None where nobody listens any more.
    pub async fn connect_if_possible(address: &str) -> Option<Self> {
        TcpStream::connect(address).await.ok().map(Self)
    }

    /// Asks for a large answer a hundred times, and reads none of it.
    pub async fn deaf(address: &str, path: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(address.parse().unwrap()).await.unwrap();
        let mut raw = Self(stream);
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        raw.send(request.repeat(100)).await;
        raw
    }

    /// Sends bytes; a connection that is closed already is for [`Self::rest`] to show.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.write_all(bytes.as_ref()).await;
    }

    /// Reads up to a text.
    pub async fn read_until(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        while !read.ends_with(end.as_bytes()) {
            let byte = timeout(PATIENCE, self.0.read_u8())
                .await
                .expect("an answer in time");
            read.push(
                byte.unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&read))),
            );
        }
        String::from_utf8(read).unwrap()
    }

    /// Reads an answer with a `Content-Length`: its head, and its body.
    pub async fn answer(&mut self) -> (String, String) {
        let head = self.read_until("\r\n\r\n").await;
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            })
            .unwrap_or_else(|| panic!("no length in {head}"));
        let mut body = vec![0; length];
        timeout(PATIENCE, self.0.read_exact(&mut body))
            .await
            .expect("a body in time")
            .unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    /// The same; none where the connection has ended before any of it came.
    pub async fn answer_if_any(&mut self) -> Option<(String, String)> {
        let come = timeout(PATIENCE, self.0.peek(&mut [0])).await;
        match come.expect("an answer or an end in time") {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(self.answer().await),
        }
    }

    /// Everything until the other side closes; empty where it has closed without a word.
    pub async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let ended = timeout(PATIENCE, self.0.read_to_end(&mut rest)).await;
        assert!(
            ended.is_ok(),
            "still open after {:?}",
            String::from_utf8_lossy(&rest)
        );
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// The same, where the other side may have reset the connection.
    pub async fn rest_if_any(&mut self) -> String {
        let mut rest = Vec::new();
        let ended = timeout(PATIENCE, self.0.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "still open");
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// A login that the server has begun to handle and whose body is still to come; [`Self::send_login`] sends it.
    pub async fn begin_login(address: &str, email: &str) -> Self {
        let mut raw = Self::connect(address).await;
        let length = login(email).len();
        raw.send(format!(
            "POST /login HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Expect: 100-continue\r\n\r\n"
        ))
        .await;
        // The server says this when it hands the request on.
        assert_eq!(raw.read_until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        raw
    }

    pub async fn send_login(&mut self, email: &str) {
        self.send(login(email)).await;
    }
}

fn login(email: &str) -> String {
    serde_json::json!({ "email": email, "password": PASSWORD }).to_string()
}
