//! Which host a TLS client asks for: the server name of its ClientHello (RFC 8446, RFC 6066).
//!
//! A client that may connect to one host must not be led to another one at the same address, so the name is read and
//! compared; nothing is decrypted.

/// What the first bytes of a connection say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hello {
    /// More bytes are needed.
    Incomplete,
    /// No TLS, or one that cannot be read.
    Other,
    /// TLS, with the name that is asked for.
    Tls(Option<String>),
}

/// Most bytes looked at; a ClientHello with post-quantum keys has about 2 KiB.
pub(super) const MOST: usize = 16 << 10;

const HANDSHAKE_RECORD: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

/// Reads the beginning of what a client sends.
pub(super) fn read(bytes: &[u8]) -> Hello {
    match handshake(bytes) {
        Ok(message) => match server_name(&message) {
            Some(name) => Hello::Tls(name),
            None => Hello::Other,
        },
        Err(()) if bytes.len() < MOST && could_be_tls(bytes) => Hello::Incomplete,
        Err(()) => Hello::Other,
    }
}

fn could_be_tls(bytes: &[u8]) -> bool {
    bytes.first().is_none_or(|b| *b == HANDSHAKE_RECORD) && bytes.get(1).is_none_or(|b| *b == 3)
}

/// The first handshake message, which may be cut into several records; an error when it is not whole (yet).
fn handshake(mut bytes: &[u8]) -> Result<Vec<u8>, ()> {
    let mut message = Vec::new();
    loop {
        let [HANDSHAKE_RECORD, 3, _, high, low, rest @ ..] = bytes else { return Err(()) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        message.extend(rest.get(..length).ok_or(())?);
        bytes = &rest[length..];
        if let [_, a, b, c, body @ ..] = message.as_slice() {
            let wanted = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
            if body.len() >= wanted {
                message.truncate(wanted + 4);
                return Ok(message);
            }
        }
    }
}

/// The name in a ClientHello; the outer option is whether it is one.
fn server_name(message: &[u8]) -> Option<Option<String>> {
    let mut hello = Bytes(message);
    if hello.byte()? != CLIENT_HELLO {
        return None;
    }
    // Length, version, random.
    hello.take(3 + 2 + 32)?;
    let session = hello.byte()?;
    hello.take(usize::from(session))?;
    hello.block()?;
    let compressions = hello.byte()?;
    hello.take(usize::from(compressions))?;
    let Some(mut extensions) = hello.block() else { return Some(None) };
    while let Some(kind) = extensions.short() {
        let mut body = extensions.block()?;
        if kind == SERVER_NAME {
            let mut names = body.block()?;
            let kind = names.byte()?;
            let name = names.block()?.0.to_vec();
            return if kind == HOST_NAME { String::from_utf8(name).ok().map(Some) } else { None };
        }
    }
    Some(None)
}

/// Bytes from which pieces are taken.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|b| b[0])
    }

    fn short(&mut self) -> Option<u16> {
        self.take(2).map(|b| u16::from_be_bytes([b[0], b[1]]))
    }

    /// A piece that begins with its length in two bytes.
    fn block(&mut self) -> Option<Bytes<'a>> {
        let length = self.short()?;
        self.take(usize::from(length)).map(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ClientHello as a client writes it, cut into records of at most `cut` bytes.
    fn client_hello(name: Option<&str>, cut: usize) -> Vec<u8> {
        let block = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
        let mut extensions = [&[0, 43][..], &block(&[2, 3, 4])].concat();
        if let Some(name) = name {
            let entry = [&[0][..], &block(name.as_bytes())].concat();
            extensions.extend([&[0, 0][..], &block(&block(&entry))].concat());
        }
        let body =
            [&[3, 3][..], &[7; 32], &[4, 1, 2, 3, 4], &block(&[0x13, 1]), &[1, 0], &block(&extensions)]
                .concat();
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let message = [&[1][..], &length[1..], &body].concat();
        message.chunks(cut).flat_map(|part| [&[22, 3, 1][..], &block(part)].concat()).collect()
    }

    #[test]
    fn the_name_is_read_however_the_message_is_cut() {
        for cut in [1, 7, 50, 4096] {
            let bytes = client_hello(Some("example.org"), cut);
            for end in 0..bytes.len() {
                assert_eq!(read(&bytes[..end]), Hello::Incomplete, "{end} of {}", bytes.len());
            }
            assert_eq!(read(&bytes), Hello::Tls(Some("example.org".into())));
        }
        assert_eq!(read(&client_hello(None, 4096)), Hello::Tls(None));
    }

    #[test]
    fn other_bytes_are_not_tls_and_never_a_panic() {
        for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"SSH-2.0-x", &[22, 2], &[22, 3, 1, 0, 1, 9]] {
            assert!(matches!(read(bytes), Hello::Other | Hello::Incomplete), "{bytes:?}");
        }
        assert_eq!(read(b"SSH-2.0-x"), Hello::Other);
        assert_eq!(read(&vec![22; MOST]), Hello::Other);
        let good = client_hello(Some("example.org"), 4096);
        for at in 0..good.len() {
            for value in [0, 1, 127, 255] {
                let mut bad = good.clone();
                bad[at] = value;
                read(&bad);
            }
        }
    }
}
