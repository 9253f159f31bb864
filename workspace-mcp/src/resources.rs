//! Files of the workspace as MCP resources: what answers link to, a client can read.

use std::io::Read;

use base64::Engine as _;
use rmcp::{ErrorData, model::ResourceContents};

use crate::error::{Code, Problem};
use crate::files::open_file;
use crate::root::Root;

/// Larger files are read in ranges with the tools.
const MAX_BYTES: u64 = 1 << 20;

/// The content of a `file://` URI.
///
/// # Errors
/// "Resource not found" for what is not there or not below the root.
pub fn read(root: &Root, uri: &str) -> Result<ResourceContents, ErrorData> {
    let failed = |problem: Problem| match problem.code {
        Code::NotFound | Code::PathOutsideWorkspace | Code::NotAFile | Code::NotADirectory => {
            ErrorData::resource_not_found(format!("{uri}: {problem}"), None)
        }
        _ => ErrorData::invalid_params(format!("{uri}: {problem}"), None),
    };
    let path = uri.strip_prefix("file://").and_then(decode);
    let Some(path) = path else {
        return Err(ErrorData::resource_not_found(format!("{uri} is no file of the workspace"), None));
    };
    let path = root.relative("uri", &path).map_err(failed)?;
    let (file, _) = open_file(root, &path).map_err(failed)?;
    let mut content = Vec::new();
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut content);
    read.map_err(|error| failed(Problem::system("read", &path, error)))?;
    if content.len() as u64 > MAX_BYTES {
        let message = format!("{path} has more than {MAX_BYTES} bytes: read_file reads it in ranges");
        return Err(failed(Problem::new(Code::TooLarge, message)));
    }
    Ok(match String::from_utf8(content) {
        Ok(text) => ResourceContents::text(text, uri),
        Err(error) => {
            let blob = base64::engine::general_purpose::STANDARD.encode(error.as_bytes());
            ResourceContents::blob(blob, uri)
        }
    })
}

/// Percent-encoded UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        if *first == b'%' {
            let hex = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::file_uri;
    use crate::root::RelPath;

    #[test]
    fn a_link_to_a_file_can_be_read_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path()).unwrap();
        for name in ["plain.txt", "a b%2f#ü?.txt"] {
            std::fs::write(dir.path().join(name), name).unwrap();
            let uri = file_uri(&root, &RelPath::own(name));
            let ResourceContents::TextResourceContents { text, .. } = read(&root, &uri).unwrap() else {
                panic!("{uri} is text")
            };
            assert_eq!(text, name);
        }
        for uri in ["file:///etc/passwd", "http://x/", "file://%zz", &file_uri(&root, &RelPath::own("none"))]
        {
            assert!(read(&root, uri).is_err(), "{uri}");
        }
    }
}
