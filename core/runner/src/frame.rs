//! How one message becomes bytes: a big-endian `u32` length, then JSON.

use serde::{Serialize, de::DeserializeOwned};

use crate::protocol::MAX_FRAME;

/// Bytes before the JSON.
pub const HEADER: usize = 4;

/// Why bytes and messages did not convert.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The message is longer than [`MAX_FRAME`].
    #[error("frame of {length} bytes is longer than {MAX_FRAME}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The JSON does not fit the protocol's types.
    #[error("frame is not a message of this protocol")]
    Json(#[from] serde_json::Error),
}

/// The whole frame of `message`.
///
/// # Errors
/// When it is too long.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0; HEADER];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - HEADER;
    let header = u32::try_from(length).ok().filter(|_| length <= MAX_FRAME);
    let header = header.ok_or(FrameError::TooLong { length })?;
    bytes[..HEADER].copy_from_slice(&header.to_be_bytes());
    Ok(bytes)
}

/// How many bytes of JSON follow `header`.
///
/// # Errors
/// When it announces more than [`MAX_FRAME`].
pub fn body_length(header: [u8; HEADER]) -> Result<usize, FrameError> {
    let length = u32::from_be_bytes(header) as usize;
    if length > MAX_FRAME { Err(FrameError::TooLong { length }) } else { Ok(length) }
}

/// The message in `body`.
///
/// # Errors
/// When it is no such message.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    Ok(serde_json::from_slice(body)?)
}

/// Takes the first whole frame's body from the front of `buffer`; none when it is not complete yet.
///
/// # Errors
/// When the header announces more than [`MAX_FRAME`]; the stream cannot be read on after that.
pub fn take(buffer: &mut Vec<u8>) -> Result<Option<Vec<u8>>, FrameError> {
    let Some(header) = buffer.first_chunk::<HEADER>() else { return Ok(None) };
    let end = HEADER + body_length(*header)?;
    if buffer.len() < end {
        return Ok(None);
    }
    let body = buffer[HEADER..end].to_vec();
    buffer.drain(..end);
    Ok(Some(body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Request;

    #[test]
    fn a_frame_comes_back_whole_however_it_was_cut() {
        let message = Request::WriteStdin { run_id: "a".into(), offset: 7, data: "wörds".into() };
        let bytes = encode(&message).unwrap();
        for cut in 0..bytes.len() {
            let mut buffer = bytes[..cut].to_vec();
            assert!(take(&mut buffer).unwrap().is_none(), "cut at {cut}");
            buffer.extend(&bytes[cut..]);
            buffer.push(9);
            let body = take(&mut buffer).unwrap().unwrap();
            assert_eq!(decode::<Request>(&body).unwrap(), message);
            assert_eq!(buffer, [9]);
        }
    }

    #[test]
    fn too_long_frames_are_refused_on_both_sides() {
        let message = Request::Status { run_id: "x".repeat(MAX_FRAME) };
        assert!(matches!(encode(&message), Err(FrameError::TooLong { .. })));
        assert!(matches!(take(&mut vec![0xff; 8]), Err(FrameError::TooLong { .. })));
    }
}
