//! SQL expressions that diesel lacks or that would cost a new statement text at every call.

use diesel::expression::{
    AppearsOnTable, AsExpression, Expression, SelectableExpression, ValidGrouping, is_aggregate,
};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::Bool;
#[cfg(feature = "sqlite")]
use diesel::sql_types::Text;

use super::types::sql;
use crate::domain::ids::Id;

diesel::define_sql_function! {
    /// Lower case: of ASCII letters alone, on both databases (columns that are compared have collation "C").
    fn lower(text: sql::Text) -> sql::Text;
}

#[cfg(feature = "postgres")]
diesel::define_sql_function! {
    /// The ids of a group as an array.
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
    /// A JSON array of a group's texts.
    #[aggregate]
    fn json_group_array(text: sql::Text) -> sql::Jsonb;
}

#[cfg(feature = "sqlite")]
diesel::define_sql_function! {
    /// A UUID in hexadecimal digits.
    fn hex(uuid: sql::Uuid) -> sql::Text;
}

/// `column IN (ids)` with one parameter and one statement text, however many ids there are: an array on PostgreSQL, a JSON
/// array on SQLite. Diesel's `eq_any` has a text for each length on SQLite, and so is never found prepared.
#[derive(Debug, Clone, QueryId)]
pub struct InIds<E> {
    column: E,
    #[cfg(feature = "postgres")]
    ids: Vec<uuid::Uuid>,
    /// The same ids as SQLite takes them: hexadecimal texts in a JSON array.
    #[cfg(feature = "sqlite")]
    json: String,
}

/// See [`InIds`].
pub fn in_ids<E: Expression<SqlType = sql::Uuid>, I: Id>(column: E, ids: &[I]) -> InIds<E> {
    InIds {
        column,
        #[cfg(feature = "postgres")]
        ids: ids.iter().map(|id| id.uuid()).collect(),
        #[cfg(feature = "sqlite")]
        json: json(ids),
    }
}

#[cfg(feature = "sqlite")]
fn json<I: Id>(ids: &[I]) -> String {
    let mut json = String::with_capacity(ids.len() * 36 + 2);
    json.push('[');
    for (at, id) in ids.iter().enumerate() {
        json.push_str(if at == 0 { "\"" } else { ",\"" });
        json.push_str(id.uuid().simple().encode_lower(&mut uuid::Uuid::encode_buffer()));
        json.push('"');
    }
    json.push(']');
    json
}

impl<E: Expression> Expression for InIds<E> {
    type SqlType = Bool;
}
impl<E: Expression, QS> SelectableExpression<QS> for InIds<E> where Self: AppearsOnTable<QS> {}
impl<E: AppearsOnTable<QS>, QS> AppearsOnTable<QS> for InIds<E> {}
impl<E: Expression, G> ValidGrouping<G> for InIds<E> {
    type IsAggregate = is_aggregate::Never;
}

#[cfg(feature = "postgres")]
impl<E: QueryFragment<diesel::pg::Pg>> QueryFragment<diesel::pg::Pg> for InIds<E> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::pg::Pg>) -> QueryResult<()> {
        self.column.walk_ast(out.reborrow())?;
        out.push_sql(" = ANY(");
        out.push_bind_param::<diesel::sql_types::Array<diesel::sql_types::Uuid>, Vec<uuid::Uuid>>(&self.ids)?;
        out.push_sql(")");
        Ok(())
    }
}

#[cfg(feature = "sqlite")]
impl<E: QueryFragment<diesel::sqlite::Sqlite>> QueryFragment<diesel::sqlite::Sqlite> for InIds<E> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::sqlite::Sqlite>) -> QueryResult<()> {
        self.column.walk_ast(out.reborrow())?;
        out.push_sql(" IN (SELECT unhex(value) FROM json_each(");
        out.push_bind_param::<Text, String>(&self.json)?;
        out.push_sql("))");
        Ok(())
    }
}

/// `column IN (texts)` with one parameter and one statement text, as [`InIds`].
#[derive(Debug, Clone, QueryId)]
pub struct InTexts<E> {
    column: E,
    #[cfg(feature = "postgres")]
    texts: Vec<String>,
    /// The same texts as SQLite takes them: a JSON array.
    #[cfg(feature = "sqlite")]
    json: String,
}

