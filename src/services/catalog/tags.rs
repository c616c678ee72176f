//! Validation of tags on orders and customers.

use crate::domain::catalog::MAX_TAGS;
use crate::error::UserErrorCode;
use crate::services::input::Problems;

/// Trims tags, drops empty ones and duplicates (ignoring case), and adds problems.
pub(in crate::services) fn check(problems: &mut Problems, field: &[&str], input: &[String]) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for tag in input.iter().map(|tag| tag.trim()).filter(|tag| !tag.is_empty()) {
        problems.line(field, tag);
        if tag.contains(',') {
            let message = format!("Tag '{tag}' can't contain a comma: send it as two tags");
            problems.add(field, UserErrorCode::Invalid, message);
        }
        if tags.iter().all(|known| known.to_lowercase() != tag.to_lowercase()) {
            tags.push(tag.to_owned());
        }
    }
    if tags.len() > MAX_TAGS {
        problems.add(field, UserErrorCode::TooMany, format!("There can be up to {MAX_TAGS} tags"));
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_tags(input: &[&str]) -> (Vec<String>, bool) {
        let mut problems = Problems::default();
        let input: Vec<String> = input.iter().map(|tag| (*tag).to_owned()).collect();
        let tags = check(&mut problems, &["tags"], &input);
        (tags, problems.is_empty())
    }

    #[test]
    fn tags_are_trimmed_and_deduplicated() {
        let accepted = |input: &[&str]| {
            let (tags, is_valid) = check_tags(input);
            assert!(is_valid, "{input:?}");
            tags
        };
        assert_eq!(accepted(&[" vip ", "", "VIP", "Über", "ÜBER"]), ["vip", "Über"]);
        assert!(!check_tags(&["a, b"]).1 && !check_tags(&[&"x".repeat(256)]).1);
        let many: Vec<String> = (0..=MAX_TAGS).map(|at| at.to_string()).collect();
        assert!(!check_tags(&many.iter().map(String::as_str).collect::<Vec<_>>()).1);
    }
}
