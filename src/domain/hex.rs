//! Bytes as text.

/// Bytes as hexadecimal digits, lower case, two each.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
