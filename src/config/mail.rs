//! Mail settings.

use std::path::PathBuf;

use super::Problems;
use crate::services::mails::{Sender, SmtpServer};

/// How mails are sent, and where their links lead.
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// `SMTP_URL`: the mail server; without one, mails are written to files.
    pub server: Option<SmtpServer>,
    /// `MAIL_FROM`: the sender.
    pub from: Option<Sender>,
    /// `MAIL_DIR`: the folder for mails, if not the default.
    pub folder: Option<PathBuf>,
    /// `MAIL_TEMPLATES`: a folder with the shop's own templates and texts.
    pub templates: Option<PathBuf>,
    /// `STOREFRONT_URL`: the storefront, without a trailing slash; without it, mails have no links
    /// to accounts.
    pub storefront: Option<String>,
}

impl MailConfig {
    pub(super) fn read(get: impl Fn(&str) -> Option<String>, problems: &mut Problems) -> Self {
        let server =
            problems.parse("SMTP_URL", get("SMTP_URL"), None, |text| SmtpServer::parse(text).map(Some));
        let from = problems.parse("MAIL_FROM", get("MAIL_FROM"), None, |text| Sender::parse(text).map(Some));
        if get("SMTP_URL").is_some() && get("MAIL_FROM").is_none() {
            problems.add(
                "MAIL_FROM",
                "must be set together with SMTP_URL, to an address that the mail server may send from",
            );
        }
        let storefront = problems
            .parse("STOREFRONT_URL", get("STOREFRONT_URL"), None, |text| parse_base_url(text).map(Some));
        let folder = |name: &str| get(name).map(PathBuf::from);
        Self { server, from, folder: folder("MAIL_DIR"), templates: folder("MAIL_TEMPLATES"), storefront }
    }
}

/// Parses the address of a server, and returns it without a trailing slash.
pub(super) fn parse_base_url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_address = rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.starts_with('/')
            && !rest.contains(|c: char| c.is_whitespace() || "?#\"<>".contains(c))
    });
    if is_address {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("must be an address such as https://shop.example, without a query".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)]) -> (MailConfig, Vec<String>) {
        let mut problems = Problems(Vec::new());
        let get = |name: &str| {
            settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        (MailConfig::read(get, &mut problems), problems.0)
    }

    #[test]
    fn mails_are_written_to_files_by_default() {
        let (config, problems) = read(&[]);
        assert!(config.server.is_none() && config.from.is_none() && config.storefront.is_none());
        assert_eq!(problems, Vec::<String>::new());
    }

    #[test]
    fn a_mail_server_requires_a_sender() {
        let (_, problems) = read(&[("SMTP_URL", "smtp://localhost:2525")]);
        assert!(
            matches!(problems.as_slice(), [one] if one.starts_with("MAIL_FROM must be set")),
            "{problems:?}"
        );
        let (config, problems) =
            read(&[("SMTP_URL", "smtp://localhost:2525"), ("MAIL_FROM", "Shop <a@b.example>")]);
        assert_eq!((config.server.is_some(), problems.len()), (true, 0));
    }

    #[test]
    fn invalid_settings_are_reported_without_passwords() {
        let (_, problems) = read(&[
            ("SMTP_URL", "imap://user:secret@localhost"),
            ("MAIL_FROM", "the shop"),
            ("STOREFRONT_URL", "shop.example"),
        ]);
        for name in ["SMTP_URL", "MAIL_FROM", "STOREFRONT_URL"] {
            assert!(problems.iter().any(|problem| problem.starts_with(name)), "{name} in {problems:?}");
        }
        assert!(!problems.concat().contains("secret"), "{problems:?}");
        for good in ["https://shop.example/", "http://localhost:3000/en"] {
            assert_eq!(parse_base_url(good).as_deref(), Ok(good.trim_end_matches('/')));
        }
        for bad in
            ["https://", "https:///x", "https://shop.example/?a=b", "javascript:alert(1)", "https://a b"]
        {
            assert!(parse_base_url(bad).is_err(), "{bad}");
        }
    }
}
