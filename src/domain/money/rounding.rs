//! Integer rounding for prices, discounts, taxes and delivery: half-up, once per amount, with
//! shares that add up to the whole.

/// The scale of rates and tariffs: millionths.
pub const MICROS: i64 = 1_000_000;

/// `numerator / denominator`, rounded half-up. The numerator must not be negative, the denominator
/// must be positive.
#[must_use]
pub fn half_up(numerator: i128, denominator: i128) -> i128 {
    let (whole, rest) = (numerator / denominator, numerator % denominator);
    // Equivalent to `2 * rest >= denominator`, but can't overflow.
    if rest >= denominator - rest { whole.saturating_add(1) } else { whole }
}

/// The given number of millionths of an amount, rounded half-up. Both must not be negative.
#[must_use]
pub fn portion(amount: i64, micros: i64) -> i64 {
    let portion = half_up(i128::from(amount) * i128::from(micros), i128::from(MICROS));
    i64::try_from(portion).unwrap_or(i64::MAX)
}

/// Distributes a total in proportion to weights by the largest-remainder method: each share is
/// rounded down, and the remaining units go to the shares that lost most by rounding, the first
/// ones on a tie. The shares add up to the total exactly, and no share exceeds its weight as long
/// as the total does not exceed the sum of the weights. If all weights are zero, so are the shares.
#[must_use]
pub fn distribute(total: i64, weights: &[i64]) -> Vec<i64> {
    let sum: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
    if sum <= 0 || total <= 0 {
        return vec![0; weights.len()];
    }
    let exact = |weight: &i64| i128::from(total) * i128::from(*weight);
    let mut shares: Vec<i64> =
        weights.iter().map(|weight| i64::try_from(exact(weight) / sum).unwrap_or(0)).collect();
    let distributed: i64 = shares.iter().sum();
    let mut by_loss: Vec<(usize, i128)> =
        weights.iter().map(|weight| exact(weight) % sum).enumerate().collect();
    by_loss.sort_by_key(|(_, lost)| std::cmp::Reverse(*lost));
    let left = usize::try_from(total.saturating_sub(distributed)).unwrap_or(0);
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
        assert_eq!(portion(1_999, 100_000), 200);
        assert_eq!(portion(5, 100_000), 1);
        assert_eq!(portion(4, 100_000), 0);
    }

    #[test]
    fn totals_are_distributed_without_a_remainder() {
        assert_eq!(distribute(100, &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(distribute(10, &[999, 1]), [10, 0]);
        assert_eq!(distribute(5, &[3, 0, 2]), [3, 0, 2]);
        assert_eq!(distribute(2, &[1, 1, 1]), [1, 1, 0]);
        assert_eq!(distribute(7, &[0, 0]), [0, 0]);
        assert_eq!(distribute(0, &[4, 4]), [0, 0]);
        assert_eq!(distribute(i64::MAX, &[i64::MAX, 0]), [i64::MAX, 0]);
    }
}
