//! Web addresses in names: without these checks, strangers could make the shop mail links of their
//! choice to anybody.
//!
//! Names are checked on input, and stored text is defused when a mail is rendered. Dots alone are
//! no reason to reject a name: "J.R.R. Tolkien" and "St.John" have them.

/// Characters that browsers accept as a dot in a host name.
const DOTS: [char; 4] = ['.', '\u{3002}', '\u{ff0e}', '\u{ff61}'];

/// Maximum length in characters of an initial or abbreviation before a dot: "R.", "Mrs.".
const MAX_ABBREVIATION: usize = 3;

/// Whether a name contains something that mail programs turn into a link.
#[must_use]
pub fn has_web_address(name: &str) -> bool {
    let lower = name.to_lowercase();
    if lower.contains("://") || lower.contains("//") || lower.contains("www.") {
        return true;
    }
    let words: Vec<&str> =
        name.split(|c: char| !(c.is_alphanumeric() || c == '-' || DOTS.contains(&c))).collect();
    words.iter().any(|word| {
        let labels: Vec<&str> = word.split(DOTS).collect();
        labels.windows(2).any(|pair| matches!(pair, [before, after] if is_host(before, after)))
    })
}

/// Whether two words separated by a dot look like a host name rather than an initial or
/// abbreviation and a name.
fn is_host(before: &str, after: &str) -> bool {
    if before.is_empty() || after.is_empty() {
        return false;
    }
    let is_initial = after.chars().count() == 1;
    let mut letters = after.chars();
    let is_name =
        letters.next().is_some_and(char::is_uppercase) && letters.all(|letter| !letter.is_uppercase());
    let is_short = before.chars().count() <= MAX_ABBREVIATION;
    !(is_short && (is_initial || is_name))
}

/// Changes a text so that mail programs don't turn any of it into a link: adds a space after each
/// dot within a word and before the slashes of a URL.
#[must_use]
pub fn defuse_web_addresses(text: &str) -> String {
    let mut defused = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        defused.push(if DOTS.contains(&letter) { '.' } else { letter });
        let next = letters.peek().copied();
        let is_inside = DOTS.contains(&letter) && next.is_some_and(char::is_alphanumeric);
        let is_scheme = letter == ':' && next == Some('/');
        if is_inside || is_scheme {
            defused.push(' ');
        }
    }
    defused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn personal_names_are_not_web_addresses() {
        for name in [
            "Ada",
            "J.R.R. Tolkien",
            "J.R.R.Tolkien",
            "St.John",
            "Dr.Strange",
            "Mary-Ann",
            "O'Neil",
            "Jr.",
            "A.",
            "Ph.D",
            "D/O Kumar",
            "van der Berg",
            "李 明",
            "马克·吐温",
            "No.5",
            "Jean-Luc M. Picard",
        ] {
            assert!(!has_web_address(name), "{name}");
        }
    }

    #[test]
    fn web_addresses_are_detected() {
        for name in [
            "https://evil.example/x",
            "evil.com",
            "EVIL.COM",
            "Evil.Com",
            "win at evil.example now",
            "www.Evil",
            "t.co/x",
            "x.com",
            "//evil",
            "evil。com",
            "evil．com",
            "mail@evil.com",
            "sub.Evil.example",
            "free-money.top",
        ] {
            assert!(has_web_address(name), "{name}");
        }
    }

    #[test]
    fn web_addresses_are_defused() {
        assert_eq!(defuse_web_addresses("https://evil.com/a.b"), "https: //evil. com/a. b");
        assert_eq!(defuse_web_addresses("evil。com"), "evil. com");
        assert_eq!(defuse_web_addresses("J.R.R. Tolkien Jr."), "J. R. R. Tolkien Jr.");
        assert_eq!(defuse_web_addresses("12 High Street"), "12 High Street");
    }
}
