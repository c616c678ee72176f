//! Converts HTML to plain text, for product lists and for the search index.

/// Strips tags, decodes common entities and collapses white space. The content of scripts, styles
/// and comments is dropped. The result is plain text: it must be escaped before it is used in HTML.
#[must_use]
pub fn to_text(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        push_words(&mut text, before);
        // A `<` that does not start a tag is text.
        if !tag.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!')) {
            push_words(&mut text, "&lt;");
            rest = tag;
            continue;
        }
        let end = hidden_until(tag).unwrap_or(">");
        let inline =
            ["b>", "i>", "em", "strong", "a ", "span", "/b>", "/i>", "/em", "/strong", "/a>", "/span"];
        if !inline.iter().any(|name| tag.starts_with(name)) {
            text.push(' ');
        }
        rest = tag.split_once(end).map_or("", |(_, after)| after);
    }
    push_words(&mut text, rest);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The end of an element whose content is not text.
fn hidden_until(tag: &str) -> Option<&'static str> {
    let is = |name: &str| tag.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    if tag.starts_with("!--") {
        Some("-->")
    } else if is("script") {
        Some("</script>")
    } else if is("style") {
        Some("</style>")
    } else {
        None
    }
}

fn push_words(text: &mut String, escaped: &str) {
    let mut rest = escaped;
    while let Some((before, after)) = rest.split_once('&') {
        text.push_str(before);
        match after.split_once(';').and_then(|(name, after)| Some((entity(name)?, after))) {
            Some((character, after)) => {
                text.push(character);
                rest = after;
            }
            None => {
                text.push('&');
                rest = after;
            }
        }
    }
    text.push_str(rest);
}

fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|c| !c.is_control());
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "rsquo" => '’',
        "lsquo" => '‘',
        "rdquo" => '”',
        "ldquo" => '“',
        "times" => '×',
        "deg" => '°',
        "eacute" => 'é',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::to_text;

    #[test]
    fn tags_are_removed_and_text_is_kept() {
        for (html, text) in [
            ("<p>Hello <b>wor</b>ld</p><p>Again</p>", "Hello world Again"),
            ("a<br>b<ul><li>c</li><li>d</li></ul>", "a b c d"),
            ("Fish &amp; chips &lt;3 &#8212; &#x2014; &unknown; &", "Fish & chips <3 — — &unknown; &"),
            ("<script>alert(1)</script><STYLE>p{}</style>x<!-- <p>no</p> -->y", "x y"),
            ("1 < 2 and <unclosed", "1 < 2 and"),
            ("", ""),
        ] {
            assert_eq!(to_text(html), text, "{html}");
        }
    }
}
