//! Tax rates, as staff see and manage them.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use crate::domain::access::permissions::Permission;
use crate::domain::ids::{Id, TaxRateId};
use crate::domain::money::micros;
use crate::domain::page::{CursorKey, CursorKeyKind};
use crate::graphql::request::RequestContext;
use crate::graphql::types::codes::CountryCode;
use crate::graphql::types::connection::{ConnectionPage, PageArgs, connection};
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::guard::{PermissionGuard, may_manage_settings};
use crate::graphql::types::inline_object::InlineObject;
use crate::graphql::types::scalars::{DateTime, Decimal, gid, parse_gid};
use crate::loaders;
use crate::services::checkout::taxes::TaxRatePatch;

connection!(TaxRateConnection, TaxRateEdge, TaxRate, "tax rates");

/// The rate of a tax in a country or province, for a tax class. All rates that apply to an item are
/// added up.
#[derive(Clone)]
pub(crate) struct TaxRate(Arc<loaders::TaxRate>);

impl TaxRate {
    fn new(row: loaders::TaxRate) -> Self {
        Self(Arc::new(row))
    }

    /// Loads a tax rate; `None` for actors who may not manage the shop's settings.
    pub(crate) async fn find(ctx: &Context<'_>, id: TaxRateId) -> Result<Option<Self>> {
        if !ctx.op().may(Permission::ManageSettings) {
            return Ok(None);
        }
        Ok(ctx.loaders().checkout.tax_rates.load(id).await?.map(Self))
    }
}

/// The rate of a tax in a country or province, for a tax class. All rates that apply to an item are
/// added up.
#[Object(visible = "may_manage_settings")]
impl TaxRate {
    /// The ID of the tax rate.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// The name shown to buyers, such as `VAT`.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The country in which the tax is charged.
    async fn country_code(&self) -> Option<CountryCode> {
        CountryCode::parse(&self.0.country)
    }

    /// The code of the province in which the tax is charged. Null for the whole country.
    async fn province_code(&self) -> Option<&str> {
        self.0.province.as_deref()
    }

    /// The tax class of the taxed products, or `shipping` for delivery.
    async fn tax_class(&self) -> &str {
        &self.0.tax_class
    }

    /// The tax in percent of the price, such as `20` or `8.875`.
    async fn percentage(&self) -> Decimal {
        Decimal(micros::to_percentage(self.0.rate_micros))
    }

    /// When the tax rate was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When the tax rate was last updated.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

/// The input fields of a new tax rate.
#[derive(InputObject)]
pub struct TaxRateCreateInput {
    /// The name shown to buyers, such as `VAT`.
    name: String,
    /// The country in which the tax is charged.
    country_code: CountryCode,
    /// The code of the province in which the tax is charged. Defaults to the whole country.
    province_code: Option<String>,
    /// The tax class of the taxed products, or `shipping` for delivery. Defaults to `standard`.
    tax_class: Option<String>,
    /// The tax in percent of the price, such as `20` or `8.875`.
    percentage: Decimal,
}

/// The changes to a tax rate. Omitted fields are left unchanged.
#[derive(InputObject)]
pub struct TaxRateUpdateInput {
    /// The name shown to buyers, such as `VAT`.
    name: Option<String>,
    /// The country in which the tax is charged.
    country_code: Option<CountryCode>,
    /// The code of the province in which the tax is charged. Null for the whole country.
    province_code: MaybeUndefined<String>,
    /// The tax class of the taxed products, or `shipping` for delivery.
    tax_class: Option<String>,
    /// The tax in percent of the price, such as `20` or `8.875`.
    percentage: Option<Decimal>,
}

/// The result of `taxRateCreate`.
#[derive(SimpleObject)]
struct TaxRateCreatePayload {
    /// The new tax rate. Null if the mutation failed.
    tax_rate: Option<TaxRate>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `taxRateUpdate`.
#[derive(SimpleObject)]
struct TaxRateUpdatePayload {
    /// The updated tax rate. Null if the mutation failed.
    tax_rate: Option<TaxRate>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `taxRateDelete`.
#[derive(SimpleObject)]
struct TaxRateDeletePayload {
    /// The ID of the deleted tax rate. Null if the mutation failed.
    deleted_tax_rate_id: Option<ID>,
    /// Errors in the input. Empty when the mutation succeeded.
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

/// Tax rate queries.
#[derive(Default)]
pub(crate) struct TaxQuery;

#[Object]
impl TaxQuery {
    /// Returns the shop's tax rates, in order of creation.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn tax_rates(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
    ) -> Result<InlineObject<TaxRateConnection>> {
        const LIST: &str = "taxRates";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, CursorKeyKind::None)?;
        let page = ctx.services().taxes.page(ctx.op(), &request).await?;
        let page = page.map(|row| (TaxRate::new(row), CursorKey::None));
        Ok(InlineObject(TaxRateConnection(ConnectionPage::new(LIST, page, |rate| rate.0.id.uuid()))))
    }
}

/// Tax rate mutations.
#[derive(Default)]
pub(crate) struct TaxMutation;

#[Object]
impl TaxMutation {
    /// Creates a tax rate.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn tax_rate_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The tax rate to create.")] tax_rate: TaxRateCreateInput,
    ) -> Result<TaxRateCreatePayload> {
        let (created, user_errors) = payload(ctx.services().taxes.create(ctx.op(), &tax_rate.into()).await)?;
        Ok(TaxRateCreatePayload { tax_rate: created.map(TaxRate::new), user_errors })
    }

    /// Updates a tax rate. Existing orders are not affected.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn tax_rate_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the tax rate.")] id: ID,
        #[graphql(desc = "The fields to change.")] tax_rate: TaxRateUpdateInput,
    ) -> Result<TaxRateUpdatePayload> {
        let id = parse_gid(&id)?;
        let (updated, user_errors) =
            payload(ctx.services().taxes.update(ctx.op(), id, &tax_rate.into()).await)?;
        Ok(TaxRateUpdatePayload { tax_rate: updated.map(TaxRate::new), user_errors })
    }

    /// Deletes a tax rate. Existing orders are not affected.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn tax_rate_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the tax rate.")] id: ID,
    ) -> Result<TaxRateDeletePayload> {
        let id: TaxRateId = parse_gid(&id)?;
        let (deleted, user_errors) = payload(ctx.services().taxes.delete(ctx.op(), id).await)?;
        Ok(TaxRateDeletePayload { deleted_tax_rate_id: deleted.map(|()| gid(id)), user_errors })
    }
}
