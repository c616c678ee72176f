//! The newest items of a log, kept in memory for its readers.
//!
//! The complete log is stored elsewhere. It is append-only, and each of its items has a position. A
//! [`LogTail`] holds the newest items, as many as its limit allows. A [`LogReader`] returns every
//! item after its position exactly once and in order: from the tail if possible, and from the store
//! if the reader starts in the past or falls behind the tail. It does not read the store itself,
//! but tells its owner what to read.

use std::collections::VecDeque;

use tokio::sync::watch;

/// The writing end: publishes items to the readers.
pub struct LogTail<T>(watch::Sender<Items<T>>);

/// The items in memory, in the order of their positions.
struct Items<T> {
    list: VecDeque<Item<T>>,
    /// Items up to this position are not, or no longer, in the list.
    start: i64,
    /// Items up to this position were published.
    end: i64,
    weight: usize,
    max_weight: usize,
}

struct Item<T> {
    position: i64,
    weight: usize,
    value: T,
}

/// A reader that gets a `T` for each item of the tail and an `S` for each that it was given from
/// the store.
pub struct LogReader<S, T> {
    tail: watch::Receiver<Items<T>>,
    progress: Progress<S>,
}

/// Where a reader is.
struct Progress<S> {
    /// Everything up to this position was returned.
    position: i64,
    /// Items up to this position are read from the store: they were published before the reader
    /// started, so those in the tail may be out of date.
    live_after: i64,
    /// Items from the store that were not returned yet.
    stored: VecDeque<(i64, S)>,
    /// The end of the tail before the store was read: everything up to there was in the store.
    end_before_read: i64,
}

/// What a reader finds next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<S, T> {
    /// An item that its owner has read from the store.
    Stored(S),
    /// An item of the tail.
    Live(T),
    /// The tail does not have the next items: the owner has to read those after a position from the
    /// store and pass the first of them to [`LogReader::add_stored`].
    Behind {
        /// The position after which to read.
        after: i64,
        /// The end of the tail. The store has everything up to there, and perhaps more.
        end: i64,
    },
    /// The tail is gone, and all of its items were returned.
    Closed,
}

impl<T: Clone> LogTail<T> {
    /// Creates a tail for the items after a position. The weights of the items in memory have at
    /// most the sum `max_weight`.
    #[must_use]
    pub fn new(position: i64, max_weight: usize) -> Self {
        let list = VecDeque::new();
        Self(watch::Sender::new(Items { list, start: position, end: position, weight: 0, max_weight }))
    }

    /// Publishes an item, which must already be in the store. Positions increase.
    pub fn push(&self, position: i64, weight: usize, value: T) {
        self.0.send_modify(|items| items.push(Item { position, weight, value }));
    }

    /// Passes over the positions up to this one: they have nothing for the readers.
    pub fn advance(&self, position: i64) {
        self.0.send_if_modified(|items| {
            items.end = position;
            false
        });
    }

    /// Removes the items up to a position, once no reader needs them.
    pub fn discard(&self, position: i64) {
        self.0.send_if_modified(|items| {
            items.discard(position);
            false
        });
    }

    /// Starts to read after a position. What was published until now is read from the store.
    #[must_use]
    pub fn reader<S>(&self, position: i64) -> LogReader<S, T> {
        let tail = self.0.subscribe();
        let live_after = tail.borrow().end;
        let progress =
            Progress { position, live_after, stored: VecDeque::new(), end_before_read: live_after };
        LogReader { tail, progress }
    }
}

impl<T> Items<T> {
    fn push(&mut self, item: Item<T>) {
        self.end = item.position;
        self.weight += item.weight;
        self.list.push_back(item);
        while self.weight > self.max_weight {
            self.remove_oldest();
        }
    }

    fn discard(&mut self, position: i64) {
        while self.list.front().is_some_and(|item| item.position <= position) {
            self.remove_oldest();
        }
    }

    fn remove_oldest(&mut self) {
        if let Some(oldest) = self.list.pop_front() {
            self.weight -= oldest.weight;
            self.start = oldest.position;
        }
    }

