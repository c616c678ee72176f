//! What a cart costs, and what discounts take off.

use async_graphql::{Interface, Object, SimpleObject};

use crate::domain::quote::Allocation;
pub use crate::graphql::order::DiscountApplicationTargetType as TargetType;
use crate::graphql::shop::MoneyV2;
use crate::services::Shop;
use crate::services::pricing::{CodeOutcome, Priced};

/// What a cart costs.
#[derive(SimpleObject)]
pub struct CartCost {
    /// What the buyer will be charged for the lines, before discounts, taxes and delivery.
    checkout_charge_amount: MoneyV2,
    /// The lines, before discounts.
    subtotal_amount: MoneyV2,
    /// Whether the subtotal may still change; it does not.
    subtotal_amount_estimated: bool,
    /// What is to be paid: lines, delivery and taxes, after discounts.
    total_amount: MoneyV2,
    /// Whether the total may still change, since it is not known where or how the cart is delivered.
    total_amount_estimated: bool,
    /// All taxes, contained in the prices or not.
    total_tax_amount: Option<MoneyV2>,
    /// Whether the taxes may still change, since it is not known where the cart is delivered.
    total_tax_amount_estimated: bool,
    /// Duties; null, since none are reckoned.
    total_duty_amount: Option<MoneyV2>,
    /// Whether the duties may still change; they do not.
    total_duty_amount_estimated: bool,
}

/// A discount code of a cart.
#[derive(SimpleObject)]
pub struct CartDiscountCode {
    /// Whether it takes something off.
    applicable: bool,
    /// The code, as it was entered.
    code: String,
}

/// What a discount takes off.
#[derive(Interface, Clone)]
#[graphql(
    field(name = "discounted_amount", ty = "MoneyV2", desc = "How much."),
    field(name = "target_type", ty = "TargetType", desc = "Off what.")
)]
pub enum CartDiscountAllocation {
    /// By a discount that needs no code.
    CartAutomaticDiscountAllocation(CartAutomaticDiscountAllocation),
    /// By a discount code.
    CartCodeDiscountAllocation(CartCodeDiscountAllocation),
}

/// What a discount takes off that needs no code.
#[derive(Clone)]
pub struct CartAutomaticDiscountAllocation(Taken);

/// What a discount code takes off.
#[derive(Clone)]
pub struct CartCodeDiscountAllocation(Taken);

#[derive(Clone)]
struct Taken {
    amount: MoneyV2,
    target: TargetType,
    name: String,
}

/// What discounts take off.
pub fn allocations(shop: &Shop, all: &[Allocation], target: TargetType) -> Vec<CartDiscountAllocation> {
    let shown = |one: &Allocation| {
        let taken =
            |name: &String| Taken { amount: MoneyV2(shop.money(one.amount)), target, name: name.clone() };
        match &one.code {
            Some(code) => {
                CartDiscountAllocation::CartCodeDiscountAllocation(CartCodeDiscountAllocation(taken(code)))
            }
            None => CartDiscountAllocation::CartAutomaticDiscountAllocation(CartAutomaticDiscountAllocation(
                taken(&one.title),
            )),
        }
    };
    all.iter().map(shown).collect()
}

/// What a discount takes off that needs no code.
#[Object]
impl CartAutomaticDiscountAllocation {
    /// How much.
    pub async fn discounted_amount(&self) -> MoneyV2 {
        self.0.amount
    }

    /// Off what.
    pub async fn target_type(&self) -> TargetType {
        self.0.target
    }

    /// What the discount is called.
    async fn title(&self) -> &str {
        &self.0.name
    }
}

/// What a discount code takes off.
#[Object]
impl CartCodeDiscountAllocation {
    /// How much.
    pub async fn discounted_amount(&self) -> MoneyV2 {
        self.0.amount
    }

    /// Off what.
    pub async fn target_type(&self) -> TargetType {
        self.0.target
    }

    /// The code.
    async fn code(&self) -> &str {
        &self.0.name
    }
}

impl CartCost {
    /// The cost of a cart of which it is known, or not, where it is delivered.
    pub fn of(shop: &Shop, priced: &Priced, is_destination_known: bool) -> Self {
        let quote = &priced.quote;
        let money = |minor| MoneyV2(shop.money(minor));
        // Where there is something to choose and nothing was chosen, delivery is still to come.
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
    /// What became of a code.
    pub fn of(outcome: &CodeOutcome) -> Self {
        Self { applicable: outcome.refused.is_none(), code: outcome.code.clone() }
    }
}
