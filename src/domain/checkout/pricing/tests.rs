//! Worked examples, and thousands of random carts whose quotes must add up.

use super::*;
use crate::domain::checkout::discounts::{CombinesWith, DiscountValue, ItemSelection};
use crate::domain::ids::Id;

const ALL: CombinesWith =
    CombinesWith { order_discounts: true, product_discounts: true, shipping_discounts: true };
const NONE: CombinesWith =
    CombinesWith { order_discounts: false, product_discounts: false, shipping_discounts: false };

fn product(number: u128) -> ProductId {
    ProductId::from_uuid(Uuid::from_u128(number))
}

fn line(number: u128, quantity: i64, unit_price: i64) -> PricingLine<'static> {
    PricingLine {
        key: Uuid::from_u128(number),
        variant_id: VariantId::from_uuid(Uuid::from_u128(number)),
        product_id: product(number),
        collections: &[],
        quantity,
        unit_price,
        tax_class: Some("standard"),
        is_discountable: true,
    }
}

fn rule(value: DiscountValue, combines_with: CombinesWith) -> DiscountRule {
    DiscountRule { value, minimum_subtotal: None, combines_with }
}

fn percentage(percent: i64, items: Option<ItemSelection>) -> DiscountValue {
    DiscountValue::Percentage { rate_micros: percent * 10_000, items }
}

fn fixed(amount: i64, items: Option<ItemSelection>) -> DiscountValue {
    DiscountValue::FixedAmount { amount, each: false, items }
}

fn products(numbers: &[u128]) -> Option<ItemSelection> {
    Some(ItemSelection { products: numbers.iter().copied().map(product).collect(), collections: Vec::new() })
}

/// Discounts named `d0`, `d1`, …; the code equals the title unless the discount is automatic.
fn candidates(rules: &[(DiscountRule, bool)]) -> Vec<DiscountCandidate<'_>> {
    const NAMES: [&str; 8] = ["d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7"];
    rules
        .iter()
        .enumerate()
        .map(|(at, (rule, has_code))| DiscountCandidate {
            id: DiscountId::from_uuid(Uuid::from_u128(at as u128)),
            title: NAMES[at],
            code: has_code.then_some(NAMES[at]),
            rule,
        })
        .collect()
}

fn delivery(price: i64) -> Option<DeliveryOption> {
    Some(DeliveryOption {
        handle: "standard".to_owned(),
        title: "Standard".to_owned(),
        strategy: "standard".to_owned(),
        price,
        pickup: None,
    })
}

fn input<'a>(lines: Vec<PricingLine<'a>>, rules: &'a [(DiscountRule, bool)]) -> PricingInput<'a> {
    PricingInput {
        lines,
        discounts: candidates(rules),
        is_shipped: true,
        delivery: None,
        tax_rates: &[],
        taxes_included: true,
        currency: Currency::parse("GBP").unwrap(),
    }
}

/// The discount of each line.
fn line_discounts(input: &PricingInput<'_>) -> Vec<i64> {
    price(input).unwrap().0.lines.iter().map(|line| line.discount_total).collect()
}

#[test]
fn percentages_are_rounded_once_and_distributed() {
    // 10 % of 0.45 is 0.045: 0.05, of which each of three lines of 0.15 has 0.0166…
    let rules = [(rule(percentage(10, None), NONE), true)];
    assert_eq!(
        line_discounts(&input(vec![line(1, 1, 15), line(2, 1, 15), line(3, 1, 15)], &rules)),
        [2, 2, 1]
    );
    let rules = [(rule(percentage(100, None), NONE), true)];
    assert_eq!(line_discounts(&input(vec![line(1, 3, 333), line(2, 1, 1)], &rules)), [999, 1]);
}

#[test]
fn fixed_amounts_are_distributed_up_to_the_price() {
    let rules = [(rule(fixed(1_000, None), NONE), true)];
    assert_eq!(line_discounts(&input(vec![line(1, 1, 999), line(2, 2, 999)], &rules)), [333, 667]);
    assert_eq!(line_discounts(&input(vec![line(1, 1, 300), line(2, 1, 200)], &rules)), [300, 200]);
    let rules = [(rule(fixed(500, products(&[2])), NONE), true)];
    assert_eq!(line_discounts(&input(vec![line(1, 1, 999), line(2, 1, 200)], &rules)), [0, 200]);
    let each = DiscountValue::FixedAmount { amount: 150, each: true, items: products(&[1, 2]) };
    let rules = [(rule(each, NONE), true)];
    assert_eq!(
        line_discounts(&input(vec![line(1, 3, 999), line(2, 2, 100), line(3, 1, 999)], &rules)),
        [450, 200, 0]
    );
}

