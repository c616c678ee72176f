//! How fractions of a minor unit become whole ones: rounded half-up, once, and spread so that the parts make up the whole.
//!
//! The arithmetic of prices, discounts, taxes and delivery is made of these; all of it is in integers.

/// Millionths: what rates and tariffs are kept in.
pub const MICROS: i64 = 1_000_000;

/// `numerator / denominator`, rounded half-up. The numerator is at least zero and the denominator above it.
#[must_use]
pub fn half_up(numerator: i128, denominator: i128) -> i128 {
    let (whole, rest) = (numerator / denominator, numerator % denominator);
    // The same as `2 * rest >= denominator`, without the product that could be too large.
    if rest >= denominator - rest { whole.saturating_add(1) } else { whole }
}

/// A part of an amount, in millionths of it, rounded half-up. Neither is below zero.
#[must_use]
pub fn part(amount: i64, micros: i64) -> i64 {
    let part = half_up(i128::from(amount) * i128::from(micros), i128::from(MICROS));
    i64::try_from(part).unwrap_or(i64::MAX)
}

/// Spreads a total over shares in proportion to weights, by largest remainder: each share is rounded down, and what is left
/// goes, one unit each, to those that lost most, the first of equals first. The shares sum up to the total exactly, and none is
/// above its weight as long as the total is not above the sum of the weights. Where all weights are zero, so are the shares.
#[must_use]
pub fn spread(total: i64, weights: &[i64]) -> Vec<i64> {
    let sum: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
    if sum <= 0 || total <= 0 {
        return vec![0; weights.len()];
    }
    let exact = |weight: &i64| i128::from(total) * i128::from(*weight);
    let mut shares: Vec<i64> =
        weights.iter().map(|weight| i64::try_from(exact(weight) / sum).unwrap_or(0)).collect();
    let given: i64 = shares.iter().sum();
    let mut by_loss: Vec<(usize, i128)> =
        weights.iter().map(|weight| exact(weight) % sum).enumerate().collect();
    by_loss.sort_by_key(|(_, lost)| std::cmp::Reverse(*lost));
    let left = usize::try_from(total.saturating_sub(given)).unwrap_or(0);
    for (at, _) in by_loss.into_iter().take(left) {
        if let Some(share) = shares.get_mut(at) {
            *share += 1;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_rounded_up() {
        assert_eq!(half_up(5, 10), 1);
        assert_eq!(half_up(4, 10), 0);
        assert_eq!(half_up(15, 10), 2);
        assert_eq!(half_up(1, 3), 0);
        assert_eq!(half_up(2, 3), 1);
        assert_eq!(half_up(i128::MAX, 1), i128::MAX);
        assert_eq!(part(1_999, 100_000), 200);
        assert_eq!(part(5, 100_000), 1);
        assert_eq!(part(4, 100_000), 0);
    }

    #[test]
    fn a_total_is_spread_to_the_last_unit() {
        assert_eq!(spread(100, &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(spread(10, &[999, 1]), [10, 0]);
        assert_eq!(spread(5, &[3, 0, 2]), [3, 0, 2]);
        assert_eq!(spread(2, &[1, 1, 1]), [1, 1, 0]);
        assert_eq!(spread(7, &[0, 0]), [0, 0]);
        assert_eq!(spread(0, &[4, 4]), [0, 0]);
        assert_eq!(spread(i64::MAX, &[i64::MAX, 0]), [i64::MAX, 0]);
    }
}
