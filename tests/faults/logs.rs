//! A log that is written to faster than anybody reads it.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::postgres::free_port;
use crate::rounds;
use crate::support::{Client, Installation, PATIENCE, ROSTER};

const ADA: &str = "ada@example.com";
/// Who floods.
const FLOODERS: usize = 4;
/// How many requests each of them sends in a round: together more than the queue of lines holds.
const EACH: usize = 4_800;
/// How many are sent before an answer is read.
const AT_ONCE: usize = 50;
/// What waits in memory and in the pipe at most, with room to spare: some 17,000 lines of some 200 bytes.
const MOST: u64 = 8 << 20;

/// A server whose log nobody reads yet.
pub fn unread(installation: &Installation, port: u16) -> Child {
    Command::new(ROSTER)
        .arg("serve")
        .env_clear()
        .env("ROSTER__SERVER__PORT", port.to_string())
        .env("ROSTER__PASSWORD__BCRYPT_COST", "4")
        .env("ROSTER__LIMITS__ENABLED", "false")
        .current_dir(installation.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap()
}

/// Asks until there is a server.
pub async fn ready(client: &Client) {
    let ready = async {
        while !matches!(
            client.request(reqwest::Method::GET, "/readyz").send().await,
            Ok(answer) if answer.status() == 200
        ) {}
    };
    tokio::time::timeout(PATIENCE, ready).await.expect("a server");
}

/// Sends what anybody may and what is logged without a limit, one behind the other on one connection, as fast as it is
/// answered; gives how many were.
async fn flood(address: String, count: usize) -> usize {
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let request = format!("GET /livez HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let batch = request.repeat(AT_ONCE);
    let (mut answered, mut buffer, mut unfinished) = (0, vec![0; 1 << 16], Vec::new());
    for _ in 0..count / AT_ONCE {
        stream.write_all(batch.as_bytes()).await.unwrap();
        let enough = answered + AT_ONCE;
        while answered < enough {
            let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await;
            let read = read.expect("an answer in time").unwrap();
            assert!(read > 0, "closed after {answered}");
            unfinished.extend_from_slice(&buffer[..read]);
            // An answer's end is the end of its document.
            while let Some(end) = unfinished.iter().position(|byte| *byte == b'}') {
                let answer: Vec<u8> = unfinished.drain(..=end).collect();
                assert!(
                    answer.starts_with(b"HTTP/1.1 200 "),
                    "{}",
                    String::from_utf8_lossy(&answer)
                );
                answered += 1;
            }
        }
    }
    answered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_requests_fills_no_memory_and_holds_nobody_up_while_nobody_reads_the_log() {
    let installation = Installation::new();
    let port = free_port();
    let mut child = unread(&installation, port);
    let client = Client::new(format!("http://127.0.0.1:{port}"));
    ready(&client).await;
    client.register(ADA).await;
    let token = client.login(ADA).await;
    let count = EACH * rounds(1);
    let began = Instant::now();
    let flooding: Vec<_> = (0..FLOODERS)
        .map(|_| tokio::spawn(flood(format!("127.0.0.1:{port}"), count)))
        .collect();
    let (mut asked, mut slowest) = (0, Duration::ZERO);
    while !flooding.iter().all(tokio::task::JoinHandle::is_finished) {
        let began = Instant::now();
        let (status, body) = client.me(&token).await;
        assert_eq!(status, 200, "{body}");
        slowest = slowest.max(began.elapsed());
        asked += 1;
    }
    let mut answered = 0;
    for flooder in flooding {
        answered += flooder.await.unwrap();
    }
    assert_eq!(answered, count * FLOODERS);
    println!(
        "{answered} requests in {:?}, and {asked} honest requests, the slowest in {slowest:?}",
        began.elapsed()
    );
    // Who waits for a reader waits for ever; who waits for a busy machine doesn't.
    assert!(
        asked > 2 && slowest < Duration::from_secs(10),
        "{asked}, {slowest:?}"
    );

    // Now somebody reads: what the queue held, and how much it didn't.
    let pipe = child.stderr.take().unwrap();
    let is_heard = Arc::new(AtomicBool::new(false));
    let reader_is_there = Arc::clone(&is_heard);
    let reading = std::thread::spawn(move || {
        let lines = BufReader::new(pipe).lines().map(Result::unwrap);
        lines
            .inspect(|line| {
                if line.contains("/heard") {
                    reader_is_there.store(true, Ordering::SeqCst);
                }
            })
            .collect::<Vec<_>>()
    });
    let asking = async {
        while !is_heard.load(Ordering::SeqCst) {
            asked += 1;
            assert_eq!(client.get("/heard").await.0, 404);
        }
    };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .expect("lines get out again");
    let id = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let lines = reading.join().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let told = |line: &String| {
        let (before, _) = line.split_once(" log lines were dropped: nobody read them fast enough")?;
        before.rsplit(' ').next()?.parse::<usize>().ok()
    };
    let dropped: usize = lines.iter().filter_map(told).sum();
    let logged = lines.iter().filter(|line| line.contains(" path=/livez ")).count();
    let others = lines
        .iter()
        .filter(|line| line.contains("status=") && !line.contains(" path=/livez "))
        .count();
    let volume: usize = lines.iter().map(|line| line.len() + 1).sum();
    println!("{logged} of them logged, {dropped} lines dropped, {volume} bytes");
    assert!(dropped > 0, "nothing was dropped");
    // Each is in the log or counted; so are those of the honest ones.
    assert!(logged + dropped >= answered, "{logged} + {dropped} of {answered}");
    // Beside these there are the few lines of the start and the end.
    let all = logged + others + dropped;
    assert!(all <= answered + asked + 50, "{all} of {answered} and {asked}");
    assert!((volume as u64) < MOST, "{volume} bytes");
    assert!(
        lines.iter().any(|line| line.contains("stopped")),
        "the last words get out"
    );
}
