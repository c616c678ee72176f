//! Permissions for gift cards and store credit.

use mercato::domain::access::permissions::Permission::{ReadGiftCards, WriteGiftCards};

use super::Area;

#[rustfmt::skip]
pub const AREA: Area = Area {
    public: &[],
    guarded: &[
        ("giftCard", ReadGiftCards, r#"{ giftCard(id: "gid://mercato/GiftCard/00000000-0000-7000-8000-000000000000") { lastCharacters } }"#),
        ("giftCards", ReadGiftCards, "{ giftCards(first: 1) { nodes { lastCharacters } } }"),
        (
            "giftCardCreate",
            WriteGiftCards,
            r#"mutation { giftCardCreate(giftCard: { initialValue: "10" }) { giftCard { id } userErrors { code } } }"#,
        ),
        (
            "giftCardUpdate",
            WriteGiftCards,
            r#"mutation { giftCardUpdate(
                id: "gid://mercato/GiftCard/00000000-0000-7000-8000-000000000000", giftCard: { note: "For Ada" }
            ) { userErrors { code } } }"#,
        ),
        (
            "giftCardDeactivate",
            WriteGiftCards,
            r#"mutation { giftCardDeactivate(id: "gid://mercato/GiftCard/00000000-0000-7000-8000-000000000000") { userErrors { code } } }"#,
        ),
        (
            "giftCardCredit",
            WriteGiftCards,
            r#"mutation { giftCardCredit(
                id: "gid://mercato/GiftCard/00000000-0000-7000-8000-000000000000", input: { amount: "1" }
            ) { userErrors { code } } }"#,
        ),
        (
            "giftCardDebit",
            WriteGiftCards,
            r#"mutation { giftCardDebit(
                id: "gid://mercato/GiftCard/00000000-0000-7000-8000-000000000000", input: { amount: "1" }
            ) { userErrors { code } } }"#,
        ),
        (
            "storeCreditAccountCredit",
            WriteGiftCards,
            r#"mutation { storeCreditAccountCredit(
                id: "gid://mercato/Customer/00000000-0000-7000-8000-000000000000", input: { amount: "1" }
            ) { userErrors { code } } }"#,
        ),
        (
            "storeCreditAccountDebit",
            WriteGiftCards,
            r#"mutation { storeCreditAccountDebit(
                id: "gid://mercato/StoreCreditAccount/00000000-0000-7000-8000-000000000000", input: { amount: "1" }
            ) { userErrors { code } } }"#,
        ),
    ],
    guarded_fields: &[],
};
