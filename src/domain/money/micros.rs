//! Decimal numbers other than money (rates, percentages, kilograms), stored as integer millionths.

use super::rounding::MICROS;

/// Parses a plain non-negative decimal such as `0.5` into millionths; `None` if it is not one, has
/// more than six decimals, or is too large.
#[must_use]
pub fn parse(text: &str) -> Option<i64> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let significant = fraction.trim_end_matches('0');
    let missing = 6_usize.checked_sub(significant.len())?;
    whole
        .bytes()
        .chain(significant.bytes())
        .chain(std::iter::repeat_n(b'0', missing))
        .try_fold(0_i64, |sum, digit| sum.checked_mul(10)?.checked_add(i64::from(digit - b'0')))
}

/// Formats non-negative millionths as a plain decimal without trailing zeros.
#[must_use]
pub fn to_decimal(micros: i64) -> String {
    let (whole, fraction) = (micros / MICROS, micros % MICROS);
    if fraction == 0 {
        return whole.to_string();
    }
    let digits = format!("{fraction:06}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

/// Parses a percentage into millionths of the whole: `12.5` is 125,000. At most four decimals.
#[must_use]
pub fn parse_percentage(text: &str) -> Option<i64> {
    let micros = parse(text)?;
    (micros % 100 == 0).then_some(micros / 100)
}

/// Formats millionths of the whole as a percentage.
#[must_use]
pub fn to_percentage(micros: i64) -> String {
    to_decimal(micros.saturating_mul(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_round_trip() {
        for (text, micros) in
            [("0", 0), ("0.5", 500_000), ("12", 12_000_000), ("0.000001", 1), ("1.25", 1_250_000)]
        {
            assert_eq!(parse(text), Some(micros));
            assert_eq!(to_decimal(micros), text);
        }
        assert_eq!(parse(".50"), Some(500_000));
        for text in ["", ".", "-1", "1e3", "0.0000001", "9999999999999999999", "1,5"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn percentages_are_converted_to_fractions() {
        assert_eq!(parse_percentage("20"), Some(200_000));
        assert_eq!(parse_percentage("8.875"), Some(88_750));
        assert_eq!(parse_percentage("0.00001"), None);
        assert_eq!(to_percentage(88_750), "8.875");
    }
}
