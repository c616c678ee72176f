//! Removes possible personal data from a text: e-mail addresses, long numbers such as those of
//! phones and cards, and everything in double quotes. Names of settings and fields are in
//! backticks, and stay.

/// The replacement for possible personal data.
const REDACTED: &str = "[redacted]";
/// The number of digits of a long number. Ids have letters in between.
const LONG_NUMBER: usize = 7;
/// The maximum length of the result, in characters.
const MAX_CHARS: usize = 1_000;

/// The text without what may be personal data, shortened.
pub(super) fn redact(text: &str) -> String {
    let unquoted = without_quoted(text);
    let words: Vec<&str> =
        unquoted.split(' ').map(|word| if is_personal(word) { REDACTED } else { word }).collect();
    words.join(" ").chars().take(MAX_CHARS).collect()
}

/// Replaces what is in double quotes. A quote without an end reaches to the end of the text.
fn without_quoted(text: &str) -> String {
    let parts = text.split('"').enumerate();
    parts.map(|(index, part)| if index.is_multiple_of(2) { part } else { REDACTED }).collect()
}

/// Whether a word is an address or a long number.
fn is_personal(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let has_letters = word.chars().any(char::is_alphabetic);
    word.contains('@') || (digits >= LONG_NUMBER && !has_letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn personal_data_is_left_out() {
        for (text, expected) in [
            ("a mail to Ada <ada@example.com> failed", "a mail to Ada [redacted] failed"),
            ("no call to +49-30-1234567, sorry", "no call to [redacted] sorry"),
            ("key (email)=(\"ada\") exists", "key (email)=([redacted]) exists"),
            ("the name \"Ada Lovelace", "the name [redacted]"),
            ("`SMTP_URL` took 3000 ms", "`SMTP_URL` took 3000 ms"),
            ("job 0193f1f2a3b47c8d9e0f1a2b3c4d5e6f failed", "job 0193f1f2a3b47c8d9e0f1a2b3c4d5e6f failed"),
        ] {
            assert_eq!(redact(text), expected);
        }
        assert_eq!(redact(&"long ".repeat(1_000)).chars().count(), MAX_CHARS);
    }
}
