//! Sales reports. `services::reports` documents on which day orders and refunds count.

use async_graphql::{Context, Enum, ID, Object, Result};

use super::catalog::Product;
use super::request::RequestContext;
use super::shop::MoneyV2;
use super::types::codes::{CountryCode, CurrencyCode};
use super::types::guard::{PermissionGuard, may_read_reports};
use super::types::inline_object::InlineObject;
use super::types::scalars::{Date, gid};
use crate::domain::access::permissions::Permission;
use crate::domain::reports::Day;
use crate::services::reports;

/// How the rows of a sales report are grouped.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "crate::domain::reports::SalesBy", visible = "may_read_reports")]
pub enum SalesReportBy {
    /// A row per day.
    Day,
    /// A row per product.
    Product,
    /// A row per country of delivery.
    Country,
    /// A row per currency.
    Currency,
}

/// A sales report for a range of days.
pub(super) struct SalesReport(reports::SalesReport);

/// A sales report for a range of days. Orders count on the day of their payment, refunds on the day
/// they were made.
#[Object(visible = "may_read_reports")]
impl SalesReport {
    /// The first day.
    async fn from(&self) -> Date {
        Date(self.0.from)
    }

    /// The last day.
    async fn to(&self) -> Date {
        Date(self.0.to)
    }

    /// The rows: days in chronological order, anything else by sales in descending order. Days
    /// without sales or refunds are omitted.
    async fn rows(&self) -> Vec<InlineObject<SalesReportRow>> {
        rows(&self.0.rows)
    }

    /// The totals, with a row for each currency.
    async fn totals(&self) -> Vec<InlineObject<SalesReportRow>> {
        rows(&self.0.totals)
    }
}

/// A sales report for a single day.
pub(super) struct DailyReport(reports::DailyReport);

/// A sales report for a single day.
#[Object(visible = "may_read_reports")]
impl DailyReport {
    /// The day.
    async fn date(&self) -> Date {
        Date(self.0.day)
    }

    /// The totals, with a row for each currency that had sales or refunds.
    async fn totals(&self) -> Vec<InlineObject<SalesReportRow>> {
        rows(&self.0.totals)
    }

    /// The ten best-selling products.
    async fn products(&self) -> Vec<InlineObject<SalesReportRow>> {
        rows(&self.0.products)
    }

    /// The ten countries with the most sales.
    async fn countries(&self) -> Vec<InlineObject<SalesReportRow>> {
        rows(&self.0.countries)
    }
}

fn rows(rows: &[reports::SalesRow]) -> Vec<InlineObject<SalesReportRow>> {
    rows.iter().map(|row| InlineObject(SalesReportRow(row.clone()))).collect()
}

/// A row of a sales report.
pub(super) struct SalesReportRow(reports::SalesRow);

impl SalesReportRow {
    /// An amount in the row's currency.
    fn money(&self, ctx: &Context<'_>, minor: i64) -> MoneyV2 {
        MoneyV2::stored(ctx, minor, &self.0.currency)
    }
}

/// A row of a sales report.
#[Object(visible = "may_read_reports")]
impl SalesReportRow {
    /// The day, in a report by days.
    async fn date(&self) -> Option<Date> {
        match &self.0.group {
            reports::SalesGroup::Day(day) => Day::parse(day).map(Date),
            _ => None,
        }
    }

    /// The ID of the product, in a report by products, even if the product was deleted. Null for
    /// the row of everything that is not a product of the shop, such as delivery and custom line
    /// items of imported orders.
    async fn product_id(&self) -> Option<ID> {
        match &self.0.group {
            reports::SalesGroup::Product(id, _) => id.map(gid),
            _ => None,
        }
    }

    /// The title of the product, in a report by products. Null if it was deleted.
    async fn product_title(&self) -> Option<&str> {
        match &self.0.group {
            reports::SalesGroup::Product(_, Some(product)) => Some(&product.title),
            _ => None,
        }
    }

    /// The product, in a report by products. Null if it was deleted or you may not see it.
    async fn product(&self, ctx: &Context<'_>) -> Result<Option<InlineObject<Product>>> {
        let reports::SalesGroup::Product(Some(id), Some(_)) = &self.0.group else { return Ok(None) };
        Ok(ctx.loaders().catalog.products.load(*id).await?.map(|product| InlineObject(Product(product))))
    }

    /// The country, in a report by countries; `ZZ` if it is unknown.
    async fn country_code(&self) -> Option<CountryCode> {
        match &self.0.group {
            reports::SalesGroup::Country(code) => Some(CountryCode::parse(code).unwrap_or(CountryCode("ZZ"))),
            _ => None,
        }
    }

    /// The currency of the amounts.
    async fn currency_code(&self, ctx: &Context<'_>) -> CurrencyCode {
        CurrencyCode::parse(&self.0.currency).unwrap_or(CurrencyCode(ctx.shop().currency.code()))
    }

    /// The number of paid orders.
    async fn order_count(&self) -> i64 {
        self.0.figures.orders
    }

    /// The number of units sold.
    async fn quantity(&self) -> i64 {
        self.0.figures.quantity
    }

    /// The sales before discounts, excluding taxes.
    async fn gross_sales(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.money(ctx, self.0.figures.gross)
    }

    /// The discounts, excluding taxes.
    async fn discounts(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.money(ctx, self.0.figures.discounts)
    }

    /// The refunds for items and as goodwill, excluding taxes.
    async fn returns(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.money(ctx, self.0.figures.returns)
    }

    /// The gross sales minus discounts and returns.
    async fn net_sales(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.money(ctx, self.0.figures.net())
    }

    /// The delivery charges after discounts, minus their refunds, excluding taxes. In a report by
    /// products, they are in the row without a product.
    async fn shipping(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.money(ctx, self.0.figures.shipping)
    }

    /// The taxes, minus refunded taxes.
    async fn taxes(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.money(ctx, self.0.figures.tax)
    }

    /// The net sales plus delivery and taxes: the payments minus the refunds.
    async fn total_sales(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.money(ctx, self.0.figures.total)
    }

    /// The refunds, including taxes. They are already part of returns, and deducted from
    /// delivery and taxes.
    async fn refunds(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.money(ctx, self.0.figures.refunds)
    }

    /// The number of canceled orders; zero in a report by products.
    async fn canceled_order_count(&self) -> i64 {
        self.0.figures.cancelled
    }
}

/// Report queries.
#[derive(Default)]
pub(super) struct ReportQuery;

#[Object]
impl ReportQuery {
    /// Returns a sales report for a range of up to 366 days in UTC.
    #[graphql(guard = "PermissionGuard(Permission::ReadReports)", visible = "may_read_reports")]
    async fn sales_report(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first day.")] from: Date,
        #[graphql(desc = "The last day.")] to: Date,
        #[graphql(desc = "How to group the rows.")] by: SalesReportBy,
        #[graphql(desc = "Returns up to the first `n` rows, at most 1000.", default = 366)] first: i32,
    ) -> Result<InlineObject<SalesReport>> {
        let (services, first) = (ctx.services(), i64::from(first));
        let report = services.reports.sales(ctx.op(), from.0, to.0, by.into(), first).await?;
        Ok(InlineObject(SalesReport(report)))
    }

    /// Returns the sales report for a day in UTC, as mailed to staff the following night.
    #[graphql(guard = "PermissionGuard(Permission::ReadReports)", visible = "may_read_reports")]
    async fn daily_report(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The day.")] date: Date,
    ) -> Result<InlineObject<DailyReport>> {
        Ok(InlineObject(DailyReport(ctx.services().reports.daily(ctx.op(), date.0).await?)))
    }
}
