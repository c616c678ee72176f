//! Keyset pagination: queries for the page of a list that begins after a row's position. The order
//! is total, because rows with equal keys are sorted by id.
//!
//! Called by the repositories. These are macros, because the types of a query and its conditions
//! differ for each table, column and backend.

/// Sorts a boxed query by id, and restricts it to the rows after a position.
macro_rules! after_id {
    ($query:expr, $id:expr, $after:expr, $is_descending:expr) => {{
        let after: Option<&$crate::domain::page::RowPosition> = $after;
        let (query, id) = ($query, after.map(|(_, id)| $crate::db::types::AnyId(*id)));
        let query = match id {
            Some(id) if $is_descending => query.filter($id.lt(id)),
            Some(id) => query.filter($id.gt(id)),
            None => query,
        };
        if $is_descending { query.order_by($id.desc()) } else { query.order_by($id.asc()) }
    }};
}

/// The same for a query sorted by a key. `$value_of` returns the key's value in a position.
macro_rules! after_key {
    ($query:expr, $key:expr, $value_of:expr, $id:expr, $after:expr, $is_descending:expr) => {{
        let after: Option<&$crate::domain::page::RowPosition> = $after;
        let (query, value_of) = ($query, $value_of);
        let after = after.and_then(|(key, id)| Some((value_of(key)?, $crate::db::types::AnyId(*id))));
        let query = match after {
            Some(position) => {
                use $crate::db::expr::{Side, on_side};
                query.filter(on_side(Side::After, $key, $id, position, $is_descending))
            }
            None => query,
        };
        if $is_descending {
            query.order_by(($key.desc(), $id.desc()))
        } else {
            query.order_by(($key.asc(), $id.asc()))
        }
    }};
}

/// Makes a boxed query one for a page of a list sorted by id: oldest first, unless it is reversed.
macro_rules! page_by_id {
    ($query:expr, $id:expr, $request:expr) => {
        $crate::repositories::keyset::page_by_id!($query, $id, $request, is_reversed: false)
    };
    ($query:expr, $id:expr, $request:expr, is_reversed: $is_reversed:expr) => {{
        let request: &$crate::domain::page::PageRequest<$crate::domain::page::Cursor> = $request;
        let is_descending = request.is_descending($is_reversed);
        let after = request.position();
        $crate::repositories::keyset::after_id!($query, $id, after.as_ref(), is_descending)
            .limit(request.row_limit())
    }};
}

/// Binds the key and the id of a cursor, if there is one, to a boxed query that is written in SQL.
macro_rules! bind_position {
    ($query:expr, $after:expr, $is_moment:expr) => {{
        use $crate::db::types::{AnyId, sql};
        use $crate::domain::page::CursorKey;
        use $crate::domain::time::Timestamp;

        let after: Option<$crate::domain::page::RowPosition> = $after;
        let query = $query;
        match after {
            None => query,
            Some((key, id)) => {
                let query = match key {
                    CursorKey::Integer(micros) if $is_moment => query.bind::<sql::Timestamptz, _>(
                        Timestamp::from_micros(micros).unwrap_or(Timestamp::EPOCH),
                    ),
                    CursorKey::Integer(integer) => query.bind::<sql::BigInt, _>(integer),
                    CursorKey::Text(text) => query.bind::<sql::Text, _>(text),
                    CursorKey::None => query.bind::<sql::BigInt, _>(0),
                };
                query.bind::<sql::Uuid, _>(AnyId(id))
            }
        }
    }};
}

pub(super) use {after_id, after_key, bind_position, page_by_id};

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests {
    use diesel::connection::SimpleConnection;
    use diesel::prelude::*;
    use diesel::sql_types::Text;
    use diesel::sqlite::{Sqlite, SqliteConnection};
    use uuid::Uuid;

    use crate::db::expr::{Side, lower, on_side};
    use crate::db::types::AnyId;
    use crate::domain::page::{CursorKey, RowPosition};

    diesel::table! {
        use crate::db::types::sql;

        things (id) {
            id -> sql::Uuid,
            name -> sql::Text,
        }
    }

    #[derive(QueryableByName)]
    struct PlanStep {
        #[diesel(sql_type = Text)]
        detail: String,
    }

    /// How SQLite runs a query: its first step.
    fn plan(query: &things::BoxedQuery<'_, Sqlite>) -> String {
        let mut connection = SqliteConnection::establish(":memory:").unwrap();
        let tables = "CREATE TABLE things (id BLOB PRIMARY KEY, name TEXT NOT NULL);
            CREATE INDEX by_name ON things (name, id); CREATE INDEX by_lower_name ON things (lower(name), id);";
        connection.batch_execute(tables).unwrap();
        let text = diesel::debug_query::<Sqlite, _>(query).to_string();
        let (text, _values) = text.split_once(" -- binds").unwrap();
        let steps: Vec<PlanStep> =
            diesel::sql_query(format!("EXPLAIN QUERY PLAN {text}")).load(&mut connection).unwrap();
        steps.into_iter().map(|step| step.detail).next().unwrap()
    }

    #[test]
    fn the_index_finds_a_position_among_rows_with_equal_keys() {
        let position: RowPosition = (CursorKey::Text("mug".to_owned()), Uuid::nil());
        for (is_descending, comparison) in [(false, ">"), (true, "<")] {
            let all = things::table.into_boxed::<Sqlite>();
            let after = Some(&position);
            let by_name = after_key!(all, things::name, CursorKey::text, things::id, after, is_descending);
            let expected = format!("by_name ((name,id){comparison}(?,?))");
            assert!(plan(&by_name).ends_with(&expected), "{}", plan(&by_name));

            let last = ("plate".to_owned(), AnyId(Uuid::nil()));
            let up_to = on_side(Side::UpTo, things::name, things::id, last, is_descending);
            assert!(plan(&by_name.filter(up_to)).ends_with("by_name ((name,id)>(?,?) AND (name,id)<(?,?))"));

            let all = things::table.into_boxed::<Sqlite>();
            let key = || lower(things::name);
            let by_key = after_key!(all, key(), CursorKey::text, things::id, after, is_descending);
            let expected = format!("by_lower_name (<expr>{comparison}?)");
            assert!(plan(&by_key).ends_with(&expected), "{}", plan(&by_key));
        }
    }
}
