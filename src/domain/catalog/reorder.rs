//! Reordering a list by moving items.

/// A request to move an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reposition<T> {
    /// The item to move.
    pub item: T,
    /// Its new zero-based index; values beyond the end mean the end.
    pub position: usize,
}

/// Applies moves one after another. Returns the indexes of moves whose item is not in the list;
/// they are skipped.
pub fn reorder<T: Copy + PartialEq>(list: &mut Vec<T>, moves: &[Reposition<T>]) -> Vec<usize> {
    let mut unknown = Vec::new();
    for (at, wanted) in moves.iter().enumerate() {
        match list.iter().position(|item| *item == wanted.item) {
            Some(place) => {
                let item = list.remove(place);
                list.insert(wanted.position.min(list.len()), item);
            }
            None => unknown.push(at),
        }
    }
    unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reordered(moves: &[(char, usize)]) -> (String, Vec<usize>) {
        let mut list: Vec<char> = "abcd".chars().collect();
        let moves: Vec<_> = moves.iter().map(|&(item, position)| Reposition { item, position }).collect();
        let unknown = reorder(&mut list, &moves);
        (list.into_iter().collect(), unknown)
    }

    #[test]
    fn moves_are_applied_in_order() {
        assert_eq!(reordered(&[]), ("abcd".to_owned(), vec![]));
        assert_eq!(reordered(&[('d', 0)]), ("dabc".to_owned(), vec![]));
        assert_eq!(reordered(&[('a', 2)]), ("bcad".to_owned(), vec![]));
        assert_eq!(reordered(&[('a', 9), ('c', 0)]), ("cbda".to_owned(), vec![]));
        assert_eq!(reordered(&[('x', 0), ('b', 0), ('y', 1)]), ("bacd".to_owned(), vec![0, 2]));
    }
}
