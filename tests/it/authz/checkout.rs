//! Anybody who knows a cart's id may order it.

use super::Area;

pub const AREA: Area = Area {
    public: &[(
        "orderPlace",
        r#"mutation {
            orderPlace(input: { cartId: "gid://mercato/Cart/none", expectedTotal: "1", payment: { provider: "manual" } }) {
                order { id } userErrors { code }
            }
        }"#,
    )],
    guarded: &[],
    guarded_fields: &[],
};
