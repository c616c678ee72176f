//! Which of the discounts that may apply do, and what each takes off every line.

use std::cmp::Reverse;

use super::{Bill, Candidate, Fate, Line};
use crate::domain::discount::{DiscountClass, DiscountValue, Items, Refusal};
use crate::domain::money::Money;
use crate::domain::quote::Allocation;
use crate::domain::rounding::{part, spread};

/// How many sets of discounts are compared at most; with more, the best of those that begin with the largest discounts is taken.
const MAX_SETS: u32 = 256;

/// The set of discounts that was chosen, and what became of every one.
pub(super) struct Chosen {
    /// In the order they were applied.
    applied: Vec<Applied>,
    /// One for each of the bill's discounts.
    pub(super) fates: Vec<Fate>,
}

/// What a discount takes off.
#[derive(Clone)]
struct Applied {
    /// Its place among the bill's discounts.
    candidate: usize,
    /// Off each line.
    lines: Vec<i64>,
    /// Off delivery.
    delivery: i64,
}

impl Applied {
    fn sum(&self) -> i64 {
        self.lines.iter().sum::<i64>() + self.delivery
    }
}

impl Chosen {
    pub(super) fn of_line(&self, bill: &Bill<'_>, at: usize) -> Vec<Allocation> {
        self.allocations(bill, |applied| applied.lines.get(at).copied().unwrap_or(0))
    }

    pub(super) fn of_delivery(&self, bill: &Bill<'_>) -> Vec<Allocation> {
        self.allocations(bill, |applied| applied.delivery)
    }

    fn allocations(&self, bill: &Bill<'_>, amount: impl Fn(&Applied) -> i64) -> Vec<Allocation> {
        let allocation =
            |applied: &Applied| bill.discounts.get(applied.candidate)?.allocation(amount(applied));
        self.applied.iter().filter_map(allocation).collect()
    }
}

/// Chooses the set that takes most off, of those whose discounts all combine with each other.
pub(super) fn choose(bill: &Bill<'_>, subtotal: i64) -> Chosen {
    let mut fates: Vec<Fate> = vec![Fate::Refused(Refusal::DoesNotCombine); bill.discounts.len()];
    let mut able: Vec<(usize, i64)> = Vec::new();
    for (at, candidate) in bill.discounts.iter().enumerate() {
        match alone(bill, subtotal, at, candidate) {
            Ok(saving) => able.push((at, saving)),
            Err(refusal) => {
                if let Some(fate) = fates.get_mut(at) {
                    *fate = Fate::Refused(refusal);
                }
            }
        }
    }
    // The largest first, so that the first set that is looked at is a good one.
    able.sort_by_key(|&(at, saving)| {
        (Reverse(saving), !has_code(bill, at), bill.discounts.get(at).map(|d| d.id))
    });
    let order: Vec<usize> = able.into_iter().map(|(at, _)| at).collect();
    let mut search = Search { bill, best: None, sets: 0 };
    search.extend(&mut Vec::new(), &order);
    let (set, applied) = search.best.map(|best| (best.set, best.applied)).unwrap_or_default();
    for at in set {
        let takes = applied.iter().any(|applied| applied.candidate == at && applied.sum() > 0);
        let waits = class(bill, at) == Some(DiscountClass::Shipping) && bill.delivery.is_none();
        let fate = match (takes, waits) {
            (true, _) => Fate::Applied,
            (false, true) => Fate::Waiting,
            (false, false) => Fate::Refused(Refusal::NothingToTakeOff),
        };
        if let Some(known) = fates.get_mut(at) {
            *known = fate;
        }
    }
    Chosen { applied, fates }
}

fn has_code(bill: &Bill<'_>, at: usize) -> bool {
    bill.discounts.get(at).is_some_and(|candidate| candidate.code.is_some())
}

fn class(bill: &Bill<'_>, at: usize) -> Option<DiscountClass> {
    bill.discounts.get(at).map(|candidate| candidate.rule.class())
}

/// What a discount would take off if there were no other.
fn alone(bill: &Bill<'_>, subtotal: i64, at: usize, candidate: &Candidate<'_>) -> Result<i64, Refusal> {
    if let Some(minimum) = candidate.rule.minimum_subtotal.filter(|minimum| subtotal < *minimum) {
        return Err(Refusal::MinimumNotReached(Money::new(minimum, bill.currency)));
    }
    if candidate.rule.class() == DiscountClass::Shipping {
        return if bill.is_sent { Ok(delivery_price(bill)) } else { Err(Refusal::NothingToTakeOff) };
    }
    let saving = apply(bill, &[at]).iter().map(Applied::sum).sum();
    if saving > 0 { Ok(saving) } else { Err(Refusal::NothingToTakeOff) }
}

fn delivery_price(bill: &Bill<'_>) -> i64 {
    bill.delivery.as_ref().map_or(0, |option| option.price)
}

/// Goes through the sets whose discounts combine and to which none can be added: adding one never takes less off.
struct Search<'a> {
    bill: &'a Bill<'a>,
    best: Option<Best>,
    sets: u32,
}

struct Best {
    saving: i64,
    codes: usize,
    set: Vec<usize>,
    applied: Vec<Applied>,
}

