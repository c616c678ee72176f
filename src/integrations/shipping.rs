//! Shipping methods, each a strategy looked up by the name that a shipping rate in the database
//! refers to.
//!
//! A custom strategy (such as a carrier with its own price API) implements [`ShippingStrategy`] and
//! is registered in `app.rs`. Pricing calls strategies inside transactions, so a strategy must not
//! do I/O.

mod express;
mod flat;
mod overnight;
mod pickup;
mod standard;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use express::Express;
pub use flat::Flat;
pub use overnight::Overnight;
pub use pickup::Pickup;
pub use standard::Standard;

use crate::domain::checkout::shipping::{Parcel, Tariff};
use crate::domain::money::Currency;

/// A shipping method.
pub trait ShippingStrategy: Send + Sync {
    /// The name that rates refer to; lower case.
    fn name(&self) -> &'static str;

    /// The title shown to buyers if the rate has no name of its own.
    fn title(&self) -> &'static str;

    /// The tariff used unless staff set another.
    fn default_tariff(&self) -> Tariff;

    /// The price of a parcel at a tariff, in minor units of the currency.
    fn price(&self, tariff: Tariff, parcel: Parcel, currency: Currency) -> i64 {
        tariff.price(parcel, currency)
    }
}

/// The available strategies by name.
#[derive(Clone)]
pub struct ShippingStrategies(BTreeMap<&'static str, Arc<dyn ShippingStrategy>>);

impl Default for ShippingStrategies {
    /// Standard, express, overnight, flat rate and pickup.
    fn default() -> Self {
        Self(BTreeMap::new()).with(Standard).with(Express).with(Overnight).with(Flat).with(Pickup)
    }
}

impl ShippingStrategies {
    /// Adds a strategy, replacing one with the same name.
    #[must_use]
    pub fn with(mut self, strategy: impl ShippingStrategy + 'static) -> Self {
        self.0.insert(strategy.name(), Arc::new(strategy));
        self
    }

    /// Returns the strategy of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&dyn ShippingStrategy> {
        self.0.get(name).map(AsRef::as_ref)
    }

    /// All strategies, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &dyn ShippingStrategy> {
        self.0.values().map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Free nearby and expensive far away; ignores weight.
    struct Bicycle;

    impl ShippingStrategy for Bicycle {
        fn name(&self) -> &'static str {
            "bicycle"
        }
        fn title(&self) -> &'static str {
            "By bicycle"
        }
        fn default_tariff(&self) -> Tariff {
            Tariff { per_kilometre_micros: 1_000_000, ..Tariff::default() }
        }
        fn price(&self, _: Tariff, parcel: Parcel, _: Currency) -> i64 {
            if parcel.distance_metres < 5_000 { 0 } else { 999 }
        }
    }

    #[test]
    fn strategies_are_found_by_name() {
        let all = ShippingStrategies::default().with(Bicycle);
        let parcel = Parcel { weight_milligrams: 3_000_000, distance_metres: 100_000 };
        let price = |name: &str| {
            let strategy = all.get(name)?;
            Some(strategy.price(strategy.default_tariff(), parcel, Currency::parse("GBP").ok()?))
        };
        // 3 kg over 100 km.
        assert_eq!(price("standard"), Some(150 + 1_000));
        assert_eq!(price("express"), Some(300 + 3_000));
        assert_eq!(price("overnight"), Some(600 + 5_000));
        assert_eq!(price("bicycle"), Some(999));
        assert_eq!(price("drone"), None);
        assert_eq!(price("pickup"), Some(0));
        assert_eq!(all.iter().count(), 6);
    }
}
