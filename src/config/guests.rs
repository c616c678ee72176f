//! Settings for what buyers may use before they pay: stock held by unpaid orders, and carts of
//! anonymous callers.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Problems;
use crate::integrations::payments::{Manual, TestProvider};
use crate::services::checkout::HoldLimits;
use crate::services::checkout::carts::GuestCartLimits;
use crate::services::jobs::clean_up::CartTtl;
use crate::services::payments::PROVIDER_NAMES;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = HOUR.saturating_mul(24);

/// Maximum time that an order may await payment, in hours.
const MAX_HOLD_HOURS: f64 = 24.0 * 366.0;

/// How long an order awaits payment by most providers: buyers pay right after they order, but may
/// have to approve the payment at their bank, or to try another card.
const DEFAULT_HOLD: Duration = HOUR;

/// Providers with another default.
const OTHER_DEFAULT_HOLDS: [(&str, Duration); 2] = [
    // By transfer, cash or invoice: a transfer made on a Friday arrives in time.
    (Manual::NAME, DAY.saturating_mul(3)),
    // It responds at once or never.
    (TestProvider::NAME, Duration::from_mins(30)),
];

/// What the problems with `PAYMENT_HOLD_HOURS` end with.
const HOLDS_EXAMPLE: &str = "as manual:72,stripe:1";

/// What buyers may use before they pay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuestConfig {
    /// `PAYMENT_HOLD_HOURS`: how long an order awaits payment and holds its stock, by provider.
    pub payment_holds: PaymentHolds,
    /// `MAX_UNPAID_ORDERS`, `GUEST_STOCK_SHARE`, `GUEST_ORDER_STOCK_SHARE`.
    pub holds: HoldLimits,
    /// `GUEST_CART_BYTES`, `GUEST_EMPTY_CART_BYTES`, `GUEST_CART_LINES`, `GUEST_CARTS_PER_HOUR`.
    pub carts: GuestCartLimits,
    /// `GUEST_BODY_LIMIT`: maximum size of a request body of an anonymous caller, in bytes; never
    /// more than `BODY_LIMIT`.
    pub body_limit: usize,
    /// `EMPTY_CART_TTL_HOURS`, `CART_TTL_DAYS`: how long carts are kept after their last change.
    pub cart_ttl: CartTtl,
}

/// How long orders await payment, by provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PaymentHolds(BTreeMap<&'static str, Duration>);

impl PaymentHolds {
    /// How long an order awaits its payment by this provider.
    #[must_use]
    pub fn of(&self, provider: &str) -> Duration {
        self.0.get(provider).copied().unwrap_or(DEFAULT_HOLD)
    }
}

impl Default for PaymentHolds {
    fn default() -> Self {
        Self(BTreeMap::from(OTHER_DEFAULT_HOLDS))
    }
}

/// Reads the settings.
pub(super) fn read(get: &impl Fn(&str) -> Option<String>, problems: &mut Problems) -> GuestConfig {
    let payment_holds =
        problems.parse("PAYMENT_HOLD_HOURS", get("PAYMENT_HOLD_HOURS"), PaymentHolds::default(), parse_holds);
    let mut number = |name: &str, default: u64, range: std::ops::RangeInclusive<u64>, unit: &str| {
        problems.parse(name, get(name), default, |text| {
            text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
                format!("must be a number of {unit} from {} to {}", range.start(), range.end())
            })
        })
    };
    let holds = HoldLimits {
        max_orders: number("MAX_UNPAID_ORDERS", 10, 1..=1_000_000, "orders"),
        stock_percent: number("GUEST_STOCK_SHARE", 50, 1..=100, "percent"),
        order_percent: number("GUEST_ORDER_STOCK_SHARE", 25, 1..=100, "percent"),
    };
    let max_bytes = number("GUEST_CART_BYTES", 16 * 1024, 1_024..=256 * 1024, "bytes");
    let max_empty_bytes = number("GUEST_EMPTY_CART_BYTES", 2 * 1024, 256..=256 * 1024, "bytes");
    let max_lines = number("GUEST_CART_LINES", 100, 1..=1_000, "lines");
    let max_new_per_hour = number("GUEST_CARTS_PER_HOUR", 300, 1..=10_000_000, "carts");
    let body_limit = number("GUEST_BODY_LIMIT", 128 * 1024, 1_024..=1024 * 1024 * 1024, "bytes");
    let empty_hours = number("EMPTY_CART_TTL_HOURS", 12, 1..=24 * 366, "hours");
    let days = number("CART_TTL_DAYS", 30, 1..=3_660, "days");
    let as_size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    GuestConfig {
        payment_holds,
        holds,
        carts: GuestCartLimits {
            max_bytes: as_size(max_bytes),
            max_empty_bytes: as_size(max_empty_bytes),
            max_lines: as_size(max_lines),
            max_new_per_hour,
        },
        body_limit: as_size(body_limit),
        cart_ttl: CartTtl {
            empty: Duration::from_secs(empty_hours.saturating_mul(HOUR.as_secs())),
            filled: Duration::from_secs(days.saturating_mul(DAY.as_secs())),
        },
    }
}

