//! What the words in an order export's cells mean.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};

use super::{FinancialStatus, FulfillmentStatus};
use crate::domain::cart::Attribute;
use crate::domain::codes::COUNTRIES;
use crate::domain::micros;
use crate::domain::time::Timestamp;

/// The largest quantity of one line.
pub const MAX_QUANTITY: i64 = 1_000_000;

/// Dates before and after are mistakes.
const YEARS: std::ops::RangeInclusive<i32> = 1970..=2999;

/// A moment: `2010-12-01 08:26:00 +0000` as Shopify writes it, or as ISO 8601 has it. Without a zone it is UTC, and a date
/// alone is its beginning.
pub fn moment(text: &str) -> Option<Timestamp> {
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
    YEARS.contains(&moment.year()).then(|| moment.into())
}

/// A number of pieces that can be sold.
pub fn quantity(text: &str) -> Option<i64> {
    text.parse().ok().filter(|count| (1..=MAX_QUANTITY).contains(count))
}

/// What became of the money.
pub fn financial(text: &str) -> Option<FinancialStatus> {
    Some(match words(text).as_str() {
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

/// What became of the goods. What is back in stock was not sent.
pub fn fulfillment(text: &str) -> Option<FulfillmentStatus> {
    Some(match words(text).as_str() {
        "unfulfilled" | "pending" | "restocked" | "scheduled" | "on_hold" | "in_progress" => {
            FulfillmentStatus::Unfulfilled
        }
        "partial" | "partially_fulfilled" => FulfillmentStatus::Partial,
        "fulfilled" => FulfillmentStatus::Fulfilled,
        _ => return None,
    })
}

fn words(text: &str) -> String {
    text.to_ascii_lowercase().replace([' ', '-'], "_")
}

/// A country's code, from its code or its English name.
pub fn country(text: &str) -> Option<String> {
    let is =
        |(code, name): &&(&str, &str)| text.eq_ignore_ascii_case(code) || text.eq_ignore_ascii_case(name);
    COUNTRIES.iter().find(is).map(|(code, _)| (*code).to_owned())
}

/// The rate at the end of a tax's name, in millionths: `VAT 20%`.
pub fn rate(title: &str) -> Option<i64> {
    let before = title.trim_end_matches(')').strip_suffix('%')?.trim_end();
    let number = before.rsplit(|c: char| !c.is_ascii_digit() && c != '.').next()?;
    micros::parse_percentage(number)
}

/// What a storefront noted: a line each, `key: value`.
pub fn attributes(text: &str) -> Vec<Attribute> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let split = lines.map(|line| line.split_once(':').unwrap_or((line, "")));
    split
        .map(|(key, value)| Attribute { key: key.trim().to_owned(), value: value.trim().to_owned() })
        .collect()
}

/// Given and family name: the last word is the family's.
pub fn names(text: &str) -> (Option<String>, Option<String>) {
    match text.rsplit_once(' ') {
        Some((first, last)) => (Some(first.trim_end().to_owned()), Some(last.to_owned())),
        None => (Some(text.to_owned()).filter(|name| !name.is_empty()), None),
    }
}
