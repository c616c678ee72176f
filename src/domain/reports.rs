//! Sales figures per day, product, country and currency. When sales count is defined in
//! `services::reports`.

use std::fmt;
use std::ops::{AddAssign, SubAssign};
use std::time::Duration;

use chrono::{Days, NaiveDate};

use super::catalog::text_enum;
use super::customers::addresses::Address;
use super::money::rounding::{MICROS, half_up};
use super::time::Timestamp;

/// The country of sales without a known one.
pub const UNKNOWN_COUNTRY: &str = "ZZ";

text_enum! {
    /// The rows of a sales report.
    SalesBy {
        /// By day.
        Day = "DAY",
        /// By product.
        Product = "PRODUCT",
        /// By country.
        Country = "COUNTRY",
        /// By currency.
        Currency = "CURRENCY",
    }
}

/// A day in UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Day(NaiveDate);

impl Day {
    /// The day of a point in time.
    #[must_use]
    pub fn of(moment: Timestamp) -> Self {
        Self(moment.utc().date_naive())
    }

    /// Parses a date such as `2026-11-25`. Years have four digits, so that dates sort as text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_iso = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if is_iso { NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(Self) } else { None }
    }

    /// The date as a chrono type.
    #[must_use]
    pub fn date(self) -> NaiveDate {
        self.0
    }

    /// The previous day; the first day of the calendar returns itself.
    #[must_use]
    pub fn previous(self) -> Self {
        Self(self.0.checked_sub_days(Days::new(1)).unwrap_or(self.0))
    }

    /// The moment at which the day is over.
    #[must_use]
    pub fn end(self) -> Timestamp {
        let next = self.0.checked_add_days(Days::new(1)).unwrap_or(self.0);
        next.and_time(chrono::NaiveTime::MIN).and_utc().into()
    }

    /// The day that is over at a moment: the inverse of [`Day::end`].
    #[must_use]
    pub fn ending_at(moment: Timestamp) -> Self {
        const INSTANT: Duration = Duration::from_micros(1);
        Self::of(moment.minus(INSTANT))
    }

    /// Number of days from one day to another, both included; zero if `to` is earlier.
    #[must_use]
    pub fn days_through(self, to: Self) -> i64 {
        to.0.signed_duration_since(self.0).num_days().saturating_add(1).max(0)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%d"))
    }
}

/// The country that a sale counts for: the shipping address's, or else the billing address's.
#[must_use]
pub fn country(shipping: Option<&Address>, billing: Option<&Address>) -> String {
    let of = |address: Option<&Address>| address.and_then(|address| address.country.clone());
    of(shipping).or_else(|| of(billing)).unwrap_or_else(|| UNKNOWN_COUNTRY.to_owned())
}

/// Sales figures in minor units of one currency. Taxes are included only in `tax`, `total` and
/// `refunds`.
///
/// `net() = gross - discounts - returns`, and `total = net() + shipping + tax`, both for rows and
/// for sums of rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SalesFigures {
    /// Number of paid orders.
    pub orders: i64,
    /// Number of units.
    pub quantity: i64,
    /// Price before discounts.
    pub gross: i64,
    /// Discounts.
    pub discounts: i64,
    /// Refunds for units and as goodwill, without taxes.
    pub returns: i64,
    /// Price of delivery after discounts, less refunds.
    pub shipping: i64,
    /// All taxes, less refunded ones.
    pub tax: i64,
    /// Payments less refunds.
    pub total: i64,
    /// Refunds, including taxes.
    pub refunds: i64,
    /// Number of canceled orders; counts whole orders only.
    pub cancelled: i64,
}

/// A line of a paid order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OrderLineSale {
    /// Number of units.
    pub quantity: i64,
    /// Price before discounts, as shown to the buyer.
    pub price: i64,
    /// Discounts.
    pub discounts: i64,
    /// The taxes on the discounted price.
    pub tax: i64,
    /// Sum of the tax rates in millionths.
    pub rate_micros: i64,
    /// Whether prices include taxes.
    pub taxes_included: bool,
}

impl OrderLineSale {
    /// The line's figures. If prices include taxes, these are removed from both the price and the
    /// discounts.
    #[must_use]
    pub fn figures(self) -> SalesFigures {
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
        SalesFigures {
            quantity: self.quantity,
            gross: net.saturating_add(discounts),
            discounts,
            tax: self.tax,
            total: net.saturating_add(self.tax),
            ..SalesFigures::default()
        }
    }
}