/// See [`InTexts`].
pub fn in_texts<E: Expression<SqlType = sql::Text>>(column: E, texts: &[String]) -> InTexts<E> {
    InTexts {
        column,
        #[cfg(feature = "postgres")]
        texts: texts.to_vec(),
        #[cfg(feature = "sqlite")]
        json: serde_json::Value::from(texts.to_vec()).to_string(),
    }
}

impl<E: Expression> Expression for InTexts<E> {
    type SqlType = Bool;
}
impl<E: Expression, QS> SelectableExpression<QS> for InTexts<E> where Self: AppearsOnTable<QS> {}
impl<E: AppearsOnTable<QS>, QS> AppearsOnTable<QS> for InTexts<E> {}
impl<E: Expression, G> ValidGrouping<G> for InTexts<E> {
    type IsAggregate = is_aggregate::Never;
}

#[cfg(feature = "postgres")]
impl<E: QueryFragment<diesel::pg::Pg>> QueryFragment<diesel::pg::Pg> for InTexts<E> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::pg::Pg>) -> QueryResult<()> {
        self.column.walk_ast(out.reborrow())?;
        out.push_sql(" = ANY(");
        out.push_bind_param::<diesel::sql_types::Array<sql::Text>, Vec<String>>(&self.texts)?;
        out.push_sql(")");
        Ok(())
    }
}

#[cfg(feature = "sqlite")]
impl<E: QueryFragment<diesel::sqlite::Sqlite>> QueryFragment<diesel::sqlite::Sqlite> for InTexts<E> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::sqlite::Sqlite>) -> QueryResult<()> {
        self.column.walk_ast(out.reborrow())?;
        out.push_sql(" IN (SELECT value FROM json_each(");
        out.push_bind_param::<sql::Text, String>(&self.json)?;
        out.push_sql("))");
        Ok(())
    }
}

/// `column IN (numbers)` with one parameter and one statement text, as [`InIds`].
#[derive(Debug, Clone, QueryId)]
pub struct InNumbers<E> {
    column: E,
    #[cfg(feature = "postgres")]
    numbers: Vec<i64>,
    /// The same numbers as SQLite takes them: a JSON array.
    #[cfg(feature = "sqlite")]
    json: String,
}

/// See [`InNumbers`].
pub fn in_numbers<E: Expression<SqlType = sql::BigInt>>(column: E, numbers: &[i64]) -> InNumbers<E> {
    InNumbers {
        column,
        #[cfg(feature = "postgres")]
        numbers: numbers.to_vec(),
        #[cfg(feature = "sqlite")]
        json: serde_json::Value::from(numbers.to_vec()).to_string(),
    }
}

impl<E: Expression> Expression for InNumbers<E> {
    type SqlType = Bool;
}
impl<E: Expression, QS> SelectableExpression<QS> for InNumbers<E> where Self: AppearsOnTable<QS> {}
impl<E: AppearsOnTable<QS>, QS> AppearsOnTable<QS> for InNumbers<E> {}
impl<E: Expression, G> ValidGrouping<G> for InNumbers<E> {
    type IsAggregate = is_aggregate::Never;
}

#[cfg(feature = "postgres")]
impl<E: QueryFragment<diesel::pg::Pg>> QueryFragment<diesel::pg::Pg> for InNumbers<E> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::pg::Pg>) -> QueryResult<()> {
        self.column.walk_ast(out.reborrow())?;
        out.push_sql(" = ANY(");
        out.push_bind_param::<diesel::sql_types::Array<sql::BigInt>, Vec<i64>>(&self.numbers)?;
        out.push_sql(")");
        Ok(())
    }
}

#[cfg(feature = "sqlite")]
impl<E: QueryFragment<diesel::sqlite::Sqlite>> QueryFragment<diesel::sqlite::Sqlite> for InNumbers<E> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::sqlite::Sqlite>) -> QueryResult<()> {
        self.column.walk_ast(out.reborrow())?;
        out.push_sql(" IN (SELECT value FROM json_each(");
        out.push_bind_param::<sql::Text, String>(&self.json)?;
        out.push_sql("))");
        Ok(())
    }
}

/// A condition that a query is filtered by, made at run time.
pub type Condition<Table, DB> = Box<dyn diesel::BoxableExpression<Table, DB, SqlType = Bool>>;

/// A constant, for conditions that are always or never met.
pub fn constant(value: bool) -> <bool as AsExpression<Bool>>::Expression {
    AsExpression::<Bool>::as_expression(value)
}
