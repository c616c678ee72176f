//! Selects the discounts that apply and calculates what each takes off every line.

use std::cmp::Reverse;

use super::{DiscountCandidate, DiscountOutcome, PricingInput, PricingLine};
use crate::domain::checkout::discounts::{DiscountClass, DiscountRefusal, DiscountValue, ItemSelection};
use crate::domain::checkout::quotes::Allocation;
use crate::domain::money::Money;
use crate::domain::money::rounding::{MICROS, distribute, half_up, portion};

/// Maximum number of sets of discounts that are compared. Beyond it, the best of the sets that
/// start with the largest discounts is chosen.
const MAX_SETS: u32 = 256;

/// The selected discounts, and the outcome of every candidate.
pub(super) struct Selection {
    /// In order of application.
    applied: Vec<AppliedDiscount>,
    /// One per discount of the input.
    pub(super) outcomes: Vec<DiscountOutcome>,
}

/// The reduction by one discount.
#[derive(Clone)]
struct AppliedDiscount {
    /// Index of the discount in the input.
    candidate: usize,
    /// Reduction of each line.
    lines: Vec<i64>,
    /// Reduction of delivery.
    delivery: i64,
}

impl AppliedDiscount {
    fn sum(&self) -> i64 {
        self.lines.iter().sum::<i64>() + self.delivery
    }
}

impl Selection {
    pub(super) fn line_allocations(&self, input: &PricingInput<'_>, at: usize) -> Vec<Allocation> {
        self.allocations(input, |applied| applied.lines.get(at).copied().unwrap_or(0))
    }

    pub(super) fn delivery_allocations(&self, input: &PricingInput<'_>) -> Vec<Allocation> {
        self.allocations(input, |applied| applied.delivery)
    }

    fn allocations(
        &self,
        input: &PricingInput<'_>,
        amount: impl Fn(&AppliedDiscount) -> i64,
    ) -> Vec<Allocation> {
        let allocation =
            |applied: &AppliedDiscount| input.discounts.get(applied.candidate)?.allocation(amount(applied));
        self.applied.iter().filter_map(allocation).collect()
    }
}

/// Selects the set of combinable discounts with the largest reduction.
pub(super) fn select(input: &PricingInput<'_>, subtotal: i64) -> Selection {
    let mut outcomes: Vec<DiscountOutcome> =
        vec![DiscountOutcome::Refused(DiscountRefusal::DoesNotCombine); input.discounts.len()];
    let mut applicable: Vec<(usize, i64)> = Vec::new();
    for (at, candidate) in input.discounts.iter().enumerate() {
        match saving_alone(input, subtotal, at, candidate) {
            Ok(saving) => applicable.push((at, saving)),
            Err(refusal) => {
                if let Some(outcome) = outcomes.get_mut(at) {
                    *outcome = DiscountOutcome::Refused(refusal);
                }
            }
        }
    }
    // Largest first, so that the first sets compared are good ones.
    applicable.sort_by_key(|&(at, saving)| {
        (Reverse(saving), !has_code(input, at), input.discounts.get(at).map(|d| d.id))
    });
    let order: Vec<usize> = applicable.into_iter().map(|(at, _)| at).collect();
    let mut search = Search { input, best: None, sets: 0 };
    search.extend(&mut Vec::new(), &order);
    let (set, applied) = search.best.map(|best| (best.set, best.applied)).unwrap_or_default();
    for at in set {
        let reduces = applied.iter().any(|applied| applied.candidate == at && applied.sum() > 0);
        let is_waiting = class(input, at) == Some(DiscountClass::Shipping) && input.delivery.is_none();
        let outcome = match (reduces, is_waiting) {
            (true, _) => DiscountOutcome::Applied,
            (false, true) => DiscountOutcome::AwaitingDelivery,
            (false, false) => DiscountOutcome::Refused(DiscountRefusal::NotEntitled),
        };
        if let Some(known) = outcomes.get_mut(at) {
            *known = outcome;
        }
    }
    Selection { applied, outcomes }
}

fn has_code(input: &PricingInput<'_>, at: usize) -> bool {
    input.discounts.get(at).is_some_and(|candidate| candidate.code.is_some())
}

fn class(input: &PricingInput<'_>, at: usize) -> Option<DiscountClass> {
    input.discounts.get(at).map(|candidate| candidate.rule.class())
}

