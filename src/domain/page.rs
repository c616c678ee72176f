//! Keyset pagination: the requested slice of an ordered list, and the resulting page.

use super::time::Timestamp;

/// Maximum number of items of a page.
pub const MAX_PAGE_SIZE: usize = 250;

/// The end of the list that the page is counted from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// The first items, after the cursor if there is one.
    Forward,
    /// The last items, before the cursor if there is one.
    Backward,
}

/// A requested page: up to `limit` items on one side of a cursor.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PageRequest<C> {
    /// Forward (`first`, `after`) or backward (`last`, `before`).
    pub direction: Direction,
    /// Maximum number of items; at most [`MAX_PAGE_SIZE`].
    pub limit: usize,
    /// The item after which (forward) or before which (backward) the page starts.
    pub cursor: Option<C>,
}

impl<C> PageRequest<C> {
    /// Requests the first `limit` items.
    #[must_use]
    pub fn first(limit: usize) -> Self {
        Self { direction: Direction::Forward, limit, cursor: None }
    }

    /// Whether rows are read in descending order, if the list is ascending unless it is reversed.
    pub fn is_descending(&self, is_reversed: bool) -> bool {
        is_reversed ^ (self.direction == Direction::Backward)
    }

    /// Number of rows to read: one more than requested shows whether there are more.
    pub fn row_limit(&self) -> i64 {
        i64::try_from(self.limit).unwrap_or(i64::MAX).saturating_add(1)
    }
}

impl PageRequest<Cursor> {
    /// The position of the cursor.
    #[must_use]
    pub fn position(&self) -> Option<RowPosition> {
        self.cursor.as_ref().map(|cursor| (cursor.key.clone(), cursor.id))
    }
}

/// A row's position in its list: its sort key, and its id as a tie-breaker.
pub type RowPosition = (CursorKey, uuid::Uuid);

/// A page of items, always in list order.
#[derive(Clone, PartialEq, Debug)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Whether there are items before the first one.
    pub has_previous: bool,
    /// Whether there are items after the last one.
    pub has_next: bool,
    /// Where the page starts, if not at its first item.
    pub start: Option<RowPosition>,
    /// Where the page ends, if not at its last item.
    pub end: Option<RowPosition>,
}

/// An empty page of an empty list.
impl<T> Default for Page<T> {
    fn default() -> Self {
        Self::new(Vec::new(), false, false)
    }
}

impl<T> Page<T> {
    /// A page that starts with its first item and ends with its last one.
    #[must_use]
    pub fn new(items: Vec<T>, has_previous: bool, has_next: bool) -> Self {
        Self { items, has_previous, has_next, start: None, end: None }
    }

    /// Marks that reading stopped at a position before the page was full, so that the page's cursor
    /// continues from there.
    #[must_use]
    pub fn continued_at(self, place: RowPosition, direction: Direction) -> Self {
        match direction {
            Direction::Forward => Self { has_next: true, end: Some(place), ..self },
            Direction::Backward => Self { has_previous: true, start: Some(place), ..self },
        }
    }

    /// Makes a page of rows read in the request's direction, possibly one more than requested.
    pub fn from_rows<C>(mut rows: Vec<T>, request: &PageRequest<C>) -> Self {
        let has_more = rows.len() > request.limit;
        rows.truncate(request.limit);
        let has_cursor = request.cursor.is_some();
        match request.direction {
            Direction::Forward => Self::new(rows, has_cursor, has_more),
            Direction::Backward => {
                rows.reverse();
                Self::new(rows, has_more, has_cursor)
            }
        }
    }

    /// Makes a page for each of several lists, from rows that are grouped by list and read in the
    /// request's direction, possibly one more per list than requested.
    pub fn from_grouped_rows<K: PartialEq, C>(
        rows: impl IntoIterator<Item = (K, T)>,
        request: &PageRequest<C>,
    ) -> Vec<(K, Self)> {
        let mut lists: Vec<(K, Vec<T>)> = Vec::new();
        for (list, row) in rows {
            match lists.last_mut() {
                Some((last, rows)) if *last == list => rows.push(row),
                _ => lists.push((list, vec![row])),
            }
        }
        lists.into_iter().map(|(list, rows)| (list, Self::from_rows(rows, request))).collect()
    }

