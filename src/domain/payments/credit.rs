//! Credit: money that buyers have in the shop, on gift cards and as store credit. Each change of a
//! balance is an entry of the account's history.

use crate::domain::catalog::text_enum;
use crate::domain::time::Timestamp;

text_enum! {
    /// The kind of a credit account. Its text is the name of the provider in the payment ledger.
    CreditKind {
        /// A gift card: whoever has its code may spend it.
        GiftCard = "gift_card",
        /// The store credit of a customer.
        StoreCredit = "store_credit",
    }
}

text_enum! {
    /// Why a balance changed.
    CreditReason {
        /// The account was opened with this amount.
        Issued = "issued",
        /// Staff added to it.
        Credited = "credited",
        /// Staff took from it.
        Debited = "debited",
        /// It paid for an order.
        Spent = "spent",
        /// The order that it paid for was not completed.
        Released = "released",
        /// An order that it paid for was refunded.
        Refunded = "refunded",
    }
}

impl CreditKind {
    /// The kind of account that a provider of the payment ledger stands for.
    #[must_use]
    pub fn of_provider(provider: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == provider)
    }
}

/// The characters of codes: no letter looks like a digit. A power of two, so that random bytes
/// choose among them evenly.
const CODE_ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Length of a generated code: 80 random bits.
pub const CODE_LENGTH: usize = 16;
/// Minimum length of a code chosen by staff.
pub const MIN_CODE_LENGTH: usize = 12;
/// Maximum length of a code chosen by staff.
pub const MAX_CODE_LENGTH: usize = 20;
/// How many of its last characters identify a gift card to people.
const SHOWN_CHARACTERS: usize = 4;

/// The code that random bytes stand for.
#[must_use]
pub fn code_of(bytes: [u8; CODE_LENGTH]) -> String {
    let character = |byte: u8| CODE_ALPHABET.get(usize::from(byte % 32)).copied().map(char::from);
    bytes.into_iter().filter_map(character).collect()
}

/// A code in the form that is hashed: without blanks and dashes, in upper case.
#[must_use]
pub fn normalized_code(text: &str) -> String {
    let is_kept = |c: &char| !c.is_whitespace() && *c != '-';
    text.chars().filter(is_kept).flat_map(char::to_uppercase).collect()
}

/// A code as it is shown to people, in groups of four characters.
#[must_use]
pub fn display_code(code: &str) -> String {
    let mut shown = String::with_capacity(code.len() + code.len() / 4);
    for (at, character) in code.chars().enumerate() {
        if at > 0 && at % 4 == 0 {
            shown.push(' ');
        }
        shown.push(character);
    }
    shown
}

/// The last characters of a code.
#[must_use]
pub fn last_characters(code: &str) -> String {
    let skipped = code.chars().count().saturating_sub(SHOWN_CHARACTERS);
    code.chars().skip(skipped).collect()
}

/// How much each account contributes to an amount, given their balances in the order in which they
/// are spent. In minor units.
#[must_use]
pub fn contributions(amount: i64, balances: &[i64]) -> Vec<i64> {
    let mut left = amount.max(0);
    let contribute = |balance: &i64| {
        let part = left.min((*balance).max(0));
        left -= part;
        part
    };
    balances.iter().map(contribute).collect()
}

/// Whether an account can be spent from at a time.
#[must_use]
pub fn is_spendable(expires_at: Option<Timestamp>, disabled_at: Option<Timestamp>, now: Timestamp) -> bool {
    disabled_at.is_none() && expires_at.is_none_or(|at| now < at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_consist_of_unmistakable_characters_and_are_read_in_any_form() {
        let code = code_of([0, 1, 31, 32, 255, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]);
        assert_eq!(code, "AB9A9HJKLMNPQRST");
        assert_eq!(display_code(&code), "AB9A 9HJK LMNP QRST");
        assert_eq!(normalized_code(" ab9a-9hjk lmnp\tqrst "), code);
        assert_eq!((last_characters(&code), last_characters("XY")), ("QRST".to_owned(), "XY".to_owned()));
    }

    #[test]
    fn accounts_contribute_in_their_order_and_never_more_than_they_have() {
        assert_eq!(contributions(80, &[50, 20, 40]), [50, 20, 10]);
        assert_eq!(contributions(80, &[0, 90, 5]), [0, 80, 0]);
        assert_eq!(contributions(80, &[10]), [10]);
        assert_eq!(contributions(0, &[10, 5]), [0, 0]);
    }

    #[test]
    fn expired_and_disabled_accounts_can_not_be_spent() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000).unwrap();
        assert!(is_spendable(None, None, at(5)) && is_spendable(Some(at(6)), None, at(5)));
        assert!(!is_spendable(Some(at(5)), None, at(5)) && !is_spendable(None, Some(at(1)), at(5)));
    }
}
