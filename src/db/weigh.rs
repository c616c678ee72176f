//! The memory that rows take, for caches that are bounded by it.

use std::sync::Arc;

/// A value whose size in memory can be told approximately.
pub trait Weigh {
    /// The bytes that it takes on the heap, besides those of the value itself.
    fn heap_bytes(&self) -> usize;

    /// All bytes that it takes.
    fn bytes(&self) -> usize
    where
        Self: Sized,
    {
        size_of::<Self>() + self.heap_bytes()
    }
}

impl Weigh for bool {
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl Weigh for String {
    fn heap_bytes(&self) -> usize {
        self.capacity()
    }
}

impl<T: Weigh> Weigh for Option<T> {
    fn heap_bytes(&self) -> usize {
        self.as_ref().map_or(0, T::heap_bytes)
    }
}

impl<T: Weigh> Weigh for Vec<T> {
    fn heap_bytes(&self) -> usize {
        self.iter().map(T::bytes).sum()
    }
}

/// Counts what is shared for each owner.
impl<T: Weigh> Weigh for Arc<T> {
    fn heap_bytes(&self) -> usize {
        T::bytes(self)
    }
}

impl<T: Weigh> Weigh for Arc<[T]> {
    fn heap_bytes(&self) -> usize {
        self.iter().map(T::bytes).sum()
    }
}

impl<A: Weigh, B: Weigh> Weigh for (A, B) {
    fn heap_bytes(&self) -> usize {
        self.0.heap_bytes() + self.1.heap_bytes()
    }
}

/// Implements [`Weigh`] for a struct, from the fields that it has on the heap.
macro_rules! impl_weigh {
    ($type:ty $(, $field:ident)*) => {
        impl $crate::db::Weigh for $type {
            fn heap_bytes(&self) -> usize {
                0 $(+ $crate::db::Weigh::heap_bytes(&self.$field))*
            }
        }
    };
}
pub(crate) use impl_weigh;

#[cfg(test)]
mod tests {
    use super::*;

    struct Row {
        title: String,
        tags: Vec<String>,
        _price: i64,
    }
    impl_weigh!(Row, title, tags);

    #[test]
    fn values_weigh_what_they_have_on_the_heap_and_themselves() {
        let text = || "x".repeat(100);
        assert_eq!((true.bytes(), text().heap_bytes(), None::<String>.heap_bytes()), (1, 100, 0));
        let row = Row { title: text(), tags: vec![text(), text()], _price: 1 };
        let heap = 100 + 2 * (size_of::<String>() + 100);
        assert_eq!(row.heap_bytes(), heap);
        assert_eq!(Arc::new(row).heap_bytes(), size_of::<Row>() + heap);
        let shared: Arc<[String]> = [text(), text(), text()].into();
        assert_eq!(Some((shared, text())).heap_bytes(), 3 * (size_of::<String>() + 100) + 100);
    }
}
