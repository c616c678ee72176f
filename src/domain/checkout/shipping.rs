//! Delivery: strategies, parcels, distances, tariffs, and limits on what a rate applies to.
//!
//! A tariff has a base price, a price per kilogram and a price per kilometer; the latter two are in
//! millionths of the currency's main unit, and their sum is rounded half-up to the minor unit once.
//! A price table adds the price of the step that the weight or subtotal has reached. Limits are
//! inclusive at both ends and apply to the subtotal **before** discounts, so that a discount never
//! makes delivery more expensive or unavailable.

use serde::{Deserialize, Serialize};

use super::pricing::MAX_AMOUNT;
use crate::domain::catalog::text_enum;
use crate::domain::money::Currency;
use crate::domain::money::rounding::half_up;

/// Mean radius of the earth in meters.
const EARTH_RADIUS_METRES: f64 = 6_371_008.8;
/// Maximum distance of a delivery in meters: more than twice around the earth.
pub const MAX_DISTANCE_METRES: i64 = 100_000_000;
/// Maximum price per kilogram or kilometer, in millionths of the main unit.
pub const MAX_TARIFF_MICROS: i64 = 1_000_000_000_000;
/// Distance in meters assumed by a shop without other zones: 50 km.
pub const DEFAULT_DISTANCE_METRES: i64 = 50_000;

text_enum! {
    /// A kind of delivery, which shipping rates refer to by name. It determines the title and the
    /// prices of new rates.
    ShippingStrategy {
        /// Faster than standard delivery.
        Express = "express",
        /// Delivery at a flat rate, or at the rate's price table.
        Flat = "flat",
        /// Next-day delivery.
        Overnight = "overnight",
        /// No delivery: the buyer picks the order up.
        Pickup = "pickup",
        /// Standard delivery.
        Standard = "standard",
    }
}

/// Geographic coordinates in degrees.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Coordinates {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

/// Weight and distance of a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parcel {
    /// Total weight.
    pub weight_milligrams: i64,
    /// Distance.
    pub distance_metres: i64,
}

/// The prices of a shipping rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tariff {
    /// Base price in minor units.
    pub base: i64,
    /// Price per kilogram, in millionths of the currency's main unit.
    pub per_kilogram_micros: i64,
    /// Price per kilometer, in millionths of the currency's main unit.
    pub per_kilometre_micros: i64,
}

/// Prices by weight or subtotal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PriceTable {
    /// What the steps are measured in.
    pub by: TableBy,
    /// The steps in ascending order; at least one.
    pub steps: Vec<PriceStep>,
}

/// What a price table's steps are measured in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableBy {
    /// The total weight.
    Weight,
    /// The subtotal before discounts.
    Subtotal,
}

/// A step of a price table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PriceStep {
    /// Lower bound in milligrams or minor units, inclusive.
    pub from: i64,
    /// Price in minor units.
    pub price: i64,
}

impl ShippingStrategy {
    /// The title shown to buyers if the rate has no name of its own.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Express => "Express",
            Self::Flat => "Delivery",
            Self::Overnight => "Overnight",
            Self::Pickup => "Pickup",
            Self::Standard => "Standard",
        }
    }

    /// The tariff of new rates.
    #[must_use]
    pub fn default_tariff(self) -> Tariff {
        let (per_kilogram_micros, per_kilometre_micros) = match self {
            Self::Standard => (500_000, 100_000),
            Self::Express => (1_000_000, 300_000),
            Self::Overnight => (2_000_000, 500_000),
            // Free unless staff set a price.
            Self::Flat | Self::Pickup => (0, 0),
        };
        Tariff { base: 0, per_kilogram_micros, per_kilometre_micros }
    }
}

impl PriceTable {
    /// The price of the step that is reached; `None` below the first step.
    #[must_use]
    pub fn price(&self, weight_milligrams: i64, subtotal: i64) -> Option<i64> {
        let value = match self.by {
            TableBy::Weight => weight_milligrams,
            TableBy::Subtotal => subtotal,
        };
        self.steps.iter().rev().find(|step| step.from <= value).map(|step| step.price)
    }
}

/// Limits on the carts that a rate applies to; `None` means no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShippingConditions {
    /// Minimum weight, inclusive.
    pub min_weight_milligrams: Option<i64>,
    /// Maximum weight, inclusive.
    pub max_weight_milligrams: Option<i64>,
    /// Minimum subtotal in minor units, inclusive.
    pub min_subtotal: Option<i64>,
    /// Maximum subtotal in minor units, inclusive.
    pub max_subtotal: Option<i64>,
}

impl Coordinates {
    /// Combines two optional numbers; `None` if either is missing or not finite.
    #[must_use]
    pub fn from_parts(latitude: Option<f64>, longitude: Option<f64>) -> Option<Self> {
        let is_known = |degrees: &f64| degrees.is_finite();
        Some(Self { latitude: latitude.filter(is_known)?, longitude: longitude.filter(is_known)? })
    }

    /// The great-circle distance (haversine formula), in meters.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "at most half the circumference of the earth")]
    pub fn distance_metres(self, to: Self) -> i64 {
        let half_chord = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin().powi(2);
        let a = half_chord(self.latitude, to.latitude)
            + self.latitude.to_radians().cos()
                * to.latitude.to_radians().cos()
                * half_chord(self.longitude, to.longitude);
        let metres = 2.0 * EARTH_RADIUS_METRES * a.clamp(0.0, 1.0).sqrt().asin();
        metres.round() as i64
    }
}

