//! Shipping zones and rates, as staff see and manage them.

mod mutation;

pub(crate) use mutation::ShippingMutation;

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};

use crate::domain::access::permissions::Permission;
use crate::domain::checkout::shipping;
use crate::domain::ids::{Id, ShippingRateId, ShippingZoneId};
use crate::domain::money::micros;
use crate::domain::page::{CursorKey, CursorKeyKind};
use crate::graphql::catalog::inventory::Location;
use crate::graphql::request::RequestContext;
use crate::graphql::shop::MoneyV2;
use crate::graphql::types::codes::CountryCode;
use crate::graphql::types::connection::{ConnectionPage, PageArgs, connection};
use crate::graphql::types::guard::{PermissionGuard, may_manage_settings};
use crate::graphql::types::inline_object::InlineObject;
use crate::graphql::types::scalars::{DateTime, Decimal, gid};
use crate::loaders;

connection!(ShippingZoneConnection, ShippingZoneEdge, ShippingZone, "shipping zones");

/// A shipping zone: countries with the same shipping rates.
#[derive(Clone)]
pub(crate) struct ShippingZone(Arc<loaders::ShippingZone>);

/// A shipping rate of a zone. Its price is the sum of a base price, a price table, and prices per
/// kilogram and per kilometer.
#[derive(Clone)]
pub(crate) struct ShippingRate(Arc<loaders::ShippingRate>);

/// What the steps of a price table depend on.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "shipping::TableBy", visible = "may_manage_settings")]
pub enum ShippingPriceTableBy {
    /// The weight of all items to be shipped, in kilograms.
    Weight,
    /// The subtotal of all items before discounts.
    Subtotal,
}

/// A price table by weight or by subtotal.
#[derive(SimpleObject)]
#[graphql(visible = "may_manage_settings")]
struct ShippingPriceTable {
    /// What the steps depend on.
    by: ShippingPriceTableBy,
    /// The steps of the table. Each one applies up to the beginning of the next. Below the first
    /// step, the rate isn't available.
    steps: Vec<ShippingPriceStep>,
}

/// A step of a price table.
#[derive(SimpleObject)]
#[graphql(visible = "may_manage_settings")]
struct ShippingPriceStep {
    /// The weight in kilograms, or the subtotal in the shop's currency, at which the step begins.
    from: Decimal,
    /// The price of the step.
    price: MoneyV2,
}

impl ShippingZone {
    /// A shipping zone that was loaded or saved.
    pub(crate) fn new(row: loaders::ShippingZone) -> Self {
        Self(Arc::new(row))
    }

    /// Finds a shipping zone by ID. `None` unless the actor may manage settings.
    pub(crate) async fn find(ctx: &Context<'_>, id: ShippingZoneId) -> Result<Option<Self>> {
        if !ctx.op().may(Permission::ManageSettings) {
            return Ok(None);
        }
        Ok(ctx.loaders().checkout.shipping_zones.load(id).await?.map(Self))
    }
}

impl ShippingRate {
    /// A shipping rate that was loaded or saved.
    pub(crate) fn new(row: loaders::ShippingRate) -> Self {
        Self(Arc::new(row))
    }

    /// Finds a shipping rate by ID. `None` unless the actor may manage settings.
    pub(crate) async fn find(ctx: &Context<'_>, id: ShippingRateId) -> Result<Option<Self>> {
        if !ctx.op().may(Permission::ManageSettings) {
            return Ok(None);
        }
        Ok(ctx.loaders().checkout.shipping_rates.load(id).await?.map(Self))
    }
}

/// A shipping zone: a group of countries with the same shipping rates.
#[Object(visible = "may_manage_settings")]
impl ShippingZone {
    /// The ID of the shipping zone.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// The name, unique in the shop.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The countries of the zone. Empty for the zone that covers all countries not in another zone.
    async fn countries(&self) -> Vec<CountryCode> {
        self.0.countries.0.iter().filter_map(|code| CountryCode::parse(code)).collect()
    }

    /// The shipping distance in meters that is assumed if the coordinates of the addresses aren't
    /// known.
    async fn default_distance_meters(&self) -> i64 {
        self.0.default_distance_metres
    }