fn buy_x_get_y(
    buy: Option<ItemSelection>,
    buy_quantity: i64,
    get: Option<ItemSelection>,
    get_quantity: i64,
    uses_per_order: Option<i64>,
) -> DiscountValue {
    DiscountValue::BuyXGetY { buy, buy_quantity, get, get_quantity, rate_micros: 1_000_000, uses_per_order }
}

#[test]
fn buy_x_get_y_discounts_the_cheapest_units() {
    // Three for two of anything: the cheapest of every three, however they are distributed over
    // lines.
    let rules = [(rule(buy_x_get_y(None, 2, None, 1, None), NONE), true)];
    assert_eq!(line_discounts(&input(vec![line(1, 3, 500)], &rules)), [500]);
    assert_eq!(
        line_discounts(&input(vec![line(1, 2, 500), line(2, 1, 300), line(3, 3, 100)], &rules)),
        [0, 0, 200]
    );
    assert_eq!(
        price(&input(vec![line(1, 2, 500)], &rules)).unwrap().1,
        [DiscountOutcome::Refused(DiscountRefusal::NotEntitled)]
    );
    // Two mugs come with a free plate, once per order.
    let rules = [(rule(buy_x_get_y(products(&[1]), 2, products(&[2]), 1, Some(1)), NONE), true)];
    assert_eq!(line_discounts(&input(vec![line(1, 6, 500), line(2, 3, 800)], &rules)), [0, 800]);
    // The expensive item counts as bought for the cheap one, and is not discounted itself.
    let rules = [(rule(buy_x_get_y(products(&[1]), 1, products(&[1, 2]), 1, None), NONE), true)];
    assert_eq!(line_discounts(&input(vec![line(1, 2, 500), line(2, 1, 100)], &rules)), [0, 100]);
    assert_eq!(line_discounts(&input(vec![line(1, 3, 500), line(2, 1, 100)], &rules)), [500, 100]);
    // Half price instead of free.
    let mut half = buy_x_get_y(None, 1, None, 1, None);
    if let DiscountValue::BuyXGetY { rate_micros, .. } = &mut half {
        *rate_micros = 500_000;
    }
    let rules = [(rule(half, NONE), true)];
    assert_eq!(line_discounts(&input(vec![line(1, 2, 333)], &rules)), [167]);
}

#[test]
fn the_largest_of_incompatible_discounts_applies() {
    let rules = [
        (rule(percentage(10, None), NONE), true),
        (rule(fixed(300, products(&[2])), NONE), true),
        (rule(percentage(5, None), NONE), false),
    ];
    let (quote, outcomes) = price(&input(vec![line(1, 1, 1_000), line(2, 1, 1_000)], &rules)).unwrap();
    assert_eq!(outcomes[1], DiscountOutcome::Applied);
    assert_eq!([&outcomes[0], &outcomes[2]], [&DiscountOutcome::Refused(DiscountRefusal::DoesNotCombine); 2]);
    let expected = Allocation {
        discount_id: Some(DiscountId::from_uuid(Uuid::from_u128(1))),
        title: "d1".to_owned(),
        code: Some("d1".to_owned()),
        amount: 300,
    };
    assert_eq!(quote.lines[1].discounts, [expected]);
    assert_eq!((quote.discount_total, quote.total), (300, 1_700));
}

#[test]
fn combined_discounts_apply_if_they_save_more_than_the_largest() {
    let rules = [
        (rule(fixed(500, None), NONE), true),
        (rule(percentage(20, None), ALL), true),
        (rule(fixed(300, products(&[1])), ALL), true),
    ];
    let (quote, outcomes) = price(&input(vec![line(1, 1, 1_000), line(2, 1, 1_000)], &rules)).unwrap();
    // 3.00 off the first product, then 20 % of 17.00.
    assert_eq!(quote.discount_total, 300 + 340);
    assert_eq!(quote.lines.iter().map(|line| line.discount_total).collect::<Vec<_>>(), [440, 200]);
    assert_eq!(
        outcomes,
        [
            DiscountOutcome::Refused(DiscountRefusal::DoesNotCombine),
            DiscountOutcome::Applied,
            DiscountOutcome::Applied
        ]
    );
    // Half of the price, and then one of two units free: the free one costs half.
    let rules = [
        (rule(percentage(50, products(&[1])), ALL), true),
        (rule(buy_x_get_y(None, 1, None, 1, None), ALL), true),
    ];
    assert_eq!(line_discounts(&input(vec![line(1, 2, 1_000)], &rules)), [1_500]);
    // A tie goes to the discount with a code.
    let rules = [(rule(percentage(20, None), NONE), false), (rule(percentage(20, None), NONE), true)];
    assert_eq!(price(&input(vec![line(1, 1, 1_000)], &rules)).unwrap().1[1], DiscountOutcome::Applied);
}

