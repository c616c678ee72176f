//! Putting the items of a list into another order, a few moves at a time.

/// An item that is to stand at another place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reposition<T> {
    /// The item.
    pub item: T,
    /// Its place among the others, from 0 on; beyond the end is the end.
    pub position: usize,
}

/// Makes moves one after another; gives which of them name nothing that is in the list. Those
/// change nothing.
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
    fn items_move_one_after_another() {
        assert_eq!(reordered(&[]), ("abcd".to_owned(), vec![]));
        assert_eq!(reordered(&[('d', 0)]), ("dabc".to_owned(), vec![]));
        assert_eq!(reordered(&[('a', 2)]), ("bcad".to_owned(), vec![]));
        assert_eq!(reordered(&[('a', 9), ('c', 0)]), ("cbda".to_owned(), vec![]));
        assert_eq!(reordered(&[('x', 0), ('b', 0), ('y', 1)]), ("bacd".to_owned(), vec![0, 2]));
    }
}