    /// The shipping rates of the zone, in the order set by staff.
    async fn shipping_rates(&self, ctx: &Context<'_>) -> Result<Vec<ShippingRate>> {
        let rows = ctx.loaders().checkout.rates_of_zone.load(self.0.id).await?;
        Ok(rows.iter().cloned().map(ShippingRate).collect())
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it was last updated.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

/// A shipping rate of a zone. Its price is the sum of a base price, a price from a table, and
/// prices per kilogram and per kilometer.
#[Object(visible = "may_manage_settings")]
impl ShippingRate {
    /// The ID of the shipping rate.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// The zone that the rate belongs to.
    async fn shipping_zone(&self, ctx: &Context<'_>) -> Result<Option<ShippingZone>> {
        ShippingZone::find(ctx, self.0.zone_id).await
    }

    /// The pricing strategy: `standard`, `express`, `overnight`, `flat` or `pickup`.
    async fn strategy(&self) -> &str {
        &self.0.strategy
    }

    /// The name shown to buyers.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The base price, regardless of what is shipped and where.
    async fn price(&self, ctx: &Context<'_>) -> MoneyV2 {
        MoneyV2(ctx.shop().money(self.0.base_price))
    }

    /// The price by weight or by subtotal, added to the base price. Null if there is no table.
    async fn price_table(&self, ctx: &Context<'_>) -> Option<ShippingPriceTable> {
        let table = &self.0.price_table.as_ref()?.0;
        let step = |step: &shipping::PriceStep| ShippingPriceStep {
            from: Decimal(match table.by {
                shipping::TableBy::Weight => micros::to_decimal(step.from),
                shipping::TableBy::Subtotal => ctx.shop().money(step.from).to_decimal(),
            }),
            price: MoneyV2(ctx.shop().money(step.price)),
        };
        Some(ShippingPriceTable { by: table.by.into(), steps: table.steps.iter().map(step).collect() })
    }

    /// The location where buyers pick up their order. Null for rates that ship, and for readers who
    /// can't see locations.
    async fn location(&self, ctx: &Context<'_>) -> Result<Option<Location>> {
        let Some(id) = self.0.location_id else { return Ok(None) };
        Location::find(ctx, id).await
    }

    /// The price per kilogram, in the currency's main unit.
    async fn price_per_kilogram(&self) -> Decimal {
        Decimal(micros::to_decimal(self.0.per_kilogram_micros))
    }

    /// The price per kilometer, in the currency's main unit.
    async fn price_per_kilometer(&self) -> Decimal {
        Decimal(micros::to_decimal(self.0.per_kilometre_micros))
    }

    /// The minimum weight for the rate, in kilograms.
    async fn minimum_weight_kilograms(&self) -> Option<Decimal> {
        self.0.min_weight_milligrams.map(|weight| Decimal(micros::to_decimal(weight)))
    }

    /// The maximum weight for the rate, in kilograms.
    async fn maximum_weight_kilograms(&self) -> Option<Decimal> {
        self.0.max_weight_milligrams.map(|weight| Decimal(micros::to_decimal(weight)))
    }

    /// The minimum subtotal for the rate, before discounts.
    async fn minimum_subtotal(&self, ctx: &Context<'_>) -> Option<MoneyV2> {
        self.0.min_subtotal.map(|minor| MoneyV2(ctx.shop().money(minor)))
    }

    /// The maximum subtotal for the rate, before discounts.
    async fn maximum_subtotal(&self, ctx: &Context<'_>) -> Option<MoneyV2> {
        self.0.max_subtotal.map(|minor| MoneyV2(ctx.shop().money(minor)))
    }

    /// The subtotal before discounts from which delivery is free.
    async fn free_from_subtotal(&self, ctx: &Context<'_>) -> Option<MoneyV2> {
        self.0.free_from_subtotal.map(|minor| MoneyV2(ctx.shop().money(minor)))
    }

    /// Whether the rate is available to buyers.
    async fn is_active(&self) -> bool {
        self.0.is_active
    }

    /// The position among the rates of the zone. The first rate of a strategy has the name of the
    /// strategy as its handle.
    async fn position(&self) -> i64 {
        self.0.position
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it was last updated.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

/// Queries for shipping zones.
#[derive(Default)]
pub(crate) struct ShippingQuery;

#[Object]
impl ShippingQuery {
    /// Returns the shop's shipping zones, in order of creation.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn shipping_zones(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
    ) -> Result<InlineObject<ShippingZoneConnection>> {
        const LIST: &str = "shippingZones";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, CursorKeyKind::None)?;
        let page = ctx.services().shipping.zones(ctx.op(), &request).await?;
        let page = page.map(|row| (ShippingZone::new(row), CursorKey::None));
        Ok(InlineObject(ShippingZoneConnection(ConnectionPage::new(LIST, page, |zone| zone.0.id.uuid()))))
    }
}
