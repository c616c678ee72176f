//! The cost of a cart, and discount allocations.

use async_graphql::{Interface, Object, SimpleObject};

use crate::domain::checkout::quotes::Allocation;
pub(super) use crate::graphql::orders::DiscountApplicationTargetType as TargetType;
use crate::graphql::shop::MoneyV2;
use crate::services::Shop;
use crate::services::checkout::pricing::{CodeOutcome, PricedBasket};

/// The estimated cost of a cart.
#[derive(SimpleObject)]
pub(super) struct CartCost {
    /// The amount that the buyer is charged for the lines, before discounts, taxes and delivery.
    checkout_charge_amount: MoneyV2,
    /// The total of the lines, before discounts.
    subtotal_amount: MoneyV2,
    /// Whether the subtotal may still change. Always false.
    subtotal_amount_estimated: bool,
    /// The total to pay for lines, delivery and taxes, after discounts.
    total_amount: MoneyV2,
    /// Whether the total may still change, because the delivery address or the delivery option
    /// isn't known yet.
    total_amount_estimated: bool,
    /// The total of all taxes, whether or not they are included in the prices.
    total_tax_amount: Option<MoneyV2>,
    /// Whether the taxes may still change, because the delivery address isn't known yet.
    total_tax_amount_estimated: bool,
    /// The total of all duties. Always null, since duties are not calculated.
    total_duty_amount: Option<MoneyV2>,
    /// Whether the duties may still change. Always false.
    total_duty_amount_estimated: bool,
}

/// A discount code entered for a cart.
#[derive(SimpleObject)]
pub(super) struct CartDiscountCode {
    /// Whether the code currently applies to the cart.
    applicable: bool,
    /// The code, as the buyer entered it.
    code: String,
}

/// The amount that a discount takes off a cart line or delivery.
#[derive(Interface, Clone)]
#[graphql(
    field(name = "discounted_amount", ty = "MoneyV2", desc = "The amount taken off."),
    field(
        name = "target_type",
        ty = "TargetType",
        desc = "Whether the discount applies to lines or to delivery."
    )
)]
pub(super) enum CartDiscountAllocation {
    /// The allocation of an automatic discount.
    CartAutomaticDiscountAllocation(CartAutomaticDiscountAllocation),
    /// The allocation of a discount code.
    CartCodeDiscountAllocation(CartCodeDiscountAllocation),
}

/// The allocation of an automatic discount: one that needs no code.
#[derive(Clone)]
pub(super) struct CartAutomaticDiscountAllocation(AllocatedDiscount);

/// The allocation of a discount code.
#[derive(Clone)]
pub(super) struct CartCodeDiscountAllocation(AllocatedDiscount);

#[derive(Clone)]
struct AllocatedDiscount {
    amount: MoneyV2,
    target: TargetType,
    name: String,
}

/// The allocations of discounts to a line or to delivery.
pub(super) fn to_cart_allocations(
    shop: &Shop,
    allocations: &[Allocation],
    target: TargetType,
) -> Vec<CartDiscountAllocation> {
    let to_allocation = |allocation: &Allocation| {
        let to_discount = |name: &String| AllocatedDiscount {
            amount: MoneyV2(shop.money(allocation.amount)),
            target,
            name: name.clone(),
        };
        match &allocation.code {
            Some(code) => CartDiscountAllocation::CartCodeDiscountAllocation(CartCodeDiscountAllocation(
                to_discount(code),
            )),
            None => CartDiscountAllocation::CartAutomaticDiscountAllocation(CartAutomaticDiscountAllocation(
                to_discount(&allocation.title),
            )),
        }
    };
    allocations.iter().map(to_allocation).collect()
}

/// The amount that an automatic discount takes off a cart line or delivery.
#[Object]
impl CartAutomaticDiscountAllocation {
    /// The amount taken off.
    pub async fn discounted_amount(&self) -> MoneyV2 {
        self.0.amount
    }

    /// Whether the discount applies to lines or to delivery.
    pub async fn target_type(&self) -> TargetType {
        self.0.target
    }

    /// The title of the discount.
    async fn title(&self) -> &str {
        &self.0.name
    }
}

/// The amount that a discount code takes off a cart line or delivery.
#[Object]
impl CartCodeDiscountAllocation {
    /// The amount taken off.
    pub async fn discounted_amount(&self) -> MoneyV2 {
        self.0.amount
    }

    /// Whether the discount applies to lines or to delivery.
    pub async fn target_type(&self) -> TargetType {
        self.0.target
    }

    /// The discount code.
    async fn code(&self) -> &str {
        &self.0.name
    }
}

impl CartCost {
    /// The cost of a cart. Until the destination is known, taxes and the total are estimates.
    pub(super) fn new(shop: &Shop, priced: &PricedBasket, is_destination_known: bool) -> Self {
        let quote = &priced.quote;
        let money = |minor| MoneyV2(shop.money(minor));
        // Delivery is still to be paid if there are options and none has been selected.
        let is_delivery_open = !priced.delivery_options.is_empty() && quote.delivery.is_none();
        Self {
            checkout_charge_amount: money(quote.subtotal),
            subtotal_amount: money(quote.subtotal),
            subtotal_amount_estimated: false,
            total_amount: money(quote.total),
            total_amount_estimated: !is_destination_known || is_delivery_open,
            total_tax_amount: Some(money(quote.tax_total)),
            total_tax_amount_estimated: !is_destination_known,
            total_duty_amount: None,
            total_duty_amount_estimated: false,
        }
    }
}

impl CartDiscountCode {
    /// A discount code with the outcome of pricing.
    pub(super) fn new(outcome: &CodeOutcome) -> Self {
        Self { applicable: outcome.refused.is_none(), code: outcome.code.clone() }
    }
}
