//! Writes of shipping zones and rates.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::{ShippingPriceTableBy, ShippingRate, ShippingZone};
use crate::domain::ids::{ShippingRateId, ShippingZoneId};
use crate::domain::permission::Permission;
use crate::error::Error;
use crate::graphql::codes::CountryCode;
use crate::graphql::errors::{UserError, payload};
use crate::graphql::guard::{Requires, manages_settings};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{Decimal, gid, parse_gid};
use crate::services::shipping::{RatePatch, TablePatch, ZonePatch};

/// Writes of shipping zones and rates.
#[derive(Default)]
pub struct ShippingMutation;

/// A shipping zone to be made. It begins without rates.
#[derive(InputObject)]
pub struct ShippingZoneCreateInput {
    /// Its name, unique in the shop.
    name: String,
    /// Its countries, none of them in another zone; none means everywhere that no other zone names.
    countries: Vec<CountryCode>,
    /// How far away its addresses are taken to be where coordinates don't tell, in meters; 50,000 when it is not given.
    default_distance_meters: Option<i64>,
}

/// A change of a shipping zone; what is not given stays as it is.
#[derive(InputObject)]
pub struct ShippingZoneUpdateInput {
    /// Its name, unique in the shop.
    name: Option<String>,
    /// All its countries, in place of those there were.
    countries: Option<Vec<CountryCode>>,
    /// How far away its addresses are taken to be where coordinates don't tell, in meters.
    default_distance_meters: Option<i64>,
}

/// A shipping rate to be made.
#[derive(InputObject)]
pub struct ShippingRateCreateInput {
    /// The global id of the zone it is of.
    shipping_zone_id: ID,
    /// The strategy that reckons it: `standard`, `express` or `overnight` by weight and distance,
    /// `flat` for a price or by a table, `pickup` where buyers come to a location.
    strategy: String,
    /// What buyers read; the strategy's title when it is not given.
    name: Option<String>,
    /// What it costs whatever is sent and wherever it goes, beside all else; nothing when it is not
    /// given.
    price: Option<Decimal>,
    /// What it costs beside that by weight or by subtotal.
    price_table: Option<ShippingPriceTableInput>,
    /// The global id of the location where buyers pick it up, for the strategy `pickup`.
    location_id: Option<ID>,
    /// What a kilogram costs, in the currency's main unit; the strategy's usual when it is not given.
    price_per_kilogram: Option<Decimal>,
    /// What a kilometer costs, in the currency's main unit; the strategy's usual when it is not given.
    price_per_kilometer: Option<Decimal>,
    /// From how many kilograms on it can be chosen.
    minimum_weight_kilograms: Option<Decimal>,
    /// Up to how many kilograms it can be chosen.
    maximum_weight_kilograms: Option<Decimal>,
    /// From which subtotal on it can be chosen, before discounts.
    minimum_subtotal: Option<Decimal>,
    /// Up to which subtotal it can be chosen, before discounts.
    maximum_subtotal: Option<Decimal>,
    /// From which subtotal on it costs nothing, before discounts.
    free_from_subtotal: Option<Decimal>,
    /// Whether buyers can choose it; true when it is not given.
    is_active: Option<bool>,
    /// Its place among the zone's rates; the last when it is not given.
    position: Option<i64>,
}

/// Prices of a delivery by weight or by subtotal.
#[derive(InputObject)]
pub struct ShippingPriceTableInput {
    /// What decides on the step.
    by: ShippingPriceTableBy,
    /// The steps, each beginning above the one before. Below the first, the rate can't be chosen.
    steps: Vec<ShippingPriceStepInput>,
}

/// A step of a price table.
#[derive(InputObject)]
pub struct ShippingPriceStepInput {
    /// Where it begins: kilograms, or an amount of the shop's currency.
    from: Decimal,
    /// What it costs, in the currency's main unit.
    price: Decimal,
}

