//! Sales in figures: per day, product, country and currency. What counts when is said in `services::reports`.

use std::fmt;
use std::ops::AddAssign;

use chrono::{Days, NaiveDate};

use super::address::Address;
use super::catalog::text_enum;
use super::time::Timestamp;

/// The country of what is sent nowhere that is known.
pub const NOWHERE: &str = "ZZ";

text_enum! {
    /// What a report has a row for.
    SalesBy {
        /// Each day.
        Day = "DAY",
        /// Each product.
        Product = "PRODUCT",
        /// Each country.
        Country = "COUNTRY",
        /// Each currency.
        Currency = "CURRENCY",
    }
}

/// A day in UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Day(NaiveDate);

impl Day {
    /// The day that a moment is in.
    #[must_use]
    pub fn of(moment: Timestamp) -> Self {
        Self(moment.utc().date_naive())
    }

    /// The day of a date such as `2026-11-25`, if it is one. Years have four digits, so that days sort as texts.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_iso = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if is_iso { NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(Self) } else { None }
    }

    /// The day as chrono has it.
    #[must_use]
    pub fn date(self) -> NaiveDate {
        self.0
    }

    /// The day before; the first one has none.
    #[must_use]
    pub fn before(self) -> Self {
        Self(self.0.checked_sub_days(Days::new(1)).unwrap_or(self.0))
    }

    /// How many days there are from one day to another, both included; none when it is the earlier one.
    #[must_use]
    pub fn span(self, to: Self) -> i64 {
        to.0.signed_duration_since(self.0).num_days().saturating_add(1).max(0)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%d"))
    }
}

/// The country that a sale counts for: where it is sent, or else where the bill goes.
#[must_use]
pub fn country(shipping: Option<&Address>, billing: Option<&Address>) -> String {
    let of = |address: Option<&Address>| address.and_then(|address| address.country.clone());
    of(shipping).or_else(|| of(billing)).unwrap_or_else(|| NOWHERE.to_owned())
}

/// What was sold, in minor units of one currency.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Orders that were paid for.
    pub orders: i64,
    /// Their pieces.
    pub quantity: i64,
    /// What these cost before discounts.
    pub gross: i64,
    /// What discounts took off that.
    pub discounts: i64,
    /// What delivery cost after its discounts; of whole orders alone.
    pub shipping: i64,
    /// All taxes.
    pub tax: i64,
    /// What was paid, taxes included.
    pub total: i64,
    /// What went back.
    pub refunds: i64,
    /// Orders that were cancelled; of whole orders alone.
    pub cancelled: i64,
}

impl Figures {
    /// What was paid, without taxes.
    #[must_use]
    pub fn net(&self) -> i64 {
        self.total.saturating_sub(self.tax)
    }
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        let add = |to: &mut i64, more: i64| *to = to.saturating_add(more);
        add(&mut self.orders, other.orders);
        add(&mut self.quantity, other.quantity);
        add(&mut self.gross, other.gross);
        add(&mut self.discounts, other.discounts);
        add(&mut self.shipping, other.shipping);
        add(&mut self.tax, other.tax);
        add(&mut self.total, other.total);
        add(&mut self.refunds, other.refunds);
        add(&mut self.cancelled, other.cancelled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_as_they_are_written() {
        let day = Day::parse("2026-02-28").unwrap();
        assert_eq!(day.to_string(), "2026-02-28");
        assert_eq!(Day::of(Timestamp::EPOCH).to_string(), "1970-01-01");
        assert_eq!(Day::parse("2026-03-01").unwrap().before(), day);
        for text in ["2026-02-29", "2026-2-28", "28.02.2026", "+026-02-28", "2026-02-28T", "", "today"] {
            assert_eq!(Day::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_span_has_its_first_and_its_last_day() {
        let day = |text| Day::parse(text).unwrap();
        assert_eq!(day("2026-02-28").span(day("2026-02-28")), 1);
        assert_eq!(day("2026-02-28").span(day("2026-03-01")), 2);
        assert_eq!(day("2026-03-01").span(day("2026-02-27")), 0);
    }

    #[test]
    fn a_sale_counts_where_it_is_sent() {
        let of = |country: &str| Address { country: Some(country.to_owned()), ..Address::default() };
        assert_eq!(country(Some(&of("DE")), Some(&of("FR"))), "DE");
        assert_eq!(country(Some(&Address::default()), Some(&of("FR"))), "FR");
        assert_eq!(country(None, None), NOWHERE);
    }
}
