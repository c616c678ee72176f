//! What a basket costs, from what the database says at this moment: carts show it, orders are placed at it.
//!
//! It reads over the connection it is given, in or out of a transaction, and with the same few
//! statements however large the basket and the shop are: at most seven, one more where a buyer's
//! coordinates are known and nothing of the basket is counted, and one more where it can be picked
//! up. The arithmetic is `domain::pricing`'s.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::context::OpContext;
use crate::db::Conn;
use crate::domain::address::Address;
use crate::domain::discount::{Refusal, code_key};
use crate::domain::ids::{CollectionId, DiscountId, Id, LocationId, ProductId, VariantId};
use crate::domain::pricing::{self, Bill, Candidate, Fate, Line, MAX_AMOUNT, TooLarge};
use crate::domain::quote::{DeliveryOption, PickupPlace, Quote};
use crate::domain::shipping::{Coordinates, Parcel};
use crate::domain::tax::{Rate, province_key};
use crate::error::{Error, UserErrorCode};
use crate::integrations::shipping::ShippingStrategies;
use crate::repositories::discounts::{self, Buyer, Discount};
use crate::repositories::inventory::{self, InventoryLevel};
use crate::repositories::locations::{self, Location};
use crate::repositories::products::Product;
use crate::repositories::shipping;
use crate::repositories::variants::{self, Variant};
use crate::repositories::{collections, tax_rates};
use crate::services::Shop;
use crate::services::sale::is_for_sale;
use crate::services::shipping::zone_of;

/// Prices baskets.
pub struct Pricing {
    shop: Arc<Shop>,
    strategies: ShippingStrategies,
}

/// What a price is wanted for.
#[derive(Clone, Debug, Default)]
pub struct Basket<'a> {
    /// What is bought. Lines may be of the same variant.
    pub lines: Vec<BasketLine>,
    /// Discount codes, as they were typed.
    pub codes: &'a [String],
    /// Who buys, for discounts of so many uses a customer.
    pub buyer: Buyer<'a>,
    /// Where it is sent; `None` while not known, and then the buyer's country decides on taxes.
    pub destination: Option<&'a Address>,
    /// The buyer's country, ISO 3166-1 alpha-2; `None`: the shop's.
    pub country: Option<&'a str>,
    /// The handle of the delivery option that was chosen.
    pub delivery_option: Option<&'a str>,
}

/// A line of a basket.
#[derive(Clone, Debug)]
pub struct BasketLine {
    /// What the basket calls the line.
    pub key: Uuid,
    /// What is bought.
    pub variant_id: VariantId,
    /// How many pieces.
    pub quantity: i64,
}

/// A basket with its prices and what they were made from.
#[derive(Clone, Debug, Default)]
pub struct Priced {
    /// The prices. Lines whose variant is gone or not for sale to anybody are left out.
    pub quote: Quote,
    /// The variants that are still there, each with its product.
    pub variants: HashMap<VariantId, (Arc<Variant>, Arc<Product>)>,
    /// What lies where of each variant, active locations alone, nearest to the destination first.
    pub levels: HashMap<VariantId, Vec<InventoryLevel>>,
    /// The deliveries that can be chosen, cheapest first; empty when nothing is sent or nothing goes there.
    pub delivery_options: Vec<DeliveryOption>,
    /// What became of each code that was typed, in its order.
    pub codes: Vec<CodeOutcome>,
    /// The discounts that apply and whose uses are counted: whoever places the order must use them up.
    pub counted_discounts: Vec<DiscountId>,
}

/// What became of a discount code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CodeOutcome {
    /// As it was typed.
    pub code: String,
    /// Why it takes nothing off; `None` when it does.
    pub refused: Option<String>,
}

impl Pricing {
    /// The service for a shop, with the usual ways of sending.
    #[must_use]
    pub fn new(shop: Arc<Shop>) -> Self {
        Self { shop, strategies: ShippingStrategies::default() }
    }

    /// The same with other ways of sending.
    #[must_use]
    pub fn with_strategies(self, strategies: ShippingStrategies) -> Self {
        Self { strategies, ..self }
    }

