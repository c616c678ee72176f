//! Discounts of orders, their allocation to lines, and taxes.

use std::sync::Arc;

use async_graphql::{Context, Enum, Interface, SimpleObject, Union};

use super::money;
use crate::domain::checkout::quotes::{Allocation, TaxLine as Tax};
use crate::domain::money::micros;
use crate::graphql::shop::MoneyV2;
use crate::graphql::types::scalars::Decimal;
use crate::loaders;

/// How a discount is distributed over the lines.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum DiscountApplicationAllocationMethod {
    /// The discount is spread across all lines that it applies to.
    Across,
    /// The discount is applied to each line that it applies to.
    Each,
    /// The discount is applied to a single line.
    One,
}

/// Which lines a discount applies to.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum DiscountApplicationTargetSelection {
    /// All lines.
    All,
    /// The lines that are entitled to the discount by its rule.
    Entitled,
    /// Explicitly selected lines.
    Explicit,
}

/// Whether a discount applies to lines or to delivery.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum DiscountApplicationTargetType {
    /// The lines of the order.
    LineItem,
    /// Delivery.
    ShippingLine,
}

/// The value of a discount.
#[derive(Union, Clone)]
pub(crate) enum PricingValue {
    /// A fixed amount.
    MoneyV2(MoneyV2),
    /// A percentage of the price.
    PricingPercentageValue(PricingPercentageValue),
}

/// A percentage of the price.
#[derive(SimpleObject, Clone)]
pub(crate) struct PricingPercentageValue {
    /// The percentage: 10 for 10 %.
    percentage: f64,
}

/// Interface fields are converted from references by cloning. These types are cheap to clone.
macro_rules! impl_from_ref {
    ($($type:ty),*) => {$(
        impl From<&$type> for $type {
            fn from(value: &$type) -> Self {
                value.clone()
            }
        }
    )*};
}

impl_from_ref!(
    DiscountApplicationAllocationMethod,
    DiscountApplicationTargetSelection,
    DiscountApplicationTargetType,
    PricingValue
);

/// A discount applied to an order.
#[derive(Interface, Clone)]
#[graphql(
    field(
        name = "allocation_method",
        ty = "DiscountApplicationAllocationMethod",
        desc = "How the discount is distributed over the lines."
    ),
    field(
        name = "target_selection",
        ty = "DiscountApplicationTargetSelection",
        desc = "Which lines the discount applies to."
    ),
    field(
        name = "target_type",
        ty = "DiscountApplicationTargetType",
        desc = "Whether the discount applies to lines or to delivery."
    ),
    field(name = "value", ty = "PricingValue", desc = "The total amount taken off the order.")
)]
pub(crate) enum DiscountApplication {
    /// An automatic discount.
    Automatic(AutomaticDiscountApplication),
    /// A discount code.
    Code(DiscountCodeApplication),
    /// A discount given by staff.
    Manual(ManualDiscountApplication),
}

/// A discount that was applied automatically.
#[derive(SimpleObject, Clone)]
pub(crate) struct AutomaticDiscountApplication {
    /// How the discount is distributed over the lines.
    allocation_method: DiscountApplicationAllocationMethod,
    /// Which lines the discount applies to.
    target_selection: DiscountApplicationTargetSelection,
    /// Whether the discount applies to lines or to delivery.
    target_type: DiscountApplicationTargetType,
    /// The total amount taken off the order.
    value: PricingValue,
    /// The title of the discount.
    title: String,
}

/// A discount that was applied with a code.
#[derive(SimpleObject, Clone)]
pub(crate) struct DiscountCodeApplication {
    /// How the discount is distributed over the lines.
    allocation_method: DiscountApplicationAllocationMethod,
    /// Which lines the discount applies to.
    target_selection: DiscountApplicationTargetSelection,
    /// Whether the discount applies to lines or to delivery.
    target_type: DiscountApplicationTargetType,
    /// The total amount taken off the order.
    value: PricingValue,
    /// The discount code.
    code: String,
    /// Whether the code discounted the order.
    applicable: bool,
}

/// A discount that was given by staff.
#[derive(SimpleObject, Clone)]
pub(crate) struct ManualDiscountApplication {
    /// How the discount is distributed over the lines.
    allocation_method: DiscountApplicationAllocationMethod,
    /// Which lines the discount applies to.
    target_selection: DiscountApplicationTargetSelection,
    /// Whether the discount applies to lines or to delivery.
    target_type: DiscountApplicationTargetType,
    /// The total amount taken off the order.
    value: PricingValue,
    /// The title of the discount.
    title: String,
    /// The description of the discount.
    description: Option<String>,
}

/// The amount that a discount takes off a line or delivery.
#[derive(SimpleObject, Clone)]
pub(super) struct DiscountAllocation {
    /// The amount taken off.
    allocated_amount: MoneyV2,
    /// The discount that was applied.
    discount_application: DiscountApplication,
}

