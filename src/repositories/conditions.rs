//! Shared macros and functions that translate search conditions to SQL conditions on columns.

use crate::domain::catalog::search::Comparator;
use crate::domain::money::{Currency, Money};

/// A condition on a text column, embedded in a larger condition on the row. The column's stored key
/// is compared with the key of the search value.
macro_rules! text_condition {
    ($column:expr, $key:expr, $key_of:path, $value:expr, |$meets:ident| $asked:expr) => {
        match $value {
            $crate::domain::catalog::search::ValueMatch::Exists => {
                let $meets = $column.ne("");
                Box::new($asked)
            }
            $crate::domain::catalog::search::ValueMatch::AnyOf(values) => {
                let values: Vec<String> = values.iter().map(|value| $key_of(value)).collect();
                let $meets = $key.eq_any(values);
                Box::new($asked)
            }
            $crate::domain::catalog::search::ValueMatch::StartsWith(start) => {
                // A range can use an index; LIKE with a parameter can't.
                let start = $key_of(start);
                let end = format!("{start}{}", char::MAX);
                let $meets = $key.ge(start).and($key.lt(end));
                Box::new($asked)
            }
        }
    };
}

/// Defines the functions that translate a search of collections, customers or discounts to a
/// condition and to a query of the matching rows, `postgres_found` and `sqlite_found`. Parameters
/// are the indexed fields for words and titles, and the one search field that is specific to the
/// list.
macro_rules! list_condition {
    (@ $name:ident, $found:ident, $backend:ty, $table:ident, $id:ty, words: $words:expr, title: $title:expr, $own:ident: |$value:ident| $asked:expr) => {
        fn $name(
            node: &$crate::domain::catalog::search::Node<$crate::domain::catalog::search::ListTerm>,
        ) -> $crate::db::expr::Condition<$table::table, $backend> {
            use $crate::db::expr::{Condition, constant};
            use $crate::domain::catalog::search::{ListTerm, Node};
            use $crate::domain::time::Timestamp;
            use $crate::repositories::catalog::words::HasWords;
            use $crate::repositories::conditions::compare;

            const ID: &str = concat!(stringify!($table), ".id");
            let each = |nodes: &[Node<ListTerm>]| -> Vec<Condition<$table::table, $backend>> {
                nodes.iter().map($name).collect()
            };
            match node {
                Node::All => Box::new(constant(true)),
                Node::And(nodes) => {
                    let all = each(nodes).into_iter().reduce(|a, b| Box::new(a.and(b)));
                    all.unwrap_or_else(|| Box::new(constant(true)))
                }
                Node::Or(nodes) => {
                    let any = each(nodes).into_iter().reduce(|a, b| Box::new(a.or(b)));
                    any.unwrap_or_else(|| Box::new(constant(false)))
                }
                Node::Not(node) => Box::new(diesel::dsl::not($name(node))),
                Node::Text(text) => Box::new(HasWords::new(ID, $words, text)),
                Node::Title(text) => Box::new(HasWords::new(ID, $title, text)),
                Node::Field(ListTerm::Id(ids)) => {
                    let ids = ids.iter().filter_map(|id| uuid::Uuid::try_parse(id).ok());
                    Box::new($table::id.eq_any(ids.map(<$id>::from_uuid).collect::<Vec<_>>()))
                }
                Node::Field(ListTerm::CreatedAt(comparator, at)) => {
                    compare!($table::created_at, *comparator, Timestamp::from(*at), |meets| meets)
                }
                Node::Field(ListTerm::UpdatedAt(comparator, at)) => {
                    compare!($table::updated_at, *comparator, Timestamp::from(*at), |meets| meets)
                }
                Node::Field(ListTerm::$own($value)) => $asked,
                Node::Field(_) => Box::new(constant(false)),
            }
        }

        fn $found(
            filter: &$crate::domain::catalog::search::Node<$crate::domain::catalog::search::ListTerm>,
        ) -> $table::BoxedQuery<'static, $backend> {
            match filter {
                // Without a constant condition, the database can choose a better plan.
                $crate::domain::catalog::search::Node::All => $table::table.into_boxed(),
                filter => $table::table.filter($name(filter)).into_boxed(),
            }
        }
    };
    ($($search:tt)*) => {
        #[cfg(feature = "postgres")]
        $crate::repositories::conditions::list_condition!(
            @ postgres_condition, postgres_found, diesel::pg::Pg, $($search)*
        );
        #[cfg(feature = "sqlite")]
        $crate::repositories::conditions::list_condition!(
            @ sqlite_condition, sqlite_found, diesel::sqlite::Sqlite, $($search)*
        );
    };
}

/// That a handle equals a stem, or starts with it and a hyphen.
macro_rules! handle_like {
    ($table:ident, $stem:expr) => {{
        let stem: &str = $stem;
        let is_numbered = $table::handle.ge(format!("{stem}-")).and($table::handle.lt(format!("{stem}.")));
        $table::handle.eq(stem.to_owned()).or(is_numbered)
    }};
}

/// A comparison of a column with a value, embedded in a larger condition on the row.
macro_rules! compare {
    ($column:expr, $comparator:expr, $value:expr, |$meets:ident| $asked:expr) => {{
        macro_rules! asked {
            ($method:ident) => {{
                let $meets = $column.$method($value);
                Box::new($asked)
            }};
        }
        match $comparator {
            $crate::domain::catalog::search::Comparator::Equal => asked!(eq),
            $crate::domain::catalog::search::Comparator::Greater => asked!(gt),
            $crate::domain::catalog::search::Comparator::GreaterOrEqual => asked!(ge),
            $crate::domain::catalog::search::Comparator::Less => asked!(lt),
            $crate::domain::catalog::search::Comparator::LessOrEqual => asked!(le),
        }
    }};
}
pub(super) use {compare, handle_like, list_condition, text_condition};

/// Converts a price comparison to minor units. An amount between two minor units equals no price
/// and is rounded down for comparisons: more than 9.995 is more than 9.99.
pub(super) fn compare_price(
    comparator: Comparator,
    amount: &str,
    currency: Currency,
) -> Option<(Comparator, i64)> {
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
