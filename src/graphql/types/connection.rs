//! Relay connections: pages of items with cursors.

use std::borrow::Cow;

use async_graphql::{Context, Object};

use crate::domain::page::{
    Cursor, CursorKey, CursorKeyKind, Direction, MAX_PAGE_SIZE, Page, PageRequest, RowPosition,
};
use crate::error::Error;
use crate::graphql::request::RequestContext;

/// The pagination arguments of a connection.
#[derive(Default)]
pub(crate) struct PageArgs {
    /// Returns up to the first `n` items.
    pub first: Option<i32>,
    /// Returns the items after this cursor.
    pub after: Option<String>,
    /// Returns up to the last `n` items.
    pub last: Option<i32>,
    /// Returns the items before this cursor.
    pub before: Option<String>,
}

impl PageArgs {
    /// Validates the arguments. `list` is the name of the list, which includes its order, and `key`
    /// is the kind of its sort keys; cursors of other lists or orders are rejected.
    ///
    /// # Errors
    /// [`Error::BadInput`] names the invalid argument.
    pub(crate) fn request(
        self,
        ctx: &Context<'_>,
        list: &str,
        key: CursorKeyKind,
    ) -> Result<PageRequest<Cursor>, Error> {
        let bad = |message: String| Err(Error::BadInput(message));
        let (direction, limit, name, cursor) = match (self.first, self.last) {
            (Some(first), None) if self.before.is_none() => (Direction::Forward, first, "first", self.after),
            (None, Some(last)) if self.after.is_none() => (Direction::Backward, last, "last", self.before),
            (None, None) => return bad("give one of `first` and `last`".to_owned()),
            (Some(_), Some(_)) => return bad("give only one of `first` and `last`".to_owned()),
            _ => return bad("`after` goes with `first`, and `before` with `last`".to_owned()),
        };
        let Some(limit) = usize::try_from(limit).ok().filter(|limit| *limit <= MAX_PAGE_SIZE) else {
            return bad(format!("`{name}` must be a number from 0 to {MAX_PAGE_SIZE}, not {limit}"));
        };
        let cursor = match cursor {
            None => None,
            Some(text) => match ctx.keys().open_cursor(&text) {
                Some(cursor) if cursor.list == list && cursor.key.kind() == key => Some(cursor),
                Some(_) => return bad("the cursor is of another list or of another order".to_owned()),
                None => return bad("the cursor is not valid: use one returned by a page".to_owned()),
            },
        };
        Ok(PageRequest { direction, limit, cursor })
    }
}

/// Validates the `first` argument of a list without cursors.
///
/// # Errors
/// [`Error::BadInput`] if it is negative or above [`MAX_PAGE_SIZE`].
pub(crate) fn validate_first(first: i32) -> Result<usize, Error> {
    usize::try_from(first).ok().filter(|limit| *limit <= MAX_PAGE_SIZE).ok_or_else(|| {
        Error::BadInput(format!("`first` must be a number from 0 to {MAX_PAGE_SIZE}, not {first}"))
    })
}

/// Information about a page.
pub(crate) struct PageInfo {
    first: Option<Cursor>,
    last: Option<Cursor>,
    has_next: bool,
    has_previous: bool,
}

/// Information about a page of a connection.
#[Object]
impl PageInfo {
    /// The cursor of the last item of the page. If filtering a long list stopped early, it is the
    /// position where filtering stopped: the page has fewer items than requested, and the next page
    /// continues from there.
    async fn end_cursor(&self, ctx: &Context<'_>) -> Result<Option<String>, Error> {
        self.last.as_ref().map(|last| seal_cursor(ctx, last)).transpose()
    }

    /// Whether there are items after the page.
    async fn has_next_page(&self) -> bool {
        self.has_next
    }

    /// Whether there are items before the page.
    async fn has_previous_page(&self) -> bool {
        self.has_previous
    }

