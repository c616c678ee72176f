//! What happens to bytes on a bad way: for documents and files that were right before.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// What tends to mean something to somebody.
const PIECES: &[&[u8]] = &[
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

/// Something that happens to bytes.
#[derive(Clone, Debug)]
pub enum Damage {
    /// One becomes another.
    Replace(Index, u8),
    /// Some are lost, from a place on.
    Delete(Index, usize),
    /// Some come twice.
    Repeat(Index, usize),
    /// Some get in between.
    Insert(Index, &'static [u8]),
    /// All from a place on are lost.
    Cut(Index),
}

/// At least one of them.
pub fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let damage = prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        3 => (any::<Index>(), 1..40_usize).prop_map(|(at, length)| Damage::Delete(at, length)),
        2 => (any::<Index>(), 1..200_usize).prop_map(|(at, length)| Damage::Repeat(at, length)),
        6 => (any::<Index>(), select(PIECES)).prop_map(|(at, piece)| Damage::Insert(at, piece)),
        1 => any::<Index>().prop_map(Damage::Cut),
    ];
    vec(damage, 1..8)
}

/// What becomes of bytes.
pub fn damaged(bytes: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for damage in damages {
        if bytes.is_empty() {
            break;
        }
        let piece = |at: usize, length: usize| at..(at + length).min(bytes.len());
        match damage {
            Damage::Replace(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Damage::Delete(at, length) => {
                let piece = piece(at.index(bytes.len()), *length);
                bytes.drain(piece);
            }
            Damage::Repeat(at, length) => {
                let piece = piece(at.index(bytes.len()), *length);
                let (end, again) = (piece.end, bytes[piece].to_vec());
                bytes.splice(end..end, again);
            }
            Damage::Insert(at, piece) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, piece.iter().copied());
            }
            Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
    bytes
}
