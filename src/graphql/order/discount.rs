//! Discounts of orders: what each took off which line, and taxes.

use std::sync::Arc;

use async_graphql::{Context, Enum, Interface, SimpleObject, Union};

use super::money;
use crate::domain::quote::{Allocation, TaxLine as Tax};
use crate::graphql::scalars::Decimal;
use crate::graphql::shop::MoneyV2;
use crate::loaders;

/// How a discount is spread over lines.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum DiscountApplicationAllocationMethod {
    /// Over all lines that it is for.
    Across,
    /// To each line that it is for.
    Each,
    /// To one line.
    One,
}

/// Which lines a discount is for.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum DiscountApplicationTargetSelection {
    /// All.
    All,
    /// Those that its rule names.
    Entitled,
    /// Those that were chosen.
    Explicit,
}

/// What a discount takes something off.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum DiscountApplicationTargetType {
    /// What is bought.
    LineItem,
    /// Delivery.
    ShippingLine,
}

/// What a discount is worth.
#[derive(Union, Clone)]
pub enum PricingValue {
    /// An amount.
    MoneyV2(MoneyV2),
    /// A part of the price.
    PricingPercentageValue(PricingPercentageValue),
}

/// A part of a price.
#[derive(SimpleObject, Clone)]
pub struct PricingPercentageValue {
    /// In percent: 10 % is 10.
    percentage: f64,
}

/// An interface gives what its types keep, and they keep values that are cheap to clone.
macro_rules! cloned {
    ($($of:ty),*) => {$(
        impl From<&$of> for $of {
            fn from(value: &$of) -> Self {
                value.clone()
            }
        }
    )*};
}

cloned!(
    DiscountApplicationAllocationMethod,
    DiscountApplicationTargetSelection,
    DiscountApplicationTargetType,
    PricingValue
);

/// A discount that an order was given.
#[derive(Interface, Clone)]
#[graphql(
    field(
        name = "allocation_method",
        ty = "DiscountApplicationAllocationMethod",
        desc = "How it is spread over lines."
    ),
    field(
        name = "target_selection",
        ty = "DiscountApplicationTargetSelection",
        desc = "Which lines it is for."
    ),
    field(name = "target_type", ty = "DiscountApplicationTargetType", desc = "What it takes something off."),
    field(name = "value", ty = "PricingValue", desc = "What it took off the whole order.")
)]
pub enum DiscountApplication {
    /// One that applied by itself.
    Automatic(AutomaticDiscountApplication),
    /// One that was asked for by a code.
    Code(DiscountCodeApplication),
    /// One that staff gave.
    Manual(ManualDiscountApplication),
}

/// A discount that applied by itself.
#[derive(SimpleObject, Clone)]
pub struct AutomaticDiscountApplication {
    /// How it is spread over lines.
    allocation_method: DiscountApplicationAllocationMethod,
    /// Which lines it is for.
    target_selection: DiscountApplicationTargetSelection,
    /// What it takes something off.
    target_type: DiscountApplicationTargetType,
    /// What it took off the whole order.
    value: PricingValue,
    /// What it is called.
    title: String,
}

/// A discount that was asked for by a code.
#[derive(SimpleObject, Clone)]
pub struct DiscountCodeApplication {
    /// How it is spread over lines.
    allocation_method: DiscountApplicationAllocationMethod,
    /// Which lines it is for.
    target_selection: DiscountApplicationTargetSelection,
    /// What it takes something off.
    target_type: DiscountApplicationTargetType,
    /// What it took off the whole order.
    value: PricingValue,
    /// The code.
    code: String,
    /// Whether the code took something off.
    applicable: bool,
}

/// A discount that staff gave.
#[derive(SimpleObject, Clone)]
pub struct ManualDiscountApplication {
    /// How it is spread over lines.
    allocation_method: DiscountApplicationAllocationMethod,
    /// Which lines it is for.
    target_selection: DiscountApplicationTargetSelection,
    /// What it takes something off.
    target_type: DiscountApplicationTargetType,
    /// What it took off the whole order.
    value: PricingValue,
    /// What it is called.
    title: String,
    /// More about it.
    description: Option<String>,
}

