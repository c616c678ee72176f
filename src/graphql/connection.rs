//! Relay connections: pages of things with cursors.

use std::borrow::Cow;

use async_graphql::{Context, Object};

use super::request::RequestContext;
use crate::domain::page::{Cursor, CursorKey, Direction, KeyKind, MAX_PAGE_SIZE, Page, PageRequest, Place};
use crate::error::Error;

/// Which page of a connection is asked for, as its arguments say.
#[derive(Default)]
pub struct PageArgs {
    /// The first so many.
    pub first: Option<i32>,
    /// After this cursor.
    pub after: Option<String>,
    /// The last so many.
    pub last: Option<i32>,
    /// Before this cursor.
    pub before: Option<String>,
}

impl PageArgs {
    /// The page, in the list of that name that is ordered by keys of that kind. The name is part of its cursors, so that those
    /// of another list or another order are refused.
    ///
    /// # Errors
    /// [`Error::BadInput`] names the argument and how to mend it.
    pub fn request(self, ctx: &Context<'_>, list: &str, key: KeyKind) -> Result<PageRequest<Cursor>, Error> {
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
                None => return bad("the cursor is none of ours: use one that a page gave".to_owned()),
            },
        };
        Ok(PageRequest { direction, limit, cursor })
    }
}

/// The limit of a list that has no cursors.
///
/// # Errors
/// [`Error::BadInput`] says what it may be.
pub fn limit(first: i32) -> Result<usize, Error> {
    usize::try_from(first).ok().filter(|limit| *limit <= MAX_PAGE_SIZE).ok_or_else(|| {
        Error::BadInput(format!("`first` must be a number from 0 to {MAX_PAGE_SIZE}, not {first}"))
    })
}

/// Where a page stands in its list.
pub struct PageInfo {
    first: Option<Cursor>,
    last: Option<Cursor>,
    has_next: bool,
    has_previous: bool,
}

/// Where a page stands in its list.
#[Object]
impl PageInfo {
    /// The cursor of the page's last item, or of the place up to which a long list was looked at:
    /// then fewer items were found than asked for, and the next page goes on from there.
    async fn end_cursor(&self, ctx: &Context<'_>) -> Result<Option<String>, Error> {
        self.last.as_ref().map(|last| sealed(ctx, last)).transpose()
    }

    /// Whether items follow the page.
    async fn has_next_page(&self) -> bool {
        self.has_next
    }

    /// Whether items stand before the page.
    async fn has_previous_page(&self) -> bool {
        self.has_previous
    }

    /// The cursor of the page's first item, or of the place down to which a long list was looked at.
    async fn start_cursor(&self, ctx: &Context<'_>) -> Result<Option<String>, Error> {
        self.first.as_ref().map(|first| sealed(ctx, first)).transpose()
    }
}

/// A place as clients hold it. It is encrypted only where it is asked for.
///
/// # Errors
/// [`Error::Internal`], which is a bug.
pub fn sealed(ctx: &Context<'_>, cursor: &Cursor) -> Result<String, Error> {
    Ok(ctx.keys().seal_cursor(cursor)?)
}

/// A page of things, each with its place in the list.
pub struct Items<T> {
    list: Cow<'static, str>,
    page: Page<(T, CursorKey, uuid::Uuid)>,
}

impl<T> Items<T> {
    /// A page of a list of that name; `id` tells an item's id.
    pub fn new(
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

    /// The same page of other items, with the same cursors.
    pub fn map<U>(self, mut convert: impl FnMut(T) -> U) -> Items<U> {
        Items { list: self.list, page: self.page.map(|(item, key, id)| (convert(item), key, id)) }
    }

    /// The items.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &T> {
        self.page.items.iter().map(|(item, ..)| item)
    }

    /// The items, each with its place.
    pub fn with_places(&self) -> impl Iterator<Item = (&T, Cursor)> {
        self.page.items.iter().map(|item| (&item.0, self.place(item)))
    }

    /// Where the page stands.
    pub fn info(&self) -> PageInfo {
        PageInfo {
            first: self.end(self.page.begins_at.as_ref(), self.page.items.first()),
            last: self.end(self.page.ends_at.as_ref(), self.page.items.last()),
            has_next: self.page.has_next,
            has_previous: self.page.has_previous,
        }
    }

    fn end(&self, at: Option<&Place>, item: Option<&(T, CursorKey, uuid::Uuid)>) -> Option<Cursor> {
        let (key, id) = match (at, item) {
            (Some((key, id)), _) | (None, Some((_, key, id))) => (key, id),
            (None, None) => return None,
        };
        Some(self.cursor(key, *id))
    }

