//! Permissions for webhooks.

use mercato::domain::access::permissions::Permission::ManageSettings;

use super::Area;

#[rustfmt::skip]
pub const AREA: Area = Area {
    public: &[],
    guarded: &[
        ("webhookSubscriptions", ManageSettings, "{ webhookSubscriptions(first: 1) { nodes { url topics } } }"),
        (
            "webhookSubscription",
            ManageSettings,
            r#"{ webhookSubscription(id: "gid://mercato/WebhookSubscription/00000000-0000-7000-8000-000000000000") { url } }"#,
        ),
        (
            "webhookDeliveries",
            ManageSettings,
            r#"{ webhookDeliveries(
                first: 1, webhookSubscriptionId: "gid://mercato/WebhookSubscription/00000000-0000-7000-8000-000000000000"
            ) { nodes { payload attempts { error } } } }"#,
        ),
        (
            "webhookSubscriptionCreate",
            ManageSettings,
            r#"mutation { webhookSubscriptionCreate(
                webhookSubscription: { url: "https://shop.example/hook", topics: [DISCOUNT_CREATED] }
            ) { userErrors { code } } }"#,
        ),
        (
            "webhookSubscriptionUpdate",
            ManageSettings,
            r#"mutation { webhookSubscriptionUpdate(
                id: "gid://mercato/WebhookSubscription/00000000-0000-7000-8000-000000000000",
                webhookSubscription: { status: PAUSED }
            ) { userErrors { code } } }"#,
        ),
        (
            "webhookSubscriptionDelete",
            ManageSettings,
            r#"mutation { webhookSubscriptionDelete(
                id: "gid://mercato/WebhookSubscription/00000000-0000-7000-8000-000000000000"
            ) { userErrors { code } } }"#,
        ),
        (
            "webhookDeliveryRetry",
            ManageSettings,
            r#"mutation { webhookDeliveryRetry(
                id: "gid://mercato/WebhookDelivery/00000000-0000-7000-8000-000000000000"
            ) { userErrors { code } } }"#,
        ),
        (
            "webhookSubscriptionTest",
            ManageSettings,
            r#"mutation { webhookSubscriptionTest(
                id: "gid://mercato/WebhookSubscription/00000000-0000-7000-8000-000000000000"
            ) { userErrors { code } } }"#,
        ),
    ],
    guarded_fields: &[],
};
