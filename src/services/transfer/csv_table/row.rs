//! The cells of a row.

use csv::StringRecord;

use super::{Column, Header, excerpt};
use crate::domain::money::{Currency, Money};

/// The cells of a row, by column. Methods that take `problems` report invalid cells there and
/// return what a blank cell means.
pub(crate) struct Row<'a, C> {
    /// The file's header.
    pub header: &'a Header<C>,
    /// The cells.
    pub cells: &'a StringRecord,
    /// The line the row starts on.
    pub line: u64,
}

impl<C: Column> Row<'_, C> {
    /// A cell exactly as in the file.
    pub(crate) fn raw(&self, column: C) -> &str {
        self.header.index(column).and_then(|index| self.cells.get(index)).unwrap_or_default()
    }

    /// A cell without surrounding white space.
    pub(crate) fn text(&self, column: C) -> &str {
        self.raw(column).trim()
    }

    /// A trimmed cell; `None` if it is blank.
    pub(crate) fn non_blank(&self, column: C) -> Option<String> {
        Some(self.text(column)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// A code, such as an SKU, without the markers that keep spreadsheets from converting it to a
    /// number.
    pub(crate) fn code(&self, column: C, notes: &mut Vec<String>) -> Option<String> {
        let text = self.text(column);
        let code = strip_text_marker(text).trim();
        if code != text {
            notes.push(format!("{} is imported as `{}`", self.describe(column), excerpt(code)));
        }
        Some(code).filter(|code| !code.is_empty()).map(str::to_owned)
    }

    /// Whether the file has a column.
    pub(crate) fn has(&self, column: C) -> bool {
        self.header.index(column).is_some()
    }

    /// The name of a column as spelled in the file.
    pub(crate) fn name(&self, column: C) -> &str {
        self.header.name(column)
    }

    /// A column's name and the cell's text, for the beginning of a message.
    pub(crate) fn describe(&self, column: C) -> String {
        format!("{} `{}`", self.name(column), excerpt(self.text(column)))
    }

    /// Parses a cell; `blank` is the value of a blank one.
    pub(crate) fn value<T>(
        &self,
        column: C,
        blank: T,
        parse: impl Fn(&str) -> Option<T>,
        reason: &str,
        problems: &mut Vec<String>,
    ) -> T {
        let text = strip_text_marker(self.text(column));
        if text.is_empty() {
            return blank;
        }
        parse(text).unwrap_or_else(|| {
            problems.push(format!("{} {reason}", self.describe(column)));
            blank
        })
    }

    /// A boolean.
    pub(crate) fn flag(&self, column: C, blank: bool, problems: &mut Vec<String>) -> bool {
        self.value(column, blank, parse_flag, "is neither TRUE nor FALSE", problems)
    }

    /// A non-negative amount in minor units.
    pub(crate) fn amount(&self, column: C, currency: Currency, problems: &mut Vec<String>) -> Option<i64> {
        let text = Some(strip_text_marker(self.text(column))).filter(|text| !text.is_empty())?;
        let shown = self.describe(column);
        problems.push(match Money::parse(text, currency) {
            Ok(amount) if amount.minor() >= 0 => return Some(amount.minor()),
            Ok(_) => format!("{shown} is negative"),
            Err(_) if text.contains(',') => format!(
                "{shown} has a comma: write the amount with a decimal point and without thousands separators, such \
                 as 1234.50"
            ),
            Err(_) if has_currency(text) => {
                format!("{shown} is not a plain amount: write the number alone, without a currency, such as 12.50")
            }
            Err(error) => format!("{}: {error}", self.name(column)),
        });
        None
    }
}

/// Strips the markers that keep spreadsheets from converting text to a number: Shopify's leading
/// apostrophe, or a formula that is only a text, `="0012"`.
pub(crate) fn strip_text_marker(text: &str) -> &str {
    if let Some(inner) = text.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"')) {
        return inner;
    }
    let is_guarded = |c: char| c.is_ascii_digit() || matches!(c, '\'' | '=' | '+' | '-' | '@');
    text.strip_prefix('\'').filter(|rest| rest.starts_with(is_guarded)).unwrap_or(text)
}

/// Parses a boolean.
pub(crate) fn parse_flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Some(true),
        "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// Whether a text is an amount with something that is not part of a number, such as a currency.
fn has_currency(text: &str) -> bool {
    let in_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+');
    text.contains(|c: char| c.is_ascii_digit()) && !text.chars().all(in_number)
}
