//! What lists that are searched share: a term of the search language as a condition on a column.

use crate::domain::money::{Currency, Money};
use crate::domain::search::Comparator;

/// A text column against a search value, letter case aside, put into what is to be asked of the row.
macro_rules! text_condition {
    ($column:expr, $value:expr, |$meets:ident| $asked:expr) => {
        match $value {
            $crate::domain::search::ValueMatch::Exists => {
                let $meets = $column.ne("");
                Box::new($asked)
            }
            $crate::domain::search::ValueMatch::AnyOf(values) => {
                let values: Vec<String> = values.iter().map(|value| value.to_ascii_lowercase()).collect();
                let $meets = $crate::db::expr::lower($column).eq_any(values);
                Box::new($asked)
            }
            $crate::domain::search::ValueMatch::StartsWith(start) => {
                // A range, which an index answers, where LIKE with a parameter is asked of each row.
                let start = start.to_ascii_lowercase();
                let end = format!("{start}{}", char::MAX);
                let column = $crate::db::expr::lower($column);
                let $meets = column.ge(start).and(column.lt(end));
                Box::new($asked)
            }
        }
    };
}

/// A column against a value, put into what is to be asked of the row.
macro_rules! compare {
    ($column:expr, $comparator:expr, $value:expr, |$meets:ident| $asked:expr) => {{
        macro_rules! asked {
            ($method:ident) => {{
                let $meets = $column.$method($value);
                Box::new($asked)
            }};
        }
        match $comparator {
            $crate::domain::search::Comparator::Equal => asked!(eq),
            $crate::domain::search::Comparator::Greater => asked!(gt),
            $crate::domain::search::Comparator::GreaterOrEqual => asked!(ge),
            $crate::domain::search::Comparator::Less => asked!(lt),
            $crate::domain::search::Comparator::LessOrEqual => asked!(le),
        }
    }};
}
pub(super) use {compare, text_condition};

/// A price of the query in minor units. An amount between two minor units equals none, and is compared by the lower one:
/// more than 9.995 is more than 9.99.
pub fn price(comparator: Comparator, amount: &str, currency: Currency) -> Option<(Comparator, i64)> {
    if let Ok(money) = Money::parse(amount, currency) {
        return Some((comparator, money.minor()));
    }
    let (whole, fraction) = amount.split_once('.')?;
    let kept: String = fraction.chars().take(currency.decimals() as usize).collect();
    let floor = Money::parse(&format!("{whole}.{kept}0"), currency)
        .or_else(|_| Money::parse(whole, currency))
        .ok()?
        .minor();
    match comparator {
        Comparator::Equal => None,
        Comparator::Greater | Comparator::GreaterOrEqual => Some((Comparator::Greater, floor)),
        Comparator::Less | Comparator::LessOrEqual => Some((Comparator::LessOrEqual, floor)),
    }
}
