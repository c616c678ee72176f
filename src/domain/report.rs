//! Sales in figures: per day, product, country and currency. What counts when is said in `services::reports`.

use std::fmt;
use std::ops::{AddAssign, SubAssign};

use chrono::{Days, NaiveDate};

use super::address::Address;
use super::catalog::text_enum;
use super::rounding::{MICROS, half_up};
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

/// What was sold, in minor units of one currency, by the usual definitions. None of it but `tax`,
/// `total` and `refunds` has taxes in it.
///
/// `net() = gross - discounts - returns`, and `total = net() + shipping + tax`: of a row, and of
/// any sum of rows.
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
    /// What went back of what was left, for pieces or as a goodwill.
    pub returns: i64,
    /// What delivery cost after its discounts, less what went back of it.
    pub shipping: i64,
    /// All taxes, less what went back of them.
    pub tax: i64,
    /// What was paid, less what went back.
    pub total: i64,
    /// The money that went back, taxes included.
    pub refunds: i64,
    /// Orders that were canceled; of whole orders alone.
    pub cancelled: i64,
}

/// A line that was sold, as its order has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SoldLine {
    /// Pieces.
    pub quantity: i64,
    /// What they cost before discounts, as the buyer saw it.
    pub price: i64,
    /// What discounts took off that.
    pub discounts: i64,
    /// The taxes on the rest.
    pub tax: i64,
    /// Their rates together, in millionths.
    pub rate_micros: i64,
    /// Whether the taxes are in the price.
    pub taxes_included: bool,
}

impl SoldLine {
    /// Its figures. Where prices contain the taxes, those are taken out of the price and of the
    /// discounts alike.
    #[must_use]
    pub fn figures(self) -> Figures {
        let paid = self.price.saturating_sub(self.discounts);
        let (net, discounts) = if self.taxes_included {
            let (part, whole) = match paid {
                0 => (self.rate_micros, MICROS.saturating_add(self.rate_micros)),
                _ => (self.tax, paid),
            };
            (
                paid.saturating_sub(self.tax),
                self.discounts.saturating_sub(proportion(self.discounts, part, whole)),
            )
        } else {
            (paid, self.discounts)
        };
        Figures {
            quantity: self.quantity,
            gross: net.saturating_add(discounts),
            discounts,
            tax: self.tax,
            total: net.saturating_add(self.tax),
            ..Figures::default()
        }
    }
}

/// A part of an amount that is to it as `part` is to `whole`, rounded half-up; nothing of nothing.
#[must_use]
pub fn proportion(amount: i64, part: i64, whole: i64) -> i64 {
    if amount <= 0 || part <= 0 || whole <= 0 {
        return 0;
    }
    let part = half_up(i128::from(amount) * i128::from(part), i128::from(whole));
    i64::try_from(part).unwrap_or(amount)
}

impl Figures {
    /// What was sold, without delivery and taxes.
    #[must_use]
    pub fn net(&self) -> i64 {
        self.gross.saturating_sub(self.discounts).saturating_sub(self.returns)
    }

    /// Money that went back of what was sold, with the taxes in it.
    #[must_use]
    pub fn returned(amount: i64, tax: i64) -> Self {
        Self { returns: amount.saturating_sub(tax), ..Self::gone(amount, tax) }
    }

    /// Money that went back of delivery, with the taxes in it.
    #[must_use]
    pub fn undelivered(amount: i64, tax: i64) -> Self {
        Self { shipping: tax.saturating_sub(amount), ..Self::gone(amount, tax) }
    }

    fn gone(amount: i64, tax: i64) -> Self {
        Self { tax: tax.saturating_neg(), total: amount.saturating_neg(), refunds: amount, ..Self::default() }
    }

    /// Each figure with the other's.
    fn combine(&mut self, other: Self, with: impl Fn(i64, i64) -> i64) {
        for (own, other) in [
            (&mut self.orders, other.orders),
            (&mut self.quantity, other.quantity),
            (&mut self.gross, other.gross),
            (&mut self.discounts, other.discounts),
            (&mut self.returns, other.returns),
            (&mut self.shipping, other.shipping),
            (&mut self.tax, other.tax),
            (&mut self.total, other.total),
            (&mut self.refunds, other.refunds),
            (&mut self.cancelled, other.cancelled),
        ] {
            *own = with(*own, other);
        }
    }
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.combine(other, i64::saturating_add);
    }
}

impl SubAssign for Figures {
    fn sub_assign(&mut self, other: Self) {
        self.combine(other, i64::saturating_sub);
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

    #[test]
    fn taxes_are_in_no_figure_of_their_own_line() {
        let line = SoldLine {
            quantity: 2,
            price: 2_000,
            discounts: 200,
            tax: 300,
            rate_micros: 200_000,
            taxes_included: true,
        };
        let included = line.figures();
        assert_eq!((included.gross, included.discounts, included.net()), (1_667, 167, 1_500));
        let added = SoldLine { taxes_included: false, tax: 360, ..line }.figures();
        assert_eq!((added.gross, added.discounts, added.net(), added.total), (2_000, 200, 1_800, 2_160));
        let free = SoldLine { discounts: 2_000, tax: 0, ..line }.figures();
        assert_eq!((free.gross, free.discounts, free.net(), free.total), (1_667, 1_667, 0, 0));
        let untaxed = SoldLine { tax: 0, rate_micros: 0, ..line }.figures();
        assert_eq!((untaxed.gross, untaxed.discounts, untaxed.total), (2_000, 200, 1_800));
    }

    #[test]
    fn what_goes_back_adds_up() {
        for figures in [Figures::returned(120, 20), Figures::undelivered(120, 20)] {
            assert_eq!(figures.total, figures.net() + figures.shipping + figures.tax);
            assert_eq!((figures.total, figures.tax, figures.refunds), (-120, -20, 120));
        }
    }
}