    /// The cursor of the first item of the page. If filtering a long list backward stopped early,
    /// it is the position where filtering stopped.
    async fn start_cursor(&self, ctx: &Context<'_>) -> Result<Option<String>, Error> {
        self.first.as_ref().map(|first| seal_cursor(ctx, first)).transpose()
    }
}

/// Encrypts a cursor. Done only for cursors that are selected.
///
/// # Errors
/// [`Error::Internal`] if encryption fails, which is a bug.
pub(crate) fn seal_cursor(ctx: &Context<'_>, cursor: &Cursor) -> Result<String, Error> {
    Ok(ctx.keys().seal_cursor(cursor)?)
}

/// A page of items, each with its sort key and id. async-graphql's `CursorType::encode_cursor` has
/// neither the context, which holds the keys, nor an error.
pub(crate) struct ConnectionPage<T> {
    list: Cow<'static, str>,
    page: Page<(T, CursorKey, uuid::Uuid)>,
}

impl<T> ConnectionPage<T> {
    /// Creates a page of the named list; `id` returns an item's id.
    pub(crate) fn new(
        list: impl Into<Cow<'static, str>>,
        page: Page<(T, CursorKey)>,
        id: impl Fn(&T) -> uuid::Uuid,
    ) -> Self {
        let page = page.map(|(item, key)| {
            let id = id(&item);
            (item, key, id)
        });
        Self { list: list.into(), page }
    }

    /// Converts the items, leaving the cursors unchanged.
    pub(crate) fn map<U>(self, mut convert: impl FnMut(T) -> U) -> ConnectionPage<U> {
        ConnectionPage { list: self.list, page: self.page.map(|(item, key, id)| (convert(item), key, id)) }
    }

    /// The items.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &T> {
        self.page.items.iter().map(|(item, ..)| item)
    }

    /// The items, each with its cursor.
    pub(crate) fn with_cursors(&self) -> impl Iterator<Item = (&T, Cursor)> {
        self.page.items.iter().map(|item| (&item.0, self.cursor_of(item)))
    }

    /// The page's position in its list.
    pub(crate) fn page_info(&self) -> PageInfo {
        PageInfo {
            first: self.boundary(self.page.start.as_ref(), self.page.items.first()),
            last: self.boundary(self.page.end.as_ref(), self.page.items.last()),
            has_next: self.page.has_next,
            has_previous: self.page.has_previous,
        }
    }

    fn boundary(
        &self,
        at: Option<&RowPosition>,
        item: Option<&(T, CursorKey, uuid::Uuid)>,
    ) -> Option<Cursor> {
        let ((Some((key, id)), _) | (None, Some((_, key, id)))) = (at, item) else { return None };
        Some(self.cursor_at(key, *id))
    }

    fn cursor_of(&self, (_, key, id): &(T, CursorKey, uuid::Uuid)) -> Cursor {
        self.cursor_at(key, *id)
    }

    fn cursor_at(&self, key: &CursorKey, id: uuid::Uuid) -> Cursor {
        Cursor { list: self.list.clone().into_owned(), key: key.clone(), id }
    }
}

