//! Anybody may use a cart whose key they know, unless it belongs to somebody else; that is tested
//! in `checkout::carts::access`.

use super::Area;

#[rustfmt::skip]
pub const AREA: Area = Area {
    public: &[
        ("cart", "{ cart(id: <none>) { id } }"),
        ("cartCreate", "mutation { cartCreate(input: { lines: [{ merchandiseId: <variant> }] }) { cart { id } userErrors { code } } }"),
        ("cartLinesAdd", "mutation { cartLinesAdd(cartId: <none>, lines: [{ merchandiseId: <variant> }]) { cart { id } userErrors { code } } }"),
        ("cartLinesUpdate", "mutation { cartLinesUpdate(cartId: <none>, lines: []) { cart { id } userErrors { code } } }"),
        ("cartLinesRemove", "mutation { cartLinesRemove(cartId: <none>, lineIds: []) { cart { id } userErrors { code } } }"),
        ("cartDiscountCodesUpdate", "mutation { cartDiscountCodesUpdate(cartId: <none>, discountCodes: []) { cart { id } userErrors { code } } }"),
        ("cartBuyerIdentityUpdate", "mutation { cartBuyerIdentityUpdate(cartId: <none>, buyerIdentity: {}) { cart { id } userErrors { code } } }"),
        ("cartPaymentUpdate", r#"mutation { cartPaymentUpdate(cartId: <none>, payment: { amount: { amount: "1", currencyCode: USD } }) { cart { id } userErrors { code } } }"#),
        ("cartPrepareForCompletion", "mutation { cartPrepareForCompletion(cartId: <none>) { result { __typename } userErrors { code } } }"),
        ("cartSubmitForCompletion", r#"mutation { cartSubmitForCompletion(cartId: <none>, attemptToken: "x") { result { __typename } userErrors { code } } }"#),
        ("cartCompletionAttempt", r#"{ cartCompletionAttempt(attemptId: "x") { __typename } }"#),
        ("cartNoteUpdate", r#"mutation { cartNoteUpdate(cartId: <none>, note: "") { cart { id } userErrors { code } } }"#),
        ("cartAttributesUpdate", "mutation { cartAttributesUpdate(cartId: <none>, attributes: []) { cart { id } userErrors { code } } }"),
        ("cartDeliveryAddressesAdd", "mutation { cartDeliveryAddressesAdd(cartId: <none>, addresses: []) { cart { id } userErrors { code } } }"),
        ("cartDeliveryAddressesUpdate", "mutation { cartDeliveryAddressesUpdate(cartId: <none>, addresses: []) { cart { id } userErrors { code } } }"),
        ("cartDeliveryAddressesRemove", "mutation { cartDeliveryAddressesRemove(cartId: <none>, addressIds: []) { cart { id } userErrors { code } } }"),
        ("cartGiftCardCodesAdd", "mutation { cartGiftCardCodesAdd(cartId: <none>, giftCardCodes: []) { cart { id } userErrors { code } } }"),
        ("cartGiftCardCodesRemove", "mutation { cartGiftCardCodesRemove(cartId: <none>, appliedGiftCardIds: []) { cart { id } userErrors { code } } }"),
        ("cartGiftCardCodesUpdate", "mutation { cartGiftCardCodesUpdate(cartId: <none>, giftCardCodes: []) { cart { id } userErrors { code } } }"),
        ("cartStoreCreditSet", "mutation { cartStoreCreditSet(cartId: <none>, isUsed: true) { cart { id } userErrors { code } } }"),
        ("cartSelectedDeliveryOptionsUpdate", "mutation { cartSelectedDeliveryOptionsUpdate(cartId: <none>, selectedDeliveryOptions: []) { cart { id } userErrors { code } } }"),
    ],
    guarded: &[],
    guarded_fields: &[],
};