/// The reduction by a discount if it were the only one.
fn saving_alone(
    input: &PricingInput<'_>,
    subtotal: i64,
    at: usize,
    candidate: &DiscountCandidate<'_>,
) -> Result<i64, DiscountRefusal> {
    if let Some(minimum) = candidate.rule.minimum_subtotal.filter(|minimum| subtotal < *minimum) {
        return Err(DiscountRefusal::MinimumNotReached(Money::new(minimum, input.currency)));
    }
    if candidate.rule.class() == DiscountClass::Shipping {
        return if input.is_shipped { Ok(delivery_price(input)) } else { Err(DiscountRefusal::NotEntitled) };
    }
    let saving = apply(input, &[at]).iter().map(AppliedDiscount::sum).sum();
    if saving > 0 { Ok(saving) } else { Err(DiscountRefusal::NotEntitled) }
}

fn delivery_price(input: &PricingInput<'_>) -> i64 {
    input.delivery.as_ref().map_or(0, |option| option.price)
}

/// Enumerates the maximal sets of combinable discounts: adding a discount never makes a set worse.
struct Search<'a> {
    input: &'a PricingInput<'a>,
    best: Option<BestSet>,
    sets: u32,
}

struct BestSet {
    saving: i64,
    codes: usize,
    set: Vec<usize>,
    applied: Vec<AppliedDiscount>,
}

impl Search<'_> {
    fn extend(&mut self, set: &mut Vec<usize>, rest: &[usize]) {
        if self.sets >= MAX_SETS {
            return;
        }
        let Some((&first, others)) = rest.split_first() else {
            self.evaluate(set);
            return;
        };
        let compatible: Vec<usize> =
            others.iter().copied().filter(|&other| self.combine(first, other)).collect();
        set.push(first);
        self.extend(set, &compatible);
        set.pop();
        // Leaving it out can only pay off if it excludes another one.
        if compatible.len() < others.len() {
            self.extend(set, others);
        }
    }

    fn combine(&self, one: usize, other: usize) -> bool {
        match (self.input.discounts.get(one), self.input.discounts.get(other)) {
            (Some(one), Some(other)) => one.rule.combines(other.rule),
            _ => false,
        }
    }

    fn evaluate(&mut self, set: &[usize]) {
        self.sets += 1;
        let applied = apply(self.input, set);
        let saving = applied.iter().map(AppliedDiscount::sum).sum();
        let codes = set.iter().filter(|&&at| has_code(self.input, at)).count();
        if self.best.as_ref().is_none_or(|best| (saving, codes) > (best.saving, best.codes)) {
            self.best = Some(BestSet { saving, codes, set: set.to_vec(), applied });
        }
    }
}

