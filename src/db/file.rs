//! The file of an `SQLite` database.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::connect::ConnectError;

/// Makes the file, and its folder, for the owner alone: it holds password hashes. `SQLite` would use the umask.
pub(super) fn create_owner_only(file: &Path) -> Result<(), ConnectError> {
    let explain = |path: &Path, error: &io::Error| {
        ConnectError(format!(
            "cannot make the database file {}: {error} ({}); make the folder writable for this user or set database.url",
            file.display(),
            path.display()
        ))
    };
    if let Some(folder) = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty() && !folder.exists())
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| explain(folder, &error))?;
    }
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
    {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(explain(file, &error)),
    }
}