    fn first_after(&self, position: i64) -> Option<&Item<T>> {
        self.list.get(self.list.partition_point(|item| item.position <= position))
    }
}

impl<S, T: Clone> LogReader<S, T> {
    /// Waits until there is a next item, or one to be read from the store.
    pub async fn next(&mut self) -> Next<S, T> {
        loop {
            let next = self.progress.next(&self.tail.borrow_and_update());
            if let Some(next) = next {
                return next;
            }
            if self.tail.changed().await.is_err() {
                return Next::Closed;
            }
        }
    }

    /// Adds the first items after the reader's position, which were read from the store because of
    /// [`Next::Behind`]; nothing if the store has none.
    pub fn add_stored(&mut self, items: impl IntoIterator<Item = (i64, S)>) {
        self.progress.add_stored(items);
    }
}

impl<S> Progress<S> {
    /// What comes next; `None` if it has not happened yet.
    fn next<T: Clone>(&mut self, items: &Items<T>) -> Option<Next<S, T>> {
        if let Some((position, value)) = self.stored.pop_front() {
            self.position = position;
            return Some(Next::Stored(value));
        }
        if self.position < self.live_after.max(items.start) {
            self.end_before_read = items.end;
            return Some(Next::Behind { after: self.position, end: items.end });
        }
        let item = items.first_after(self.position)?;
        self.position = item.position;
        Some(Next::Live(item.value.clone()))
    }

