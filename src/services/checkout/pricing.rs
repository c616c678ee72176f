//! Prices baskets for carts and checkout from the current data of the shop.
//!
//! It uses the connection it is given, inside or outside a transaction. The number of statements
//! does not depend on the size of the basket or the shop: at most seven, plus one if the buyer's
//! coordinates are known but no item is in stock at a location with coordinates, plus one if pickup
//! is offered. The arithmetic is in `domain::checkout::pricing`.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::context::OpContext;
use crate::db::Conn;
use crate::domain::checkout::discounts::{DiscountRefusal, code_key};
use crate::domain::checkout::pricing::{
    self, AmountOverflow, DiscountCandidate, DiscountOutcome, MAX_AMOUNT, PricingInput, PricingLine,
};
use crate::domain::checkout::quotes::{DeliveryOption, PickupPlace, Quote};
use crate::domain::checkout::shipping::{Coordinates, Parcel, ShippingStrategy};
use crate::domain::checkout::taxes::{ApplicableRate, province_key};
use crate::domain::customers::addresses::Address;
use crate::domain::ids::{CollectionId, DiscountId, Id, LocationId, ProductId, VariantId};
use crate::error::{Error, UserErrorCode};
use crate::repositories::catalog::collections;
use crate::repositories::catalog::inventory::{self, InventoryLevel};
use crate::repositories::catalog::locations::{self, Location};
use crate::repositories::catalog::products::Product;
use crate::repositories::catalog::variants::{self, Variant};
use crate::repositories::checkout::discounts::{self, Buyer, Discount};
use crate::repositories::checkout::{shipping, tax_rates};
use crate::services::Shop;
use crate::services::checkout::shipping::find_zone;

/// Prices baskets.
pub struct Pricing {
    shop: Arc<Shop>,
}

/// What to price.
#[derive(Clone, Debug, Default)]
pub struct Basket<'a> {
    /// The lines; several may be of the same variant.
    pub lines: Vec<BasketLine>,
    /// Discount codes as entered by the buyer.
    pub codes: &'a [String],
    /// The buyer, for discounts that are limited per customer.
    pub buyer: Buyer<'a>,
    /// The shipping address; without one, the buyer's country determines the taxes.
    pub destination: Option<&'a Address>,
    /// The buyer's country, ISO 3166-1 alpha-2; defaults to the shop's.
    pub country: Option<&'a str>,
    /// Handle of the selected delivery option.
    pub delivery_option: Option<&'a str>,
}

/// A line of a basket.
#[derive(Clone, Debug)]
pub struct BasketLine {
    /// The caller's key of the line, returned with its quote.
    pub key: Uuid,
    /// The variant.
    pub variant_id: VariantId,
    /// Number of units.
    pub quantity: i64,
}

/// A priced basket, with the data that the prices are based on.
#[derive(Clone, Debug, Default)]
pub struct PricedBasket {
    /// The prices, without lines whose variant was deleted or is not for sale.
    pub quote: Quote,
    /// The variants that still exist, with their products.
    pub variants: HashMap<VariantId, (Arc<Variant>, Arc<Product>)>,
    /// Stock levels of each variant at active locations, nearest to the destination first.
    pub levels: HashMap<VariantId, Vec<InventoryLevel>>,
    /// The available delivery options, cheapest first; empty when nothing needs shipping or nothing
    /// ships to the destination.
    pub delivery_options: Vec<DeliveryOption>,
    /// The result of each entered code, in the order of entry.
    pub codes: Vec<CodeOutcome>,
    /// Applied discounts with a usage limit: they must be redeemed when the order is placed.
    pub counted_discounts: Vec<DiscountId>,
}

/// The result of a discount code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CodeOutcome {
    /// The code as entered.
    pub code: String,
    /// Why the code does not apply; `None` when it does.
    pub refused: Option<String>,
}

impl Pricing {
    /// Creates the service.
    #[must_use]
    pub fn new(shop: Arc<Shop>) -> Self {
        Self { shop }
    }

