//! Pages that only show a message: that a page does not exist, that a cart is empty or was ordered,
//! or what went wrong.

use serde::Serialize;

use super::{BuyerPages, Page, PageResponse, Visit, status};
use crate::error::{Error, ErrorCode, with_causes};

/// A page that only shows a message.
#[derive(Serialize)]
struct Notice {
    message: String,
    /// Where to go from here, with a label.
    link: Option<(String, String)>,
}

impl BuyerPages {
    /// A page with the texts `notice.<name>.title` and `notice.<name>.text`.
    pub(super) fn notice(&self, visit: &Visit<'_>, name: &str, status: u16) -> Result<PageResponse, Error> {
        self.notice_with_link(visit, name, status, None)
    }

    /// The same, with a link with the text `notice.<name>.link`.
    pub(super) fn notice_with_link(
        &self,
        visit: &Visit<'_>,
        name: &str,
        status: u16,
        link: Option<String>,
    ) -> Result<PageResponse, Error> {
        let text = |part: &str| visit.text(&format!("notice.{name}.{part}"));
        let content = Notice { message: text("text"), link: link.map(|path| (path, text("link"))) };
        let page = Page { status, ..Page::new("notice.html", text("title"), content) };
        self.render(visit, &page)
    }

    /// The page for a missing cart or order, or one whose key or token is wrong.
    pub(super) fn not_found(&self, visit: &Visit<'_>) -> Result<PageResponse, Error> {
        self.notice(visit, "not_found", status::NOT_FOUND)
    }

    /// The page for an error, which is logged.
    pub(super) fn error_notice(&self, visit: &Visit<'_>, error: &Error) -> Result<PageResponse, Error> {
        log(error);
        let (name, status) = match error.code() {
            ErrorCode::Throttled => ("throttled", status::TOO_MANY_REQUESTS),
            ErrorCode::ServiceUnavailable | ErrorCode::Timeout => ("unavailable", status::UNAVAILABLE),
            ErrorCode::Internal => ("failed", status::INTERNAL),
            _ => ("refused", status::BAD_REQUEST),
        };
        let retry_after = error.retry_after().map(|delay| delay.as_secs());
        let is_temporary = [status::TOO_MANY_REQUESTS, status::UNAVAILABLE].contains(&status);
        let response = self.notice(visit, name, status)?;
        Ok(PageResponse { retry_after: retry_after.or(is_temporary.then_some(1)), ..response })
    }
}

/// Logs an error at the level of its code.
pub(super) fn log(error: &Error) {
    let level = error.code().log_level();
    if level == tracing::Level::ERROR {
        tracing::error!("a page failed: {}", with_causes(error));
    } else if level == tracing::Level::WARN {
        tracing::warn!("a page failed: {}", with_causes(error));
    } else {
        tracing::debug!(code = error.code().as_str(), "a page was refused");
    }
}
