//! Bearer tokens in files that only their owner can read.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use rustix::rand::{GetRandomFlags, getrandom};

/// Random bytes of the kernel.
///
/// # Errors
/// The kernel has none.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())?;
    }
    Ok(bytes)
}

/// In hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A secret that a request must show.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Reads a token's file, or makes it.
    ///
    /// # Errors
    /// When the file can be neither read nor made, is empty, or can be read by others.
    pub fn of_file(file: &Path) -> io::Result<Self> {
        match fs::read_to_string(file) {
            Ok(text) => {
                let open = fs::metadata(file)?.permissions().mode() & 0o077 != 0;
                let token = text.trim().to_owned();
                if open || token.is_empty() {
                    let why = if open { "others can read it: chmod 600 it" } else { "it is empty" };
                    return Err(io::Error::other(why));
                }
                Ok(Self(token))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Self::make(file),
            Err(e) => Err(e),
        }
    }

    /// Makes a token and its file.
    ///
    /// # Errors
    /// When the file is there already or cannot be written.
    pub fn make(file: &Path) -> io::Result<Self> {
        let token = hex(&random::<24>()?);
        let mut made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        writeln!(made, "{token}")?;
        Ok(Self(token))
    }

    /// Whether it is the same, in a time that depends on the length alone.
    pub fn is(&self, given: &str) -> bool {
        let (a, b) = (self.0.as_bytes(), given.as_bytes());
        a.len() == b.len() && a.iter().zip(b).fold(0, |diff, (x, y)| diff | (x ^ y)) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_its_owner_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        Token::of_file(&file).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.trim().len() == 48 && Token::of_file(&file).unwrap().is(text.trim()));
        assert!(!Token::of_file(&file).unwrap().is(&text.trim()[1..]));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Token::of_file(&file).is_err());
    }
}