/// A change of a shipping rate; what is not given stays as it is.
#[derive(InputObject)]
pub struct ShippingRateUpdateInput {
    /// What buyers read.
    name: Option<String>,
    /// What it costs whatever is sent and wherever it goes, beside all else.
    price: Option<Decimal>,
    /// What it costs beside that by weight or by subtotal; null removes the table.
    price_table: MaybeUndefined<ShippingPriceTableInput>,
    /// The global id of the location where buyers pick it up, for the strategy `pickup`.
    location_id: Option<ID>,
    /// What a kilogram costs, in the currency's main unit.
    price_per_kilogram: Option<Decimal>,
    /// What a kilometer costs, in the currency's main unit.
    price_per_kilometer: Option<Decimal>,
    /// From how many kilograms on it can be chosen; null means any weight.
    minimum_weight_kilograms: MaybeUndefined<Decimal>,
    /// Up to how many kilograms it can be chosen; null means any weight.
    maximum_weight_kilograms: MaybeUndefined<Decimal>,
    /// From which subtotal on it can be chosen, before discounts; null means any.
    minimum_subtotal: MaybeUndefined<Decimal>,
    /// Up to which subtotal it can be chosen, before discounts; null means any.
    maximum_subtotal: MaybeUndefined<Decimal>,
    /// From which subtotal on it costs nothing, before discounts; null means from none.
    free_from_subtotal: MaybeUndefined<Decimal>,
    /// Whether buyers can choose it.
    is_active: Option<bool>,
    /// Its place among the zone's rates.
    position: Option<i64>,
}

