//! Shipping zone and rate mutations.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::{ShippingPriceTableBy, ShippingRate, ShippingZone};
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{ShippingRateId, ShippingZoneId};
use crate::error::Error;
use crate::graphql::request::RequestContext;
use crate::graphql::types::codes::CountryCode;
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::guard::{PermissionGuard, may_manage_settings};
use crate::graphql::types::scalars::{Decimal, gid, parse_gid};
use crate::services::checkout::shipping::{RatePatch, TablePatch, ZonePatch};

/// Shipping zone and rate mutations.
#[derive(Default)]
pub(crate) struct ShippingMutation;

/// The input fields of a new shipping zone. It is created without rates.
#[derive(InputObject)]
pub(super) struct ShippingZoneCreateInput {
    /// The name, unique in the shop.
    name: String,
    /// The countries of the zone, none of which may be in another zone. An empty list stands for
    /// all countries not in another zone.
    countries: Vec<CountryCode>,
    /// The shipping distance in meters to assume if the coordinates of the addresses aren't known.
    /// Defaults to 50,000.
    default_distance_meters: Option<i64>,
}

/// The changes to a shipping zone. Omitted fields are left unchanged.
#[derive(InputObject)]
pub(super) struct ShippingZoneUpdateInput {
    /// The name, unique in the shop.
    name: Option<String>,
    /// The countries of the zone. Replaces the existing countries.
    countries: Option<Vec<CountryCode>>,
    /// The shipping distance in meters to assume if the coordinates of the addresses aren't known.
    default_distance_meters: Option<i64>,
}

/// The input fields of a new shipping rate.
#[derive(InputObject)]
pub struct ShippingRateCreateInput {
    /// The ID of the shipping zone.
    shipping_zone_id: ID,
    /// The pricing strategy: `standard`, `express` or `overnight` for prices by weight and
    /// distance, `flat` for a fixed price or a price table, `pickup` for pickup at a location.
    strategy: String,
    /// The name shown to buyers. Defaults to the title of the strategy.
    name: Option<String>,
    /// The base price, regardless of what is shipped and where. Defaults to 0.
    price: Option<Decimal>,
    /// The price by weight or by subtotal, added to the base price.
    price_table: Option<ShippingPriceTableInput>,
    /// The ID of the location where buyers pick up their order. For the strategy `pickup`.
    location_id: Option<ID>,
    /// The price per kilogram, in the currency's main unit. Defaults to that of the strategy.
    price_per_kilogram: Option<Decimal>,
    /// The price per kilometer, in the currency's main unit. Defaults to that of the strategy.
    price_per_kilometer: Option<Decimal>,
    /// The minimum weight for the rate, in kilograms.
    minimum_weight_kilograms: Option<Decimal>,
    /// The maximum weight for the rate, in kilograms.
    maximum_weight_kilograms: Option<Decimal>,
    /// The minimum subtotal for the rate, before discounts.
    minimum_subtotal: Option<Decimal>,
    /// The maximum subtotal for the rate, before discounts.
    maximum_subtotal: Option<Decimal>,
    /// The subtotal before discounts from which delivery is free.
    free_from_subtotal: Option<Decimal>,
    /// Whether the rate is available to buyers. Defaults to true.
    is_active: Option<bool>,
    /// The position among the rates of the zone. Defaults to the end.
    position: Option<i64>,
}

/// A price table by weight or by subtotal.
#[derive(InputObject)]
pub struct ShippingPriceTableInput {
    /// What the steps depend on.
    by: ShippingPriceTableBy,
    /// The steps, in ascending order. Below the first step, the rate isn't available.
    steps: Vec<ShippingPriceStepInput>,
}

/// A step of a price table.
#[derive(InputObject)]
pub(super) struct ShippingPriceStepInput {
    /// The weight in kilograms, or the subtotal in the shop's currency, at which the step begins.
    from: Decimal,
    /// The price of the step, in the currency's main unit.
    price: Decimal,
}

