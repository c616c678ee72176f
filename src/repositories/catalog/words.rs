//! Search words of staff's lists (collections, customers, discounts, orders): one row per word,
//! split by `domain::catalog::search`, so that both databases find the same by an index. Products
//! have a full-text index of their own, with ranking.
//!
//! Used only by the repositories of those lists.

use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Bool, Text};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::db::expr::in_ids;
use crate::db::schema::search_words;
use crate::db::{Conn, DbError, on_conn};
use crate::domain::catalog::search::{Sequence, TextMatch, index_words};
use crate::domain::ids::Id;

/// The searchable fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SearchField {
    /// Titles of collections.
    Collection,
    /// Names and e-mail addresses of customers.
    Customer,
    /// Titles of discounts.
    DiscountTitle,
    /// Codes of discounts.
    DiscountCode,
    /// Names of orders, and names and e-mail addresses of their buyers.
    Order,
}

impl SearchField {
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

/// The search words of a row.
pub(in crate::repositories) struct SearchWords {
    row: Uuid,
    field: SearchField,
    words: Vec<String>,
}

impl SearchWords {
    pub(in crate::repositories) fn of(row: &impl Id, field: SearchField, texts: &[&str]) -> Self {
        Self { row: row.uuid(), field, words: index_words(texts) }
    }
}

/// Inserts the words of rows without words, in one statement.
pub(in crate::repositories) async fn add(conn: &mut Conn, rows: &[SearchWords]) -> Result<(), DbError> {
    if rows.iter().any(|row| !row.words.is_empty()) {
        on_conn!(conn, |c| InsertWords::new(rows).execute(c).await)?;
    }
    Ok(())
}

/// Replaces the words of a row. Call it in a transaction.
pub(in crate::repositories) async fn set(
    conn: &mut Conn,
    row: &impl Id,
    rows: &[SearchWords],
) -> Result<(), DbError> {
    remove(conn, std::slice::from_ref(row)).await?;
    add(conn, rows).await
}

/// Deletes the words of rows.
pub(in crate::repositories) async fn remove<I: Id>(conn: &mut Conn, rows: &[I]) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::delete(search_words::table.filter(in_ids(search_words::row_id, rows))).execute(c).await
    })?;
    Ok(())
}

/// The insert statement. A query type instead of SQL text, so that it stays prepared.
#[derive(QueryId)]
struct InsertWords {
    #[cfg(feature = "postgres")]
    fields: Vec<String>,
    #[cfg(feature = "postgres")]
    words: Vec<String>,
    #[cfg(feature = "postgres")]
    rows: Vec<Uuid>,
    /// The same for SQLite.
    #[cfg(feature = "sqlite")]
    json: String,
}

impl InsertWords {
    fn new(rows: &[SearchWords]) -> Self {
        let all = || rows.iter().flat_map(|row| row.words.iter().map(move |word| (row, word)));
        Self {
            #[cfg(feature = "postgres")]
            fields: all().map(|(row, _)| row.field.as_str().to_owned()).collect(),
            #[cfg(feature = "postgres")]
            words: all().map(|(_, word)| word.clone()).collect(),
            #[cfg(feature = "postgres")]
            rows: all().map(|(row, _)| row.row).collect(),
            #[cfg(feature = "sqlite")]
            json: all()
                .map(|(row, word)| {
                    serde_json::json!([row.field.as_str(), word, row.row.simple().to_string()])
                })
                .collect::<serde_json::Value>()
                .to_string(),
        }
    }
}

#[cfg(feature = "postgres")]
impl QueryFragment<diesel::pg::Pg> for InsertWords {
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
impl QueryFragment<diesel::sqlite::Sqlite> for InsertWords {
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

/// The condition that a row has words. The words of a phrase may be anywhere: the texts are short.
#[derive(Debug, Clone)]
pub(in crate::repositories) struct HasWords {
    /// The id column, with its table.
    id: &'static str,
    fields: &'static [SearchField],
    /// A conjunction of alternatives, each a list of words that must all match.
    alternatives: Vec<Vec<Vec<WordMatch>>>,
}

/// A single word, or a prefix.
#[derive(Debug, Clone)]
struct WordMatch {
    start: String,
    /// The upper bound of words with the prefix; `None` to match the word itself.
    end: Option<String>,
}

impl HasWords {
    /// The condition for a table with this id column.
    pub(in crate::repositories) fn new(
        id: &'static str,
        fields: &'static [SearchField],
        text: &TextMatch,
    ) -> Self {
        let all = |sequence: Sequence| -> Vec<WordMatch> {
            sequence.words.into_iter().map(WordMatch::of).collect()
        };
        let alternatives =
            text.sequences().into_iter().map(|forms| forms.into_iter().map(all).collect()).collect();
        Self { id, fields, alternatives }
    }
}

impl WordMatch {
    /// Words match by prefix from their second letter on. Numbers match only exactly, or 100 would
    /// match every order from 1000 on.
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

/// Defines the condition for a backend; it is the same for both. An OR is written only if there are
/// alternatives, because PostgreSQL joins the results of an AND, but tests row by row under an OR.
macro_rules! has_words {
    ($backend:ty) => {
        impl QueryFragment<$backend> for HasWords {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, $backend>) -> QueryResult<()> {
                for (at, forms) in self.alternatives.iter().enumerate() {
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
                word: &'b WordMatch,
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

/// Renders the condition that a row has one word.
trait HasWord<DB: diesel::backend::Backend> {
    fn walk_word<'b>(&'b self, word: &'b WordMatch, out: AstPass<'_, 'b, DB>) -> QueryResult<()>;
}

#[cfg(feature = "postgres")]
has_words!(diesel::pg::Pg);
#[cfg(feature = "sqlite")]
has_words!(diesel::sqlite::Sqlite);