    fn add_stored(&mut self, items: impl IntoIterator<Item = (i64, S)>) {
        self.stored.extend(items);
        if self.stored.is_empty() {
            self.position = self.position.max(self.end_before_read);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    /// How many items are read from the store at a time.
    const BATCH: usize = 3;

    /// Something that happens to a log or one of its readers.
    #[derive(Clone, Debug)]
    enum Step {
        /// An item is stored. Some positions have none for these readers.
        Store { is_relevant: bool },
        /// The next stored item is published, or its position is skipped.
        Publish,
        /// A reader starts after some position in the store.
        Start(Index),
        /// A reader makes one step. Items that it requests from the store arrive with the next.
        Read(Index),
        /// The items that all readers have read are discarded.
        Discard,
    }

    /// A reader, and the items that it has returned.
    struct Reading {
        reader: LogReader<i64, i64>,
        after: i64,
        returned: Vec<i64>,
        /// Items that were read from the store and not yet added to the reader.
        fetched: Option<Vec<i64>>,
    }

    struct Log {
        tail: LogTail<i64>,
        /// Whether there is an item at each position, from 1.
        stored: Vec<bool>,
        published: usize,
        readings: Vec<Reading>,
    }

    impl Log {
        fn after(&self, position: i64) -> Vec<i64> {
            let items =
                (1_i64..).zip(&self.stored).filter(|(at, is_relevant)| **is_relevant && *at > position);
            items.map(|(at, _)| at).collect()
        }

        fn publish(&mut self) -> bool {
            let Some(is_relevant) = self.stored.get(self.published) else { return false };
            self.published += 1;
            let position = i64::try_from(self.published).unwrap();
            match is_relevant {
                true => self.tail.push(position, 1, position),
                false => self.tail.advance(position),
            }
            true
        }

        /// Returns whether the reader made progress.
        fn read(&mut self, index: usize) -> bool {
            let reading = &mut self.readings[index];
            if let Some(fetched) = reading.fetched.take() {
                reading.reader.add_stored(fetched.into_iter().map(|at| (at, at)));
            }
            match reading.reader.next().now_or_never() {
                Some(Next::Stored(at) | Next::Live(at)) => reading.returned.push(at),
                Some(Next::Behind { after, .. }) => {
                    let mut found = self.after(after);
                    found.truncate(BATCH);
                    self.readings[index].fetched = Some(found);
                }
                Some(Next::Closed) => panic!("the tail still exists"),
                None => return false,
            }
            true
        }

        fn step(&mut self, step: &Step) {
            match step {
                Step::Store { is_relevant } => self.stored.push(*is_relevant),
                Step::Publish => {
                    self.publish();
                }
                Step::Start(index) => {
                    let after = i64::try_from(index.index(self.stored.len() + 1)).unwrap();
                    let reader = self.tail.reader(after);
                    self.readings.push(Reading { reader, after, returned: Vec::new(), fetched: None });
                }
                Step::Read(index) if !self.readings.is_empty() => {
                    self.read(index.index(self.readings.len()));
                }
                Step::Read(_) => {}
                Step::Discard => {
                    let read_by_all =
                        self.readings.iter().map(|reading| reading.reader.progress.position).min();
                    self.tail.discard(read_by_all.unwrap_or(0));
                }
            }
        }
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => any::<bool>().prop_map(|is_relevant| Step::Store { is_relevant }),
            4 => Just(Step::Publish),
            1 => any::<Index>().prop_map(Step::Start),
            8 => any::<Index>().prop_map(Step::Read),
            1 => Just(Step::Discard),
        ];
        vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn every_reader_gets_each_item_once_and_in_order(steps in steps(), max_weight in 0_usize..6) {
            let tail = LogTail::new(0, max_weight);
            let mut log = Log { tail, stored: Vec::new(), published: 0, readings: Vec::new() };
            for step in &steps {
                log.step(step);
                prop_assert!(log.tail.0.borrow().list.len() <= max_weight);
            }
            while log.publish() {}
            for index in 0..log.readings.len() {
                while log.read(index) {}
                let reading = &log.readings[index];
                prop_assert_eq!(&reading.returned, &log.after(reading.after), "after {}", reading.after);
            }
        }
    }

    fn next(reader: &mut LogReader<&'static str, &'static str>) -> Option<Next<&'static str, &'static str>> {
        reader.next().now_or_never()
    }

    #[test]
    fn a_reader_that_starts_in_the_past_reads_the_store_first() {
        let tail = LogTail::new(10, 100);
        tail.push(11, 1, "out of date");
        let mut reader = tail.reader(10);
        assert_eq!(next(&mut reader), Some(Next::Behind { after: 10, end: 11 }));
        // It asks again until it gets the stored items.
        assert_eq!(next(&mut reader), Some(Next::Behind { after: 10, end: 11 }));
        tail.push(12, 1, "12");
        reader.add_stored([(11, "up to date")]);
        assert_eq!(next(&mut reader), Some(Next::Stored("up to date")));
        assert_eq!(next(&mut reader), Some(Next::Live("12")));
        assert_eq!(next(&mut reader), None);
        let mut reader = tail.reader(12);
        assert_eq!(next(&mut reader), None, "it is up to date");
    }

    #[test]
    fn a_slow_reader_reads_the_store_and_returns_to_the_tail() {
        let tail = LogTail::new(0, 10);
        let mut reader = tail.reader(0);
        tail.push(1, 6, "1");
        tail.push(2, 6, "2");
        assert_eq!(next(&mut reader), Some(Next::Behind { after: 0, end: 2 }));
        // The store already has an item that is published later; it is returned only once.
        reader.add_stored([(1, "1"), (2, "2"), (3, "3")]);
        tail.push(3, 6, "3");
        tail.push(4, 11, "too heavy");
        for stored in ["1", "2", "3"] {
            assert_eq!(next(&mut reader), Some(Next::Stored(stored)));
        }
        assert_eq!(next(&mut reader), Some(Next::Behind { after: 3, end: 4 }));
        reader.add_stored([(4, "4")]);
        assert_eq!(next(&mut reader), Some(Next::Stored("4")));
        tail.push(5, 6, "5");
        assert_eq!(next(&mut reader), Some(Next::Live("5")));
    }

    #[test]
    fn readers_are_closed_when_the_tail_is_dropped() {
        let tail = LogTail::new(0, 10);
        let mut reader = tail.reader(0);
        tail.push(1, 1, "1");
        drop(tail);
        assert_eq!(next(&mut reader), Some(Next::Live("1")));
        assert_eq!(next(&mut reader), Some(Next::Closed));
    }
}
