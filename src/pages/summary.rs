//! What is bought and what it costs, as carts and orders show it.

use std::collections::HashMap;

use serde::Serialize;

use super::{BuyerPages, Visit};
use crate::context::OpContext;
use crate::domain::catalog::full_title;
use crate::domain::checkout::carts::Attribute;
use crate::domain::checkout::quotes::Allocation;
use crate::domain::ids::{Id, VariantId};
use crate::domain::media::{CropAnchor, ImageTransform, MediaFormat, parse_path};
use crate::domain::money::{Currency, Money};
use crate::domain::orders::OrderStatus;
use crate::error::Error;
use crate::services::checkout::carts::OpenCart;
use crate::services::checkout::pricing::PricedBasket;
use crate::services::checkout::sale;
use crate::services::orders::OrderView;

/// Width and height of a line's image in pixels, twice as many as it is shown with.
const IMAGE_PIXELS: u32 = 128;

/// The URLs of images by variant.
pub(super) type Images = HashMap<VariantId, String>;

/// The lines and totals of a cart or an order.
#[derive(Serialize)]
pub(super) struct Summary {
    lines: Vec<SummaryLine>,
    subtotal: Money,
    discount: Option<Money>,
    /// The title and price of the delivery.
    delivery: Option<Delivery>,
    tax: Option<Money>,
    taxes_included: bool,
    total: Money,
    /// What gift cards and store credit pay.
    credit: Option<Money>,
    /// What is left to pay then.
    due: Option<Money>,
    /// Whether delivery is still to be added.
    is_estimate: bool,
}

#[derive(Serialize)]
struct Delivery {
    title: String,
    price: Money,
}

#[derive(Serialize)]
struct SummaryLine {
    title: String,
    quantity: i64,
    image: Option<String>,
    unit_price: Money,
    /// After discounts.
    total: Money,
    attributes: Vec<Attribute>,
    discounts: Vec<Reduction>,
    /// Why it can't be bought as it is.
    problem: Option<String>,
}

#[derive(Serialize)]
struct Reduction {
    title: String,
    amount: Money,
}

impl Summary {
    /// The summary of a cart.
    pub(super) fn of_cart(
        visit: &Visit<'_>,
        currency: Currency,
        open: &OpenCart,
        priced: &PricedBasket,
        images: &Images,
    ) -> Self {
        let quote = &priced.quote;
        let money = |minor| Money::new(minor, currency);
        let unavailable = sale::unavailable_lines(&open.lines, priced);
        let sellable = sale::sellable_lines(&open.lines, priced);
        let mut lines = Vec::with_capacity(quote.lines.len());
        for quoted in &quote.lines {
            let row = open.lines.iter().find(|row| row.id.uuid() == quoted.key);
            let Some((variant, product)) = priced.variants.get(&quoted.variant_id) else { continue };
            let short = unavailable.iter().find(|short| short.line_id.uuid() == quoted.key);
            let problem = short.map(|short| shortage(visit, short.available.unwrap_or(0)));
            lines.push(SummaryLine {
                title: full_title(&product.title, &variant.title),
                quantity: quoted.quantity,
                image: images.get(&quoted.variant_id).cloned(),
                unit_price: money(quoted.unit_price),
                total: money(quoted.total()),
                attributes: row.map(|row| visible(&row.attributes.0)).unwrap_or_default(),
                discounts: reductions(&quoted.discounts, currency),
                problem,
            });
        }
        Self {
            lines,
            subtotal: money(quote.subtotal),
            discount: (quote.discount_total > 0).then(|| money(quote.discount_total)),
            delivery: quote.delivery.as_ref().map(|delivery| Delivery {
                title: delivery.option.title.clone(),
                price: money(quote.shipping_total),
            }),
            tax: (quote.tax_total > 0).then(|| money(quote.tax_total)),
            taxes_included: quote.taxes_included,
            total: money(quote.total),
            credit: None,
            due: None,
            is_estimate: quote.delivery.is_none() && sale::needs_shipping(&sellable, priced),
        }
    }