    /// Takes a page from a list in memory. A cursor that is no longer in the list results in an
    /// empty page.
    pub fn from_list<C>(
        all: impl IntoIterator<Item = T>,
        request: &PageRequest<C>,
        is_at: impl Fn(&T, &C) -> bool,
    ) -> Self {
        let mut items: Vec<T> = all.into_iter().collect();
        let mut has_cursor = false;
        if let Some(cursor) = &request.cursor {
            has_cursor = true;
            let at = items.iter().position(|item| is_at(item, cursor));
            match (request.direction, at) {
                (Direction::Forward, Some(at)) => drop(items.drain(..=at)),
                (Direction::Backward, Some(at)) => items.truncate(at),
                (_, None) => items.clear(),
            }
        }
        if request.direction == Direction::Backward {
            items.reverse();
        }
        items.truncate(request.limit.saturating_add(1));
        let request = PageRequest {
            direction: request.direction,
            limit: request.limit,
            cursor: has_cursor.then_some(()),
        };
        Self::from_rows(items, &request)
    }

    /// Adds the sort key to each item.
    pub fn with_keys(self, key_of: impl Fn(&T) -> CursorKey) -> Page<(T, CursorKey)> {
        self.map(|item| {
            let key = key_of(&item);
            (item, key)
        })
    }

    /// Converts the items.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(convert).collect(),
            has_previous: self.has_previous,
            has_next: self.has_next,
            start: self.start,
            end: self.end,
        }
    }
}

/// A row's position in a list that is ordered by a key and, for equal keys, by id. Clients receive
/// it encrypted (`auth::Keys::seal_cursor`), since keys may be confidential. It includes the list's
/// name, so that a cursor of another list or sort order is rejected.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Cursor {
    /// Identifies the list and its sort order.
    pub list: String,
    /// The sort key's value.
    pub key: CursorKey,
    /// The row's id.
    pub id: uuid::Uuid,
}

/// A sort key's value. Keys of one list compare like in the database.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CursorKey {
    /// The list is ordered by id only.
    None,
    /// A number, a time in microseconds, or the bits of a rank.
    Integer(i64),
    /// A text, as the database orders it.
    Text(String),
}

/// The types of sort keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CursorKeyKind {
    /// No key: ordered by id only.
    None,
    /// Numbers, times and ranks.
    Integer,
    /// Texts.
    Text,
}

impl CursorKey {
    /// The key's type.
    #[must_use]
    pub fn kind(&self) -> CursorKeyKind {
        match self {
            Self::None => CursorKeyKind::None,
            Self::Integer(_) => CursorKeyKind::Integer,
            Self::Text(_) => CursorKeyKind::Text,
        }
    }

    /// The key, if it is a text.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        if let Self::Text(text) = self { Some(text.clone()) } else { None }
    }

    /// The key, if it is a number.
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        if let Self::Integer(integer) = self { Some(*integer) } else { None }
    }

    /// The key, if it is a point in time.
    #[must_use]
    pub fn moment(&self) -> Option<Timestamp> {
        self.integer().and_then(Timestamp::from_micros)
    }
}

