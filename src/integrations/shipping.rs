//! Ways of sending a parcel, each a strategy that is looked up by its name at run time: rates in the database name theirs.
//!
//! A strategy of one's own (a carrier that is asked for its prices) implements [`ShippingStrategy`] and is added in `app.rs`.
//! Pricing calls them while it may be inside a transaction, so a strategy must not wait for anything outside.

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

use crate::domain::money::Currency;
use crate::domain::shipping::{Parcel, Tariff};

/// A way of sending a parcel.
pub trait ShippingStrategy: Send + Sync {
    /// What rates call it; lower case.
    fn name(&self) -> &'static str;

    /// What buyers read where a rate has no name of its own.
    fn title(&self) -> &'static str;

    /// What it costs unless staff say otherwise.
    fn usual_tariff(&self) -> Tariff;

    /// What a parcel costs at a tariff, in minor units of the currency.
    fn price(&self, tariff: Tariff, parcel: Parcel, currency: Currency) -> i64 {
        tariff.price(parcel, currency)
    }
}

/// The strategies a shop has, by name.
#[derive(Clone)]
pub struct ShippingStrategies(BTreeMap<&'static str, Arc<dyn ShippingStrategy>>);

impl Default for ShippingStrategies {
    /// Standard, express and overnight, for one price, and picked up.
    fn default() -> Self {
        Self(BTreeMap::new()).with(Standard).with(Express).with(Overnight).with(Flat).with(Pickup)
    }
}

impl ShippingStrategies {
    /// The same and one more, in place of one of its name.
    #[must_use]
    pub fn with(mut self, strategy: impl ShippingStrategy + 'static) -> Self {
        self.0.insert(strategy.name(), Arc::new(strategy));
        self
    }

    /// The strategy of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&dyn ShippingStrategy> {
        self.0.get(name).map(AsRef::as_ref)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &dyn ShippingStrategy> {
        self.0.values().map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Carries everything for nothing, and nobody pays by weight.
    struct Bicycle;

    impl ShippingStrategy for Bicycle {
        fn name(&self) -> &'static str {
            "bicycle"
        }
        fn title(&self) -> &'static str {
            "By bicycle"
        }
        fn usual_tariff(&self) -> Tariff {
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
            Some(strategy.price(strategy.usual_tariff(), parcel, Currency::parse("GBP").ok()?))
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
