//! Parses the cells of an order export.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};

use super::{FinancialStatus, FulfillmentStatus};
use crate::domain::checkout::carts::Attribute;
use crate::domain::codes::COUNTRIES;
use crate::domain::money::micros;
use crate::domain::time::Timestamp;

/// Maximum quantity of a line.
pub(super) const MAX_QUANTITY: i64 = 1_000_000;

/// Dates outside these years are rejected as mistakes.
const VALID_YEARS: std::ops::RangeInclusive<i32> = 1970..=2999;

/// Parses a timestamp: `2010-12-01 08:26:00 +0000` as Shopify writes it, or ISO 8601. Without an
/// offset it is UTC; a date alone is its midnight.
pub(super) fn parse_timestamp(text: &str) -> Option<Timestamp> {
    let text = text.strip_suffix(" UTC").unwrap_or(text);
    let zoned = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S %z"))
        .map(|moment| moment.with_timezone(&Utc));
    let moment = zoned.ok().or_else(|| {
        let formats = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M"];
        let local = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
        let date = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
        Some(local.or_else(date)?.and_utc())
    })?;
    VALID_YEARS.contains(&moment.year()).then(|| moment.into())
}

/// Parses a quantity.
pub(super) fn parse_quantity(text: &str) -> Option<i64> {
    text.parse().ok().filter(|count| (1..=MAX_QUANTITY).contains(count))
}

/// Parses a payment status.
pub(super) fn parse_financial_status(text: &str) -> Option<FinancialStatus> {
    Some(match normalize(text).as_str() {
        "pending" => FinancialStatus::Pending,
        "authorized" => FinancialStatus::Authorized,
        "partially_paid" => FinancialStatus::PartiallyPaid,
        "paid" => FinancialStatus::Paid,
        "partially_refunded" => FinancialStatus::PartiallyRefunded,
        "refunded" => FinancialStatus::Refunded,
        "voided" => FinancialStatus::Voided,
        "expired" => FinancialStatus::Expired,
        _ => return None,
    })
}

/// Parses a fulfillment status. Restocked items count as not fulfilled.
pub(super) fn parse_fulfillment_status(text: &str) -> Option<FulfillmentStatus> {
    Some(match normalize(text).as_str() {
        "unfulfilled" | "pending" | "restocked" | "scheduled" | "on_hold" | "in_progress" => {
            FulfillmentStatus::Unfulfilled
        }
        "partial" | "partially_fulfilled" => FulfillmentStatus::Partial,
        "fulfilled" => FulfillmentStatus::Fulfilled,
        _ => return None,
    })
}

fn normalize(text: &str) -> String {
    text.to_ascii_lowercase().replace([' ', '-'], "_")
}

/// Parses a country from its code or English name.
pub(super) fn parse_country(text: &str) -> Option<String> {
    let is_match =
        |(code, name): &&(&str, &str)| text.eq_ignore_ascii_case(code) || text.eq_ignore_ascii_case(name);
    COUNTRIES.iter().find(is_match).map(|(code, _)| (*code).to_owned())
}

/// Parses the rate at the end of a tax's name, such as `VAT 20%`, in millionths.
pub(super) fn parse_tax_rate(title: &str) -> Option<i64> {
    let before = title.trim_end_matches(')').strip_suffix('%')?.trim_end();
    let number = before.rsplit(|c: char| !c.is_ascii_digit() && c != '.').next()?;
    micros::parse_percentage(number)
}

/// Parses attributes: one `key: value` per line.
pub(super) fn parse_attributes(text: &str) -> Vec<Attribute> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let split = lines.map(|line| line.split_once(':').unwrap_or((line, "")));
    split
        .map(|(key, value)| Attribute { key: key.trim().to_owned(), value: value.trim().to_owned() })
        .collect()
}

/// Splits a name into given name and family name, which is the last word.
pub(super) fn split_name(text: &str) -> (Option<String>, Option<String>) {
    match text.rsplit_once(' ') {
        Some((first, last)) => (Some(first.trim_end().to_owned()), Some(last.to_owned())),
        None => (Some(text.to_owned()).filter(|name| !name.is_empty()), None),
    }
}
