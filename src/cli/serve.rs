//! `roster serve`: the server, from the first line on the terminal to the last request in flight.

use std::future::pending;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::Context;
use crate::app::Lifecycle;
use crate::audit;
use crate::clock::Ambient;
use crate::config::{Config, DatabaseKind, LogFormat, Need};
use crate::db::DatabaseSettings;
use crate::keys;
use crate::limits;
use crate::mail;
use crate::server::RunningServer;
use crate::sessions;
use crate::startup::{self, StartError};
use crate::telemetry;
use crate::users;
use crate::verification;

/// How long the end waits for the database.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);
/// How long connections are still taken and answered after a signal, each answer being the last of its connection: so long
/// a balancer has to see that readiness has ended, and a client with a connection to hear that it is over. The price is
/// this much more time between signal and end.
const LAST_CALL: Duration = Duration::from_millis(250);
/// With no connection open, and none taken for so long, nobody is waited for. What the system has accepted before the
/// signal reaches a worker within it.
const QUIET: Duration = Duration::from_millis(125);

pub(super) async fn run(context: &Context) -> Result<(), StartError> {
    let loaded = context.load(Need::Everything)?;
    let mut config = loaded.config;
    let _last_lines = telemetry::start(&config.log);
    for notice in &loaded.notices {
        log::warn!("{notice}");
    }
    startup::fit_open_files(&mut config);
    // The end of the process, unless somebody listens; what can't be written is answered as on a full disk instead.
    let _too_large = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
    // First the port: where it is taken, nothing has been made or changed.
    let wanted = SocketAddr::new(config.server.host, config.server.port);
    let listener = listen(wanted)?;
    if let Ok(address) = listener.local_addr() {
        // Port 0 is any free one. Tokens and metadata name the one that it has become.
        config.server.port = address.port();
    }
    let ambient = Ambient::system();
    let (db, secret) = startup::open(&config, &ambient).await?;
    let state = startup::open_state(config, ambient, db, &secret).await?;
    drop(secret);

    let lifecycle = Arc::clone(&state.lifecycle);
    let (config, db) = (Arc::clone(&state.config), state.db.clone());
    let last_words = state.clone();
    let beside = [
        tokio::spawn(keys::service::follow(state.clone())),
        tokio::spawn(sessions::service::keep_house(state.clone())),
        tokio::spawn(limits::service::keep_house(state.clone())),
        tokio::spawn(mail::service::deliver(state.clone())),
        tokio::spawn(verification::service::keep_house(state.clone())),
        tokio::spawn(audit::service::keep_house(state.clone())),
        tokio::spawn(users::service::keep_house(state.clone())),
    ];
    // Before anybody is told that there is a server: whoever knows of it may stop it.
    let signals = Signals::new()?;
    let server = RunningServer::start(listener, state)
        .map_err(|error| StartError::new(format!("cannot serve on {wanted}: {error}")))?;
    welcome(&config, server.address);

    let handle = server.handle.clone();
    let in_flight = Duration::from_secs(u64::from(config.server.shutdown_timeout_seconds));
    let last_call = LAST_CALL.min(in_flight);
    tokio::select! {
        ended = server.run() => ended.map_err(|error| StartError::new(format!("the server failed: {error}")))?,
        // The server itself hears nothing more while it waits for requests in flight: it is dropped.
        () = signals.stop(&lifecycle, last_call, &handle) => {
            log::warn!("stopped before every request had finished");
            return Ok(());
        }
    }
    for task in beside {
        task.abort();
    }
    // A database that doesn't answer any more mustn't hold up the end.
    let close = async {
        if let Err(error) = sessions::service::write_last_uses(&last_words).await {
            log::warn!("cannot note when sessions were used: {error}");
        }
        db.close().await;
    };
    if timeout(CLOSE_WITHIN, close).await.is_err() {
        log::warn!("the database did not let go of its connections in time");
    }
    log::info!("stopped");
    Ok(())
}

fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => StartError::new(format!(
            "{address} is in use by another program: stop that one, or set server.port (or PORT) to another port"
        )),
        io::ErrorKind::PermissionDenied => StartError::new(format!(
            "this user may not listen on {address}: set server.port (or PORT) to one above 1023"
        )),
        _ => StartError::new(format!("cannot listen on {address}: {error}; check server.host and server.port")),
    })
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Of a terminal that is gone; none where that is to be outlived.
    hang_up: Option<Signal>,
}

impl Signals {
    fn new() -> Result<Self, StartError> {
        let listen = |kind| {
            signal(kind).map_err(|error| StartError::new(format!("cannot listen to signals: {error}")))
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: if outlives_its_terminal() {
                None
            } else {
                Some(listen(SignalKind::hangup())?)
            },
        })
    }

    async fn next(&mut self) {
        let Self {
            terminate,
            interrupt,
            hang_up,
        } = self;
        let terminal_is_gone = async {
            match hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = terminal_is_gone => {}
        }
    }

    /// The first signal lets requests in flight finish; returns at the second one, which doesn't.
    async fn stop(
        mut self,
        lifecycle: &Lifecycle,
        last_call: Duration,
        handle: &actix_web::dev::ServerHandle,
    ) {
        self.next().await;
        lifecycle.end();
        log::info!("stopping: requests in flight may finish; a second signal ends them");
        tokio::select! {
            _ = timeout(last_call, quiet(lifecycle)) => {}
            () = self.next() => return,
        }
        // What is asked for is asked for at once; the server's own future tells when it is done.
        drop(handle.stop(true));
        self.next().await;
    }
}

/// Returns when no connection is open and none has been taken for [`QUIET`].
async fn quiet(lifecycle: &Lifecycle) {
    let (_, mut before) = lifecycle.connections();
    loop {
        sleep(QUIET).await;
        let (open, taken) = lifecycle.connections();
        if open == 0 && taken == before {
            return;
        }
        before = taken;
    }
}

/// Whether the process was started with SIGHUP ignored, as `nohup` does: to listen would undo that. Where the system
/// doesn't tell (`proc_pid_status(5)`), it wasn't.
fn outlives_its_terminal() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| is_hang_up_ignored(&status))
}

fn is_hang_up_ignored(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Signal 1 is the lowest bit.
    ignored
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

/// Tells a person where everything is and what to try; a log gets one line.
fn welcome(config: &Config, address: SocketAddr) {
    let base = match &config.server.public_url {
        Some(url) => url.clone(),
        None => format!("http://{address}"),
    };
    log::info!(address = address.to_string().as_str(), version = env!("CARGO_PKG_VERSION"); "serving");
    if config.log.format == LogFormat::Json || !io::stdout().is_terminal() {
        return;
    }
    let place = match config.database.url.kind() {
        DatabaseKind::Sqlite => DatabaseSettings::new(&config.database, 1)
            .sqlite_file()
            .map_or_else(String::new, |file| format!("{} (SQLite)", file.display())),
        DatabaseKind::Postgres => config.database.url.redacted().to_owned(),
    };
    let docs = if config.docs.enabled {
        format!("\n  Docs   {base}/docs")
    } else {
        String::new()
    };
    let text = format!(
        "\nRoster {version} is serving.\n\n  API    {base}{docs}\n  Data   {place}\n\nTry this:\n\n  \
         curl -s {base}/users/ -H 'Content-Type: application/json' \\\n    \
         -d '{{\"email\": \"ada@example.com\", \"password\": \"plum-orbit-canvas-47\"}}'\n\n\
         Stop with Ctrl-C.\n",
        version = env!("CARGO_PKG_VERSION"),
    );
    // Where the terminal is gone, the server serves all the same.
    let _ = writeln!(io::stdout().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_hang_up_is_the_lowest_bit_of_its_mask() {
        let status = |mask: &str| format!("Name:\troster\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\n");
        assert!(is_hang_up_ignored(&status("0000000000001001")));
        assert!(!is_hang_up_ignored(&status("0000000000001000")));
        assert!(!is_hang_up_ignored(&status("")));
        assert!(!is_hang_up_ignored(""));
    }
}
