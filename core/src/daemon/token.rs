//! The daemon's token: from its file, made at the first start, readable by its owner only.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use sandboxed_domain::api::{ApiError, ErrorCode};

use crate::store::io_error;

/// Random bytes of a new token.
const BYTES: usize = 32;

/// Reads the token, or makes one.
///
/// # Errors
/// The file cannot be read or written, others may read it, or it is empty.
pub(super) fn read_or_create(path: &Path) -> Result<String, ApiError> {
    match create(path) {
        Ok(token) => return Ok(token),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(io_error(path, &error)),
    }
    let mode = fs::metadata(path).map_err(|error| io_error(path, &error))?.mode();
    if mode & 0o077 != 0 {
        return Err(ApiError::new(ErrorCode::Forbidden, format!("{} may be read by others", path.display()))
            .field(path.display().to_string())
            .hint(format!("chmod 600 {}", path.display())));
    }
    let text = fs::read_to_string(path).map_err(|error| io_error(path, &error))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(ApiError::invalid(path.display().to_string(), "the token file is empty")
            .hint("remove it; the next start makes a new one"));
    }
    Ok(token.to_owned())
}

fn create(path: &Path) -> std::io::Result<String> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    if path.exists() {
        return Err(std::io::ErrorKind::AlreadyExists.into());
    }
    let mut random = [0_u8; BYTES];
    fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    // Whole under a name of its own first: whoever finds the file finds a token in it.
    let temporary = path.with_extension(format!("new-{}", std::process::id()));
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(format!("{token}\n").as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary)?;
    linked.map(|()| token)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data/token");
        let token = read_or_create(&path).unwrap();
        assert_eq!(token.len(), 64);
        assert_eq!(read_or_create(&path).unwrap(), token);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_token_that_others_may_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        fs::write(&path, "secret\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = read_or_create(&path).unwrap_err();
        assert_eq!(error.code, ErrorCode::Forbidden);
        assert!(!error.to_string().contains("secret"));
    }
}