#[test]
fn free_shipping_applies_once_a_delivery_option_is_selected() {
    let rules = [(rule(DiscountValue::FreeShipping, ALL), true)];
    let mut basket = input(vec![line(1, 1, 1_000)], &rules);
    assert_eq!(price(&basket).unwrap().1, [DiscountOutcome::AwaitingDelivery]);
    basket.delivery = delivery(450);
    let (quote, outcomes) = price(&basket).unwrap();
    assert_eq!((outcomes, quote.shipping_total, quote.total), (vec![DiscountOutcome::Applied], 0, 1_000));
    assert_eq!(quote.delivery.unwrap().discounts[0].amount, 450);
    basket.delivery = None;
    basket.is_shipped = false;
    assert_eq!(price(&basket).unwrap().1, [DiscountOutcome::Refused(DiscountRefusal::NotEntitled)]);
}

#[test]
fn refusals_name_the_minimum_subtotal() {
    let mut discount = rule(percentage(10, None), NONE);
    discount.minimum_subtotal = Some(2_000);
    let rules = [(discount, true)];
    let outcomes = price(&input(vec![line(1, 1, 1_999)], &rules)).unwrap().1;
    let DiscountOutcome::Refused(refusal) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert_eq!(refusal.to_string(), "This discount is for orders of 20.00 GBP or more");
    assert_eq!(price(&input(vec![line(1, 1, 2_000)], &rules)).unwrap().1, [DiscountOutcome::Applied]);
}

#[test]
fn taxes_apply_to_discounted_prices() {
    let rates = [
        ApplicableRate { name: "VAT".to_owned(), tax_class: "standard".to_owned(), rate_micros: 200_000 },
        ApplicableRate { name: "VAT".to_owned(), tax_class: "shipping".to_owned(), rate_micros: 100_000 },
    ];
    let rules = [(rule(percentage(50, None), NONE), true)];
    let mut basket =
        input(vec![line(1, 2, 1_200), PricingLine { tax_class: None, ..line(2, 1, 600) }], &rules);
    basket.tax_rates = &rates;
    basket.delivery = delivery(550);
    let (quote, _) = price(&basket).unwrap();
    // 12.00 contains 2.00; 5.50 contains 0.50.
    assert_eq!((quote.tax_total, quote.total), (250, 1_200 + 300 + 550));
    basket.taxes_included = false;
    let (quote, _) = price(&basket).unwrap();
    assert_eq!((quote.tax_total, quote.total), (240 + 55, 1_200 + 300 + 550 + 295));
}

#[test]
fn overflowing_amounts_are_rejected() {
    assert_eq!(price(&input(vec![line(1, 1_000_000, i64::MAX)], &[])), Err(AmountOverflow));
    assert_eq!(price(&input(vec![line(1, 1, i64::MAX), line(2, 1, 1)], &[])), Err(AmountOverflow));
    // The maximum contents of a cart with the maximum delivery price, taxes included or not.
    for taxes_included in [true, false] {
        let mut basket = input(vec![line(1, 1_000_000, MAX_PRICE)], &[]);
        basket.taxes_included = taxes_included;
        basket.delivery = delivery(MAX_AMOUNT);
        assert!(price(&basket).is_ok());
    }
}

/// A deterministic random number generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: i64) -> i64 {
        i64::try_from(self.next() % end.unsigned_abs()).unwrap()
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.next()).unwrap() % len
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }

    /// Mostly small, sometimes huge.
    fn amount(&mut self) -> i64 {
        match self.below(20) {
            0 => self.below(1_000_000_000_000),
            1 => 0,
            2 => 1,
            _ => self.below(10_000),
        }
    }

    fn items(&mut self) -> Option<ItemSelection> {
        if self.coin() {
            return None;
        }
        let numbers: Vec<u128> = (0..6).filter(|_| self.coin()).collect();
        products(&numbers)
    }

    fn rule(&mut self) -> DiscountRule {
        let value = match self.below(5) {
            0 => DiscountValue::Percentage { rate_micros: self.below(1_000_001), items: self.items() },
            1 => DiscountValue::FixedAmount { amount: self.amount(), each: false, items: self.items() },
            2 => DiscountValue::FixedAmount { amount: self.amount(), each: true, items: self.items() },
            3 => DiscountValue::BuyXGetY {
                buy: self.items(),
                buy_quantity: 1 + self.below(4),
                get: self.items(),
                get_quantity: 1 + self.below(3),
                rate_micros: self.below(1_000_001),
                uses_per_order: self.coin().then(|| 1 + self.below(3)),
            },
            _ => DiscountValue::FreeShipping,
        };
        let combines_with = CombinesWith {
            order_discounts: self.coin(),
            product_discounts: self.coin(),
            shipping_discounts: self.coin(),
        };
        DiscountRule { value, minimum_subtotal: self.coin().then(|| self.amount()), combines_with }
    }
}

