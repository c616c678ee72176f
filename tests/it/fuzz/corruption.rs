//! Corrupts the bytes of valid documents and files.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Byte sequences with a special meaning in some format.
const TOKENS: &[&[u8]] = &[
    b"\"",
    b"\"\"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"(",
    b")",
    b",",
    b";",
    b":",
    b"#",
    b"\n",
    b"\r\n",
    b"\0",
    b"...",
    b"$",
    b"@",
    b"!",
    b"-1",
    b"1e999",
    b"9223372036854775808",
    b"null",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xc3",
    b"on",
    b" ",
];

/// A change of some bytes.
#[derive(Clone, Debug)]
pub enum Corruption {
    /// Replaces the byte at a position.
    Replace(Index, u8),
    /// Deletes bytes from a position.
    Delete(Index, usize),
    /// Repeats bytes from a position.
    Repeat(Index, usize),
    /// Inserts bytes at a position.
    Insert(Index, &'static [u8]),
    /// Truncates at a position.
    Truncate(Index),
}

/// One to seven corruptions.
pub fn corruptions() -> impl Strategy<Value = Vec<Corruption>> {
    let corruption = prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Corruption::Replace(at, byte)),
        3 => (any::<Index>(), 1..40_usize).prop_map(|(at, length)| Corruption::Delete(at, length)),
        2 => (any::<Index>(), 1..200_usize).prop_map(|(at, length)| Corruption::Repeat(at, length)),
        6 => (any::<Index>(), select(TOKENS)).prop_map(|(at, token)| Corruption::Insert(at, token)),
        1 => any::<Index>().prop_map(Corruption::Truncate),
    ];
    vec(corruption, 1..8)
}

/// Applies corruptions to a copy of some bytes.
pub fn corrupt(bytes: &[u8], corruptions: &[Corruption]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for corruption in corruptions {
        if bytes.is_empty() {
            break;
        }
        let range_of = |at: usize, length: usize| at..(at + length).min(bytes.len());
        match corruption {
            Corruption::Replace(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Corruption::Delete(at, length) => {
                let range = range_of(at.index(bytes.len()), *length);
                bytes.drain(range);
            }
            Corruption::Repeat(at, length) => {
                let range = range_of(at.index(bytes.len()), *length);
                let (end, again) = (range.end, bytes[range].to_vec());
                bytes.splice(end..end, again);
            }
            Corruption::Insert(at, token) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, token.iter().copied());
            }
            Corruption::Truncate(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
    bytes
}
