//! SQL expressions that Diesel lacks, or for which it would generate a new statement text each
//! time.

use diesel::backend::Backend;
use diesel::expression::{
    AppearsOnTable, AsExpression, Expression, SelectableExpression, TypedExpressionType, ValidGrouping,
    is_aggregate,
};
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{Bool, SqlType};

use super::types::{AnyId, sql};
use crate::domain::ids::Id;

diesel::define_sql_function! {
    /// Converts ASCII letters to lower case, on both databases (columns that are compared have
    /// collation "C").
    fn lower(text: sql::Text) -> sql::Text;
}

diesel::define_sql_function! {
    /// A condition that is evaluated for each row and never answered by an index, because planners
    /// don't look inside function calls. `otherwise` replaces `NULL`.
    #[sql_name = "coalesce"]
    fn without_index(condition: Bool, otherwise: Bool) -> Bool;
}

#[cfg(feature = "postgres")]
diesel::define_sql_function! {
    /// Aggregates the ids of a group into an array.
    #[aggregate]
    fn array_agg(id: sql::Uuid) -> diesel::sql_types::Array<sql::Uuid>;
}

#[cfg(feature = "postgres")]
diesel::define_sql_function! {
    /// The next number of a sequence.
    fn nextval(sequence: sql::Text) -> sql::Int8;
}

#[cfg(feature = "sqlite")]
diesel::define_sql_function! {
    /// Aggregates the texts of a group into a JSON array.
    #[aggregate]
    fn json_group_array(text: sql::Text) -> sql::Jsonb;
}

#[cfg(feature = "sqlite")]
diesel::define_sql_function! {
    /// A UUID in hexadecimal digits.
    fn hex(uuid: sql::Uuid) -> sql::Text;
}

/// Defines a `column IN (values)` with a single parameter, so that the statement text does not
/// depend on the number of values: an array on PostgreSQL, a JSON array on SQLite. With Diesel's
/// `eq_any`, the text differs for each number on SQLite, and the statement is not found prepared.
macro_rules! in_list {
    ($(#[$doc:meta])* $name:ident, $sql:ty, $value:ty, $sqlite:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, QueryId)]
        pub struct $name<E> {
            column: E,
            #[cfg(feature = "postgres")]
            values: Vec<$value>,
            /// The values as a JSON array.
            #[cfg(feature = "sqlite")]
            json: String,
        }

        impl<E: Expression> Expression for $name<E> {
            type SqlType = Bool;
        }
        impl<E: Expression, QS> SelectableExpression<QS> for $name<E> where Self: AppearsOnTable<QS> {}
        impl<E: AppearsOnTable<QS>, QS> AppearsOnTable<QS> for $name<E> {}
        impl<E: Expression, G> ValidGrouping<G> for $name<E> {
            type IsAggregate = is_aggregate::Never;
        }

        #[cfg(feature = "postgres")]
        impl<E: QueryFragment<diesel::pg::Pg>> QueryFragment<diesel::pg::Pg> for $name<E> {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::pg::Pg>) -> QueryResult<()> {
                self.column.walk_ast(out.reborrow())?;
                out.push_sql(" = ANY(");
                out.push_bind_param::<diesel::sql_types::Array<$sql>, Vec<$value>>(&self.values)?;
                out.push_sql(")");
                Ok(())
            }
        }

        #[cfg(feature = "sqlite")]
        impl<E: QueryFragment<diesel::sqlite::Sqlite>> QueryFragment<diesel::sqlite::Sqlite> for $name<E> {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::sqlite::Sqlite>) -> QueryResult<()> {
                self.column.walk_ast(out.reborrow())?;
                out.push_sql(concat!(" IN (SELECT ", $sqlite, " FROM json_each("));
                out.push_bind_param::<sql::Text, String>(&self.json)?;
                out.push_sql("))");
                Ok(())
            }
        }
    };
}

in_list! {
    /// See [`in_ids`].
    InIds, diesel::sql_types::Uuid, uuid::Uuid, "unhex(value)"
}
in_list! {
    /// See [`in_texts`].
    InTexts, sql::Text, String, "value"
}
in_list! {
    /// See [`in_numbers`].
    InNumbers, sql::BigInt, i64, "value"
}

/// `column IN (ids)`.
pub fn in_ids<E: Expression<SqlType = sql::Uuid>, I: Id>(column: E, ids: &[I]) -> InIds<E> {
    InIds {
        column,
        #[cfg(feature = "postgres")]
        values: ids.iter().map(|id| id.uuid()).collect(),
        #[cfg(feature = "sqlite")]
        json: json_array(ids),
    }
}

/// `column IN (texts)`.
pub fn in_texts<E: Expression<SqlType = sql::Text>>(column: E, texts: &[String]) -> InTexts<E> {
    InTexts {
        column,
        #[cfg(feature = "postgres")]
        values: texts.to_vec(),
        #[cfg(feature = "sqlite")]
        json: serde_json::Value::from(texts.to_vec()).to_string(),
    }
}

/// `column IN (numbers)`.
pub fn in_numbers<E: Expression<SqlType = sql::BigInt>>(column: E, numbers: &[i64]) -> InNumbers<E> {
    InNumbers {
        column,
        #[cfg(feature = "postgres")]
        values: numbers.to_vec(),
        #[cfg(feature = "sqlite")]
        json: serde_json::Value::from(numbers.to_vec()).to_string(),
    }
}

/// The rows of a sorted list on one side of a position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The rows after it.
    After,
    /// The rows up to it, including the row at the position.
    UpTo,
}

