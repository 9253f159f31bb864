//! A file with keys of backends, `NAME=value` a line: read anew each time, so that keys change without a restart.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sandboxed_domain::api::ApiError;

/// Most bytes of the file.
const LARGEST: u64 = 64 << 10;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyFile(Option<PathBuf>);

impl KeyFile {
    /// Name of the setting.
    pub const NAME: &'static str = "SANDBOXED_SH_KEYS_FILE";

    /// Where the file is: in the data directory unless it is named.
    ///
    /// # Errors
    /// `invalid_argument`: it is named by a relative path.
    pub fn parse(get: impl Fn(&str) -> Option<String>) -> Result<Self, ApiError> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        match get(Self::NAME) {
            Some(path) if path.is_absolute() => Ok(Self(Some(path))),
            Some(path) => {
                Err(ApiError::invalid(Self::NAME, format!("{} is not an absolute path", path.display())))
            }
            None => {
                let data = get("SANDBOXED_SH_DATA_DIR").or_else(|| Some(get("HOME")?.join(".sandboxed-sh")));
                Ok(Self(data.map(|data| data.join("keys.env"))))
            }
        }
    }

    /// Its path.
    pub fn path(&self) -> Option<&Path> {
        self.0.as_deref()
    }

    /// The variables in it; none when there is no file.
    ///
    /// # Errors
    /// It is not a plain file that only its owner can read, or too large.
    pub fn read(&self) -> io::Result<BTreeMap<String, String>> {
        let Some(path) = &self.0 else { return Ok(BTreeMap::new()) };
        // A pipe in its place must not be waited for.
        let file = match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(error),
        };
        let found = file.metadata()?;
        if !found.is_file() || found.len() > LARGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a plain file of a sensible size"));
        }
        if found.mode() & 0o077 != 0 {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "others may read it: chmod 600"));
        }
        let mut text = String::new();
        file.take(LARGEST).read_to_string(&mut text)?;
        Ok(variables(&text))
    }
}

/// `NAME=value` lines, as systemd reads an environment file: comments and empty lines are skipped, and a pair of quotes
/// around a value is not part of it.
fn variables(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.trim().to_owned(), unquoted(value.trim()).to_owned())).collect()
}

fn unquoted(value: &str) -> &str {
    let inner = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn at(path: &Path) -> KeyFile {
        KeyFile::parse(|name| (name == KeyFile::NAME).then(|| path.display().to_string())).unwrap()
    }

    #[test]
    fn only_a_private_file_is_read_and_each_time_anew() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("keys.env");
        assert!(at(&path).read().unwrap().is_empty());
        std::fs::write(&path, "# mine\nA=1\n\n B = \"two words\"\nC='3'\njunk\nD=\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(at(&path).read().unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let pairs = [("A", "1"), ("B", "two words"), ("C", "3"), ("D", "")];
        let pairs: BTreeMap<_, _> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(at(&path).read().unwrap(), pairs);
        std::fs::write(&path, "A=2\n").unwrap();
        assert_eq!(at(&path).read().unwrap()["A"], "2");
    }

    #[test]
    fn it_lies_in_the_data_directory_unless_it_is_named() {
        let place = |set: &[(&str, &str)]| {
            let get =
                |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            KeyFile::parse(get).map(|file| file.path().map(Path::to_owned))
        };
        assert_eq!(place(&[("HOME", "/root")]).unwrap(), Some("/root/.sandboxed-sh/keys.env".into()));
        let data = [("HOME", "/root"), ("SANDBOXED_SH_DATA_DIR", "/d")];
        assert_eq!(place(&data).unwrap(), Some("/d/keys.env".into()));
        assert_eq!(place(&[(KeyFile::NAME, "/k")]).unwrap(), Some("/k".into()));
        assert_eq!(place(&[(KeyFile::NAME, "k")]).unwrap_err().field.as_deref(), Some(KeyFile::NAME));
        assert_eq!(place(&[]).unwrap(), None);
    }
}
