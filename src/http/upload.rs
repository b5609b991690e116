//! A body that is too large to be held in memory: read as it arrives, by somebody who may be slow.

use std::io::{self, BufReader, Read};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt as _;
use futures_util::future::{Ready, ready};
use tokio::sync::mpsc;

use super::body::utf8_essence;
use crate::app::AppState;
use crate::error::ApiError;

const ALLOWED: &str = "Send application/x-ndjson, application/json or text/csv, in UTF-8 and not compressed.";
/// How many pieces wait for whoever reads; the client waits beyond that.
const PIECES: usize = 4;

/// A file in a body, of at most `server.max_import_bytes`.
pub struct Upload {
    /// Whether it is CSV.
    pub is_csv: bool,
    payload: Payload,
    limit: usize,
    patience: Duration,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload")
            .field("is_csv", &self.is_csv)
            .finish_non_exhaustive()
    }
}

impl FromRequest for Upload {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        ready(Self::open(request, payload))
    }
}

impl Upload {
    fn open(request: &HttpRequest, payload: &mut Payload) -> Result<Self, ApiError> {
        let config = &AppState::of(request)?.config.server;
        let limit = config.max_import_bytes;
        let is_csv = is_csv(request.headers())?;
        let announced = request
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok())
            .and_then(|length| length.parse::<u64>().ok());
        if announced.is_some_and(|length| length > limit as u64) {
            return Err(ApiError::PayloadTooLarge { limit });
        }
        Ok(Self {
            is_csv,
            payload: payload.take(),
            limit,
            patience: Duration::from_secs(u64::from(config.body_timeout_seconds)),
        })
    }

    /// Parts it into what a thread reads, and what has to be awaited meanwhile: the latter hands over what arrives, and
    /// fails where the body is too large, or nothing arrives for as long as a whole body may take elsewhere.
    pub fn split(
        self,
    ) -> (
        impl io::BufRead + Send + 'static,
        impl Future<Output = Result<(), ApiError>>,
    ) {
        let (pieces, received) = mpsc::channel(PIECES);
        let reader = BufReader::new(Pieces {
            received,
            piece: Bytes::new(),
        });
        (reader, self.hand_over(pieces))
    }

    async fn hand_over(mut self, pieces: mpsc::Sender<Result<Bytes, io::Error>>) -> Result<(), ApiError> {
        let mut length = 0;
        loop {
            let piece = match tokio::time::timeout(self.patience, self.payload.next()).await {
                Ok(None) => return Ok(()),
                Ok(Some(Ok(piece))) => {
                    length += piece.len();
                    if length > self.limit {
                        Err(ApiError::PayloadTooLarge { limit: self.limit })
                    } else {
                        Ok(piece)
                    }
                }
                Ok(Some(Err(_))) => Err(ApiError::Malformed(
                    "The body could not be read to its end.".into(),
                )),
                Err(_) => Err(ApiError::BodyTimeout { limit: self.patience }),
            };
            match piece {
                Ok(piece) => {
                    if pieces.send(Ok(piece)).await.is_err() {
                        // Whoever reads has seen enough.
                        return Ok(());
                    }
                }
                Err(error) => {
                    // The end must not look like one.
                    let _ = pieces.send(Err(io::ErrorKind::UnexpectedEof.into())).await;
                    return Err(error);
                }
            }
        }
    }
}

fn is_csv(headers: &HeaderMap) -> Result<bool, ApiError> {
    let refused = || ApiError::UnsupportedMediaType(ALLOWED.into());
    if headers
        .get_all(CONTENT_ENCODING)
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(refused());
    }
    let mut values = headers.get_all(CONTENT_TYPE);
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(refused());
    };
    let essence = utf8_essence(value).ok_or_else(refused)?;
    let is = |name: &str| essence.eq_ignore_ascii_case(name);
    if is("text/csv") {
        Ok(true)
    } else if is("application/x-ndjson") || is("application/json") {
        Ok(false)
    } else {
        Err(refused())
    }
}

/// What has arrived, for a thread that waits for it.
struct Pieces {
    received: mpsc::Receiver<Result<Bytes, io::Error>>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.received.blocking_recv() {
                None => return Ok(0),
                Some(piece) => self.piece = piece?,
            }
        }
        let some = self.piece.split_to(self.piece.len().min(buffer.len()));
        for (place, byte) in buffer.iter_mut().zip(&some) {
            *place = *byte;
        }
        Ok(some.len())
    }
}