impl Search<'_> {
    fn extend(&mut self, set: &mut Vec<usize>, rest: &[usize]) {
        if self.sets >= MAX_SETS {
            return;
        }
        let Some((&first, others)) = rest.split_first() else {
            self.judge(set);
            return;
        };
        let beside: Vec<usize> = others.iter().copied().filter(|&other| self.combine(first, other)).collect();
        set.push(first);
        self.extend(set, &beside);
        set.pop();
        // Without it there is something to be gained only if it keeps another out.
        if beside.len() < others.len() {
            self.extend(set, others);
        }
    }

    fn combine(&self, one: usize, other: usize) -> bool {
        match (self.bill.discounts.get(one), self.bill.discounts.get(other)) {
            (Some(one), Some(other)) => one.rule.combines(other.rule),
            _ => false,
        }
    }

    fn judge(&mut self, set: &[usize]) {
        self.sets += 1;
        let applied = apply(self.bill, set);
        let saving = applied.iter().map(Applied::sum).sum();
        let codes = set.iter().filter(|&&at| has_code(self.bill, at)).count();
        if self.best.as_ref().is_none_or(|best| (saving, codes) > (best.saving, best.codes)) {
            self.best = Some(Best { saving, codes, set: set.to_vec(), applied });
        }
    }
}

/// What the discounts of a set take off, one after the other.
fn apply(bill: &Bill<'_>, set: &[usize]) -> Vec<Applied> {
    let mut left: Vec<i64> =
        bill.lines.iter().map(|line| line.unit_price.saturating_mul(line.quantity)).collect();
    let mut left_of_delivery = delivery_price(bill);
    let mut ordered: Vec<(usize, &Candidate<'_>)> =
        set.iter().filter_map(|&at| Some((at, bill.discounts.get(at)?))).collect();
    ordered.sort_by_key(|(_, candidate)| (candidate.rule.class(), candidate.id));
    let one = |(at, candidate): (usize, &Candidate<'_>)| {
        let lines = off_lines(&candidate.rule.value, &bill.lines, &left);
        for (left, off) in left.iter_mut().zip(&lines) {
            *left -= off;
        }
        let delivery = match candidate.rule.class() {
            DiscountClass::Shipping => std::mem::take(&mut left_of_delivery),
            _ => 0,
        };
        Applied { candidate: at, lines, delivery }
    };
    ordered.into_iter().map(one).collect()
}

/// What a discount takes off each line, of which so much is left; never more.
fn off_lines(value: &DiscountValue, lines: &[Line<'_>], left: &[i64]) -> Vec<i64> {
    let on = |items: &Option<Items>| -> Vec<i64> {
        lines
            .iter()
            .zip(left)
            .map(|(line, left)| if is_meant(items.as_ref(), line) { *left } else { 0 })
            .collect()
    };
    match value {
        DiscountValue::Percentage { rate_micros, items } => {
            let weights = on(items);
            let sum = weights.iter().sum();
            spread(part(sum, *rate_micros).min(sum), &weights)
        }
        DiscountValue::FixedAmount { amount, each: false, items } => {
            let weights = on(items);
            spread((*amount).min(weights.iter().sum()), &weights)
        }
        DiscountValue::FixedAmount { amount, each: true, items } => {
            let off = |(line, left): (&Line<'_>, i64)| amount.saturating_mul(line.quantity).clamp(0, left);
            lines.iter().zip(on(items)).map(off).collect()
        }
        DiscountValue::BuyXGetY { buy, buy_quantity, get, get_quantity, rate_micros, uses_per_order } => {
            let deal = Deal {
                buy: buy.as_ref(),
                buy_quantity: (*buy_quantity).max(1),
                get: get.as_ref(),
                get_quantity: (*get_quantity).max(1),
                uses: uses_per_order.unwrap_or(i64::MAX),
            };
            let given = deal.given(lines).into_iter().zip(lines).zip(left);
            given
                .map(|((pieces, line), left)| part(pieces * line.unit_price, *rate_micros).clamp(0, *left))
                .collect()
        }
        DiscountValue::FreeShipping => vec![0; lines.len()],
    }
}

fn is_meant(items: Option<&Items>, line: &Line<'_>) -> bool {
    items.is_none_or(|items| items.has(line.product_id, line.collections))
}

/// Buy so many, get so many.
struct Deal<'a> {
    buy: Option<&'a Items>,
    buy_quantity: i64,
    get: Option<&'a Items>,
    get_quantity: i64,
    uses: i64,
}

impl Deal<'_> {
    /// How many pieces of each line are given. The cheapest are; a piece that may be bought or given is bought only where those that
    /// may only be bought are too few.
    fn given(&self, lines: &[Line<'_>]) -> Vec<i64> {
        let (mut bought_only, mut given_only, mut both) = (0_i64, 0_i64, 0_i64);
        for line in lines {
            match (is_meant(self.buy, line), is_meant(self.get, line)) {
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
        let sets = most(self.uses.min(bought_only.saturating_add(both) / self.buy_quantity), fits);
        let kept = i64::try_from(missing(sets, self.buy_quantity, bought_only).max(0)).unwrap_or(both);
        // What fits is at most as many pieces as there are.
        let (mut to_give, mut of_both) = (sets.saturating_mul(self.get_quantity), both - kept);
        let mut given = vec![0; lines.len()];
        let mut by_price: Vec<(&Line<'_>, &mut i64)> =
            lines.iter().zip(&mut given).filter(|(line, _)| is_meant(self.get, line)).collect();
        by_price.sort_by_key(|(line, _)| line.unit_price);
        for (line, given) in by_price {
            let is_both = is_meant(self.buy, line);
            let pieces = line.quantity.min(to_give).min(if is_both { of_both } else { i64::MAX });
            *given = pieces;
            to_give -= pieces;
            of_both -= if is_both { pieces } else { 0 };
        }
        given
    }
}

/// The largest number up to `limit` that fits, where all below one that fits do.
fn most(limit: i64, fits: impl Fn(i64) -> bool) -> i64 {
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
