//! Permissions for discounts, taxes and shipping.

use mercato::domain::access::permissions::Permission::{ManageSettings, ReadProducts};

use super::Area;

#[rustfmt::skip]
pub const AREA: Area = Area {
    public: &[],
    guarded: &[
        ("discount", ManageSettings, r#"{ discount(id: "gid://mercato/Discount/00000000-0000-7000-8000-000000000000") { title } }"#),
        ("discounts", ManageSettings, "{ discounts(first: 1) { nodes { title } } }"),
        (
            "discountCreate",
            ManageSettings,
            r#"mutation { discountCreate(discount: { title: "Sale", value: { freeShipping: true } }) { userErrors { code } } }"#,
        ),
        (
            "discountUpdate",
            ManageSettings,
            r#"mutation { discountUpdate(
                id: "gid://mercato/Discount/00000000-0000-7000-8000-000000000000", discount: { title: "Sale" }
            ) { userErrors { code } } }"#,
        ),
        (
            "discountDelete",
            ManageSettings,
            r#"mutation { discountDelete(id: "gid://mercato/Discount/00000000-0000-7000-8000-000000000000") { userErrors { code } } }"#,
        ),
        ("taxRates", ManageSettings, "{ taxRates(first: 1) { nodes { name } } }"),
        (
            "taxRateCreate",
            ManageSettings,
            r#"mutation { taxRateCreate(taxRate: { name: "VAT", countryCode: GB, percentage: 20 }) { userErrors { code } } }"#,
        ),
        (
            "taxRateUpdate",
            ManageSettings,
            r#"mutation { taxRateUpdate(
                id: "gid://mercato/TaxRate/00000000-0000-7000-8000-000000000000", taxRate: { name: "GST" }
            ) { userErrors { code } } }"#,
        ),
        (
            "taxRateDelete",
            ManageSettings,
            r#"mutation { taxRateDelete(id: "gid://mercato/TaxRate/00000000-0000-7000-8000-000000000000") { userErrors { code } } }"#,
        ),
        ("shippingZones", ManageSettings, "{ shippingZones(first: 1) { nodes { name shippingRates { name } } } }"),
        (
            "shippingZoneCreate",
            ManageSettings,
            r#"mutation { shippingZoneCreate(shippingZone: { name: "France", countries: [FR] }) { userErrors { code } } }"#,
        ),
        (
            "shippingZoneUpdate",
            ManageSettings,
            r#"mutation { shippingZoneUpdate(
                id: "gid://mercato/ShippingZone/00000000-0000-7000-8000-000000000000", shippingZone: { name: "Spain" }
            ) { userErrors { code } } }"#,
        ),
        (
            "shippingZoneDelete",
            ManageSettings,
            r#"mutation {
                shippingZoneDelete(id: "gid://mercato/ShippingZone/00000000-0000-7000-8000-000000000000") { userErrors { code } }
            }"#,
        ),
        (
            "shippingRateCreate",
            ManageSettings,
            r#"mutation { shippingRateCreate(
                shippingRate: { shippingZoneId: "gid://mercato/ShippingZone/00000000-0000-7000-8000-000000000000", strategy: "express" }
            ) { userErrors { code } } }"#,
        ),
        (
            "shippingRateUpdate",
            ManageSettings,
            r#"mutation { shippingRateUpdate(
                id: "gid://mercato/ShippingRate/00000000-0000-7000-8000-000000000000", shippingRate: { name: "Slow" }
            ) { userErrors { code } } }"#,
        ),
        (
            "shippingRateDelete",
            ManageSettings,
            r#"mutation {
                shippingRateDelete(id: "gid://mercato/ShippingRate/00000000-0000-7000-8000-000000000000") { userErrors { code } }
            }"#,
        ),
    ],
    guarded_fields: &[("Product.taxClass", ReadProducts, "{ product(id: <product>) { taxClass } }")],
};
