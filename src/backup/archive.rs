//! The format of a backup: a tar archive that begins with a manifest and ends with a checksum of
//! everything before it, so that an incomplete or damaged backup is noticed. Knows nothing of what
//! the files in between are for.

use std::io::{self, ErrorKind, Read, Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use super::BackupError;
use crate::domain::time::Timestamp;

/// The version of the format that this program writes and reads.
pub(super) const FORMAT: u32 = 1;
/// The name of the manifest, which is the first entry.
pub(super) const MANIFEST: &str = "manifest.json";
/// The name of the database.
pub(super) const DATABASE: &str = "mercato.db";
/// The folder of images and videos.
pub(super) const MEDIA: &str = "media/";
/// The name of the last entry.
const END: &str = "end.json";
/// Maximum size of an entry that is read into memory, in bytes.
const MAX_SMALL_BYTES: u64 = 64 * 1024;
/// Maximum length of the name of an entry, in bytes.
const MAX_NAME_BYTES: u64 = 4 * 1024;

/// What a backup contains.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the format.
    pub format: u32,
    /// The version of the program that wrote it.
    pub mercato: String,
    /// When it was begun.
    pub created_at: Timestamp,
    /// The newest migration of the database.
    pub migration: Option<String>,
    /// The position of the last event in the log.
    pub event_position: Option<i64>,
    /// Where images and videos are, if they are not in the backup.
    pub media_location: Option<String>,
    /// Recognizes the secret that the data is encrypted with.
    pub key_check: Option<String>,
}

/// The last entry.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct End {
    /// Number of entries before it.
    entries: u64,
    /// SHA-256 of the name, size and SHA-256 of each of them.
    sha256: String,
}

/// The checksum of all entries so far.
#[derive(Default)]
struct Checksum {
    entries: u64,
    hasher: Sha256,
}

impl Checksum {
    fn add(&mut self, name: &str, size: u64, content: &[u8]) {
        self.entries += 1;
        self.hasher.update(name.as_bytes());
        self.hasher.update([0]);
        self.hasher.update(size.to_be_bytes());
        self.hasher.update(content);
    }

    fn end(self) -> End {
        End { entries: self.entries, sha256: base16ct::lower::encode_string(&self.hasher.finalize()) }
    }
}

/// Hashes what is read through it.
struct HashingReader<R> {
    inner: R,
    hasher: Sha256,
    bytes: u64,
}

impl<R: Read> HashingReader<R> {
    fn new(inner: R) -> Self {
        Self { inner, hasher: Sha256::new(), bytes: 0 }
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        self.bytes += count as u64;
        Ok(count)
    }
}

/// Writes a backup.
pub(super) struct ArchiveWriter<W: Write> {
    tar: tar::Builder<W>,
    checksum: Checksum,
    /// The time of all entries, in seconds since the Unix epoch.
    time: u64,
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins with the manifest.
    pub(super) fn new(output: W, manifest: &Manifest) -> io::Result<Self> {
        let time = u64::try_from(manifest.created_at.micros() / 1_000_000).unwrap_or_default();
        let mut writer = Self { tar: tar::Builder::new(output), checksum: Checksum::default(), time };
        writer.add_small(MANIFEST, &serde_json::to_vec_pretty(manifest)?)?;
        Ok(writer)
    }

    /// Adds an entry of this size.
    pub(super) fn add(&mut self, name: &str, size: u64, content: impl Read) -> io::Result<()> {
        let mut content = HashingReader::new(content.take(size));
        let mut header = self.header(size);
        self.tar.append_data(&mut header, name, &mut content)?;
        if content.bytes < size {
            // The next entry would begin in the middle of this one.
            return Err(io::Error::new(ErrorKind::UnexpectedEof, format!("{name} became shorter")));
        }
        self.checksum.add(name, size, &content.hasher.finalize());
        Ok(())
    }

    /// Adds an entry that is in memory.
    pub(super) fn add_small(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.add(name, content.len() as u64, content)
    }

