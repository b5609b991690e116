//! `roster health`: asks the running server whether it is ready, for containers and scripts without curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Context;
use crate::config::Need;
use crate::startup::StartError;

/// The contract has the server answer within 3 s, whatever its database does.
const LIMIT: Duration = Duration::from_secs(5);

pub(super) async fn run(context: &Context) -> Result<(), StartError> {
    // The server's address is all that is needed; secrets aren't.
    let config = context.load(Need::Database)?.config;
    let host = match config.server.host {
        IpAddr::V4(host) if host.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(host) if host.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    };
    let address = SocketAddr::new(host, config.server.port);
    let answer = tokio::time::timeout(LIMIT, ask(address)).await;
    let answer = answer
        .map_err(|_| {
            StartError::new(format!(
                "{address} did not answer within {} seconds",
                LIMIT.as_secs()
            ))
        })?
        .map_err(|error| StartError::new(format!("cannot reach a server at {address}: {error}")))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split(' ').nth(1) {
        Some("200") => context.output.done(&format!("{address} is ready")),
        Some(status) => {
            let detail = serde_json::from_str::<serde_json::Value>(body)
                .ok()
                .and_then(|problem| problem.get("detail")?.as_str().map(str::to_owned));
            let detail = detail.unwrap_or_else(|| format!("it answered {status}"));
            Err(StartError::new(format!("{address} is not ready: {detail}")))
        }
        None => Err(StartError::new(format!("{address} does not speak HTTP"))),
    }
}

/// HTTP/1.0, so that the answer ends with the connection.
async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /readyz HTTP/1.0\r\nHost: {address}\r\nAccept: application/json\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