    /// Prices a basket. The caller is responsible for authorization.
    ///
    /// # Errors
    /// Database errors; [`Error::Invalid`] when amounts overflow.
    pub async fn price(
        &self,
        op: &OpContext,
        conn: &mut Conn,
        basket: &Basket<'_>,
    ) -> Result<PricedBasket, Error> {
        let contents = BasketContents::read(conn, basket).await?;
        let destination = self.destination(basket);
        let candidates = DiscountCandidates::read(op, conn, basket, &contents).await?;
        let tax_rates =
            tax_rates::by_place(conn, destination.country, destination.province.as_deref()).await?;
        let parcel = contents.parcel(basket);
        let delivery_options = match parcel {
            None => Vec::new(),
            Some((weight, subtotal)) => {
                let origins = contents.origins(conn, destination.coordinates).await?;
                self.delivery_options(conn, &destination, weight, subtotal, &origins).await?
            }
        };
        let delivery = basket
            .delivery_option
            .and_then(|handle| delivery_options.iter().find(|option| option.handle == handle))
            .cloned();
        let input =
            self.pricing_input(basket, &contents, &candidates, &tax_rates, parcel.is_some(), delivery);
        let (quote, outcomes) = pricing::price(&input).map_err(|AmountOverflow| {
            Error::invalid(&[], UserErrorCode::NotAllowed, "The total is too large: reduce the quantities")
        })?;
        Ok(PricedBasket {
            codes: candidates.code_outcomes(basket, &outcomes),
            counted_discounts: candidates.counted_discounts(&outcomes),
            levels: contents.levels_from(destination.coordinates),
            variants: contents.variants,
            delivery_options,
            quote,
        })
    }

    /// Prices a basket that is about to be ordered. Orders have a maximum amount, carts don't.
    ///
    /// # Errors
    /// As [`Pricing::price`]; [`Error::Invalid`] when the basket exceeds the maximum amount of an
    /// order.
    pub async fn price_order(
        &self,
        op: &OpContext,
        conn: &mut Conn,
        basket: &Basket<'_>,
    ) -> Result<PricedBasket, Error> {
        let priced = self.price(op, conn, basket).await?;
        if priced.quote.subtotal > MAX_AMOUNT {
            let max = self.shop.money(MAX_AMOUNT).to_decimal();
            let message = format!(
                "One order can cost up to {max} {}: split it into several orders",
                self.shop.currency.code()
            );
            return Err(Error::invalid(&[], UserErrorCode::NotAllowed, message));
        }
        Ok(priced)
    }

    /// The destination of a basket, as far as it is known.
    fn destination<'a>(&'a self, basket: &Basket<'a>) -> Destination<'a> {
        let destination = basket.destination;
        let address = destination.filter(|address| address.country.is_some());
        let province = address.and_then(|address| address.province.as_deref()).map(province_key);
        Destination {
            country: address
                .and_then(|address| address.country.as_deref())
                .or(basket.country)
                .unwrap_or(&self.shop.country),
            province,
            coordinates: destination
                .and_then(|address| Coordinates::from_parts(address.latitude, address.longitude)),
        }
    }

    /// The available delivery options, cheapest first.
    async fn delivery_options(
        &self,
        conn: &mut Conn,
        destination: &Destination<'_>,
        weight_milligrams: i64,
        subtotal: i64,
        origins: &[Coordinates],
    ) -> Result<Vec<DeliveryOption>, Error> {
        let zones = shipping::all(conn).await?;
        let Some((zone, rates)) = find_zone(&zones, destination.country) else { return Ok(Vec::new()) };
        let nearest =
            destination.coordinates.and_then(|to| origins.iter().map(|from| from.distance_metres(to)).min());
        let distance_metres = nearest.unwrap_or(zone.default_distance_metres);
        let pickups: Vec<LocationId> = rates.iter().filter_map(|rate| rate.location_id).collect();
        let places = if pickups.is_empty() { Vec::new() } else { locations::by_ids(conn, &pickups).await? };
        let places: Vec<PickupPlace> =
            places.into_iter().filter(|place| place.is_active).map(pickup_place).collect();
        let mut options: Vec<DeliveryOption> = Vec::new();
        let mut used: Vec<ShippingStrategy> = Vec::new();
        for rate in rates.into_iter().filter(|rate| rate.is_active) {
            let Some(strategy) = ShippingStrategy::parse(&rate.strategy) else { continue };
            // The first rate of a strategy has the strategy's name as its handle, even if it is not
            // available now, so that a handle always means the same rate.
            let handle = if used.contains(&strategy) {
                format!("{}-{}", strategy.as_str(), rate.id.uuid().simple())
            } else {
                used.push(strategy);
                strategy.as_str().to_owned()
            };
            if !rate.conditions().is_met_by(weight_milligrams, subtotal) {
                continue;
            }
            // Inactive locations offer no pickup.
            let pickup =
                rate.location_id.map(|id| places.iter().find(|place| place.location_id == id).cloned());
            if pickup == Some(None) {
                continue;
            }
            let Some(tariff) = rate.tariff(weight_milligrams, subtotal) else { continue };
            let parcel = Parcel { weight_milligrams, distance_metres };
            let is_free = rate.free_from_subtotal.is_some_and(|from| subtotal >= from);
            let price = if is_free { 0 } else { tariff.price(parcel, self.shop.currency) };
            options.push(DeliveryOption {
                handle,
                title: rate.name.clone(),
                strategy: rate.strategy.clone(),
                price,
                pickup: pickup.flatten(),
            });
        }
        options.sort_by_key(|option| option.price);
        Ok(options)
    }

