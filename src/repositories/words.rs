//! The words that the operator's lists are searched by, of collections, customers, discounts and
//! orders: one row for each word, made by `domain::search`, so that both databases find alike and
//! by an index. Products have a full-text index of their own, which ranks.
//!
//! The repositories of those lists write and read it; nobody else needs to.

use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Bool, Text};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::db::expr::in_ids;
use crate::db::schema::search_words;
use crate::db::{Conn, DbError, on_conn};
use crate::domain::ids::Id;
use crate::domain::search::{Sequence, TextMatch, index_words};

/// What words are of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field {
    /// Titles of collections.
    Collection,
    /// Names and e-mail addresses of customers.
    Customer,
    /// Titles of discounts.
    DiscountTitle,
    /// Codes of discounts.
    DiscountCode,
    /// What orders are called, and names and e-mail addresses of their buyers.
    Order,
}

impl Field {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Collection => "collection",
            Self::Customer => "customer",
            Self::DiscountTitle => "discount",
            Self::DiscountCode => "code",
            Self::Order => "order",
        }
    }
}

/// The words of a row.
pub(super) struct Words {
    row: Uuid,
    field: Field,
    words: Vec<String>,
}

impl Words {
    pub(super) fn of(row: &impl Id, field: Field, texts: &[&str]) -> Self {
        Self { row: row.uuid(), field, words: index_words(texts) }
    }
}

/// Lets rows that have no words yet be found by these. One statement.
pub(super) async fn add(conn: &mut Conn, rows: &[Words]) -> Result<(), DbError> {
    if rows.iter().any(|row| !row.words.is_empty()) {
        on_conn!(conn, |c| Add::new(rows).execute(c).await)?;
    }
    Ok(())
}

/// Lets a row be found by these words and no others. In a transaction.
pub(super) async fn set(conn: &mut Conn, row: &impl Id, rows: &[Words]) -> Result<(), DbError> {
    remove(conn, std::slice::from_ref(row)).await?;
    add(conn, rows).await
}

/// Lets rows be found by no words.
pub(super) async fn remove<I: Id>(conn: &mut Conn, rows: &[I]) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::delete(search_words::table.filter(in_ids(search_words::row_id, rows))).execute(c).await
    })?;
    Ok(())
}

/// The statement that adds words. A query of its own and not a text, so that it stays prepared.
#[derive(QueryId)]
struct Add {
    #[cfg(feature = "postgres")]
    fields: Vec<String>,
    #[cfg(feature = "postgres")]
    words: Vec<String>,
    #[cfg(feature = "postgres")]
    rows: Vec<Uuid>,
    /// The same as SQLite takes them.
    #[cfg(feature = "sqlite")]
    json: String,
}

impl Add {
    fn new(rows: &[Words]) -> Self {
        let all = || rows.iter().flat_map(|row| row.words.iter().map(move |word| (row, word)));
        Self {
            #[cfg(feature = "postgres")]
            fields: all().map(|(row, _)| row.field.as_str().to_owned()).collect(),
            #[cfg(feature = "postgres")]
            words: all().map(|(_, word)| word.clone()).collect(),
            #[cfg(feature = "postgres")]
            rows: all().map(|(row, _)| row.row).collect(),
            #[cfg(feature = "sqlite")]
            json: serde_json::Value::from_iter(all().map(|(row, word)| {
                serde_json::json!([row.field.as_str(), word, row.row.simple().to_string()])
            }))
            .to_string(),
        }
    }
}

#[cfg(feature = "postgres")]
impl QueryFragment<diesel::pg::Pg> for Add {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::pg::Pg>) -> QueryResult<()> {
        use diesel::sql_types::Array;
        out.push_sql("INSERT INTO search_words (field, word, row_id) SELECT * FROM unnest(");
        out.push_bind_param::<Array<Text>, Vec<String>>(&self.fields)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, Vec<String>>(&self.words)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<diesel::sql_types::Uuid>, Vec<Uuid>>(&self.rows)?;
        out.push_sql(") ON CONFLICT DO NOTHING");
        Ok(())
    }
}

