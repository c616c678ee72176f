//! Anybody who knows a cart's id may order it, and whoever has an order's token may pay it.

use super::Area;

pub const AREA: Area = Area {
    public: &[
        (
            "orderPlace",
            r#"mutation {
            orderPlace(input: { cartId: "gid://mercato/Cart/none", expectedTotal: "1", payment: { provider: "manual" } }) {
                order { id } userErrors { code }
            }
        }"#,
        ),
        (
            "orderPaymentCreate",
            r#"mutation {
            orderPaymentCreate(orderId: "gid://mercato/Order/01890a5d-ac96-774b-bcce-b302099a8057", payment: { provider: "manual" }) {
                order { id } userErrors { code }
            }
        }"#,
        ),
        (
            "orderPaymentSync",
            r#"mutation {
            orderPaymentSync(orderId: "gid://mercato/Order/01890a5d-ac96-774b-bcce-b302099a8057") {
                order { id } userErrors { code }
            }
        }"#,
        ),
        ("paymentProviders", "{ paymentProviders { name flow publishableKey } }"),
    ],
    guarded: &[],
    guarded_fields: &[],
};