/// Compares the key and the id of rows with a position in a list sorted by them; see
/// [`on_side`].
#[derive(Debug, Clone)]
pub struct PositionComparison<K, I, V> {
    key: K,
    id: I,
    value: V,
    row: <AnyId as AsExpression<sql::Uuid>>::Expression,
    /// The operators for keys with ids, and for keys alone.
    operators: (&'static str, &'static str),
}

/// The rows on one side of the position with this key and id. An index on both bounds the scan,
/// however many rows have the same key.
pub fn on_side<K, I, V>(
    side: Side,
    key: K,
    id: I,
    (value, row): (V, AnyId),
    is_descending: bool,
) -> PositionComparison<K, I, V::Expression>
where
    K: Expression<SqlType: SqlType + TypedExpressionType>,
    I: Expression<SqlType = sql::Uuid>,
    V: AsExpression<K::SqlType>,
{
    let operators = match (side, is_descending) {
        (Side::After, false) => (" > ", " >= "),
        (Side::After, true) => (" < ", " <= "),
        (Side::UpTo, false) => (" <= ", " <= "),
        (Side::UpTo, true) => (" >= ", " >= "),
    };
    let row = AsExpression::<sql::Uuid>::as_expression(row);
    PositionComparison { key, id, value: value.as_expression(), row, operators }
}

impl<K, I, V> QueryId for PositionComparison<K, I, V> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<K: Expression, I: Expression, V: Expression> Expression for PositionComparison<K, I, V> {
    type SqlType = Bool;
}

impl<K, I, V, QS> SelectableExpression<QS> for PositionComparison<K, I, V> where Self: AppearsOnTable<QS> {}

impl<K, I, V, QS> AppearsOnTable<QS> for PositionComparison<K, I, V>
where
    K: AppearsOnTable<QS>,
    I: AppearsOnTable<QS>,
    V: AppearsOnTable<QS>,
{
}

impl<K, I, V, G> ValidGrouping<G> for PositionComparison<K, I, V> {
    type IsAggregate = is_aggregate::Never;
}

impl<DB, K, I, V> QueryFragment<DB> for PositionComparison<K, I, V>
where
    DB: Backend,
    K: QueryFragment<DB>,
    I: QueryFragment<DB>,
    V: QueryFragment<DB>,
    <AnyId as AsExpression<sql::Uuid>>::Expression: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        let (both, keys) = self.operators;
        out.push_sql("((");
        self.key.walk_ast(out.reborrow())?;
        out.push_sql(", ");
        self.id.walk_ast(out.reborrow())?;
        out.push_sql(")");
        out.push_sql(both);
        out.push_sql("(");
        self.value.walk_ast(out.reborrow())?;
        out.push_sql(", ");
        self.row.walk_ast(out.reborrow())?;
        // Implied by the comparison above, for which SQLite can't use an index on an expression.
        out.push_sql(") AND ");
        self.key.walk_ast(out.reborrow())?;
        out.push_sql(keys);
        self.value.walk_ast(out.reborrow())?;
        out.push_sql(")");
        Ok(())
    }
}

#[cfg(feature = "sqlite")]
fn json_array<I: Id>(ids: &[I]) -> String {
    let mut json = String::with_capacity(ids.len() * 36 + 2);
    json.push('[');
    for (index, id) in ids.iter().enumerate() {
        json.push_str(if index == 0 { "\"" } else { ",\"" });
        json.push_str(id.uuid().simple().encode_lower(&mut uuid::Uuid::encode_buffer()));
        json.push('"');
    }
    json.push(']');
    json
}

/// A query whose statement stays prepared; see [`KeepPrepared`].
#[derive(Debug, Clone, Copy)]
pub struct Prepared<Q> {
    query: Q,
    is_kept: bool,
}

/// Up to how many rows the statement of an insert stays prepared.
#[cfg(feature = "postgres")]
const MAX_PREPARED_ROWS: usize = 8;

/// Keeps the statements of queries prepared for which Diesel does not: updates, inserts of several
/// rows, and SQL written by hand. Meant for what each cart, order, event or job sends.
pub trait KeepPrepared: Sized {
    /// Keeps the statement prepared. Its text must not depend on the values, since each text stays
    /// prepared as long as its connection is open.
    fn keep_prepared(self) -> Prepared<Self> {
        Prepared { query: self, is_kept: true }
    }

    /// Keeps the statement of an insert prepared if it has only a few rows, since there is one for
    /// each number of rows.
    #[cfg(feature = "postgres")]
    fn keep_prepared_if_few(self, rows: usize) -> Prepared<Self> {
        Prepared { query: self, is_kept: rows <= MAX_PREPARED_ROWS }
    }
}

impl<Q> KeepPrepared for Q {}

impl<Q> QueryId for Prepared<Q> {
    type QueryId = ();

    // Found by its text.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: Query> Query for Prepared<Q> {
    type SqlType = Q::SqlType;
}

impl<DB: Backend, Q: QueryFragment<DB>> QueryFragment<DB> for Prepared<Q> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.query.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, backend: &DB) -> QueryResult<bool> {
        if self.is_kept { Ok(true) } else { self.query.is_safe_to_cache_prepared(backend) }
    }
}

/// A filter condition built at run time.
pub type Condition<Table, DB> = Box<dyn diesel::BoxableExpression<Table, DB, SqlType = Bool>>;

/// A condition that always or never holds.
#[must_use]
pub fn constant(value: bool) -> <bool as AsExpression<Bool>>::Expression {
    AsExpression::<Bool>::as_expression(value)
}
