//! A way to the database that a test can slow down, stop and cut.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

/// What a link does with what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carriage {
    /// Carries it on.
    Flows,
    /// Carries it on after a while.
    Late(Duration),
    /// Keeps it, without a word to either side.
    Holds,
    /// Ends every connection, and each new one.
    Cut,
}

/// A TCP proxy in front of a server.
pub struct Link {
    address: SocketAddr,
    carriage: watch::Sender<Carriage>,
    target: watch::Sender<String>,
}

impl Link {
    /// A link to the server of a database URL, and the URL that leads over it.
    pub async fn to(url: &str) -> (Self, String) {
        let mut url: Url = url.parse().unwrap();
        let target = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (carriage, watched) = watch::channel(Carriage::Flows);
        let (target, at_present) = watch::channel(target);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let target = at_present.borrow().clone();
                tokio::spawn(connect(client, target, watched.clone()));
            }
        });
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(address.port())).unwrap();
        let link = Self {
            address,
            carriage,
            target,
        };
        (link, url.into())
    }

    /// Every new connection leads to another server of this machine; those that are there stay as they are.
    pub fn lead_to(&self, port: u16) {
        self.target.send_replace(format!("127.0.0.1:{port}"));
    }

    /// Carries everything again.
    pub fn flow(&self) {
        self.carriage.send_replace(Carriage::Flows);
    }

    /// Everything arrives this much later.
    pub fn delay(&self, by: Duration) {
        self.carriage.send_replace(Carriage::Late(by));
    }

    /// Nothing arrives any more, and nobody is told.
    pub fn hold(&self) {
        self.carriage.send_replace(Carriage::Holds);
    }

    /// Every connection ends, and new ones do at once.
    pub fn cut(&self) {
        self.carriage.send_replace(Carriage::Cut);
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a link at {}", self.address)
    }
}

async fn connect(client: TcpStream, target: String, carriage: watch::Receiver<Carriage>) {
    if *carriage.borrow() == Carriage::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    let mut cut = carriage.clone();
    tokio::select! {
        _ = cut.wait_for(|carriage| *carriage == Carriage::Cut) => {}
        () = carry(client_reads, server_writes, carriage.clone()) => {}
        () = carry(server_reads, client_writes, carriage) => {}
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut carriage: watch::Receiver<Carriage>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let carried = carriage
            .wait_for(|carriage| *carriage != Carriage::Holds)
            .await
            .map(|carriage| *carriage);
        match carried {
            Ok(Carriage::Late(by)) => tokio::time::sleep(by).await,
            Ok(_) => {}
            Err(_) => break,
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
}
