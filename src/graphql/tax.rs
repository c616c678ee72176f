//! Tax rates: what staff see and change of them.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::codes::CountryCode;
use super::connection::{Items, PageArgs, connection};
use super::errors::{UserError, payload};
use super::guard::{Requires, manages_settings};
use super::request::RequestContext;
use super::scalars::{DateTime, Decimal, gid, parse_gid};
use crate::domain::ids::{Id, TaxRateId};
use crate::domain::micros;
use crate::domain::page::{CursorKey, KeyKind};
use crate::domain::permission::Permission;
use crate::graphql::in_order::InOrder;
use crate::loaders;
use crate::services::taxes::TaxRatePatch;

connection!(TaxRateConnection, TaxRateEdge, TaxRate, "tax rates");

/// A tax that is charged somewhere on something. All rates of a country, a province and a tax class add up.
#[derive(Clone)]
pub struct TaxRate(Arc<loaders::TaxRate>);

impl TaxRate {
    fn of(row: loaders::TaxRate) -> Self {
        Self(Arc::new(row))
    }

    /// The rate with an id, for those who manage the shop's settings; for others there is none.
    pub async fn find(ctx: &Context<'_>, id: TaxRateId) -> Result<Option<Self>> {
        if !ctx.op().may(Permission::ManageSettings) {
            return Ok(None);
        }
        Ok(ctx.loaders().tax_rates.load(id).await?.map(Self))
    }
}

/// A tax that is charged somewhere on something. All rates of a country, a province and a tax class add up.
#[Object(visible = "manages_settings")]
impl TaxRate {
    /// The rate's global id.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// What buyers read: `VAT`.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Where it is charged.
    async fn country_code(&self) -> Option<CountryCode> {
        CountryCode::parse(&self.0.country)
    }

    /// The province it is charged in; null means the whole country.
    async fn province_code(&self) -> Option<&str> {
        self.0.province.as_deref()
    }

    /// What is taxed: products of this class; `shipping` is delivery.
    async fn tax_class(&self) -> &str {
        &self.0.tax_class
    }

    /// How much of the price, such as `20` or `8.875`.
    async fn percentage(&self) -> Decimal {
        Decimal(micros::to_percentage(self.0.rate_micros))
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

/// A tax rate to be made.
#[derive(InputObject)]
pub struct TaxRateCreateInput {
    /// What buyers read: `VAT`.
    name: String,
    /// Where it is charged.
    country_code: CountryCode,
    /// The province it is charged in, by its code; the whole country when it is not given.
    province_code: Option<String>,
    /// What is taxed: products of this class, or `shipping`; `standard` when it is not given.
    tax_class: Option<String>,
    /// How much of the price, such as `20` or `8.875`.
    percentage: Decimal,
}

/// A change of a tax rate; what is not given stays as it is.
#[derive(InputObject)]
pub struct TaxRateUpdateInput {
    /// What buyers read: `VAT`.
    name: Option<String>,
    /// Where it is charged.
    country_code: Option<CountryCode>,
    /// The province it is charged in, by its code; null means the whole country.
    province_code: MaybeUndefined<String>,
    /// What is taxed: products of this class, or `shipping`.
    tax_class: Option<String>,
    /// How much of the price, such as `20` or `8.875`.
    percentage: Option<Decimal>,
}

/// What became of the tax rate.
#[derive(SimpleObject)]
struct TaxRateCreatePayload {
    /// The rate; null if it could not be made.
    tax_rate: Option<TaxRate>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the tax rate.
#[derive(SimpleObject)]
struct TaxRateUpdatePayload {
    /// The rate; null if it could not be changed.
    tax_rate: Option<TaxRate>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the tax rate.
#[derive(SimpleObject)]
struct TaxRateDeletePayload {
    /// The global id of the rate that is gone.
    deleted_tax_rate_id: Option<ID>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

impl From<TaxRateCreateInput> for TaxRatePatch {
    fn from(input: TaxRateCreateInput) -> Self {
        Self {
            name: Some(input.name),
            country: Some(input.country_code.0.to_owned()),
            province: input.province_code.map(Some),
            tax_class: input.tax_class,
            percentage: Some(input.percentage.0),
        }
    }
}

impl From<TaxRateUpdateInput> for TaxRatePatch {
    fn from(input: TaxRateUpdateInput) -> Self {
        Self {
            name: input.name,
            country: input.country_code.map(|code| code.0.to_owned()),
            province: input.province_code.into(),
            tax_class: input.tax_class,
            percentage: input.percentage.map(|percentage| percentage.0),
        }
    }
}

/// Reads of tax rates.
#[derive(Default)]
pub struct TaxQuery;

#[Object]
impl TaxQuery {
    /// Tax rates, in the order they were made.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn tax_rates(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
    ) -> Result<InOrder<TaxRateConnection>> {
        const LIST: &str = "taxRates";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, KeyKind::None)?;
        let page = ctx.services().taxes.page(ctx.op(), &request).await?;
        let page = page.map(|row| (TaxRate::of(row), CursorKey::None));
        Ok(InOrder(TaxRateConnection(Items::new(LIST, page, |rate| rate.0.id.uuid()))))
    }
}

/// Writes of tax rates.
#[derive(Default)]
pub struct TaxMutation;

#[Object]
impl TaxMutation {
    /// Makes a tax rate.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn tax_rate_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The rate.")] tax_rate: TaxRateCreateInput,
    ) -> Result<TaxRateCreatePayload> {
        let (made, user_errors) = payload(ctx.services().taxes.create(ctx.op(), &tax_rate.into()).await)?;
        Ok(TaxRateCreatePayload { tax_rate: made.map(TaxRate::of), user_errors })
    }

    /// Changes a tax rate. Orders keep what they were taxed.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn tax_rate_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The rate's global id.")] id: ID,
        #[graphql(desc = "What is to change.")] tax_rate: TaxRateUpdateInput,
    ) -> Result<TaxRateUpdatePayload> {
        let id = parse_gid(&id)?;
        let (changed, user_errors) =
            payload(ctx.services().taxes.update(ctx.op(), id, &tax_rate.into()).await)?;
        Ok(TaxRateUpdatePayload { tax_rate: changed.map(TaxRate::of), user_errors })
    }

    /// Deletes a tax rate. Orders keep what they were taxed.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn tax_rate_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The rate's global id.")] id: ID,
    ) -> Result<TaxRateDeletePayload> {
        let id: TaxRateId = parse_gid(&id)?;
        let (deleted, user_errors) = payload(ctx.services().taxes.delete(ctx.op(), id).await)?;
        Ok(TaxRateDeletePayload { deleted_tax_rate_id: deleted.map(|()| gid(id)), user_errors })
    }
}
