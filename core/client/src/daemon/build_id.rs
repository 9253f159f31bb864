//! Which build an executable is: the linker's build id, a hash of what it linked.
//!
//! It is in the file's first pages, so reading it takes microseconds where hashing a debug executable of 100 MB
//! and more takes longer than the whole call; it depends on the contents alone, so the same sources give the
//! same id, and it survives `strip`. An executable whose linker wrote none is hashed whole.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use sandboxed_domain::api::ApiError;
use sha2::{Digest, Sha256};

use super::files::file_error;

/// Hexadecimal digits shown and compared.
const DIGITS: usize = 12;
const PT_NOTE: u32 = 4;
const NT_GNU_BUILD_ID: u32 = 3;
/// No linker writes more program headers or notes than this; a damaged file is not followed further.
const MAX_HEADERS: u16 = 256;
const MAX_NOTES: u64 = 1 << 16;

/// The build id of an executable file: 12 hexadecimal digits.
///
/// # Errors
/// An error naming the file when it cannot be read.
pub fn build_id_of(program: &Path) -> Result<String, ApiError> {
    read(program).map_err(|e| file_error(program, &e))
}

/// The build id of the running executable, also after its file was replaced.
///
/// # Errors
/// As [`build_id_of`].
pub fn own_build_id() -> Result<String, ApiError> {
    build_id_of(Path::new("/proc/self/exe"))
}

fn read(program: &Path) -> io::Result<String> {
    let mut file = File::open(program)?;
    let id = match elf_build_id(&mut file) {
        Ok(Some(id)) => id,
        // Too short or otherwise no ELF file: a script, say.
        Ok(None) | Err(_) => {
            let mut hash = Sha256::new();
            file.rewind()?;
            io::copy(&mut file, &mut hash)?;
            hash.finalize().to_vec()
        }
    };
    let mut text: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(DIGITS);
    Ok(text)
}

/// The note, in a 64-bit little-endian ELF file.
fn elf_build_id(file: &mut File) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; 64];
    file.read_exact(&mut header)?;
    if header[..6] != *b"\x7fELF\x02\x01" {
        return Ok(None);
    }
    let table = u64_at(&header, 32);
    let (size, count) = (u16_at(&header, 54), u16_at(&header, 56).min(MAX_HEADERS));
    for index in 0..u64::from(count) {
        file.seek(SeekFrom::Start(table.saturating_add(index * u64::from(size))))?;
        let mut entry = [0; 56];
        file.read_exact(&mut entry)?;
        if u32_at(&entry, 0) != PT_NOTE {
            continue;
        }
        file.seek(SeekFrom::Start(u64_at(&entry, 8)))?;
        let mut notes = Vec::new();
        file.take(u64_at(&entry, 32).min(MAX_NOTES)).read_to_end(&mut notes)?;
        if let Some(id) = find_note(&notes, if u64_at(&entry, 48) == 8 { 8 } else { 4 }) {
            return Ok(Some(id.to_vec()));
        }
    }
    Ok(None)
}

fn find_note(mut notes: &[u8], align: usize) -> Option<&[u8]> {
    loop {
        let head: &[u8; 12] = notes.first_chunk()?;
        let (name_len, len) = (u32_at(head, 0) as usize, u32_at(head, 4) as usize);
        let kind = u32_at(head, 8);
        let start = (12 + name_len).next_multiple_of(align);
        let end = start.checked_add(len)?;
        let contents = notes.get(start..end)?;
        if kind == NT_GNU_BUILD_ID && notes.get(12..12 + name_len) == Some(b"GNU\0") && !contents.is_empty() {
            return Some(contents);
        }
        notes = notes.get(end.next_multiple_of(align)..)?;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executable_has_the_id_that_its_linker_wrote() {
        let own = own_build_id().unwrap();
        assert_eq!(own.len(), DIGITS);
        let exe = std::env::current_exe().unwrap();
        assert_eq!(own, build_id_of(&exe).unwrap());
        let mut note = elf_build_id(&mut File::open(&exe).unwrap()).unwrap().expect("linked with --build-id");
        note.truncate(DIGITS / 2);
        assert_eq!(own, note.iter().map(|b| format!("{b:02x}")).collect::<String>());
    }

    #[test]
    fn notes_are_walked_to_the_build_id() {
        let mut notes = Vec::new();
        for (name, kind, data) in
            [(&b"XY\0"[..], 3u32, &b"odd"[..]), (b"GNU\0", 1, b"abi!"), (b"GNU\0", 3, b"\x12\x34\x56")]
        {
            notes.extend((name.len() as u32).to_le_bytes());
            notes.extend((data.len() as u32).to_le_bytes());
            notes.extend(kind.to_le_bytes());
            for part in [name, data] {
                notes.extend(part);
                notes.resize(notes.len().next_multiple_of(4), 0);
            }
        }
        assert_eq!(find_note(&notes, 4), Some(&b"\x12\x34\x56"[..]));
        for cut in 0..notes.len() - 1 {
            assert_eq!(find_note(&notes[..cut], 4), None, "cut at {cut}");
        }
    }

    #[test]
    fn a_file_without_the_note_is_known_by_its_contents() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("script");
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        let first = build_id_of(&path).unwrap();
        assert_eq!(first, build_id_of(&path).unwrap());
        std::fs::write(&path, "#!/bin/sh\n#\n").unwrap();
        assert_ne!(first, build_id_of(&path).unwrap());
        assert!(build_id_of(&dir.path().join("none")).is_err());
    }
}
