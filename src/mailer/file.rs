//! Mail as files: in development, where there is no mail server, every flow can still be tried.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use lettre::message::header::ContentTransferEncoding;

use super::{Letter, Mailer, SendFault, message};

/// Writes each mail to a file of its own, and its link to the log.
#[derive(Debug)]
pub struct FileMailer {
    folder: PathBuf,
}

impl FileMailer {
    /// A mailer that writes to a folder; it is made with the first mail.
    #[must_use]
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }
}

#[async_trait::async_trait]
impl Mailer for FileMailer {
    async fn send(&self, letter: &Letter) -> Result<(), SendFault> {
        let bytes = message(letter, ContentTransferEncoding::EightBit)?.formatted();
        // In order of time, as a listing shows them.
        let path = self.folder.join(format!(
            "{}-{}.eml",
            letter.created_at.format("%Y%m%dT%H%M%S%3f"),
            letter.id
        ));
        write(&path, &bytes)
            .map_err(|error| SendFault::Failed(format!("cannot write {}: {error}", path.display())))?;
        let file = path.display().to_string();
        match &letter.link {
            Some(link) => log::info!(file = file.as_str(), link = link.as_str(); "a mail was written"),
            None => log::info!(file = file.as_str(); "a mail was written"),
        }
        Ok(())
    }
}

/// The file appears as a whole: whoever watches the folder never reads half a mail.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let draft = path.with_extension("draft");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        // It has codes in it.
        .mode(0o600)
        .open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)
}
