//! The lines of a new order, made from the priced lines of a cart or a draft. Called when an order
//! is placed and when a draft is completed.

use std::collections::HashMap;

use uuid::Uuid;

use crate::db::types::Json;
use crate::domain::catalog::inventory::UnitsAtLocation;
use crate::domain::checkout::carts::Attribute;
use crate::domain::checkout::quotes::QuotedLine;
use crate::domain::ids::{OrderId, OrderLineId};
use crate::repositories::orders::OrderLine;
use crate::services::catalog::inventory::stock::ReservationPlan;
use crate::services::checkout::pricing::PricedBasket;

/// A line that is ordered: its key in the quote, and its custom attributes.
pub(in crate::services) struct OrderedLine<'a> {
    pub key: Uuid,
    pub attributes: &'a [Attribute],
}

/// The lines of an order, with prices and titles as of now. `ordered` is in the order of the plan.
/// Each line must have a quote and a plan: otherwise, the order is refused before.
pub(in crate::services) fn order_lines<'a>(
    order_id: OrderId,
    ordered: impl Iterator<Item = OrderedLine<'a>>,
    priced: &PricedBasket,
    plan: &ReservationPlan,
) -> Vec<OrderLine> {
    let quoted: HashMap<Uuid, &QuotedLine> = priced.quote.lines.iter().map(|line| (line.key, line)).collect();
    let line = |((position, ordered), reserved): ((i64, OrderedLine<'a>), &Vec<UnitsAtLocation>)| {
        let quoted = quoted.get(&ordered.key)?;
        let (variant, product) = priced.variants.get(&quoted.variant_id)?;
        Some(OrderLine {
            id: OrderLineId::generate(),
            order_id,
            position,
            variant_id: Some(variant.id),
            title: product.title.clone(),
            variant_title: variant.title.clone(),
            sku: variant.sku.clone(),
            vendor: product.vendor.clone(),
            quantity: quoted.quantity,
            unit_price: quoted.unit_price,
            discount_total: quoted.discount_total,
            tax_total: quoted.tax_total,
            discounts: Json(quoted.discounts.clone()),
            taxes: Json(quoted.taxes.clone()),
            attributes: Json(ordered.attributes.to_vec()),
            requires_shipping: variant.requires_shipping,
            weight_milligrams: variant.weight_milligrams,
            reserved: Json(reserved.clone()),
            fulfilled_quantity: 0,
            refunded_quantity: 0,
            picked: Json(Vec::new()),
            product_id: Some(product.id),
        })
    };
    (1..).zip(ordered).zip(&plan.lines).filter_map(line).collect()
}
