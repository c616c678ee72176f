//! Keyset pagination: which slice of an ordered list is asked for, and the slice that answers.

/// How many items one page may have.
pub const MAX_PAGE_SIZE: usize = 250;

/// Which end of the list the page is counted from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// The first items, after a cursor where one is given.
    Forward,
    /// The last items, before a cursor where one is given.
    Backward,
}

/// A page asked for: `limit` items on one side of a cursor.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PageRequest<C> {
    /// Forward (`first`, `after`) or backward (`last`, `before`).
    pub direction: Direction,
    /// At most [`MAX_PAGE_SIZE`].
    pub limit: usize,
    /// The item the page begins after (forward) or ends before (backward).
    pub cursor: Option<C>,
}

impl<C> PageRequest<C> {
    /// The first `limit` items.
    pub fn first(limit: usize) -> Self {
        Self { direction: Direction::Forward, limit, cursor: None }
    }

    /// How many rows to read: one more than asked for tells whether there are more.
    pub fn rows(&self) -> i64 {
        i64::try_from(self.limit).unwrap_or(i64::MAX).saturating_add(1)
    }
}

/// A row's place among the rows of its list: its key, and its id where keys are equal.
pub type Place = (CursorKey, uuid::Uuid);

/// A page of items in list order, whatever direction it was read in.
#[derive(Clone, PartialEq, Debug)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Whether items stand before the first one.
    pub has_previous: bool,
    /// Whether items stand after the last one.
    pub has_next: bool,
    /// Where the page begins, if not with its first item.
    pub begins_at: Option<Place>,
    /// Where the page ends, if not with its last item.
    pub ends_at: Option<Place>,
}

/// A page with nothing on it, of a list with nothing in it.
impl<T> Default for Page<T> {
    fn default() -> Self {
        Self::new(Vec::new(), false, false)
    }
}

impl<T> Page<T> {
    /// A page that begins with its first item and ends with its last one.
    #[must_use]
    pub fn new(items: Vec<T>, has_previous: bool, has_next: bool) -> Self {
        Self { items, has_previous, has_next, begins_at: None, ends_at: None }
    }

    /// The same page of a list that was read up to a place and not beyond, although the page is not
    /// full: its cursor leads on from there.
    #[must_use]
    pub fn read_up_to(self, place: Place, direction: Direction) -> Self {
        match direction {
            Direction::Forward => Self { has_next: true, ends_at: Some(place), ..self },
            Direction::Backward => Self { has_previous: true, begins_at: Some(place), ..self },
        }
    }

    /// Makes a page of rows read in the request's direction, of which there may be one more than asked for.
    pub fn of_rows<C>(mut rows: Vec<T>, request: &PageRequest<C>) -> Self {
        let more = rows.len() > request.limit;
        rows.truncate(request.limit);
        let behind_cursor = request.cursor.is_some();
        match request.direction {
            Direction::Forward => Self::new(rows, behind_cursor, more),
            Direction::Backward => {
                rows.reverse();
                Self::new(rows, more, behind_cursor)
            }
        }
    }

    /// The page of a list that is wholly in memory. A cursor that is no longer in the list gives an empty page.
    pub fn of_list<C>(
        all: impl IntoIterator<Item = T>,
        request: &PageRequest<C>,
        is_at: impl Fn(&T, &C) -> bool,
    ) -> Self {
        let mut items: Vec<T> = all.into_iter().collect();
        let mut behind_cursor = false;
        if let Some(cursor) = &request.cursor {
            behind_cursor = true;
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
            cursor: behind_cursor.then_some(()),
        };
        Self::of_rows(items, &request)
    }

    /// The same page of other items.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(convert).collect(),
            has_previous: self.has_previous,
            has_next: self.has_next,
            begins_at: self.begins_at,
            ends_at: self.ends_at,
        }
    }
}

/// A row's place in a list that is ordered by a key and, where keys are equal, by id. Clients hold it encrypted
/// (`auth::Keys::seal_cursor`), since keys may tell what is not theirs to know. The list it belongs to is part of it, so that a
/// cursor of another list or order is refused.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Cursor {
    /// Names the list and its order.
    pub list: String,
    /// The sort key's value.
    pub key: CursorKey,
    /// The row's id.
    pub id: uuid::Uuid,
}

/// A sort key's value. Keys of one list compare as the database orders them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CursorKey {
    /// The list is ordered by id alone.
    None,
    /// A number, a time in microseconds, or the bits of a rank.
    Integer(i64),
    /// A text, as the database orders it.
    Text(String),
}

/// The kinds of keys that lists are ordered by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyKind {
    /// Ids alone.
    None,
    /// Numbers, times and ranks.
    Integer,
    /// Texts.
    Text,
}

impl CursorKey {
    /// Which kind of key it is.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        match self {
            Self::None => KeyKind::None,
            Self::Integer(_) => KeyKind::Integer,
            Self::Text(_) => KeyKind::Text,
        }
    }
}

impl Cursor {
    /// The cursor as bytes, to be encrypted: the list's name and a line feed, the id, the key's kind and the key.
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

    /// Reads what [`Cursor::to_bytes`] wrote; `None` when it is something else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let (list, rest) = bytes.split_at_checked(end)?;
        let (id, rest) = rest.get(1..)?.split_at_checked(16)?;
        let key = match rest.split_first()? {
            (b'-', []) => CursorKey::None,
            (b'i', value) => CursorKey::Integer(i64::from_be_bytes(value.try_into().ok()?)),
            // No database takes a NUL in a text.
            (b't', value) if !value.contains(&0) => {
                CursorKey::Text(std::str::from_utf8(value).ok()?.to_owned())
            }
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
    fn a_list_in_memory_pages_like_one_in_the_database() {
        let page = |request: &PageRequest<u32>| {
            let page = Page::of_list(1..=5, request, |item, cursor| item == cursor);
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
    fn a_page_that_was_not_read_to_its_end_leads_on() {
        let place = (CursorKey::Integer(7), uuid::Uuid::nil());
        let page = Page::of_rows(vec![1], &request(Direction::Forward, 2, None));
        let page = page.read_up_to(place.clone(), Direction::Forward).map(|item| item + 1);
        assert_eq!((page.items.as_slice(), page.has_previous, page.has_next), ([2].as_slice(), false, true));
        assert_eq!((page.begins_at, page.ends_at), (None, Some(place.clone())));
        let page = Page::of_rows(vec![1], &request(Direction::Backward, 2, None));
        let page = page.read_up_to(place.clone(), Direction::Backward);
        assert_eq!((page.has_previous, page.has_next), (true, false));
        assert_eq!((page.begins_at, page.ends_at), (Some(place), None));
    }

    #[test]
    fn cursors_read_back_and_rubbish_is_refused() {
        for key in [CursorKey::None, CursorKey::Integer(-7), CursorKey::Text("Öl\n 🫒".to_owned())] {
            let cursor = Cursor { list: "products/title".to_owned(), key, id: uuid::Uuid::from_u128(7) };
            let bytes = cursor.to_bytes();
            assert_eq!(Cursor::from_bytes(&bytes), Some(cursor));
            assert_eq!(Cursor::from_bytes(bytes.get(..bytes.len() - 14).unwrap()), None, "cut off");
        }
        for rubbish in
            ["", "products", "products\n", "products\n0123456789abcdef", "products\n0123456789abcdefi7"]
        {
            assert_eq!(Cursor::from_bytes(rubbish.as_bytes()), None, "{rubbish}");
        }
    }
}
