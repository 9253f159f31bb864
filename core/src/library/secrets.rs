//! Secrets of MCP servers: a file of this machine, never of the Library.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sandboxed_domain::api::{ApiError, ErrorCode};

use crate::store::io_error;

/// Largest file.
const LARGEST: u64 = 1 << 20;

/// All secrets by name; none where there is no file.
///
/// # Errors
/// Others may read the file, or it is not lines of `NAME=value`. The error repeats nothing of it.
pub(super) fn read_secrets(path: &Path) -> Result<BTreeMap<String, String>, ApiError> {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(io_error(path, &error)),
    };
    let file = path.display().to_string();
    if found.mode() & 0o077 != 0 {
        let message = format!("{file} holds secrets and others may read it");
        return Err(ApiError::new(ErrorCode::Forbidden, message)
            .field(&file)
            .hint(format!("chmod 600 {file}")));
    }
    if found.len() > LARGEST {
        return Err(ApiError::new(ErrorCode::TooLarge, format!("{file} is larger than 1 MiB")).field(file));
    }
    let text = fs::read_to_string(path).map_err(|error| io_error(path, &error))?;
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(at, line)| {
            let pair = line.split_once('=').filter(|(name, _)| !name.trim().is_empty());
            let (name, value) = pair.ok_or_else(|| {
                ApiError::invalid(&file, format!("{file}:{at} is not NAME=value"))
                    .hint("one secret a line; a line that begins with # is a remark")
            })?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn secrets_are_lines_of_a_file_that_nobody_else_may_read() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("library.env");
        assert_eq!(read_secrets(&path).unwrap(), BTreeMap::new());
        fs::write(&path, "# ours\n\nA = one=1\nB=\n").unwrap();
        assert_eq!(read_secrets(&path).unwrap_err().code, ErrorCode::Forbidden);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let found = read_secrets(&path).unwrap();
        assert_eq!((found["A"].as_str(), found["B"].as_str()), ("one=1", ""));
        fs::write(&path, "A=1\ns3cret\n").unwrap();
        let error = read_secrets(&path).unwrap_err();
        assert!(error.message.ends_with(":2 is not NAME=value") && !error.to_string().contains("s3cret"));
    }
}