/// The changes to a shipping rate. Omitted fields are left unchanged.
#[derive(InputObject)]
pub struct ShippingRateUpdateInput {
    /// The name shown to buyers.
    name: Option<String>,
    /// The base price, regardless of what is shipped and where.
    price: Option<Decimal>,
    /// The price by weight or by subtotal, added to the base price. Null removes the table.
    price_table: MaybeUndefined<ShippingPriceTableInput>,
    /// The ID of the location where buyers pick up their order. For the strategy `pickup`.
    location_id: Option<ID>,
    /// The price per kilogram, in the currency's main unit.
    price_per_kilogram: Option<Decimal>,
    /// The price per kilometer, in the currency's main unit.
    price_per_kilometer: Option<Decimal>,
    /// The minimum weight for the rate, in kilograms. Null removes the minimum.
    minimum_weight_kilograms: MaybeUndefined<Decimal>,
    /// The maximum weight for the rate, in kilograms. Null removes the maximum.
    maximum_weight_kilograms: MaybeUndefined<Decimal>,
    /// The minimum subtotal for the rate, before discounts. Null removes the minimum.
    minimum_subtotal: MaybeUndefined<Decimal>,
    /// The maximum subtotal for the rate, before discounts. Null removes the maximum.
    maximum_subtotal: MaybeUndefined<Decimal>,
    /// The subtotal before discounts from which delivery is free. Null if delivery is never free.
    free_from_subtotal: MaybeUndefined<Decimal>,
    /// Whether the rate is available to buyers.
    is_active: Option<bool>,
    /// The position among the rates of the zone.
    position: Option<i64>,
}

/// Defines the payload of a mutation that returns a zone, a rate, or the ID of a deleted one.
macro_rules! shipping_payload {
    ($($name:ident { $(#[$doc:meta])* $field:ident: $type:ty })*) => {$(
        /// The result of a shipping mutation.
        #[derive(SimpleObject)]
        struct $name {
            $(#[$doc])*
            $field: Option<$type>,
            /// Errors in the input. Empty when the mutation succeeded.
            user_errors: Vec<UserError>,
        }
    )*};
}

shipping_payload! {
    ShippingZoneCreatePayload {
        /// The new shipping zone. Null if the mutation failed.
        shipping_zone: ShippingZone
    }
    ShippingZoneUpdatePayload {
        /// The updated shipping zone. Null if the mutation failed.
        shipping_zone: ShippingZone
    }
    ShippingZoneDeletePayload {
        /// The ID of the deleted shipping zone. Null if the mutation failed.
        deleted_shipping_zone_id: ID
    }
    ShippingRateCreatePayload {
        /// The new shipping rate. Null if the mutation failed.
        shipping_rate: ShippingRate
    }
    ShippingRateUpdatePayload {
        /// The updated shipping rate. Null if the mutation failed.
        shipping_rate: ShippingRate
    }
    ShippingRateDeletePayload {
        /// The ID of the deleted shipping rate. Null if the mutation failed.
        deleted_shipping_rate_id: ID
    }
}

fn country_codes(countries: Vec<CountryCode>) -> Vec<String> {
    countries.into_iter().map(|code| code.0.to_owned()).collect()
}

fn to_text(number: Option<Decimal>) -> Option<String> {
    number.map(|number| number.0)
}

fn to_nullable_text(number: MaybeUndefined<Decimal>) -> Option<Option<String>> {
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
            price: to_text(input.price),
            table: input.price_table.map(|table| Some(table.into())),
            location_id: input.location_id.as_ref().map(parse_gid).transpose()?,
            per_kilogram: to_text(input.price_per_kilogram),
            per_kilometre: to_text(input.price_per_kilometer),
            min_weight: to_text(input.minimum_weight_kilograms).map(Some),
            max_weight: to_text(input.maximum_weight_kilograms).map(Some),
            min_subtotal: to_text(input.minimum_subtotal).map(Some),
            max_subtotal: to_text(input.maximum_subtotal).map(Some),
            free_from_subtotal: to_text(input.free_from_subtotal).map(Some),
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
            price: to_text(input.price),
            table: input.price_table.map_value(TablePatch::from).into(),
            location_id: input.location_id.as_ref().map(parse_gid).transpose()?,
            per_kilogram: to_text(input.price_per_kilogram),
            per_kilometre: to_text(input.price_per_kilometer),
            min_weight: to_nullable_text(input.minimum_weight_kilograms),
            max_weight: to_nullable_text(input.maximum_weight_kilograms),
            min_subtotal: to_nullable_text(input.minimum_subtotal),
            max_subtotal: to_nullable_text(input.maximum_subtotal),
            free_from_subtotal: to_nullable_text(input.free_from_subtotal),
            is_active: input.is_active,
            position: input.position,
        })
    }
}