    /// A basket's prices at this moment. Nobody is kept from asking: whose basket it is, is for the caller to know.
    ///
    /// # Errors
    /// [`Error`] of the database; [`Error::Invalid`] where the basket costs more than can be added up.
    pub async fn price(&self, op: &OpContext, conn: &mut Conn, basket: &Basket<'_>) -> Result<Priced, Error> {
        let goods = Goods::read(conn, basket).await?;
        let place = self.place(basket);
        let offers = Offers::read(op, conn, basket, &goods).await?;
        let tax_rates = tax_rates::of_place(conn, place.country, place.province.as_deref()).await?;
        let parcel = goods.parcel(basket);
        let options = match parcel {
            None => Vec::new(),
            Some((weight, subtotal)) => {
                let origins = goods.origins(conn, place.coordinates).await?;
                self.options(conn, &place, weight, subtotal, &origins).await?
            }
        };
        let delivery = basket
            .delivery_option
            .and_then(|handle| options.iter().find(|option| option.handle == handle))
            .cloned();
        let bill = self.bill(basket, &goods, &offers, &tax_rates, parcel.is_some(), delivery);
        let (quote, fates) = pricing::price(&bill).map_err(|TooLarge| {
            Error::invalid(
                &[],
                UserErrorCode::NotAllowed,
                "This costs more than can be added up: take less of it",
            )
        })?;
        Ok(Priced {
            codes: offers.outcomes(basket, &fates),
            counted_discounts: offers.counted(&fates),
            levels: goods.levels_from(place.coordinates),
            variants: goods.variants,
            delivery_options: options,
            quote,
        })
    }

    /// The prices of what is to be ordered, which has a limit that carts may be beyond.
    ///
    /// # Errors
    /// As [`Pricing::price`]; [`Error::Invalid`] where the basket costs more than one order can.
    pub async fn price_order(
        &self,
        op: &OpContext,
        conn: &mut Conn,
        basket: &Basket<'_>,
    ) -> Result<Priced, Error> {
        let priced = self.price(op, conn, basket).await?;
        if priced.quote.subtotal > MAX_AMOUNT {
            let most = self.shop.money(MAX_AMOUNT).to_decimal();
            let message = format!(
                "One order can cost up to {most} {}: order less at a time",
                self.shop.currency.code()
            );
            return Err(Error::invalid(&[], UserErrorCode::NotAllowed, message));
        }
        Ok(priced)
    }

    /// Where a basket goes, as far as that is known.
    fn place<'a>(&'a self, basket: &Basket<'a>) -> Place<'a> {
        let destination = basket.destination;
        let address = destination.filter(|address| address.country.is_some());
        let province = address.and_then(|address| address.province.as_deref()).map(province_key);
        Place {
            country: address
                .and_then(|address| address.country.as_deref())
                .or(basket.country)
                .unwrap_or(&self.shop.country),
            province: province.filter(|province| !province.contains('\0')),
            coordinates: destination.and_then(|address| Coordinates::of(address.latitude, address.longitude)),
        }
    }