impl Tariff {
    /// The price of a parcel in minor units.
    #[must_use]
    pub fn price(self, parcel: Parcel, currency: Currency) -> i64 {
        let non_negative = |number: i64| i128::from(number.max(0));
        // Millionths of the main unit, times a million: a kilogram is a million milligrams, a
        // kilometer is a thousand meters.
        let by_weight = non_negative(self.per_kilogram_micros.min(MAX_TARIFF_MICROS))
            * non_negative(parcel.weight_milligrams);
        let by_distance = non_negative(self.per_kilometre_micros.min(MAX_TARIFF_MICROS))
            * non_negative(parcel.distance_metres.min(MAX_DISTANCE_METRES))
            * 1_000;
        let minor = half_up((by_weight + by_distance) * i128::from(currency.factor()), 1_000_000_000_000);
        let minor = i64::try_from(minor).unwrap_or(MAX_AMOUNT);
        minor.saturating_add(self.base.max(0)).min(MAX_AMOUNT)
    }
}

impl ShippingConditions {
    /// Whether a cart of this weight and subtotal is within the limits.
    #[must_use]
    pub fn is_met_by(&self, weight_milligrams: i64, subtotal: i64) -> bool {
        let within = |value: i64, min: Option<i64>, max: Option<i64>| {
            min.is_none_or(|min| value >= min) && max.is_none_or(|max| value <= max)
        };
        within(weight_milligrams, self.min_weight_milligrams, self.max_weight_milligrams)
            && within(subtotal, self.min_subtotal, self.max_subtotal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(tariff: Tariff, weight_milligrams: i64, distance_metres: i64, currency: &str) -> i64 {
        tariff.price(Parcel { weight_milligrams, distance_metres }, Currency::parse(currency).unwrap())
    }

    #[test]
    fn prices_depend_on_weight_and_distance() {
        let standard = ShippingStrategy::Standard.default_tariff();
        // 2 kg over 50 km: 2 × 0.50 + 50 × 0.10.
        assert_eq!(price(standard, 2_000_000, 50_000, "GBP"), 600);
        assert_eq!(price(standard, 2_000_000, 50_000, "JPY"), 6);
        assert_eq!(price(standard, 2_000_000, 50_000, "KWD"), 6_000);
        // 15 g and 20 m: 0.0075 + 0.002 is 0.0095, rounded once; rounded separately it would be
        // 0.01.
        assert_eq!(price(standard, 15_000, 20, "GBP"), 1);
        // 0.005 is exactly half.
        assert_eq!(price(standard, 10_000, 0, "GBP"), 1);
        assert_eq!(price(standard, 9_999, 0, "GBP"), 0);
        assert_eq!(price(Tariff { base: 490, ..standard }, 2_000_000, 50_000, "GBP"), 1_090);
        let expensive =
            Tariff { base: i64::MAX, per_kilogram_micros: i64::MAX, per_kilometre_micros: i64::MAX };
        assert_eq!(price(expensive, i64::MAX, i64::MAX, "KWD"), MAX_AMOUNT);
    }

    #[test]
    fn faster_delivery_costs_more() {
        // 3 kg over 100 km.
        let prices = ShippingStrategy::ALL
            .iter()
            .map(|one| (one.as_str(), price(one.default_tariff(), 3_000_000, 100_000, "GBP")));
        let expected = [
            ("express", 300 + 3_000),
            ("flat", 0),
            ("overnight", 600 + 5_000),
            ("pickup", 0),
            ("standard", 150 + 1_000),
        ];
        assert_eq!(prices.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn distances_are_great_circle_distances() {
        let london = Coordinates { latitude: 51.5074, longitude: -0.1278 };
        let paris = Coordinates { latitude: 48.8566, longitude: 2.3522 };
        let metres = london.distance_metres(paris);
        assert!((343_000..345_000).contains(&metres), "{metres}");
        assert_eq!(metres, paris.distance_metres(london));
        assert_eq!(london.distance_metres(london), 0);
        let (here, there) =
            (Coordinates { latitude: 0.0, longitude: 0.0 }, Coordinates { latitude: 0.0, longitude: 180.0 });
        assert_eq!(here.distance_metres(there), 20_015_114);
        assert_eq!(Coordinates::from_parts(Some(f64::NAN), Some(1.0)), None);
        assert_eq!(Coordinates::from_parts(Some(1.0), None), None);
    }

    #[test]
    fn table_prices_apply_from_each_step() {
        let steps = [(100, 490), (500, 0)].map(|(from, price)| PriceStep { from, price }).to_vec();
        let table = PriceTable { by: TableBy::Subtotal, steps };
        let prices = [99, 100, 499, 500, i64::MAX].map(|subtotal| table.price(0, subtotal));
        assert_eq!(prices, [None, Some(490), Some(490), Some(0), Some(0)]);
        let by_weight = PriceTable { by: TableBy::Weight, ..table };
        assert_eq!(by_weight.price(100, 0), Some(490));
    }

    #[test]
    fn limits_are_inclusive() {
        let conditions = ShippingConditions {
            min_weight_milligrams: Some(10),
            max_weight_milligrams: Some(20),
            max_subtotal: Some(500),
            ..ShippingConditions::default()
        };
        assert!(conditions.is_met_by(10, 500) && conditions.is_met_by(20, 0));
        assert!(
            !conditions.is_met_by(9, 0) && !conditions.is_met_by(21, 0) && !conditions.is_met_by(15, 501)
        );
    }
}