#[cfg(feature = "sqlite")]
impl QueryFragment<diesel::sqlite::Sqlite> for Add {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::sqlite::Sqlite>) -> QueryResult<()> {
        out.push_sql(
            "INSERT OR IGNORE INTO search_words (field, word, row_id) SELECT json_extract(value, '$[0]'), \
             json_extract(value, '$[1]'), unhex(json_extract(value, '$[2]')) FROM json_each(",
        );
        out.push_bind_param::<Text, String>(&self.json)?;
        out.push_sql(")");
        Ok(())
    }
}

/// The condition that a row has words. The words of a phrase may stand anywhere: the texts are
/// short.
#[derive(Debug, Clone)]
pub(super) struct HasWords {
    /// The column of the row's id.
    id: &'static str,
    fields: &'static [Field],
    /// All of these must be met: of each, any; of that, all.
    sought: Vec<Vec<Vec<Start>>>,
}

/// Words that begin so, or one word.
#[derive(Debug, Clone)]
struct Start {
    start: String,
    /// The first text behind all that begin so; `None`: the word itself is asked for.
    end: Option<String>,
}

impl HasWords {
    /// The condition for a table whose column of ids is named, with the table.
    pub(super) fn new(id: &'static str, fields: &'static [Field], text: &TextMatch) -> Self {
        let all = |sequence: Sequence| -> Vec<Start> { sequence.words.into_iter().map(Start::of).collect() };
        let sought = text.sought().into_iter().map(|forms| forms.into_iter().map(all).collect()).collect();
        Self { id, fields, sought }
    }
}

impl Start {
    /// A word that is being typed is found from its second letter on; a number only as a whole, or
    /// 100 would be every order from 1000 on.
    fn of(word: String) -> Self {
        let is_number = word.chars().all(char::is_numeric);
        let is_letter = word.chars().nth(1).is_none() && word.is_ascii();
        let end = (!is_number && !is_letter).then(|| format!("{word}{}", char::MAX));
        Self { start: word, end }
    }
}

impl Expression for HasWords {
    type SqlType = Bool;
}
impl<QS> SelectableExpression<QS> for HasWords where Self: AppearsOnTable<QS> {}
impl<QS> AppearsOnTable<QS> for HasWords {}
impl<G> ValidGrouping<G> for HasWords {
    type IsAggregate = is_aggregate::Never;
}
impl QueryId for HasWords {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

/// Writes the condition for a backend; it is the same for both. An OR stands only where there is
/// one, because PostgreSQL joins what it finds under an AND, and asks row by row under an OR.
macro_rules! has_words {
    ($backend:ty) => {
        impl QueryFragment<$backend> for HasWords {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, $backend>) -> QueryResult<()> {
                for (at, forms) in self.sought.iter().enumerate() {
                    out.push_sql(if at == 0 { "(" } else { " AND " });
                    for (at, words) in forms.iter().enumerate() {
                        out.push_sql(if at == 0 { "(" } else { " OR " });
                        for (at, word) in words.iter().enumerate() {
                            out.push_sql(if at == 0 { "(" } else { " AND " });
                            self.walk_word(word, out.reborrow())?;
                        }
                        out.push_sql(")");
                    }
                    out.push_sql(")");
                }
                out.push_sql(")");
                Ok(())
            }
        }

        impl HasWord<$backend> for HasWords {
            fn walk_word<'b>(
                &'b self,
                word: &'b Start,
                mut out: AstPass<'_, 'b, $backend>,
            ) -> QueryResult<()> {
                out.push_sql(self.id);
                out.push_sql(" IN (SELECT row_id FROM search_words WHERE field IN (");
                for (at, field) in self.fields.iter().enumerate() {
                    out.push_sql(if at == 0 { "'" } else { "', '" });
                    out.push_sql(field.as_str());
                }
                out.push_sql("') AND word ");
                out.push_sql(if word.end.is_some() { ">= " } else { "= " });
                out.push_bind_param::<Text, _>(&word.start)?;
                if let Some(end) = &word.end {
                    out.push_sql(" AND word < ");
                    out.push_bind_param::<Text, _>(end)?;
                }
                out.push_sql(")");
                Ok(())
            }
        }
    };
}

/// Writes the condition that a row has one word.
trait HasWord<DB: diesel::backend::Backend> {
    fn walk_word<'b>(&'b self, word: &'b Start, out: AstPass<'_, 'b, DB>) -> QueryResult<()>;
}

#[cfg(feature = "postgres")]
has_words!(diesel::pg::Pg);
#[cfg(feature = "sqlite")]
has_words!(diesel::sqlite::Sqlite);