    /// The deliveries that can be chosen, cheapest first.
    async fn options(
        &self,
        conn: &mut Conn,
        place: &Place<'_>,
        weight_milligrams: i64,
        subtotal: i64,
        origins: &[Coordinates],
    ) -> Result<Vec<DeliveryOption>, Error> {
        let zones = shipping::all(conn).await?;
        let Some((zone, rates)) = zone_of(&zones, place.country) else { return Ok(Vec::new()) };
        let nearest =
            place.coordinates.and_then(|to| origins.iter().map(|from| from.distance_metres(to)).min());
        let distance_metres = nearest.unwrap_or(zone.default_distance_metres);
        let pickups: Vec<LocationId> = rates.iter().filter_map(|rate| rate.location_id).collect();
        let places = if pickups.is_empty() { Vec::new() } else { locations::by_ids(conn, &pickups).await? };
        let places: Vec<PickupPlace> =
            places.into_iter().filter(|place| place.is_active).map(pickup_place).collect();
        let mut options: Vec<DeliveryOption> = Vec::new();
        let mut named: Vec<&str> = Vec::new();
        for rate in rates.into_iter().filter(|rate| rate.is_active) {
            let Some(strategy) = self.strategies.get(&rate.strategy) else { continue };
            // The first rate of a strategy has its name, whether or not it can be chosen now: a handle means one rate.
            let handle = if named.contains(&strategy.name()) {
                format!("{}-{}", strategy.name(), rate.id.uuid().simple())
            } else {
                named.push(strategy.name());
                strategy.name().to_owned()
            };
            if !rate.limits().admit(weight_milligrams, subtotal) {
                continue;
            }
            // Nobody picks anything up at a location that is closed.
            let pickup =
                rate.location_id.map(|id| places.iter().find(|place| place.location_id == id).cloned());
            if pickup == Some(None) {
                continue;
            }
            let Some(tariff) = rate.tariff(weight_milligrams, subtotal) else { continue };
            let parcel = Parcel { weight_milligrams, distance_metres };
            let is_free = rate.free_from_subtotal.is_some_and(|from| subtotal >= from);
            let price = if is_free { 0 } else { strategy.price(tariff, parcel, self.shop.currency) };
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

    fn bill<'a>(
        &self,
        basket: &Basket<'_>,
        goods: &'a Goods,
        offers: &'a Offers,
        tax_rates: &'a [Rate],
        is_sent: bool,
        delivery: Option<DeliveryOption>,
    ) -> Bill<'a> {
        let line = |line: &BasketLine| {
            let (variant, product) = goods.sold(line)?;
            Some(Line {
                key: line.key,
                variant_id: variant.id,
                product_id: product.id,
                collections: offers.collections.get(&product.id).map_or(&[], Vec::as_slice),
                quantity: line.quantity,
                unit_price: variant.price,
                tax_class: variant.taxable.then_some(product.tax_class.as_str()),
            })
        };
        let candidate = |discount: &'a Discount| Candidate {
            id: discount.id,
            title: &discount.title,
            code: discount.code.as_deref(),
            rule: &discount.rule.0,
        };
        Bill {
            lines: basket.lines.iter().filter_map(line).collect(),
            discounts: offers.usable().map(candidate).collect(),
            is_sent,
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

/// Where a basket goes.
struct Place<'a> {
    country: &'a str,
    province: Option<String>,
    coordinates: Option<Coordinates>,
}

/// What a basket is made of.
struct Goods {
    variants: HashMap<VariantId, (Arc<Variant>, Arc<Product>)>,
    /// With where they are.
    levels: Vec<(InventoryLevel, Option<Coordinates>)>,
}

impl Goods {
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
                .map(|(level, latitude, longitude)| (level, Coordinates::of(latitude, longitude)))
                .collect(),
        })
    }

    /// What a line sells, if it is for sale.
    fn sold(&self, line: &BasketLine) -> Option<&(Arc<Variant>, Arc<Product>)> {
        let known = self.variants.get(&line.variant_id);
        known.filter(|(_, product)| is_for_sale(product) && line.quantity > 0)
    }

    /// The weight of what is sent and the subtotal of everything; `None` when nothing is sent.
    fn parcel(&self, basket: &Basket<'_>) -> Option<(i64, i64)> {
        let (mut weight, mut subtotal, mut is_sent) = (0_i64, 0_i64, false);
        for line in &basket.lines {
            let Some((variant, _)) = self.sold(line) else { continue };
            subtotal = subtotal.saturating_add(variant.price.saturating_mul(line.quantity));
            if variant.requires_shipping {
                is_sent = true;
                weight = weight.saturating_add(variant.weight_milligrams.saturating_mul(line.quantity));
            }
        }
        is_sent.then_some((weight, subtotal))
    }

    /// Where parcels may come from: the locations that have something of the basket, or all where none has.
    async fn origins(
        &self,
        conn: &mut Conn,
        destination: Option<Coordinates>,
    ) -> Result<Vec<Coordinates>, Error> {
        let holding = self.levels.iter().filter(|(level, _)| level.available() > 0);
        let origins: Vec<Coordinates> = holding.filter_map(|(_, place)| *place).collect();
        if destination.is_none() || !origins.is_empty() {
            return Ok(origins);
        }
        let all = locations::places(conn).await?;
        Ok(all.into_iter().filter_map(|(north, east)| Coordinates::of(north, east)).collect())
    }

    /// What lies where of each variant, nearest to the destination first; where that is not known, as locations were made.
    fn levels_from(&self, destination: Option<Coordinates>) -> HashMap<VariantId, Vec<InventoryLevel>> {
        let distance = |place: &Option<Coordinates>| match (destination, place) {
            (Some(to), Some(from)) => from.distance_metres(to),
            _ => i64::MAX,
        };
        let mut ordered: Vec<&(InventoryLevel, Option<Coordinates>)> = self.levels.iter().collect();
        ordered.sort_by_key(|(_, place)| distance(place));
        let mut levels: HashMap<VariantId, Vec<InventoryLevel>> = HashMap::new();
        for (level, _) in ordered {
            levels.entry(level.variant_id).or_default().push(level.clone());
        }
        levels
    }
}