    fn pricing_input<'a>(
        &self,
        basket: &Basket<'_>,
        contents: &'a BasketContents,
        candidates: &'a DiscountCandidates,
        tax_rates: &'a [ApplicableRate],
        is_shipped: bool,
        delivery: Option<DeliveryOption>,
    ) -> PricingInput<'a> {
        let line = |line: &BasketLine| {
            let (variant, product) = contents.sellable(line)?;
            Some(PricingLine {
                key: line.key,
                variant_id: variant.id,
                product_id: product.id,
                collections: candidates.collections.get(&product.id).map_or(&[], Vec::as_slice),
                quantity: line.quantity,
                unit_price: variant.price,
                tax_class: (variant.taxable && !product.is_gift_card).then_some(product.tax_class.as_str()),
                is_discountable: !product.is_gift_card,
            })
        };
        let candidate = |discount: &'a Discount| DiscountCandidate {
            id: discount.id,
            title: &discount.title,
            code: discount.code.as_deref(),
            rule: &discount.rule.0,
        };
        PricingInput {
            lines: basket.lines.iter().filter_map(line).collect(),
            discounts: candidates.usable().map(candidate).collect(),
            is_shipped,
            delivery,
            tax_rates,
            taxes_included: self.shop.taxes_included,
            currency: self.shop.currency,
        }
    }
}

fn pickup_place(location: Location) -> PickupPlace {
    PickupPlace {
        location_id: location.id,
        name: location.name,
        address1: location.address1,
        address2: location.address2,
        city: location.city,
        province: location.province,
        zip: location.zip,
        country: location.country,
        phone: location.phone,
    }
}

/// The destination of a basket.
struct Destination<'a> {
    country: &'a str,
    province: Option<String>,
    coordinates: Option<Coordinates>,
}

/// The variants of a basket and their stock.
struct BasketContents {
    variants: HashMap<VariantId, (Arc<Variant>, Arc<Product>)>,
    /// Stock levels with the coordinates of their locations.
    levels: Vec<(InventoryLevel, Option<Coordinates>)>,
}

impl BasketContents {
    async fn read(conn: &mut Conn, basket: &Basket<'_>) -> Result<Self, Error> {
        let mut ids: Vec<VariantId> = basket.lines.iter().map(|line| line.variant_id).collect();
        ids.sort_unstable();
        ids.dedup();
        let rows = variants::with_products(conn, &ids).await?;
        let levels = inventory::for_sale(conn, &ids).await?;
        Ok(Self {
            variants: rows
                .into_iter()
                .map(|(variant, product)| (variant.id, (Arc::new(variant), Arc::new(product))))
                .collect(),
            levels: levels
                .into_iter()
                .map(|(level, latitude, longitude)| (level, Coordinates::from_parts(latitude, longitude)))
                .collect(),
        })
    }

    /// The variant and product of a line, if they are for sale.
    fn sellable(&self, line: &BasketLine) -> Option<&(Arc<Variant>, Arc<Product>)> {
        let known = self.variants.get(&line.variant_id);
        known.filter(|(_, product)| product.is_for_sale() && line.quantity > 0)
    }

    /// The weight of the items that need shipping and the subtotal of all; `None` when nothing
    /// needs shipping.
    fn parcel(&self, basket: &Basket<'_>) -> Option<(i64, i64)> {
        let (mut weight, mut subtotal, mut is_shipped) = (0_i64, 0_i64, false);
        for line in &basket.lines {
            let Some((variant, _)) = self.sellable(line) else { continue };
            subtotal = subtotal.saturating_add(variant.price.saturating_mul(line.quantity));
            if variant.requires_shipping {
                is_shipped = true;
                weight = weight.saturating_add(variant.weight_milligrams.saturating_mul(line.quantity));
            }
        }
        is_shipped.then_some((weight, subtotal))
    }

    /// Where parcels may be sent from: the locations that have any of the items in stock, or all
    /// locations if none has.
    async fn origins(
        &self,
        conn: &mut Conn,
        destination: Option<Coordinates>,
    ) -> Result<Vec<Coordinates>, Error> {
        let stocked = self.levels.iter().filter(|(level, _)| level.available() > 0);
        let origins: Vec<Coordinates> = stocked.filter_map(|(_, origin)| *origin).collect();
        if destination.is_none() || !origins.is_empty() {
            return Ok(origins);
        }
        let all = locations::places(conn).await?;
        Ok(all.into_iter().filter_map(|(north, east)| Coordinates::from_parts(north, east)).collect())
    }