/// Defines the payload of a mutation that answers with what it made or changed.
macro_rules! shipping_payload {
    ($($name:ident { $(#[$doc:meta])* $field:ident: $of:ty })*) => {$(
        /// What became of it.
        #[derive(SimpleObject)]
        struct $name {
            $(#[$doc])*
            $field: Option<$of>,
            /// What is wrong with the input.
            user_errors: Vec<UserError>,
        }
    )*};
}

shipping_payload! {
    ShippingZoneCreatePayload {
        /// The zone; null if it could not be made.
        shipping_zone: ShippingZone
    }
    ShippingZoneUpdatePayload {
        /// The zone; null if it could not be changed.
        shipping_zone: ShippingZone
    }
    ShippingZoneDeletePayload {
        /// The global id of the zone that is gone.
        deleted_shipping_zone_id: ID
    }
    ShippingRateCreatePayload {
        /// The rate; null if it could not be made.
        shipping_rate: ShippingRate
    }
    ShippingRateUpdatePayload {
        /// The rate; null if it could not be changed.
        shipping_rate: ShippingRate
    }
    ShippingRateDeletePayload {
        /// The global id of the rate that is gone.
        deleted_shipping_rate_id: ID
    }
}

fn codes(countries: Vec<CountryCode>) -> Vec<String> {
    countries.into_iter().map(|code| code.0.to_owned()).collect()
}

fn text(number: Option<Decimal>) -> Option<String> {
    number.map(|number| number.0)
}

fn text_or_null(number: MaybeUndefined<Decimal>) -> Option<Option<String>> {
    number.map_value(|number| number.0).into()
}

impl From<ShippingPriceTableInput> for TablePatch {
    fn from(input: ShippingPriceTableInput) -> Self {
        let steps = input.steps.into_iter().map(|step| (step.from.0, step.price.0));
        Self { by: input.by.into(), steps: steps.collect() }
    }
}

impl TryFrom<ShippingRateCreateInput> for RatePatch {
    type Error = Error;

    fn try_from(input: ShippingRateCreateInput) -> Result<Self, Error> {
        Ok(Self {
            name: input.name,
            price: text(input.price),
            table: input.price_table.map(|table| Some(table.into())),
            location_id: input.location_id.as_ref().map(parse_gid).transpose()?,
            per_kilogram: text(input.price_per_kilogram),
            per_kilometre: text(input.price_per_kilometer),
            min_weight: text(input.minimum_weight_kilograms).map(Some),
            max_weight: text(input.maximum_weight_kilograms).map(Some),
            min_subtotal: text(input.minimum_subtotal).map(Some),
            max_subtotal: text(input.maximum_subtotal).map(Some),
            free_from_subtotal: text(input.free_from_subtotal).map(Some),
            is_active: input.is_active,
            position: input.position,
        })
    }
}

impl TryFrom<ShippingRateUpdateInput> for RatePatch {
    type Error = Error;

    fn try_from(input: ShippingRateUpdateInput) -> Result<Self, Error> {
        Ok(Self {
            name: input.name,
            price: text(input.price),
            table: input.price_table.map_value(TablePatch::from).into(),
            location_id: input.location_id.as_ref().map(parse_gid).transpose()?,
            per_kilogram: text(input.price_per_kilogram),
            per_kilometre: text(input.price_per_kilometer),
            min_weight: text_or_null(input.minimum_weight_kilograms),
            max_weight: text_or_null(input.maximum_weight_kilograms),
            min_subtotal: text_or_null(input.minimum_subtotal),
            max_subtotal: text_or_null(input.maximum_subtotal),
            free_from_subtotal: text_or_null(input.free_from_subtotal),
            is_active: input.is_active,
            position: input.position,
        })
    }
}

#[Object]
impl ShippingMutation {
    /// Makes a shipping zone.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn shipping_zone_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The zone.")] shipping_zone: ShippingZoneCreateInput,
    ) -> Result<ShippingZoneCreatePayload> {
        let new = ZonePatch {
            name: Some(shipping_zone.name),
            countries: Some(codes(shipping_zone.countries)),
            default_distance_metres: shipping_zone.default_distance_meters,
        };
        let (made, user_errors) = payload(ctx.services().shipping.create_zone(ctx.op(), &new).await)?;
        Ok(ShippingZoneCreatePayload { shipping_zone: made.map(ShippingZone::of), user_errors })
    }

    /// Changes a shipping zone.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn shipping_zone_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The zone's global id.")] id: ID,
        #[graphql(desc = "What is to change.")] shipping_zone: ShippingZoneUpdateInput,
    ) -> Result<ShippingZoneUpdatePayload> {
        let id = parse_gid(&id)?;
        let patch = ZonePatch {
            name: shipping_zone.name,
            countries: shipping_zone.countries.map(codes),
            default_distance_metres: shipping_zone.default_distance_meters,
        };
        let (changed, user_errors) =
            payload(ctx.services().shipping.update_zone(ctx.op(), id, &patch).await)?;
        Ok(ShippingZoneUpdatePayload { shipping_zone: changed.map(ShippingZone::of), user_errors })
    }

    /// Deletes a shipping zone with its rates.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn shipping_zone_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The zone's global id.")] id: ID,
    ) -> Result<ShippingZoneDeletePayload> {
        let id: ShippingZoneId = parse_gid(&id)?;
        let (deleted, user_errors) = payload(ctx.services().shipping.delete_zone(ctx.op(), id).await)?;
        Ok(ShippingZoneDeletePayload { deleted_shipping_zone_id: deleted.map(|()| gid(id)), user_errors })
    }

    /// Makes a shipping rate of a zone.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn shipping_rate_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The rate.")] shipping_rate: ShippingRateCreateInput,
    ) -> Result<ShippingRateCreatePayload> {
        let zone = parse_gid(&shipping_rate.shipping_zone_id)?;
        let strategy = shipping_rate.strategy.clone();
        let new = shipping_rate.try_into()?;
        let answer = ctx.services().shipping.create_rate(ctx.op(), zone, &strategy, &new).await;
        let (made, user_errors) = payload(answer)?;
        Ok(ShippingRateCreatePayload { shipping_rate: made.map(ShippingRate::of), user_errors })
    }

    /// Changes a shipping rate.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn shipping_rate_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The rate's global id.")] id: ID,
        #[graphql(desc = "What is to change.")] shipping_rate: ShippingRateUpdateInput,
    ) -> Result<ShippingRateUpdatePayload> {
        let (id, patch) = (parse_gid(&id)?, shipping_rate.try_into()?);
        let (changed, user_errors) =
            payload(ctx.services().shipping.update_rate(ctx.op(), id, &patch).await)?;
        Ok(ShippingRateUpdatePayload { shipping_rate: changed.map(ShippingRate::of), user_errors })
    }

    /// Deletes a shipping rate.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn shipping_rate_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The rate's global id.")] id: ID,
    ) -> Result<ShippingRateDeletePayload> {
        let id: ShippingRateId = parse_gid(&id)?;
        let (deleted, user_errors) = payload(ctx.services().shipping.delete_rate(ctx.op(), id).await)?;
        Ok(ShippingRateDeletePayload { deleted_shipping_rate_id: deleted.map(|()| gid(id)), user_errors })
    }
}
