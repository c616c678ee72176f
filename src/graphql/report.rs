//! Reports: what was sold, in figures. When what counts stands in `services::reports`.

use async_graphql::{Context, Enum, ID, Object, Result};

use super::catalog::Product;
use super::codes::{CountryCode, CurrencyCode};
use super::guard::{Requires, reads_reports};
use super::in_order::InOrder;
use super::request::RequestContext;
use super::scalars::{Date, gid};
use super::shop::MoneyV2;
use crate::domain::money::{Currency, Money};
use crate::domain::permission::Permission;
use crate::domain::report::{self, Day};
use crate::services::reports;

/// What a report has a row for.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "report::SalesBy", visible = "reads_reports")]
pub enum SalesReportBy {
    /// Each day.
    Day,
    /// Each product.
    Product,
    /// Each country that things are sent to.
    Country,
    /// Each currency.
    Currency,
}

/// What was sold from one day to another.
pub struct SalesReport(reports::SalesReport);

/// What was sold from one day to another. An order counts on the day it was paid for, a refund on the day the money went back.
#[Object(visible = "reads_reports")]
impl SalesReport {
    /// The first day.
    async fn from(&self) -> Date {
        Date(self.0.from)
    }

    /// The last day.
    async fn to(&self) -> Date {
        Date(self.0.to)
    }

    /// Days in their order; of everything else what sold most first. Days on which nothing happened are left out.
    async fn rows(&self) -> Vec<InOrder<SalesReportRow>> {
        rows(&self.0.rows)
    }

    /// Everything together: a row for each currency.
    async fn totals(&self) -> Vec<InOrder<SalesReportRow>> {
        rows(&self.0.totals)
    }
}

/// What was sold on a day.
pub struct DailyReport(reports::DailyReport);

/// What was sold on a day.
#[Object(visible = "reads_reports")]
impl DailyReport {
    /// The day.
    async fn date(&self) -> Date {
        Date(self.0.day)
    }

    /// A row for each currency; none where nothing happened.
    async fn totals(&self) -> Vec<InOrder<SalesReportRow>> {
        rows(&self.0.totals)
    }

    /// The ten products that sold most.
    async fn products(&self) -> Vec<InOrder<SalesReportRow>> {
        rows(&self.0.products)
    }

    /// The ten countries that most was sold to.
    async fn countries(&self) -> Vec<InOrder<SalesReportRow>> {
        rows(&self.0.countries)
    }
}

fn rows(rows: &[reports::SalesRow]) -> Vec<InOrder<SalesReportRow>> {
    rows.iter().map(|row| InOrder(SalesReportRow(row.clone()))).collect()
}

/// A row of a report.
pub struct SalesReportRow(reports::SalesRow);

impl SalesReportRow {
    /// An amount in the row's currency.
    fn money(&self, ctx: &Context<'_>, minor: i64) -> MoneyV2 {
        let currency = Currency::parse(&self.0.currency).unwrap_or(ctx.shop().currency);
        MoneyV2(Money::new(minor, currency))
    }
}

/// A row of a report: what was sold of something.
#[Object(visible = "reads_reports")]
impl SalesReportRow {
    /// The day, in a report by days.
    async fn date(&self) -> Option<Date> {
        match &self.0.of {
            reports::Of::Day(day) => Day::parse(day).map(Date),
            _ => None,
        }
    }

    /// The product's id, in a report by products; it stays when the product is deleted. Null for
    /// what is of no product of the shop, such as delivery and lines of imported orders.
    async fn product_id(&self) -> Option<ID> {
        match &self.0.of {
            reports::Of::Product(id, _) => id.map(gid),
            _ => None,
        }
    }

    /// The product's title, in a report by products; null once it is deleted.
    async fn product_title(&self) -> Option<&str> {
        match &self.0.of {
            reports::Of::Product(_, Some(product)) => Some(&product.title),
            _ => None,
        }
    }

    /// The product, in a report by products, for those who may see it.
    async fn product(&self, ctx: &Context<'_>) -> Result<Option<InOrder<Product>>> {
        let reports::Of::Product(Some(id), Some(_)) = &self.0.of else { return Ok(None) };
        Ok(ctx.loaders().products.load(*id).await?.map(|product| InOrder(Product(product))))
    }

    /// The country, in a report by countries; `ZZ` where it is not known.
    async fn country_code(&self) -> Option<CountryCode> {
        match &self.0.of {
            reports::Of::Country(code) => Some(CountryCode::parse(code).unwrap_or(CountryCode("ZZ"))),
            _ => None,
        }
    }

    /// The currency.
    async fn currency_code(&self, ctx: &Context<'_>) -> CurrencyCode {
        CurrencyCode::parse(&self.0.currency).unwrap_or(CurrencyCode(ctx.shop().currency.code()))
    }

    /// Orders that were paid for.
    async fn order_count(&self) -> i64 {
        self.0.figures.orders
    }

    /// Pieces that were sold.
    async fn quantity(&self) -> i64 {
        self.0.figures.quantity
    }

    /// What the pieces cost before discounts, without taxes.
    async fn gross_sales(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.money(ctx, self.0.figures.gross)
    }

    /// What discounts took off that, without taxes.
    async fn discounts(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.money(ctx, self.0.figures.discounts)
    }

    /// What went back of the rest, for pieces or as a goodwill, without taxes.
    async fn returns(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.money(ctx, self.0.figures.returns)
    }

    /// Gross sales less discounts and returns.
    async fn net_sales(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.money(ctx, self.0.figures.net())
    }

    /// What delivery cost after its discounts, less what went back of it, without taxes. In a
    /// report by products it is in the row of no product.
    async fn shipping(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.money(ctx, self.0.figures.shipping)
    }

    /// All taxes, less what went back of them.
    async fn taxes(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.money(ctx, self.0.figures.tax)
    }

    /// Net sales with delivery and taxes: what was paid, less what went back.
    async fn total_sales(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.money(ctx, self.0.figures.total)
    }

    /// The money that went back, with taxes: it is in returns, delivery and taxes already.
    async fn refunds(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.money(ctx, self.0.figures.refunds)
    }

    /// Orders that were canceled; zero in a report by products.
    async fn canceled_order_count(&self) -> i64 {
        self.0.figures.cancelled
    }
}

/// Reads of reports.
#[derive(Default)]
pub struct ReportQuery;

#[Object]
impl ReportQuery {
    /// What was sold from one day to another, in UTC; over up to 366 days.
    #[graphql(guard = "Requires(Permission::ReadReports)", visible = "reads_reports")]
    async fn sales_report(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first day.")] from: Date,
        #[graphql(desc = "The last day.")] to: Date,
        #[graphql(desc = "What there is a row for.")] by: SalesReportBy,
        #[graphql(desc = "The first so many rows, up to 1000.", default = 366)] first: i32,
    ) -> Result<InOrder<SalesReport>> {
        let (services, first) = (ctx.services(), i64::from(first));
        let report = services.reports.sales(ctx.op(), from.0, to.0, by.into(), first).await?;
        Ok(InOrder(SalesReport(report)))
    }

    /// What was sold on a day, in UTC, as it is mailed to staff the night after.
    #[graphql(guard = "Requires(Permission::ReadReports)", visible = "reads_reports")]
    async fn daily_report(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The day.")] date: Date,
    ) -> Result<InOrder<DailyReport>> {
        Ok(InOrder(DailyReport(ctx.services().reports.daily(ctx.op(), date.0).await?)))
    }
}