/// Defines a connection and its edge over a node type, which must be cheap to clone.
///
/// With `counted`, the connection has a `totalCount`; `by` and `as` set the type that counts and
/// the type of the count. The last two parameters of the final arm are for nodes that are not
/// objects: the type they resolve to, and the conversion to it.
macro_rules! connection {
    ($connection:ident, $edge:ident, $node:ty, $what:literal, counted) => {
        $crate::graphql::types::connection::connection!(
            $connection,
            $edge,
            $node,
            $what,
            counted by $crate::graphql::types::total::TotalCount as $crate::graphql::types::scalars::UnsignedInt64,
            "The total number of items in the list, counted on each request."
        );
    };
    ($connection:ident, $edge:ident, $node:ty, $what:literal, counted by $total:ty as $count:ty, $description:tt) => {
        #[doc = concat!("A page of ", $what, ".")]
        pub(super) struct $connection(
            pub $crate::graphql::types::connection::ConnectionPage<$node>,
            pub $total,
        );

        #[doc = concat!("A page of ", $what, ".")]
        #[async_graphql::Object]
        impl $connection {
            /// The items of the page, each with its cursor.
            async fn edges(&self) -> Vec<$edge> {
                self.0
                    .with_cursors()
                    .map(|(node, cursor)| $edge {
                        cursor,
                        node: $crate::graphql::types::inline_object::InlineObject(node.clone()),
                    })
                    .collect()
            }

            /// The items of the page.
            async fn nodes(&self) -> Vec<$crate::graphql::types::inline_object::InlineObject<$node>> {
                self.0.iter().cloned().map($crate::graphql::types::inline_object::InlineObject).collect()
            }

            /// Information about the page.
            async fn page_info(
                &self,
            ) -> $crate::graphql::types::inline_object::InlineObject<$crate::graphql::types::connection::PageInfo> {
                $crate::graphql::types::inline_object::InlineObject(self.0.page_info())
            }

            #[doc = $description]
            async fn total_count(
                &self,
                ctx: &async_graphql::Context<'_>,
            ) -> async_graphql::Result<$count> {
                self.1.count(ctx).await
            }
        }

        $crate::graphql::types::connection::edge!($edge, $what, $crate::graphql::types::inline_object::InlineObject<$node>);
    };
    ($connection:ident, $edge:ident, $node:ty, $what:literal) => {
        $crate::graphql::types::connection::connection!(
            $connection,
            $edge,
            $node,
            $what,
            $crate::graphql::types::inline_object::InlineObject<$node>,
            $crate::graphql::types::inline_object::InlineObject
        );
    };
    ($connection:ident, $edge:ident, $node:ty, $what:literal, $resolved:ty, $resolve:expr) => {
        #[doc = concat!("A page of ", $what, ".")]
        pub(crate) struct $connection(pub $crate::graphql::types::connection::ConnectionPage<$node>);

        #[doc = concat!("A page of ", $what, ".")]
        #[async_graphql::Object]
        impl $connection {
            /// The items of the page, each with its cursor.
            async fn edges(&self) -> Vec<$edge> {
                self.0
                    .with_cursors()
                    .map(|(node, cursor)| $edge { cursor, node: $resolve(node.clone()) })
                    .collect()
            }

            /// The items of the page.
            async fn nodes(&self) -> Vec<$resolved> {
                self.0.iter().cloned().map($resolve).collect()
            }

            /// Information about the page.
            async fn page_info(
                &self,
            ) -> $crate::graphql::types::inline_object::InlineObject<$crate::graphql::types::connection::PageInfo> {
                $crate::graphql::types::inline_object::InlineObject(self.0.page_info())
            }
        }

        $crate::graphql::types::connection::edge!($edge, $what, $resolved);
    };
}
pub(crate) use connection;

/// Defines the edge of a connection.
macro_rules! edge {
    ($edge:ident, $what:literal, $resolved:ty) => {
        #[doc = concat!("An item of a page of ", $what, ", with its cursor.")]
        pub(crate) struct $edge {
            cursor: $crate::domain::page::Cursor,
            node: $resolved,
        }

        #[doc = concat!("An item of a page of ", $what, ", with its cursor.")]
        #[async_graphql::Object]
        impl $edge {
            /// The cursor of the item, for `after` and `before`.
            async fn cursor(&self, ctx: &async_graphql::Context<'_>) -> Result<String, $crate::error::Error> {
                $crate::graphql::types::connection::seal_cursor(ctx, &self.cursor)
            }

            /// The item.
            async fn node(&self) -> &$resolved {
                &self.node
            }
        }
    };
}
pub(crate) use edge;

connection!(StringConnection, StringEdge, String, "strings", String, std::convert::identity);
