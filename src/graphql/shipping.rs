//! Shipping zones and rates: what staff see and change of them.

mod mutation;

pub use mutation::ShippingMutation;

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};

use super::codes::CountryCode;
use super::connection::{Items, PageArgs, connection};
use super::guard::{Requires, manages_settings};
use super::request::RequestContext;
use super::scalars::{DateTime, Decimal, gid};
use super::shop::MoneyV2;
use crate::domain::ids::{Id, ShippingRateId, ShippingZoneId};
use crate::domain::micros;
use crate::domain::page::{CursorKey, KeyKind};
use crate::domain::permission::Permission;
use crate::domain::shipping;
use crate::graphql::in_order::InOrder;
use crate::graphql::inventory::Location;
use crate::loaders;

connection!(ShippingZoneConnection, ShippingZoneEdge, ShippingZone, "shipping zones");

/// Where parcels go, and at which rates.
#[derive(Clone)]
pub struct ShippingZone(Arc<loaders::ShippingZone>);

/// What delivery in some way costs in a zone: a price, a table, and so much a kilogram and a
/// kilometer, all added up.
#[derive(Clone)]
pub struct ShippingRate(Arc<loaders::ShippingRate>);

/// What decides on the step of a price table.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "shipping::TableBy", visible = "manages_settings")]
pub enum ShippingPriceTableBy {
    /// The weight of all that is sent, in kilograms.
    Weight,
    /// The subtotal of all that is bought, before discounts.
    Subtotal,
}

/// Prices of a delivery by weight or by subtotal.
#[derive(SimpleObject)]
#[graphql(visible = "manages_settings")]
struct ShippingPriceTable {
    /// What decides on the step.
    by: ShippingPriceTableBy,
    /// The steps, each up to where the next begins. Below the first, the rate can't be chosen.
    steps: Vec<ShippingPriceStep>,
}

/// A step of a price table.
#[derive(SimpleObject)]
#[graphql(visible = "manages_settings")]
struct ShippingPriceStep {
    /// Where it begins: kilograms, or an amount of the shop's currency.
    from: Decimal,
    /// What it costs.
    price: MoneyV2,
}

impl ShippingZone {
    /// A zone that was read or written.
    pub fn of(row: loaders::ShippingZone) -> Self {
        Self(Arc::new(row))
    }

    /// The zone with an id, for those who manage the shop's settings; for others there is none.
    pub async fn find(ctx: &Context<'_>, id: ShippingZoneId) -> Result<Option<Self>> {
        if !ctx.op().may(Permission::ManageSettings) {
            return Ok(None);
        }
        Ok(ctx.loaders().shipping_zones.load(id).await?.map(Self))
    }
}

impl ShippingRate {
    /// A rate that was read or written.
    pub fn of(row: loaders::ShippingRate) -> Self {
        Self(Arc::new(row))
    }

    /// The rate with an id, for those who manage the shop's settings; for others there is none.
    pub async fn find(ctx: &Context<'_>, id: ShippingRateId) -> Result<Option<Self>> {
        if !ctx.op().may(Permission::ManageSettings) {
            return Ok(None);
        }
        Ok(ctx.loaders().shipping_rates.load(id).await?.map(Self))
    }
}

/// Where parcels go, and at which rates.
#[Object(visible = "manages_settings")]
impl ShippingZone {
    /// The zone's global id.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// Its name, unique in the shop.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Its countries; none means everywhere that no other zone names.
    async fn countries(&self) -> Vec<CountryCode> {
        self.0.countries.0.iter().filter_map(|code| CountryCode::parse(code)).collect()
    }

    /// How far away its addresses are taken to be where coordinates don't tell.
    async fn default_distance_meters(&self) -> i64 {
        self.0.default_distance_metres
    }