/// What a discount took off something.
#[derive(SimpleObject, Clone)]
pub struct DiscountAllocation {
    /// How much.
    allocated_amount: MoneyV2,
    /// Which discount.
    discount_application: DiscountApplication,
}

/// A tax.
#[derive(SimpleObject, Clone)]
pub struct TaxLine {
    /// What it is called.
    title: String,
    /// The rate, as a part of one: 20 % is `0.2`.
    rate: Decimal,
    /// The rate in percent: 20 % is `20`.
    percentage: Decimal,
    /// How much it is.
    price: MoneyV2,
}

/// The taxes on something.
pub fn taxes(ctx: &Context<'_>, order: &loaders::Order, taxes: &[Tax]) -> Vec<TaxLine> {
    let line = |tax: &Tax| TaxLine {
        title: tax.title.clone(),
        rate: Decimal(decimal(tax.rate_micros)),
        percentage: Decimal(decimal(tax.rate_micros.saturating_mul(100))),
        price: money(ctx, order, tax.amount),
    };
    taxes.iter().map(line).collect()
}

/// Millionths as a decimal number without needless zeros.
fn decimal(micros: i64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What discounts took off lines, or off delivery.
pub fn allocations(
    ctx: &Context<'_>,
    order: &loaders::Order,
    lines: &[Arc<loaders::OrderLine>],
    of: &[Allocation],
    target: DiscountApplicationTargetType,
) -> Vec<DiscountAllocation> {
    let allocation = |one: &Allocation| DiscountAllocation {
        allocated_amount: money(ctx, order, one.amount),
        discount_application: application(ctx, order, one, whole(order, lines, one, target), target),
    };
    of.iter().map(allocation).collect()
}

/// The discounts of an order, each once.
pub fn applications(
    ctx: &Context<'_>,
    order: &loaders::Order,
    lines: &[Arc<loaders::OrderLine>],
) -> Vec<DiscountApplication> {
    use DiscountApplicationTargetType::{LineItem, ShippingLine};
    let of_lines = lines.iter().flat_map(|line| &line.discounts.0).map(|one| (one, LineItem));
    let of_delivery = delivery_discounts(order).iter().map(|one| (one, ShippingLine));
    let mut known: Vec<(&Allocation, DiscountApplicationTargetType)> = Vec::new();
    for (one, target) in of_lines.chain(of_delivery) {
        if !known.iter().any(|(other, of)| *of == target && is_same(other, one)) {
            known.push((one, target));
        }
    }
    known
        .into_iter()
        .map(|(one, target)| application(ctx, order, one, whole(order, lines, one, target), target))
        .collect()
}

/// The discounts of an order's delivery.
pub fn delivery_discounts(order: &loaders::Order) -> &[Allocation] {
    order.delivery.0.as_ref().map_or(&[], |delivery| delivery.discounts.as_slice())
}

fn is_same(one: &Allocation, other: &Allocation) -> bool {
    (one.discount_id, &one.code, &one.title) == (other.discount_id, &other.code, &other.title)
}

/// What a discount took off all lines, or off delivery.
fn whole(
    order: &loaders::Order,
    lines: &[Arc<loaders::OrderLine>],
    one: &Allocation,
    target: DiscountApplicationTargetType,
) -> i64 {
    let of_lines = lines.iter().flat_map(|line| &line.discounts.0);
    let sum = |amount: i64, other: &Allocation| amount.saturating_add(other.amount);
    match target {
        DiscountApplicationTargetType::LineItem => of_lines.filter(|other| is_same(other, one)).fold(0, sum),
        DiscountApplicationTargetType::ShippingLine => {
            delivery_discounts(order).iter().filter(|other| is_same(other, one)).fold(0, sum)
        }
    }
}

fn application(
    ctx: &Context<'_>,
    order: &loaders::Order,
    one: &Allocation,
    whole: i64,
    target_type: DiscountApplicationTargetType,
) -> DiscountApplication {
    let allocation_method = DiscountApplicationAllocationMethod::Across;
    let target_selection = DiscountApplicationTargetSelection::Entitled;
    let value = PricingValue::MoneyV2(money(ctx, order, whole));
    let title = one.title.clone();
    match (&one.code, one.discount_id) {
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