/// `amount` × `part` ÷ `whole`, rounded half-up; zero if any of them is not positive.
#[must_use]
pub fn proportion(amount: i64, part: i64, whole: i64) -> i64 {
    if amount <= 0 || part <= 0 || whole <= 0 {
        return 0;
    }
    let part = half_up(i128::from(amount) * i128::from(part), i128::from(whole));
    i64::try_from(part).unwrap_or(amount)
}

impl SalesFigures {
    /// Net sales, without delivery and taxes.
    #[must_use]
    pub fn net(&self) -> i64 {
        self.gross.saturating_sub(self.discounts).saturating_sub(self.returns)
    }

    /// A refund of sold items, including taxes.
    #[must_use]
    pub fn item_refund(amount: i64, tax: i64) -> Self {
        Self { returns: amount.saturating_sub(tax), ..Self::refund(amount, tax) }
    }

    /// A refund of delivery, including taxes.
    #[must_use]
    pub fn delivery_refund(amount: i64, tax: i64) -> Self {
        Self { shipping: tax.saturating_sub(amount), ..Self::refund(amount, tax) }
    }

    fn refund(amount: i64, tax: i64) -> Self {
        Self { tax: tax.saturating_neg(), total: amount.saturating_neg(), refunds: amount, ..Self::default() }
    }

    /// Combines each figure with the other's.
    fn combine(&mut self, other: Self, operation: impl Fn(i64, i64) -> i64) {
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
            *own = operation(*own, other);
        }
    }
}

impl AddAssign for SalesFigures {
    fn add_assign(&mut self, other: Self) {
        self.combine(other, i64::saturating_add);
    }
}

impl SubAssign for SalesFigures {
    fn sub_assign(&mut self, other: Self) {
        self.combine(other, i64::saturating_sub);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_round_trip() {
        let day = Day::parse("2026-02-28").unwrap();
        assert_eq!(day.to_string(), "2026-02-28");
        assert_eq!(Day::of(Timestamp::EPOCH).to_string(), "1970-01-01");
        assert_eq!(Day::parse("2026-03-01").unwrap().previous(), day);
        for text in ["2026-02-29", "2026-2-28", "28.02.2026", "+026-02-28", "2026-02-28T", "", "today"] {
            assert_eq!(Day::parse(text), None, "{text}");
        }
    }

    #[test]
    fn ranges_of_days_include_both_ends() {
        let day = |text| Day::parse(text).unwrap();
        assert_eq!(day("2026-02-28").days_through(day("2026-02-28")), 1);
        assert_eq!(day("2026-02-28").days_through(day("2026-03-01")), 2);
        assert_eq!(day("2026-03-01").days_through(day("2026-02-27")), 0);
    }

    #[test]
    fn sales_count_for_the_shipping_country() {
        let of = |country: &str| Address { country: Some(country.to_owned()), ..Address::default() };
        assert_eq!(country(Some(&of("DE")), Some(&of("FR"))), "DE");
        assert_eq!(country(Some(&Address::default()), Some(&of("FR"))), "FR");
        assert_eq!(country(None, None), UNKNOWN_COUNTRY);
    }

    #[test]
    fn gross_sales_and_discounts_exclude_taxes() {
        let line = OrderLineSale {
            quantity: 2,
            price: 2_000,
            discounts: 200,
            tax: 300,
            rate_micros: 200_000,
            taxes_included: true,
        };
        let included = line.figures();
        assert_eq!((included.gross, included.discounts, included.net()), (1_667, 167, 1_500));
        let added = OrderLineSale { taxes_included: false, tax: 360, ..line }.figures();
        assert_eq!((added.gross, added.discounts, added.net(), added.total), (2_000, 200, 1_800, 2_160));
        let free = OrderLineSale { discounts: 2_000, tax: 0, ..line }.figures();
        assert_eq!((free.gross, free.discounts, free.net(), free.total), (1_667, 1_667, 0, 0));
        let untaxed = OrderLineSale { tax: 0, rate_micros: 0, ..line }.figures();
        assert_eq!((untaxed.gross, untaxed.discounts, untaxed.total), (2_000, 200, 1_800));
    }

    #[test]
    fn figures_of_refunds_add_up() {
        for figures in [SalesFigures::item_refund(120, 20), SalesFigures::delivery_refund(120, 20)] {
            assert_eq!(figures.total, figures.net() + figures.shipping + figures.tax);
            assert_eq!((figures.total, figures.tax, figures.refunds), (-120, -20, 120));
        }
    }
}