    /// Its rates, in the order staff gave.
    async fn shipping_rates(&self, ctx: &Context<'_>) -> Result<Vec<ShippingRate>> {
        let rows = ctx.loaders().rates_of_zone.load(self.0.id).await?;
        Ok(rows.iter().cloned().map(ShippingRate).collect())
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

/// What delivery in some way costs in a zone: a price, a table, and so much a kilogram and a
/// kilometer, all added up.
#[Object(visible = "manages_settings")]
impl ShippingRate {
    /// The rate's global id.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// The zone it is of.
    async fn shipping_zone(&self, ctx: &Context<'_>) -> Result<Option<ShippingZone>> {
        ShippingZone::find(ctx, self.0.zone_id).await
    }

    /// The strategy that reckons it: `standard`, `express`, `overnight`, `flat`, `pickup`.
    async fn strategy(&self) -> &str {
        &self.0.strategy
    }

    /// What buyers read.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What it costs whatever is sent and wherever it goes.
    async fn price(&self, ctx: &Context<'_>) -> MoneyV2 {
        MoneyV2(ctx.shop().money(self.0.base_price))
    }

    /// What it costs beside that by weight or by subtotal; null where there is no table.
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

    /// Where buyers pick it up, for those who may see locations; null where it is sent.
    async fn location(&self, ctx: &Context<'_>) -> Result<Option<Location>> {
        let Some(id) = self.0.location_id else { return Ok(None) };
        Location::find(ctx, id).await
    }

    /// What a kilogram costs, in the currency's main unit.
    async fn price_per_kilogram(&self) -> Decimal {
        Decimal(micros::to_decimal(self.0.per_kilogram_micros))
    }

    /// What a kilometer costs, in the currency's main unit.
    async fn price_per_kilometer(&self) -> Decimal {
        Decimal(micros::to_decimal(self.0.per_kilometre_micros))
    }

    /// From how many kilograms on it can be chosen.
    async fn minimum_weight_kilograms(&self) -> Option<Decimal> {
        self.0.min_weight_milligrams.map(|weight| Decimal(micros::to_decimal(weight)))
    }

    /// Up to how many kilograms it can be chosen.
    async fn maximum_weight_kilograms(&self) -> Option<Decimal> {
        self.0.max_weight_milligrams.map(|weight| Decimal(micros::to_decimal(weight)))
    }

    /// From which subtotal on it can be chosen, before discounts.
    async fn minimum_subtotal(&self, ctx: &Context<'_>) -> Option<MoneyV2> {
        self.0.min_subtotal.map(|minor| MoneyV2(ctx.shop().money(minor)))
    }

    /// Up to which subtotal it can be chosen, before discounts.
    async fn maximum_subtotal(&self, ctx: &Context<'_>) -> Option<MoneyV2> {
        self.0.max_subtotal.map(|minor| MoneyV2(ctx.shop().money(minor)))
    }

    /// From which subtotal on it costs nothing, before discounts.
    async fn free_from_subtotal(&self, ctx: &Context<'_>) -> Option<MoneyV2> {
        self.0.free_from_subtotal.map(|minor| MoneyV2(ctx.shop().money(minor)))
    }

    /// Whether buyers can choose it.
    async fn is_active(&self) -> bool {
        self.0.is_active
    }

    /// Its place among the zone's rates. The first of a strategy is chosen by the strategy's name.
    async fn position(&self) -> i64 {
        self.0.position
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

/// Reads of shipping zones.
#[derive(Default)]
pub struct ShippingQuery;

#[Object]
impl ShippingQuery {
    /// Shipping zones, in the order they were made.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn shipping_zones(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
    ) -> Result<InOrder<ShippingZoneConnection>> {
        const LIST: &str = "shippingZones";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, KeyKind::None)?;
        let page = ctx.services().shipping.zones(ctx.op(), &request).await?;
        let page = page.map(|row| (ShippingZone::of(row), CursorKey::None));
        Ok(InOrder(ShippingZoneConnection(Items::new(LIST, page, |zone| zone.0.id.uuid()))))
    }
}
