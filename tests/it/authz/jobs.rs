//! Permissions for jobs and subscriptions.

use mercato::domain::access::permissions::Permission::{ManageSettings, ReadOrders};

use super::Area;

/// Root fields that all staff and API keys may use.
pub const FOR_STAFF: &[(&str, &str)] =
    &[("job", "{ job(id: <job>) { id } }"), ("jobUpdated", "subscription { jobUpdated(id: <job>) { id } }")];

pub const AREA: Area = Area {
    public: &[
        ("orderUpdated", "subscription { orderUpdated(id: <order>, token: <token>) { cursor } }"),
        ("cartUpdated", "subscription { cartUpdated(id: <cart>) { cursor } }"),
        ("productUpdated", "subscription { productUpdated(id: <product>) { cursor } }"),
        (
            "inventoryLevelUpdated",
            "subscription { inventoryLevelUpdated(variantIds: [<variant>]) { cursor } }",
        ),
    ],
    guarded: &[
        ("jobs", ManageSettings, r#"{ jobs(first: 1, query: "status:dead") { nodes { id } } }"#),
        (
            "jobRetry",
            ManageSettings,
            r#"mutation { jobRetry(id: "gid://mercato/Job/00000000-0000-7000-8000-000000000000") { userErrors { code } } }"#,
        ),
        (
            "jobCancel",
            ManageSettings,
            r#"mutation { jobCancel(id: "gid://mercato/Job/00000000-0000-7000-8000-000000000000") { userErrors { code } } }"#,
        ),
        ("scheduledTasks", ManageSettings, "{ scheduledTasks { name } }"),
        (
            "scheduledTaskRun",
            ManageSettings,
            r#"mutation { scheduledTaskRun(name: "none") { userErrors { code } } }"#,
        ),
        ("orderEvents", ReadOrders, r#"subscription { orderEvents(query: "status:paid") { cursor } }"#),
        ("events", ManageSettings, r#"subscription { events(kinds: ["order.paid"]) { cursor } }"#),
    ],
    guarded_fields: &[],
};