/// The discounts that may be meant.
struct Offers {
    /// Each with why it can't be used.
    discounts: Vec<(Discount, Option<Refusal>)>,
    /// The collections of the basket's products, where a discount looks at them.
    collections: HashMap<ProductId, Vec<CollectionId>>,
}

impl Offers {
    async fn read(
        op: &OpContext,
        conn: &mut Conn,
        basket: &Basket<'_>,
        goods: &Goods,
    ) -> Result<Self, Error> {
        let mut keys: Vec<String> = basket.codes.iter().map(|code| code_key(code)).collect();
        // No database takes a NUL in a text, so no code has one.
        keys.retain(|key| !key.contains('\0'));
        keys.sort_unstable();
        keys.dedup();
        let found = discounts::candidates(conn, &keys, op.now()).await?;
        let mut used: HashMap<DiscountId, i64> = HashMap::new();
        let limited: Vec<DiscountId> =
            found.iter().filter(|row| row.customer_limit.is_some()).map(|row| row.id).collect();
        if !limited.is_empty() {
            used.extend(discounts::uses_of_buyer(conn, &limited, basket.buyer).await?);
        }
        let mut collections_of: HashMap<ProductId, Vec<CollectionId>> = HashMap::new();
        if found.iter().any(|row| row.rule.0.looks_at_collections()) {
            let mut ids: Vec<ProductId> = goods.variants.values().map(|(_, product)| product.id).collect();
            ids.sort_unstable();
            ids.dedup();
            for (product, collection) in collections::ids_by_product_ids(conn, &ids).await? {
                collections_of.entry(product).or_default().push(collection);
            }
        }
        let judged = |row: Discount| {
            let uses = used.get(&row.id).copied().unwrap_or(0);
            let refusal = row.terms().check(op.now(), uses).err();
            (row, refusal)
        };
        Ok(Self { discounts: found.into_iter().map(judged).collect(), collections: collections_of })
    }

    /// Those that can be used, in the order in which their fates are told.
    fn usable(&self) -> impl Iterator<Item = &Discount> {
        self.discounts.iter().filter(|(_, refusal)| refusal.is_none()).map(|(row, _)| row)
    }

    /// What became of each code that was typed.
    fn outcomes(&self, basket: &Basket<'_>, fates: &[Fate]) -> Vec<CodeOutcome> {
        let by_id: HashMap<DiscountId, &Fate> = self.usable().map(|row| row.id).zip(fates).collect();
        let refusal = |code: &str| {
            let key = code_key(code);
            let known = self.discounts.iter().find(|(row, _)| row.code_key.as_deref() == Some(key.as_str()));
            let Some((row, refusal)) = known else { return Some(Refusal::Unknown) };
            match (refusal, by_id.get(&row.id)) {
                (Some(refusal), _) | (None, Some(Fate::Refused(refusal))) => Some(refusal.clone()),
                _ => None,
            }
        };
        let outcome = |code: &String| CodeOutcome {
            code: code.clone(),
            refused: refusal(code).map(|refusal| refusal.to_string()),
        };
        basket.codes.iter().map(outcome).collect()
    }

    /// Those that take something off and whose uses are counted, in the order of their ids.
    fn counted(&self, fates: &[Fate]) -> Vec<DiscountId> {
        let applied = self.usable().zip(fates).filter(|(_, fate)| **fate == Fate::Applied);
        applied.filter(|(row, _)| row.is_counted()).map(|(row, _)| row.id).collect()
    }
}
