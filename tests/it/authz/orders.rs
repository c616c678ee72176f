//! Permissions for orders. `orders::sight` tests that orders are hidden from other buyers.

use mercato::domain::access::permissions::Permission::{ReadOrders, WriteOrders};

use super::Area;

pub const AREA: Area = Area {
    public: &[("order", "{ order(id: <order>) { name } }")],
    guarded: &[
        ("orders", ReadOrders, "{ orders(first: 1) { nodes { name } } }"),
        (
            "draftOrder",
            ReadOrders,
            r#"{ draftOrder(id: "gid://mercato/DraftOrder/00000000-0000-7000-8000-000000000000") { id } }"#,
        ),
        ("draftOrders", ReadOrders, "{ draftOrders(first: 1) { nodes { id } } }"),
        (
            "orderCancel",
            WriteOrders,
            "mutation { orderCancel(id: <no order>, input: { reason: OTHER }) { userErrors { code } } }",
        ),
        (
            "orderMarkAsPaid",
            WriteOrders,
            "mutation { orderMarkAsPaid(id: <no order>) { userErrors { code } } }",
        ),
        (
            "orderNoteAdd",
            WriteOrders,
            r#"mutation { orderNoteAdd(orderId: <no order>, note: "Hm") { userErrors { code } } }"#,
        ),
        (
            "fulfillmentCreate",
            WriteOrders,
            "mutation { fulfillmentCreate(fulfillment: { orderId: <no order> }) { userErrors { code } } }",
        ),
        (
            "fulfillmentCancel",
            WriteOrders,
            r#"mutation {
                fulfillmentCancel(id: "gid://mercato/Fulfillment/00000000-0000-7000-8000-000000000000") { userErrors { code } }
            }"#,
        ),
        (
            "refundCreate",
            WriteOrders,
            "mutation { refundCreate(refund: { orderId: <no order>, shippingAmount: 1 }) { userErrors { code } } }",
        ),
        (
            "returnCreate",
            WriteOrders,
            "mutation { returnCreate(return: { orderId: <no order>, lineItems: [] }) { userErrors { code } } }",
        ),
        (
            "returnReceive",
            WriteOrders,
            r#"mutation {
                returnReceive(id: "gid://mercato/Return/00000000-0000-7000-8000-000000000000") { userErrors { code } }
            }"#,
        ),
        (
            "orderUpdate",
            WriteOrders,
            r#"mutation { orderUpdate(id: <no order>, order: { tags: ["vip"] }) { userErrors { code } } }"#,
        ),
        (
            "draftOrderDelete",
            WriteOrders,
            r#"mutation {
                draftOrderDelete(id: "gid://mercato/DraftOrder/00000000-0000-7000-8000-000000000000") { userErrors { code } }
            }"#,
        ),
        (
            "draftOrderCreate",
            WriteOrders,
            "mutation { draftOrderCreate(draftOrder: {}) { userErrors { code } } }",
        ),
        (
            "draftOrderUpdate",
            WriteOrders,
            r#"mutation {
                draftOrderUpdate(id: "gid://mercato/DraftOrder/00000000-0000-7000-8000-000000000000", draftOrder: {}) { userErrors { code } }
            }"#,
        ),
        (
            "draftOrderComplete",
            WriteOrders,
            r#"mutation {
                draftOrderComplete(id: "gid://mercato/DraftOrder/00000000-0000-7000-8000-000000000000") { userErrors { code } }
            }"#,
        ),
    ],
    guarded_fields: &[
        (
            "Order.transactions",
            ReadOrders,
            "{ order(id: <order>, token: <token>) { transactions { kind } } }",
        ),
        (
            "Order.refundableAmount",
            ReadOrders,
            "{ order(id: <order>, token: <token>) { refundableAmount { amount } } }",
        ),
        (
            "Order.timeline",
            ReadOrders,
            "{ order(id: <order>, token: <token>) { timeline(first: 1) { nodes { kind } } } }",
        ),
        ("Refund.note", ReadOrders, "{ order(id: <order>, token: <token>) { refunds { note } } }"),
    ],
};