    /// The summary of an order.
    pub(super) fn of_order(view: &OrderView, currency: Currency, images: &Images) -> Self {
        let order = &view.order;
        let is_unpaid = matches!(order.status, OrderStatus::PendingPayment | OrderStatus::Expired);
        let money = |minor| Money::new(minor, currency);
        let mut lines = Vec::with_capacity(view.lines.len());
        for line in &view.lines {
            lines.push(SummaryLine {
                title: full_title(&line.title, &line.variant_title),
                quantity: line.quantity,
                image: line.variant_id.and_then(|id| images.get(&id)).cloned(),
                unit_price: money(line.unit_price),
                total: money(line.total()),
                attributes: visible(&line.attributes.0),
                discounts: reductions(&line.discounts.0, currency),
                problem: None,
            });
        }
        Self {
            lines,
            subtotal: money(order.subtotal),
            discount: (order.discount_total > 0).then(|| money(order.discount_total)),
            delivery: order.delivery.0.as_ref().map(|delivery| Delivery {
                title: delivery.option.title.clone(),
                price: money(order.shipping_total),
            }),
            tax: (order.tax_total > 0).then(|| money(order.tax_total)),
            taxes_included: order.taxes_included,
            total: money(order.total),
            credit: None,
            due: None,
            is_estimate: false,
        }
        .with_credit(currency, view.credit(), is_unpaid.then(|| view.due()))
    }

    /// Adds what gift cards and store credit pay, and what is left to pay then, in minor units.
    pub(super) fn with_credit(self, currency: Currency, credit: i64, due: Option<i64>) -> Self {
        let money = |minor| Money::new(minor, currency);
        Self { credit: (credit > 0).then(|| money(credit)), due: due.map(money), ..self }
    }

    /// The URLs of its images.
    pub(super) fn images(&self) -> Vec<String> {
        self.lines.iter().filter_map(|line| line.image.clone()).collect()
    }
}

impl BuyerPages {
    /// The images of variants, in the size of a line.
    pub(super) async fn images(&self, op: &OpContext, variants: &[VariantId]) -> Result<Images, Error> {
        let found = self.services.catalog.images_of_variants(op, variants).await?;
        Ok(found.into_iter().map(|(id, image)| (id, thumbnail(&image.url))).collect())
    }
}

/// The sentence that too few units of a line are left.
fn shortage(visit: &Visit<'_>, available: i64) -> String {
    match available {
        ..=0 => visit.text("line.sold_out"),
        left => visit.text_with("line.only", &[("count", &left.to_string())]),
    }
}

/// Attributes that the buyer may see. Storefronts begin the names of others with an underscore.
fn visible(attributes: &[Attribute]) -> Vec<Attribute> {
    let is_visible = |attribute: &&Attribute| !attribute.key.starts_with('_') && !attribute.value.is_empty();
    attributes.iter().filter(is_visible).cloned().collect()
}

fn reductions(allocations: &[Allocation], currency: Currency) -> Vec<Reduction> {
    let reduction = |allocation: &Allocation| Reduction {
        title: allocation.code.clone().unwrap_or_else(|| allocation.title.clone()),
        amount: Money::new(allocation.amount, currency),
    };
    allocations.iter().map(reduction).collect()
}

/// The URL of an image in the size of a line, if it is on this server.
fn thumbnail(url: &str) -> String {
    let is_croppable = parse_path(url).is_some_and(|file| file.format != MediaFormat::Gif);
    if !is_croppable {
        return url.to_owned();
    }
    let transform = ImageTransform {
        max_width: Some(IMAGE_PIXELS),
        max_height: Some(IMAGE_PIXELS),
        format: None,
        crop: Some(CropAnchor::Center),
    };
    format!("{url}?{}", transform.query())
}