/// Parses `manual:72,stripe:1`; a provider that is not listed keeps its default.
fn parse_holds(text: &str) -> Result<PaymentHolds, String> {
    let mut holds = PaymentHolds::default();
    for one in text.split(',') {
        let (name, hours) = one.split_once(':').unwrap_or((one, ""));
        let Some(name) = PROVIDER_NAMES.iter().copied().find(|known| *known == name.trim()) else {
            let known = PROVIDER_NAMES.join(", ");
            return Err(format!("must name providers out of {known}, {HOLDS_EXAMPLE}"));
        };
        let hours = hours.trim().parse::<f64>().ok().filter(|hours| (0.01..=MAX_HOLD_HOURS).contains(hours));
        let Some(hours) = hours else {
            return Err(format!(
                "must have hours from 0.01 to {MAX_HOLD_HOURS} for each provider, {HOLDS_EXAMPLE}"
            ));
        };
        holds.0.insert(name, HOUR.mul_f64(hours));
    }
    Ok(holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(settings: &[(&str, &str)]) -> Result<GuestConfig, Vec<String>> {
        let get = |name: &str| {
            settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let mut problems = Problems(Vec::new());
        let config = read(&get, &mut problems);
        if problems.0.is_empty() { Ok(config) } else { Err(problems.0) }
    }

    #[test]
    fn payment_hold_hours_are_set_per_provider() {
        let holds = |settings: &[(&str, &str)]| {
            let holds = config(settings).unwrap().payment_holds;
            ["manual", "test", "stripe", "paypal"].map(|provider| holds.of(provider))
        };
        assert_eq!(holds(&[]), [DAY * 3, HOUR / 2, HOUR, HOUR]);
        let set = [("PAYMENT_HOLD_HOURS", "test:0.25, manual:24,paypal:2")];
        assert_eq!(holds(&set), [DAY, HOUR / 4, HOUR, HOUR * 2]);
        assert_eq!(holds(&[("PAYMENT_HOLD_HOURS", "manual:1")]), [HOUR, HOUR / 2, HOUR, HOUR]);
    }

    #[test]
    fn invalid_settings_are_named() {
        for (name, value) in [
            ("PAYMENT_HOLD_HOURS", "72"),
            ("PAYMENT_HOLD_HOURS", "gold:1"),
            ("PAYMENT_HOLD_HOURS", "manual:0"),
            ("PAYMENT_HOLD_HOURS", "manual:NaN"),
            ("PAYMENT_HOLD_HOURS", "stripe:8785"),
            ("MAX_UNPAID_ORDERS", "0"),
            ("GUEST_STOCK_SHARE", "101"),
            ("GUEST_ORDER_STOCK_SHARE", "half"),
            ("GUEST_CART_BYTES", "16K"),
            ("GUEST_EMPTY_CART_BYTES", "1"),
            ("GUEST_CART_LINES", "1001"),
            ("GUEST_CARTS_PER_HOUR", "0"),
            ("EMPTY_CART_TTL_HOURS", "0"),
            ("CART_TTL_DAYS", "-1"),
        ] {
            let problems = config(&[(name, value)]).unwrap_err();
            assert!(problems[0].starts_with(name), "{problems:?}");
        }
    }
}