    /// Ends the backup and returns what it was written to.
    pub(super) fn finish(mut self) -> io::Result<W> {
        let end = serde_json::to_vec_pretty(&std::mem::take(&mut self.checksum).end())?;
        let mut header = self.header(end.len() as u64);
        self.tar.append_data(&mut header, END, end.as_slice())?;
        let mut output = self.tar.into_inner()?;
        output.flush()?;
        Ok(output)
    }

    fn header(&self, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(size);
        header.set_mode(0o600);
        header.set_mtime(self.time);
        header
    }
}

/// Reads a backup: passes each entry to `receive`, the manifest first, and then checks that all of
/// it was there and is as it was written.
pub(super) fn read(
    input: impl Read,
    mut receive: impl FnMut(&str, &mut dyn Read) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let unreadable = |error: io::Error| BackupError::refused(format!("the backup can't be read: {error}"));
    let mut archive = tar::Archive::new(input);
    let (mut checksum, mut is_complete, mut long_name) = (Checksum::default(), false, None);
    // Raw: the library would read long names into memory whatever their size.
    for entry in archive.entries().map_err(unreadable)?.raw(true) {
        let mut entry = entry.map_err(unreadable)?;
        if entry.header().entry_type().is_gnu_longname() && long_name.is_none() {
            long_name = Some(read_long_name(&mut entry)?);
            continue;
        }
        let name = checked_name(&entry, long_name.take())?;
        let size = entry.size();
        if is_complete || (checksum.entries == 0) != (name == MANIFEST) {
            return Err(BackupError::refused("this is not a backup of mercato"));
        }
        if name == END {
            let end: End = read_json(&name, &mut entry)?;
            if end != std::mem::take(&mut checksum).end() {
                return Err(BackupError::refused("the backup is damaged: its checksum is wrong"));
            }
            is_complete = true;
            continue;
        }
        let mut content = HashingReader::new(&mut entry);
        receive(&name, &mut content)?;
        // What was not needed counts as well.
        io::copy(&mut content, &mut io::sink()).map_err(unreadable)?;
        checksum.add(&name, size, &content.hasher.finalize());
    }
    if is_complete && long_name.is_none() {
        Ok(())
    } else {
        Err(BackupError::refused("the backup is incomplete"))
    }
}

/// Reads an entry that is small.
pub(super) fn read_small(name: &str, content: &mut dyn Read) -> Result<Vec<u8>, BackupError> {
    let mut bytes = Vec::new();
    let read = content.take(MAX_SMALL_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| BackupError::refused(format!("{name} in the backup can't be read: {error}")))?;
    if bytes.len() as u64 > MAX_SMALL_BYTES {
        return Err(BackupError::refused(format!("{name} in the backup is too large")));
    }
    Ok(bytes)
}

/// Reads an entry that is JSON.
pub(super) fn read_json<T: serde::de::DeserializeOwned>(
    name: &str,
    content: &mut dyn Read,
) -> Result<T, BackupError> {
    let parsed = serde_json::from_slice(&read_small(name, content)?);
    parsed.map_err(|error| BackupError::refused(format!("{name} in the backup can't be read: {error}")))
}

