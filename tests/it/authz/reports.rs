//! Permissions for reports.

use mercato::domain::access::permissions::Permission::ReadReports;

use super::Area;

pub const AREA: Area = Area {
    public: &[],
    guarded: &[
        (
            "salesReport",
            ReadReports,
            r#"{ salesReport(from: "2026-01-01", to: "2026-01-31", by: DAY) { totals { orderCount } } }"#,
        ),
        ("dailyReport", ReadReports, r#"{ dailyReport(date: "2026-01-31") { date } }"#),
    ],
    guarded_fields: &[],
};
