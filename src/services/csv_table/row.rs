//! One row's cells, by column.

use csv::StringRecord;

use super::{Column, Header, excerpt};
use crate::domain::money::{Currency, Money};

/// One row's cells, by column. Methods that take `problems` put there what is wrong with a cell, and hand out what a blank
/// cell means in its place.
pub struct Row<'a, C> {
    /// The file's header.
    pub header: &'a Header<C>,
    /// The cells.
    pub cells: &'a StringRecord,
    /// The line the row starts on.
    pub line: u64,
}

impl<C: Column> Row<'_, C> {
    /// A cell as it stands in the file.
    pub fn raw(&self, column: C) -> &str {
        self.header.place(column).and_then(|place| self.cells.get(place)).unwrap_or_default()
    }

    /// A cell without the white space around it.
    pub fn text(&self, column: C) -> &str {
        self.raw(column).trim()
    }

    /// A cell that is not blank.
    pub fn given(&self, column: C) -> Option<String> {
        Some(self.text(column)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// A code, such as an SKU, without what keeps spreadsheets from taking it for a number.
    pub fn code(&self, column: C, notes: &mut Vec<String>) -> Option<String> {
        let text = self.text(column);
        let code = unwrapped(text).trim();
        if code != text {
            notes.push(format!("{} is taken as `{}`", self.shown(column), excerpt(code)));
        }
        Some(code).filter(|code| !code.is_empty()).map(str::to_owned)
    }

    /// Whether the file has a column.
    pub fn has(&self, column: C) -> bool {
        self.header.place(column).is_some()
    }

    /// A column's name as the file spells it.
    pub fn name(&self, column: C) -> &str {
        self.header.name(column)
    }

    /// A column's name and what stands in it, to begin a message with.
    pub fn shown(&self, column: C) -> String {
        format!("{} `{}`", self.name(column), excerpt(self.text(column)))
    }

    /// A cell's value, as `parse` reads it.
    pub fn value<T>(
        &self,
        column: C,
        blank: T,
        parse: impl Fn(&str) -> Option<T>,
        complaint: &str,
        problems: &mut Vec<String>,
    ) -> T {
        let text = unwrapped(self.text(column));
        if text.is_empty() {
            return blank;
        }
        parse(text).unwrap_or_else(|| {
            problems.push(format!("{} {complaint}", self.shown(column)));
            blank
        })
    }

    /// Yes or no.
    pub fn flag(&self, column: C, blank: bool, problems: &mut Vec<String>) -> bool {
        self.value(column, blank, parse_flag, "is neither TRUE nor FALSE", problems)
    }

    /// An amount in minor units, not below zero.
    pub fn amount(&self, column: C, currency: Currency, problems: &mut Vec<String>) -> Option<i64> {
        let text = Some(unwrapped(self.text(column))).filter(|text| !text.is_empty())?;
        let shown = self.shown(column);
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

/// A cell without what is put around digits to keep spreadsheets from taking them for a number: Shopify's apostrophe before
/// them, or a formula of nothing but a text, `="0012"`.
pub fn unwrapped(text: &str) -> &str {
    if let Some(inner) = text.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"')) {
        return inner;
    }
    let is_guarded = |c: char| c.is_ascii_digit() || matches!(c, '\'' | '=' | '+' | '-' | '@');
    text.strip_prefix('\'').filter(|rest| rest.starts_with(is_guarded)).unwrap_or(text)
}

/// The words for yes and no.
pub fn parse_flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Some(true),
        "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// Whether a text is an amount with something around it that is no part of a number.
fn has_currency(text: &str) -> bool {
    let in_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+');
    text.contains(|c: char| c.is_ascii_digit()) && !text.chars().all(in_number)
}
