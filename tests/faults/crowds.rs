//! Thousands of connections that have had an answer and are kept for a next request.

use futures_util::future::join_all;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::clients::sockets;
use crate::memory::memory;
use crate::support::{Client, Installation, PATIENCE};

const ADA: &str = "ada@example.com";
/// Connections that are kept, at least and at most; between them, what the limit on open files leaves room for.
const FEWEST: usize = 5_000;
const MOST: usize = 10_000;
/// Open files that the other tests of this program need meanwhile.
const FOR_OTHERS: usize = 3_000;
/// So many connect at once, as a listener's queue holds a limited number.
const AT_ONCE: usize = 100;
const WORKERS: usize = 2;
/// What one of them may take of the server's memory, in bytes: two buffers of 8 KiB each, and what belongs to it.
const MEMORY_EACH: u64 = 64 * 1024;

/// How many connections this process can keep. Raises its limit on open files as far as it may.
fn most_connections() -> usize {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limits.maximum,
        maximum: limits.maximum,
    };
    // A system may refuse its own hard limit; the soft one stays then.
    let _ = setrlimit(Resource::Nofile, raised);
    let files = getrlimit(Resource::Nofile)
        .current
        .map_or(MOST + FOR_OTHERS, |files| usize::try_from(files).unwrap());
    assert!(
        files >= FEWEST + FOR_OTHERS,
        "{files} files may be open, and {} are needed: raise the hard limit (ulimit -H -n)",
        FEWEST + FOR_OTHERS
    );
    MOST.min(files - FOR_OTHERS)
}

/// Asks whether the server lives, and reads the whole answer.
async fn ask(stream: &mut TcpStream, address: &str) {
    let request = format!("GET /livez HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::with_capacity(1024);
    let answered = async {
        while !answer.ends_with(b"{\"status\":\"ok\"}") {
            let count = stream.read_buf(&mut answer).await.unwrap();
            assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
        }
    };
    timeout(PATIENCE, answered).await.expect("an answer in time");
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
}

/// So many connections, the oldest first, each of which has had an answer.
async fn kept(address: &str, count: usize) -> Vec<TcpStream> {
    let mut kept = Vec::with_capacity(count);
    while kept.len() < count {
        let next = async |_| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            ask(&mut stream, address).await;
            stream
        };
        let at_once = AT_ONCE.min(count - kept.len());
        kept.extend(join_all((0..at_once).map(next)).await);
    }
    kept
}

async fn assert_serves(client: &Client, token: &str) {
    for _ in 0..20 {
        let (status, body) = client.me(token).await;
        assert_eq!(status, 200, "{body}");
    }
}

/// One after the other: both need most of the files that there are.
#[tokio::test]
async fn thousands_of_idle_connections_hold_nobody_up_and_beyond_the_most_the_oldest_leave() {
    let count = most_connections();
    let workers = WORKERS.to_string();
    let installation = Installation::new().with("ROSTER__SERVER__WORKERS", &workers);
    let server = installation.serve().await;
    let client = server.client();
    client.register(ADA).await;
    let token = client.login(ADA).await;
    assert_serves(&client, &token).await;
    let (files, before) = (sockets(server.id()), memory(&server, "VmRSS"));
    let mut idle = kept(server.address(), count).await;
    let grown = memory(&server, "VmRSS").saturating_sub(before);
    let each = grown / count as u64;
    println!("{count} idle connections: {} MiB, {each} bytes each", grown >> 20);
    // Each is still there, and whoever has something to ask is answered as ever.
    assert!(sockets(server.id()) >= files + count);
    assert_serves(&client, &token).await;
    assert_serves(&server.client(), &token).await;
    for at in [0, count / 2, count - 1] {
        ask(&mut idle[at], server.address()).await;
    }
    assert!(each < MEMORY_EACH, "{each} bytes each");
    drop(idle);
    server.stop().await;

    // With places for two in five of them.
    let most = FEWEST / 5;
    let installation = installation.with("ROSTER__SERVER__MAX_CONNECTIONS", &most.to_string());
    let server = installation.serve().await;
    let mut idle = kept(server.address(), FEWEST).await;
    assert_serves(&server.client(), &token).await;
    let open = sockets(server.id());
    assert!(open <= files + WORKERS * most, "{open} sockets");
    // The oldest have gone without a word, and the newest are still there.
    for stream in idle.iter_mut().take(AT_ONCE) {
        let read = timeout(PATIENCE, stream.read(&mut [0; 64])).await;
        assert_eq!(read.expect("the end in time").unwrap(), 0);
    }
    for stream in idle.iter_mut().rev().take(AT_ONCE) {
        ask(stream, server.address()).await;
    }
    drop(idle);
    server.stop().await;
}