/// Whether an entry may have this name: it can't lead out of the folder that it is unpacked into,
/// on any system.
pub(super) fn is_plain_name(name: &str) -> bool {
    name.len() as u64 <= MAX_NAME_BYTES
        && !name.contains(['\\', ':', '\0'])
        && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Reads the name of the next entry, which is an entry of its own if it is long.
fn read_long_name<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Vec<u8>, BackupError> {
    // It ends with a zero.
    if entry.size() > MAX_NAME_BYTES + 1 {
        return Err(invalid_entry(&format!("a name of {} bytes", entry.size())));
    }
    let mut name = Vec::new();
    let read = entry.read_to_end(&mut name);
    read.map_err(|error| BackupError::refused(format!("the backup can't be read: {error}")))?;
    if name.last() == Some(&0) {
        name.pop();
    }
    Ok(name)
}

/// The name of an entry that is a file.
fn checked_name<R: Read>(
    entry: &tar::Entry<'_, R>,
    long_name: Option<Vec<u8>>,
) -> Result<String, BackupError> {
    let name = long_name.unwrap_or_else(|| entry.path_bytes().into_owned());
    let is_file = entry.header().entry_type() == EntryType::Regular;
    match String::from_utf8(name) {
        Ok(name) if is_file && is_plain_name(&name) => Ok(name),
        Ok(name) => Err(invalid_entry(&name)),
        Err(error) => Err(invalid_entry(&String::from_utf8_lossy(error.as_bytes()))),
    }
}

fn invalid_entry(name: &str) -> BackupError {
    // Control characters would change the terminal.
    let name = name.escape_debug();
    BackupError::refused(format!(
        "this is not a backup of mercato: it contains a file with an invalid name or type: {name}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            mercato: "0.1.0".to_owned(),
            created_at: Timestamp::EPOCH,
            migration: None,
            event_position: Some(7),
            media_location: None,
            key_check: None,
        }
    }

    fn backup() -> Vec<u8> {
        let mut writer = ArchiveWriter::new(Vec::new(), &manifest()).unwrap();
        writer.add_small(DATABASE, b"rows").unwrap();
        let name = format!("{MEDIA}{}", "x".repeat(150));
        writer.add(&name, 3, b"image".as_slice()).unwrap();
        writer.finish().unwrap()
    }

    fn entries(backup: &[u8]) -> Result<Vec<(usize, Vec<u8>)>, BackupError> {
        let mut found = Vec::new();
        read(backup, |name, content| {
            found.push((name.len(), read_small(name, content)?));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn what_was_written_is_read() {
        let found = entries(&backup()).unwrap();
        assert_eq!(serde_json::from_slice::<Manifest>(&found[0].1).unwrap(), manifest());
        assert_eq!(found[1..], [(DATABASE.len(), b"rows".to_vec()), (156, b"ima".to_vec())]);
    }

    #[test]
    fn damage_and_a_missing_end_are_noticed() {
        let backup = backup();
        let at = backup.windows(4).position(|bytes| bytes == b"rows").unwrap();
        let mut damaged = backup.clone();
        damaged[at] = b'R';
        assert!(entries(&damaged).unwrap_err().to_string().contains("checksum"));
        // The archive ends with two empty blocks, and the last entry with padding.
        for length in (0..backup.len() - 3 * 512).step_by(100) {
            assert!(entries(&backup[..length]).is_err(), "{length} bytes");
        }
        assert!(entries("not an archive, but long enough for one".repeat(30).as_bytes()).is_err());
    }

    #[test]
    fn files_outside_of_the_folder_are_rejected() {
        for name in ["../mercato.db", "media//x", "media/../../x", "a\\b"] {
            let mut builder = tar::Builder::new(Vec::new());
            let mut header = Header::new_gnu();
            header.set_size(0);
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, io::empty()).unwrap();
            let error = entries(&builder.into_inner().unwrap()).unwrap_err();
            let error = error.to_string();
            let expected = format!("invalid name or type: {}", name.escape_debug());
            assert!(error.contains(&expected), "{name}: {error}");
        }
    }

    #[test]
    fn the_size_of_a_long_name_is_limited() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::GNULongName);
        header.set_path("././@LongLink").unwrap();
        // There is no such name: it must not be asked for.
        header.set_size(4 * 1024 * 1024 * 1024);
        header.set_cksum();
        builder.append(&header, io::empty()).unwrap();
        let error = entries(&builder.into_inner().unwrap()).unwrap_err().to_string();
        assert!(error.contains("a name of 4294967296 bytes"), "{error}");
    }

    #[test]
    fn a_file_that_shrinks_while_it_is_read_is_an_error() {
        let mut writer = ArchiveWriter::new(Vec::new(), &manifest()).unwrap();
        let error = writer.add("media/x", 10, b"short".as_slice()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }
}
