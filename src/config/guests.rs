//! Settings for what buyers may use before they pay: stock held by unpaid orders, and carts of
//! anonymous callers.

use std::time::Duration;

use super::Problems;
use crate::services::checkout::HoldLimits;
use crate::services::checkout::carts::GuestCartLimits;
use crate::services::jobs::clean_up::CartTtl;
use crate::services::payments::PROVIDER_NAMES;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = HOUR.saturating_mul(24);

/// Maximum time that an order may await payment, in hours.
const MAX_HOLD_HOURS: f64 = 24.0 * 366.0;

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

/// How long orders await payment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PaymentHolds {
    /// By transfer, cash or invoice: three days by default, so that a transfer made on a Friday
    /// arrives in time.
    pub manual: Duration,
    /// By the test provider, which responds at once or never: half an hour by default.
    pub test: Duration,
}

impl Default for PaymentHolds {
    fn default() -> Self {
        Self { manual: DAY.saturating_mul(3), test: HOUR / 2 }
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

/// Parses `manual:72,test:0.5`; a provider that is not listed keeps its default.
fn parse_holds(text: &str) -> Result<PaymentHolds, String> {
    let mut holds = PaymentHolds::default();
    for one in text.split(',') {
        let (name, hours) = one.split_once(':').unwrap_or((one, ""));
        let hours = hours.trim().parse::<f64>().ok().filter(|hours| (0.01..=MAX_HOLD_HOURS).contains(hours));
        let hold = match name.trim() {
            "manual" => &mut holds.manual,
            "test" => &mut holds.test,
            _ => {
                return Err(format!(
                    "must name providers out of {}, as manual:72,test:0.5",
                    PROVIDER_NAMES.join(", ")
                ));
            }
        };
        let Some(hours) = hours else {
            return Err(
                "must have hours from 0.01 to 8784 for each provider, as manual:72,test:0.5".to_owned()
            );
        };
        *hold = HOUR.mul_f64(hours);
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
        let default = config(&[]).unwrap().payment_holds;
        assert_eq!((default.manual, default.test), (DAY * 3, HOUR / 2));
        let set = config(&[("PAYMENT_HOLD_HOURS", "test:0.25, manual:24")]).unwrap().payment_holds;
        assert_eq!((set.manual, set.test), (DAY, HOUR / 4));
        let one = config(&[("PAYMENT_HOLD_HOURS", "manual:1")]).unwrap().payment_holds;
        assert_eq!((one.manual, one.test), (HOUR, HOUR / 2));
    }

    #[test]
    fn invalid_settings_are_named() {
        for (name, value) in [
            ("PAYMENT_HOLD_HOURS", "72"),
            ("PAYMENT_HOLD_HOURS", "gold:1"),
            ("PAYMENT_HOLD_HOURS", "manual:0"),
            ("PAYMENT_HOLD_HOURS", "manual:NaN"),
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