    fn place(&self, (_, key, id): &(T, CursorKey, uuid::Uuid)) -> Cursor {
        self.cursor(key, *id)
    }

    fn cursor(&self, key: &CursorKey, id: uuid::Uuid) -> Cursor {
        Cursor { list: self.list.clone().into_owned(), key: key.clone(), id }
    }
}

/// Defines a connection and its edge over a node type that is cheap to clone, `counted` where it
/// tells how long its list is, by what and as what; the last two say how a node that is no object is resolved.
macro_rules! connection {
    ($connection:ident, $edge:ident, $node:ty, $what:literal, counted) => {
        $crate::graphql::connection::connection!(
            $connection,
            $edge,
            $node,
            $what,
            counted by $crate::graphql::total::Total as $crate::graphql::scalars::UnsignedInt64,
            "How many items the whole list has. They are counted anew each time it is asked for."
        );
    };
    ($connection:ident, $edge:ident, $node:ty, $what:literal, counted by $total:ty as $count:ty, $told:tt) => {
        #[doc = concat!("A page of ", $what, ".")]
        pub struct $connection(
            pub $crate::graphql::connection::Items<$node>,
            pub $total,
        );

        #[doc = concat!("A page of ", $what, ".")]
        #[async_graphql::Object]
        impl $connection {
            /// The page's items, each with its cursor.
            async fn edges(&self) -> Vec<$edge> {
                self.0
                    .with_places()
                    .map(|(node, place)| $edge {
                        place,
                        node: $crate::graphql::in_order::InOrder(node.clone()),
                    })
                    .collect()
            }

            /// The page's items.
            async fn nodes(&self) -> Vec<$crate::graphql::in_order::InOrder<$node>> {
                self.0.iter().cloned().map($crate::graphql::in_order::InOrder).collect()
            }

            /// Where the page stands in its list.
            async fn page_info(
                &self,
            ) -> $crate::graphql::in_order::InOrder<$crate::graphql::connection::PageInfo> {
                $crate::graphql::in_order::InOrder(self.0.info())
            }

            #[doc = $told]
            async fn total_count(
                &self,
                ctx: &async_graphql::Context<'_>,
            ) -> async_graphql::Result<$count> {
                self.1.count(ctx).await
            }
        }

        $crate::graphql::connection::edge!($edge, $what, $crate::graphql::in_order::InOrder<$node>);
    };
    ($connection:ident, $edge:ident, $node:ty, $what:literal) => {
        $crate::graphql::connection::connection!(
            $connection,
            $edge,
            $node,
            $what,
            $crate::graphql::in_order::InOrder<$node>,
            $crate::graphql::in_order::InOrder
        );
    };
    ($connection:ident, $edge:ident, $node:ty, $what:literal, $resolved:ty, $resolve:expr) => {
        #[doc = concat!("A page of ", $what, ".")]
        pub struct $connection(pub $crate::graphql::connection::Items<$node>);

        #[doc = concat!("A page of ", $what, ".")]
        #[async_graphql::Object]
        impl $connection {
            /// The page's items, each with its cursor.
            async fn edges(&self) -> Vec<$edge> {
                self.0
                    .with_places()
                    .map(|(node, place)| $edge { place, node: $resolve(node.clone()) })
                    .collect()
            }

            /// The page's items.
            async fn nodes(&self) -> Vec<$resolved> {
                self.0.iter().cloned().map($resolve).collect()
            }

            /// Where the page stands in its list.
            async fn page_info(
                &self,
            ) -> $crate::graphql::in_order::InOrder<$crate::graphql::connection::PageInfo> {
                $crate::graphql::in_order::InOrder(self.0.info())
            }
        }

        $crate::graphql::connection::edge!($edge, $what, $resolved);
    };
}
pub(crate) use connection;

/// Defines the edge of a connection.
macro_rules! edge {
    ($edge:ident, $what:literal, $resolved:ty) => {
        #[doc = concat!("One of a page of ", $what, ", with its cursor.")]
        pub struct $edge {
            place: $crate::domain::page::Cursor,
            node: $resolved,
        }

        #[doc = concat!("One of a page of ", $what, ", with its cursor.")]
        #[async_graphql::Object]
        impl $edge {
            /// Where the item stands in its list: for `after` and `before`.
            async fn cursor(&self, ctx: &async_graphql::Context<'_>) -> Result<String, $crate::error::Error> {
                $crate::graphql::connection::sealed(ctx, &self.place)
            }

            /// The item.
            async fn node(&self) -> &$resolved {
                &self.node
            }
        }
    };
}
pub(crate) use edge;

connection!(StringConnection, StringEdge, String, "texts", String, std::convert::identity);