/// The reductions by the discounts of a set, applied one after the other.
fn apply(input: &PricingInput<'_>, set: &[usize]) -> Vec<AppliedDiscount> {
    let mut left: Vec<i64> =
        input.lines.iter().map(|line| line.unit_price.saturating_mul(line.quantity)).collect();
    let mut left_of_delivery = delivery_price(input);
    let mut ordered: Vec<(usize, &DiscountCandidate<'_>)> =
        set.iter().filter_map(|&at| Some((at, input.discounts.get(at)?))).collect();
    ordered.sort_by_key(|(_, candidate)| (candidate.rule.class(), candidate.id));
    let one = |(at, candidate): (usize, &DiscountCandidate<'_>)| {
        let lines = line_reductions(&candidate.rule.value, &input.lines, &left);
        for (left, off) in left.iter_mut().zip(&lines) {
            *left -= off;
        }
        let delivery = match candidate.rule.class() {
            DiscountClass::Shipping => std::mem::take(&mut left_of_delivery),
            _ => 0,
        };
        AppliedDiscount { candidate: at, lines, delivery }
    };
    ordered.into_iter().map(one).collect()
}

/// The reductions of all lines by a discount, capped at what is left of each line.
fn line_reductions(value: &DiscountValue, lines: &[PricingLine<'_>], left: &[i64]) -> Vec<i64> {
    let on = |items: &Option<ItemSelection>| -> Vec<i64> {
        lines
            .iter()
            .zip(left)
            .map(|(line, left)| if is_eligible(items.as_ref(), line) { *left } else { 0 })
            .collect()
    };
    match value {
        DiscountValue::Percentage { rate_micros, items } => {
            let weights = on(items);
            let sum = weights.iter().sum();
            distribute(portion(sum, *rate_micros).min(sum), &weights)
        }
        DiscountValue::FixedAmount { amount, each: false, items } => {
            let weights = on(items);
            distribute((*amount).min(weights.iter().sum()), &weights)
        }
        DiscountValue::FixedAmount { amount, each: true, items } => {
            let off =
                |(line, left): (&PricingLine<'_>, i64)| amount.saturating_mul(line.quantity).clamp(0, left);
            lines.iter().zip(on(items)).map(off).collect()
        }
        DiscountValue::BuyXGetY { buy, buy_quantity, get, get_quantity, rate_micros, uses_per_order } => {
            let offer = BuyXGetYOffer {
                buy: buy.as_ref(),
                buy_quantity: (*buy_quantity).max(1),
                get: get.as_ref(),
                get_quantity: (*get_quantity).max(1),
                uses: uses_per_order.unwrap_or(i64::MAX),
            };
            let of_units = |((units, line), left): ((i64, &PricingLine<'_>), &i64)| {
                portion_of_units(*left, units, line.quantity, *rate_micros)
            };
            offer.discounted_units(lines).into_iter().zip(lines).zip(left).map(of_units).collect()
        }
        DiscountValue::FreeShipping => vec![0; lines.len()],
    }
}

/// The given number of millionths of what is left of the price of some units of a line.
fn portion_of_units(left: i64, units: i64, quantity: i64, rate_micros: i64) -> i64 {
    let numerator = i128::from(left.max(0)) * i128::from(units) * i128::from(rate_micros);
    let portion = half_up(numerator, i128::from(quantity.max(1)) * i128::from(MICROS));
    i64::try_from(portion).unwrap_or(left).clamp(0, left.max(0))
}

fn is_eligible(items: Option<&ItemSelection>, line: &PricingLine<'_>) -> bool {
    line.is_discountable && items.is_none_or(|items| items.contains(line.product_id, line.collections))
}

/// A "buy X, get Y" offer.
struct BuyXGetYOffer<'a> {
    buy: Option<&'a ItemSelection>,
    buy_quantity: i64,
    get: Option<&'a ItemSelection>,
    get_quantity: i64,
    uses: i64,
}

impl BuyXGetYOffer<'_> {
    /// The number of discounted units of each line. The cheapest units are discounted; units that
    /// are eligible both ways are used as bought units only if there are too few that can only be
    /// bought.
    fn discounted_units(&self, lines: &[PricingLine<'_>]) -> Vec<i64> {
        let (mut bought_only, mut given_only, mut both) = (0_i64, 0_i64, 0_i64);
        for line in lines {
            match (is_eligible(self.buy, line), is_eligible(self.get, line)) {
                (true, true) => both = both.saturating_add(line.quantity),
                (true, false) => bought_only = bought_only.saturating_add(line.quantity),
                (false, true) => given_only = given_only.saturating_add(line.quantity),
                (false, false) => {}
            }
        }
        let missing = |sets: i64, quantity: i64, there: i64| {
            i128::from(sets) * i128::from(quantity) - i128::from(there)
        };
        let fits = |sets: i64| {
            let to_buy = missing(sets, self.buy_quantity, bought_only).max(0);
            let to_give = missing(sets, self.get_quantity, given_only).max(0);
            to_buy + to_give <= i128::from(both)
        };
        let sets = max_fitting(self.uses.min(bought_only.saturating_add(both) / self.buy_quantity), fits);
        let kept = i64::try_from(missing(sets, self.buy_quantity, bought_only).max(0)).unwrap_or(both);
        // Sets that fit never have more units than there are.
        let (mut to_give, mut of_both) = (sets.saturating_mul(self.get_quantity), both - kept);
        let mut discounted_units = vec![0; lines.len()];
        let mut by_price: Vec<(&PricingLine<'_>, &mut i64)> =
            lines.iter().zip(&mut discounted_units).filter(|(line, _)| is_eligible(self.get, line)).collect();
        by_price.sort_by_key(|(line, _)| line.unit_price);
        for (line, discounted_units) in by_price {
            let is_both = is_eligible(self.buy, line);
            let units = line.quantity.min(to_give).min(if is_both { of_both } else { i64::MAX });
            *discounted_units = units;
            to_give -= units;
            of_both -= if is_both { units } else { 0 };
        }
        discounted_units
    }
}

/// The largest number up to `limit` that fits; `fits` must be monotonic.
fn max_fitting(limit: i64, fits: impl Fn(i64) -> bool) -> i64 {
    let (mut low, mut high) = (0, limit.max(0));
    while low < high {
        let middle = low + (high - low + 1) / 2;
        if fits(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}