#[Object]
impl ShippingMutation {
    /// Creates a shipping zone.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn shipping_zone_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The shipping zone to create.")] shipping_zone: ShippingZoneCreateInput,
    ) -> Result<ShippingZoneCreatePayload> {
        let new = ZonePatch {
            name: Some(shipping_zone.name),
            countries: Some(country_codes(shipping_zone.countries)),
            default_distance_metres: shipping_zone.default_distance_meters,
        };
        let (created, user_errors) = payload(ctx.services().shipping.create_zone(ctx.op(), &new).await)?;
        Ok(ShippingZoneCreatePayload { shipping_zone: created.map(ShippingZone::new), user_errors })
    }

    /// Updates a shipping zone.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn shipping_zone_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the shipping zone.")] id: ID,
        #[graphql(desc = "The fields to change.")] shipping_zone: ShippingZoneUpdateInput,
    ) -> Result<ShippingZoneUpdatePayload> {
        let id = parse_gid(&id)?;
        let patch = ZonePatch {
            name: shipping_zone.name,
            countries: shipping_zone.countries.map(country_codes),
            default_distance_metres: shipping_zone.default_distance_meters,
        };
        let (changed, user_errors) =
            payload(ctx.services().shipping.update_zone(ctx.op(), id, &patch).await)?;
        Ok(ShippingZoneUpdatePayload { shipping_zone: changed.map(ShippingZone::new), user_errors })
    }

    /// Deletes a shipping zone with its rates.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn shipping_zone_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the shipping zone.")] id: ID,
    ) -> Result<ShippingZoneDeletePayload> {
        let id: ShippingZoneId = parse_gid(&id)?;
        let (deleted, user_errors) = payload(ctx.services().shipping.delete_zone(ctx.op(), id).await)?;
        Ok(ShippingZoneDeletePayload { deleted_shipping_zone_id: deleted.map(|()| gid(id)), user_errors })
    }

    /// Creates a shipping rate in a zone.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn shipping_rate_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The shipping rate to create.")] shipping_rate: ShippingRateCreateInput,
    ) -> Result<ShippingRateCreatePayload> {
        let zone = parse_gid(&shipping_rate.shipping_zone_id)?;
        let strategy = shipping_rate.strategy.clone();
        let new = shipping_rate.try_into()?;
        let result = ctx.services().shipping.create_rate(ctx.op(), zone, &strategy, &new).await;
        let (created, user_errors) = payload(result)?;
        Ok(ShippingRateCreatePayload { shipping_rate: created.map(ShippingRate::new), user_errors })
    }

    /// Updates a shipping rate.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn shipping_rate_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the shipping rate.")] id: ID,
        #[graphql(desc = "The fields to change.")] shipping_rate: ShippingRateUpdateInput,
    ) -> Result<ShippingRateUpdatePayload> {
        let (id, patch) = (parse_gid(&id)?, shipping_rate.try_into()?);
        let (changed, user_errors) =
            payload(ctx.services().shipping.update_rate(ctx.op(), id, &patch).await)?;
        Ok(ShippingRateUpdatePayload { shipping_rate: changed.map(ShippingRate::new), user_errors })
    }

    /// Deletes a shipping rate.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn shipping_rate_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the shipping rate.")] id: ID,
    ) -> Result<ShippingRateDeletePayload> {
        let id: ShippingRateId = parse_gid(&id)?;
        let (deleted, user_errors) = payload(ctx.services().shipping.delete_rate(ctx.op(), id).await)?;
        Ok(ShippingRateDeletePayload { deleted_shipping_rate_id: deleted.map(|()| gid(id)), user_errors })
    }
}