#[test]
fn random_quotes_add_up() {
    const CLASSES: [Option<&str>; 3] = [Some("standard"), Some("books"), None];
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut discounted = 0;
    for case in 0..20_000 {
        let rules: Vec<(DiscountRule, bool)> =
            (0..random.below(8)).map(|_| (random.rule(), random.coin())).collect();
        let lines: Vec<PricingLine<'_>> = (0..random.next() % 8)
            .map(|number| PricingLine {
                tax_class: CLASSES[random.index(3)],
                ..line(u128::from(number % 6), 1 + random.below(40), random.amount())
            })
            .collect();
        let rates: Vec<ApplicableRate> = (0..random.below(5))
            .map(|number| ApplicableRate {
                name: format!("Tax {number}"),
                tax_class: ["standard", "books", "shipping"][random.index(3)].to_owned(),
                rate_micros: random.below(300_000),
            })
            .collect();
        let basket = PricingInput {
            delivery: if random.coin() { delivery(random.amount()) } else { None },
            is_shipped: random.coin(),
            taxes_included: random.coin(),
            tax_rates: &rates,
            ..input(lines, &rules)
        };
        let Ok((quote, outcomes)) = price(&basket) else { panic!("case {case} is too large") };
        check_sums(&quote, case);
        assert_eq!(outcomes.len(), rules.len());
        discounted += i32::from(quote.discount_total > 0);
        check_combinations(&quote, &rules, case);
        if case % 40 == 0 {
            check_no_other_set_is_better(&basket, &quote, case);
        }
    }
    assert!(discounted > 5_000, "{discounted}");
}

fn check_sums(quote: &Quote, case: i32) {
    let sum = |allocations: &[Allocation]| allocations.iter().map(|one| one.amount).sum::<i64>();
    let tax = |lines: &[TaxLine]| lines.iter().map(|one| one.amount).sum::<i64>();
    let mut taxes = 0;
    for line in &quote.lines {
        assert_eq!(line.discount_total, sum(&line.discounts), "case {case}");
        assert!(line.discounts.iter().all(|one| one.amount > 0), "case {case}");
        assert!((0..=line.gross()).contains(&line.discount_total), "case {case}");
        assert!(line.taxes.iter().all(|one| one.amount >= 0), "case {case}");
        assert_eq!(line.tax_total, tax(&line.taxes), "case {case}");
        assert!(!quote.taxes_included || line.tax_total <= line.total(), "case {case}");
        taxes += line.tax_total;
    }
    if let Some(delivery) = &quote.delivery {
        assert_eq!(quote.shipping_total, delivery.option.price - sum(&delivery.discounts), "case {case}");
        taxes += tax(&delivery.taxes);
    } else {
        assert_eq!(quote.shipping_total, 0);
    }
    assert_eq!(quote.subtotal, quote.lines.iter().map(QuotedLine::gross).sum::<i64>(), "case {case}");
    let discounts: i64 = quote.lines.iter().map(|line| line.discount_total).sum();
    assert_eq!(quote.discount_total, discounts, "case {case}");
    assert_eq!(quote.tax_total, taxes, "case {case}");
    let added = if quote.taxes_included { 0 } else { taxes };
    let total = quote.subtotal - discounts + quote.shipping_total + added;
    assert_eq!(quote.total, total, "case {case}");
    assert!(quote.shipping_total >= 0 && quote.total >= 0, "case {case}");
}

/// All applied discounts may be combined.
fn check_combinations(quote: &Quote, rules: &[(DiscountRule, bool)], case: i32) {
    let line_allocations = quote.lines.iter().flat_map(|line| &line.discounts);
    let delivery_allocations = quote.delivery.iter().flat_map(|delivery| &delivery.discounts);
    let mut used: Vec<usize> =
        line_allocations.chain(delivery_allocations).map(|one| one.title[1..].parse().unwrap()).collect();
    used.sort_unstable();
    used.dedup();
    for (at, one) in used.iter().enumerate() {
        for other in &used[at + 1..] {
            assert!(rules[*one].0.combines(&rules[*other].0), "case {case}: {one} and {other}");
        }
    }
}

/// No other set of discounts is better for the buyer than the chosen one.
fn check_no_other_set_is_better(basket: &PricingInput<'_>, quote: &Quote, case: i32) {
    let saved = |quote: &Quote| {
        quote.discount_total
            + quote.delivery.as_ref().map_or(0, |delivery| delivery.option.price - quote.shipping_total)
    };
    for set in 0..1_u32 << basket.discounts.len() {
        let members = basket.discounts.iter().enumerate().filter(|(at, _)| set & (1 << at) != 0);
        let discounts = members.map(|(_, candidate)| candidate.clone()).collect();
        let other = PricingInput { discounts, ..basket.clone() };
        assert!(saved(&price(&other).unwrap().0) <= saved(quote), "case {case}, set {set:b}");
    }
}
