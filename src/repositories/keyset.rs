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

/// The same for a query sorted by a key, whose value in a position `$value_of` returns.
macro_rules! after_key {
    ($query:expr, $key:expr, $value_of:expr, $id:expr, $after:expr, $is_descending:expr) => {{
        let after: Option<&$crate::domain::page::RowPosition> = $after;
        let (query, value_of) = ($query, $value_of);
        let after = after.and_then(|(key, id)| Some((value_of(key)?, $crate::db::types::AnyId(*id))));
        // Written so that an index on (key, id) bounds the scan.
        let query = match after {
            Some((value, id)) if $is_descending => {
                query.filter($key.le(value.clone()).and($key.lt(value).or($id.lt(id))))
            }
            Some((value, id)) => query.filter($key.ge(value.clone()).and($key.gt(value).or($id.gt(id)))),
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