impl Cursor {
    /// Serializes the cursor for encryption: the list's name and a line feed, the id, the key's
    /// type and the key.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.list.len() + 32);
        bytes.extend_from_slice(self.list.as_bytes());
        bytes.push(b'\n');
        bytes.extend_from_slice(self.id.as_bytes());
        match &self.key {
            CursorKey::None => bytes.push(b'-'),
            CursorKey::Integer(value) => {
                bytes.push(b'i');
                bytes.extend_from_slice(&value.to_be_bytes());
            }
            CursorKey::Text(value) => {
                bytes.push(b't');
                bytes.extend_from_slice(value.as_bytes());
            }
        }
        bytes
    }

    /// Deserializes the result of [`Cursor::to_bytes`]; `None` for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let (list, rest) = bytes.split_at_checked(end)?;
        let (id, rest) = rest.get(1..)?.split_at_checked(16)?;
        let key = match rest.split_first()? {
            (b'-', []) => CursorKey::None,
            (b'i', value) => CursorKey::Integer(i64::from_be_bytes(value.try_into().ok()?)),
            (b't', value) => CursorKey::Text(std::str::from_utf8(value).ok()?.to_owned()),
            _ => return None,
        };
        let list = std::str::from_utf8(list).ok()?.to_owned();
        Some(Self { list, key, id: uuid::Uuid::from_slice(id).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(direction: Direction, limit: usize, cursor: Option<u32>) -> PageRequest<u32> {
        PageRequest { direction, limit, cursor }
    }

    #[test]
    fn lists_in_memory_are_paginated_like_rows() {
        let page = |request: &PageRequest<u32>| {
            let page = Page::from_list(1..=5, request, |item, cursor| item == cursor);
            (page.items, page.has_previous, page.has_next)
        };
        assert_eq!(page(&request(Direction::Forward, 2, None)), (vec![1, 2], false, true));
        assert_eq!(page(&request(Direction::Forward, 2, Some(4))), (vec![5], true, false));
        assert_eq!(page(&request(Direction::Backward, 2, None)), (vec![4, 5], true, false));
        assert_eq!(page(&request(Direction::Backward, 2, Some(2))), (vec![1], false, true));
        assert_eq!(page(&request(Direction::Forward, 2, Some(9))), (vec![], true, false));
        assert_eq!(page(&request(Direction::Forward, 0, None)), (vec![], false, true));
    }

    #[test]
    fn grouped_rows_become_a_page_per_group() {
        let rows = [("a", 1), ("a", 2), ("a", 3), ("b", 4)];
        let pages = Page::from_grouped_rows(rows, &request(Direction::Forward, 2, None));
        assert_eq!(
            pages,
            [("a", Page::new(vec![1, 2], false, true)), ("b", Page::new(vec![4], false, false))]
        );
    }

    #[test]
    fn incomplete_pages_continue_at_the_last_position() {
        let position = (CursorKey::Integer(7), uuid::Uuid::nil());
        let page = Page::from_rows(vec![1], &request(Direction::Forward, 2, None));
        let page = page.continued_at(position.clone(), Direction::Forward).map(|item| item + 1);
        assert_eq!((page.items.as_slice(), page.has_previous, page.has_next), ([2].as_slice(), false, true));
        assert_eq!((page.start, page.end), (None, Some(position.clone())));
        let page = Page::from_rows(vec![1], &request(Direction::Backward, 2, None));
        let page = page.continued_at(position.clone(), Direction::Backward);
        assert_eq!((page.has_previous, page.has_next), (true, false));
        assert_eq!((page.start, page.end), (Some(position), None));
    }

    #[test]
    fn cursors_round_trip_and_malformed_ones_are_rejected() {
        for key in [CursorKey::None, CursorKey::Integer(-7), CursorKey::Text("Öl\n 🫒".to_owned())] {
            let cursor = Cursor { list: "products/title".to_owned(), key, id: uuid::Uuid::from_u128(7) };
            let bytes = cursor.to_bytes();
            assert_eq!(Cursor::from_bytes(&bytes), Some(cursor));
            assert_eq!(Cursor::from_bytes(bytes.get(..bytes.len() - 14).unwrap()), None, "truncated");
        }
        for malformed in
            ["", "products", "products\n", "products\n0123456789abcdef", "products\n0123456789abcdefi7"]
        {
            assert_eq!(Cursor::from_bytes(malformed.as_bytes()), None, "{malformed}");
        }
    }
}