/// A tax on a line or on delivery.
#[derive(SimpleObject, Clone)]
pub(super) struct TaxLine {
    /// The name of the tax.
    title: String,
    /// The tax rate as a decimal: `0.2` for 20 %.
    rate: Decimal,
    /// The tax rate in percent: `20` for 20 %.
    percentage: Decimal,
    /// The amount of tax.
    price: MoneyV2,
}

/// Converts taxes of the domain.
pub(super) fn to_tax_lines(ctx: &Context<'_>, order: &loaders::Order, taxes: &[Tax]) -> Vec<TaxLine> {
    let line = |tax: &Tax| TaxLine {
        title: tax.title.clone(),
        rate: Decimal(micros::to_decimal(tax.rate_micros)),
        percentage: Decimal(micros::to_percentage(tax.rate_micros)),
        price: money(ctx, order, tax.amount),
    };
    taxes.iter().map(line).collect()
}

/// The discount allocations of a line or of delivery.
pub(super) fn to_discount_allocations(
    ctx: &Context<'_>,
    order: &loaders::Order,
    lines: &[Arc<loaders::OrderLine>],
    allocations: &[Allocation],
    target: DiscountApplicationTargetType,
) -> Vec<DiscountAllocation> {
    let to_allocation = |allocation: &Allocation| DiscountAllocation {
        allocated_amount: money(ctx, order, allocation.amount),
        discount_application: to_application(
            ctx,
            order,
            allocation,
            sum_discount(order, lines, allocation, target),
            target,
        ),
    };
    allocations.iter().map(to_allocation).collect()
}

/// The distinct discounts of an order.
pub(super) fn to_discount_applications(
    ctx: &Context<'_>,
    order: &loaders::Order,
    lines: &[Arc<loaders::OrderLine>],
) -> Vec<DiscountApplication> {
    use DiscountApplicationTargetType::{LineItem, ShippingLine};
    let of_lines = lines.iter().flat_map(|line| &line.discounts.0).map(|discount| (discount, LineItem));
    let of_delivery = delivery_discounts(order).iter().map(|discount| (discount, ShippingLine));
    let mut distinct: Vec<(&Allocation, DiscountApplicationTargetType)> = Vec::new();
    for (discount, target) in of_lines.chain(of_delivery) {
        if !distinct.iter().any(|(other, kind)| *kind == target && is_same_discount(other, discount)) {
            distinct.push((discount, target));
        }
    }
    distinct
        .into_iter()
        .map(|(discount, target)| {
            to_application(ctx, order, discount, sum_discount(order, lines, discount, target), target)
        })
        .collect()
}

/// The discounts on the delivery of an order.
pub(super) fn delivery_discounts(order: &loaders::Order) -> &[Allocation] {
    order.delivery.0.as_ref().map_or(&[], |delivery| delivery.discounts.as_slice())
}

fn is_same_discount(discount: &Allocation, other: &Allocation) -> bool {
    (discount.discount_id, &discount.code, &discount.title) == (other.discount_id, &other.code, &other.title)
}

/// The total that a discount took off all lines, or off delivery.
fn sum_discount(
    order: &loaders::Order,
    lines: &[Arc<loaders::OrderLine>],
    discount: &Allocation,
    target: DiscountApplicationTargetType,
) -> i64 {
    let of_lines = lines.iter().flat_map(|line| &line.discounts.0);
    let sum = |amount: i64, other: &Allocation| amount.saturating_add(other.amount);
    match target {
        DiscountApplicationTargetType::LineItem => {
            of_lines.filter(|other| is_same_discount(other, discount)).fold(0, sum)
        }
        DiscountApplicationTargetType::ShippingLine => {
            delivery_discounts(order).iter().filter(|other| is_same_discount(other, discount)).fold(0, sum)
        }
    }
}

fn to_application(
    ctx: &Context<'_>,
    order: &loaders::Order,
    discount: &Allocation,
    total: i64,
    target_type: DiscountApplicationTargetType,
) -> DiscountApplication {
    let allocation_method = DiscountApplicationAllocationMethod::Across;
    let target_selection = DiscountApplicationTargetSelection::Entitled;
    let value = PricingValue::MoneyV2(money(ctx, order, total));
    let title = discount.title.clone();
    match (&discount.code, discount.discount_id) {
        (Some(code), _) => DiscountApplication::Code(DiscountCodeApplication {
            allocation_method,
            target_selection,
            target_type,
            value,
            code: code.clone(),
            applicable: true,
        }),
        (None, Some(_)) => DiscountApplication::Automatic(AutomaticDiscountApplication {
            allocation_method,
            target_selection,
            target_type,
            value,
            title,
        }),
        (None, None) => DiscountApplication::Manual(ManualDiscountApplication {
            allocation_method,
            target_selection,
            target_type,
            value,
            title,
            description: None,
        }),
    }
}