    /// The levels of each variant, nearest to the destination first; without known coordinates, in
    /// the order in which locations were created.
    fn levels_from(&self, destination: Option<Coordinates>) -> HashMap<VariantId, Vec<InventoryLevel>> {
        let distance = |origin: &Option<Coordinates>| match (destination, origin) {
            (Some(to), Some(from)) => from.distance_metres(to),
            _ => i64::MAX,
        };
        let mut ordered: Vec<&(InventoryLevel, Option<Coordinates>)> = self.levels.iter().collect();
        ordered.sort_by_key(|(_, origin)| distance(origin));
        let mut levels: HashMap<VariantId, Vec<InventoryLevel>> = HashMap::new();
        for (level, _) in ordered {
            levels.entry(level.variant_id).or_default().push(level.clone());
        }
        levels
    }
}

/// The discounts that may apply.
struct DiscountCandidates {
    /// Each with the reason why it can't be used, if there is one.
    discounts: Vec<(Discount, Option<DiscountRefusal>)>,
    /// Collections of the basket's products, read only if a discount depends on them.
    collections: HashMap<ProductId, Vec<CollectionId>>,
}

impl DiscountCandidates {
    async fn read(
        op: &OpContext,
        conn: &mut Conn,
        basket: &Basket<'_>,
        contents: &BasketContents,
    ) -> Result<Self, Error> {
        let mut keys: Vec<String> = basket.codes.iter().map(|code| code_key(code)).collect();
        keys.sort_unstable();
        keys.dedup();
        let found = discounts::candidates(conn, &keys, op.now()).await?;
        let mut used: HashMap<DiscountId, i64> = HashMap::new();
        let limited: Vec<DiscountId> =
            found.iter().filter(|row| row.customer_limit.is_some()).map(|row| row.id).collect();
        if !limited.is_empty() {
            used.extend(discounts::uses_of_buyer(conn, &limited, basket.buyer).await?);
        }
        let mut collections_by_product: HashMap<ProductId, Vec<CollectionId>> = HashMap::new();
        if found.iter().any(|row| row.rule.0.uses_collections()) {
            let mut ids: Vec<ProductId> = contents.variants.values().map(|(_, product)| product.id).collect();
            ids.sort_unstable();
            ids.dedup();
            for (product, collection) in collections::ids_by_product_ids(conn, &ids).await? {
                collections_by_product.entry(product).or_default().push(collection);
            }
        }
        let with_refusal = |row: Discount| {
            let uses = used.get(&row.id).copied().unwrap_or(0);
            let refusal = row.terms().check(op.now(), uses).err();
            (row, refusal)
        };
        Ok(Self {
            discounts: found.into_iter().map(with_refusal).collect(),
            collections: collections_by_product,
        })
    }

    /// Discounts that can be used, in the order of the outcomes.
    fn usable(&self) -> impl Iterator<Item = &Discount> {
        self.discounts.iter().filter(|(_, refusal)| refusal.is_none()).map(|(row, _)| row)
    }

    /// The result of each entered code.
    fn code_outcomes(&self, basket: &Basket<'_>, outcomes: &[DiscountOutcome]) -> Vec<CodeOutcome> {
        let by_id: HashMap<DiscountId, &DiscountOutcome> =
            self.usable().map(|row| row.id).zip(outcomes).collect();
        let refusal = |code: &str| {
            let key = code_key(code);
            let known = self.discounts.iter().find(|(row, _)| row.code_key.as_deref() == Some(key.as_str()));
            let Some((row, refusal)) = known else { return Some(DiscountRefusal::Unknown) };
            match (refusal, by_id.get(&row.id)) {
                (Some(refusal), _) | (None, Some(DiscountOutcome::Refused(refusal))) => Some(refusal.clone()),
                _ => None,
            }
        };
        let outcome = |code: &String| CodeOutcome {
            code: code.clone(),
            refused: refusal(code).map(|refusal| refusal.to_string()),
        };
        basket.codes.iter().map(outcome).collect()
    }

    /// Applied discounts with a usage limit, in the order of their ids.
    fn counted_discounts(&self, outcomes: &[DiscountOutcome]) -> Vec<DiscountId> {
        let applied =
            self.usable().zip(outcomes).filter(|(_, outcome)| **outcome == DiscountOutcome::Applied);
        applied.filter(|(row, _)| row.is_counted()).map(|(row, _)| row.id).collect()
    }
}
