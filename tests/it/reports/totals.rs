//! The figures of reports are consistent: whatever is ordered and refunded, each row and each
//! report adds up, and the totals equal the payments.

use mercato::domain::customers::addresses::Address;
use mercato::domain::ids::OrderId;
use mercato::domain::payments::PaymentKind;
use serde_json::{Value, json};

use super::{DAY, change, line_id, today};
use crate::support::{Database, TestApp, both, order_id, order_input};

const PARTS: [&str; 8] =
    ["grossSales", "discounts", "returns", "netSales", "shipping", "taxes", "totalSales", "refunds"];

/// A pseudorandom number generator, which yields the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// Creates products with odd prices, taxes on them and on delivery, and discounts. Returns the
/// variants.
async fn seed(app: &TestApp) -> Vec<String> {
    let mut variants = Vec::new();
    for (title, price, requires_shipping) in
        [("Card", "0.99", true), ("Lamp", "37.35", true), ("Song", "12.01", false)]
    {
        let variant = json!({
            "price": price, "isInventoryTracked": false, "requiresShipping": requires_shipping,
            "weight": { "value": 0.7, "unit": "KILOGRAMS" },
        });
        variants.push(app.create_priced(json!({ "title": title, "status": "ACTIVE" }), variant).await.1);
    }
    let document =
        "mutation($rate: TaxRateCreateInput!) { taxRateCreate(taxRate: $rate) { userErrors { message } } }";
    for (country, class, percentage) in [
        ("DE", "standard", 19.0),
        ("DE", "shipping", 19.0),
        ("FR", "standard", 5.5),
        ("FR", "shipping", 20.0),
    ] {
        let rate =
            json!({ "name": "VAT", "countryCode": country, "taxClass": class, "percentage": percentage });
        app.admin().ask_with(document, json!({ "rate": rate })).await.assert_ok();
    }
    let third = json!({ "percentage": { "percentage": 33 } });
    app.create_discount(json!({ "title": "Third", "code": "THIRD", "value": third })).await;
    let post = json!({ "freeShipping": true });
    app.create_discount(json!({ "title": "Post", "code": "POST", "value": post })).await;
    variants
}

/// Places an order, whatever its total.
async fn buy(app: &TestApp, lines: &[(&str, i64)], codes: &[&str], country: &str) -> OrderId {
    let address = Address {
        address1: Some("1 Main St".to_owned()),
        city: Some("Springfield".to_owned()),
        country: Some(country.to_owned()),
        ..Address::default()
    };
    let cart = app.cart_of(None, lines, codes, Some(address)).await;
    let mut input = order_input(&cart, "0.01", "tok_ok");
    input["deliveryOptionHandle"] = json!("standard");
    let rejected = app.anonymous().place(input.clone()).await;
    let message = rejected.user_errors("orderPlace").remove(0).message;
    input["expectedTotal"] = json!(message.split_whitespace().nth(3).expect("the total"));
    order_id(&app.anonymous().place(input).await.ok())
}

/// Refunds a random part of an order, if that is allowed.
async fn refund_randomly(app: &TestApp, random: &mut Random, order: OrderId) {
    let mut input =
        json!({ "orderId": format!("gid://mercato/Order/{}", mercato::domain::ids::Id::uuid(order)) });
    let count = app.order_lines(order).await.len();
    if random.below(4) > 0 {
        let mut line = json!({ "lineItemId": line_id(app, order, random.below(count)).await });
        line["quantity"] = json!(random.below(3));
        if random.below(2) == 0 {
            line["amount"] = json!(random.pick(&["0.50", "1.23", "9.99"]));
        }
        input["lineItems"] = json!([line]);
    }
    if random.below(2) == 0 {
        input["shippingAmount"] = json!(random.pick(&["0.37", "2.00", "5.01", "8"]));
    }
    let document =
        "mutation($input: RefundCreateInput!) { refundCreate(refund: $input) { userErrors { code } } }";
    let reply = app.admin().ask_with(document, json!({ "input": input })).await;
    assert!(reply.errors().is_empty(), "{reply:?}");
}

async fn report(app: &TestApp, from: &str, by: &str) -> Value {
    let row: String = PARTS.map(|part| format!("{part} {{ amount }} ")).concat();
    let document = format!(
        "query($from: Date!, $to: Date!, $by: SalesReportBy!) {{
            salesReport(from: $from, to: $to, by: $by) {{
                rows {{ productId quantity {row} }} totals {{ quantity {row} }}
            }}
        }}"
    );
    let variables = json!({ "from": from, "to": today(app), "by": by });
    app.admin().ask_with(&document, variables).await.ok()["salesReport"].clone()
}

/// The parts of a row, in cents.
fn cents(row: &Value) -> [i64; 8] {
    PARTS.map(|part| row[part]["amount"].as_str().unwrap().replace('.', "").parse().unwrap())
}

/// Asserts that each row adds up, and that the rows add up to the totals. Returns the totals.
fn assert_adds_up(report: &Value, by: &str) -> [i64; 8] {
    let totals = cents(&report["totals"][0]);
    let mut sums = [0; 8];
    for row in report["rows"].as_array().unwrap() {
        let parts = cents(row);
        let [gross, discounts, returns, net, shipping, taxes, total, _] = parts;
        assert_eq!(net, gross - discounts - returns, "by {by}: {row}");
        assert_eq!(total, net + shipping + taxes, "by {by}: {row}");
        (0..8).for_each(|at| sums[at] += parts[at]);
    }
    assert_eq!(sums, totals, "by {by}");
    totals
}

async fn trade(app: &TestApp, random_seed: u64) {
    let (variants, mut random) = (seed(app).await, Random(random_seed));
    let first = today(app);
    let mut orders = Vec::new();
    for _ in 0..25 {
        let mut lines: Vec<(&str, i64)> = Vec::new();
        for variant in &variants {
            if random.below(3) > 0 {
                lines.push((variant, random.pick(&[1, 2, 3, 4])));
            }
        }
        if lines.is_empty() {
            continue;
        }
        let codes: &[&str] = random.pick(&[&[][..], &["THIRD"][..], &["POST"][..]]);
        orders.push(buy(app, &lines, codes, random.pick(&["DE", "FR", "US"])).await);
        for _ in 0..random.below(4) {
            let order = random.pick(&orders);
            refund_randomly(app, &mut random, order).await;
        }
        if random.below(3) == 0 {
            app.clock.advance(DAY / 3);
        }
    }
    app.work().await;
    let mut all = Vec::new();
    for by in ["DAY", "PRODUCT", "COUNTRY", "CURRENCY"] {
        all.push(assert_adds_up(&report(app, &first, by).await, by));
    }
    assert!(all.iter().all(|totals| *totals == all[0]), "{all:?}");
    let (mut paid, mut refunded) = (0, 0);
    for order in &orders {
        for row in app.payments_of(*order).await {
            match row.kind {
                PaymentKind::Captured => paid += row.amount,
                PaymentKind::Refunded => refunded += row.amount,
                _ => {}
            }
        }
    }
    assert!(refunded > 0 && all[0][1] > 0 && all[0][2] > 0 && all[0][4] > 0 && all[0][5] > 0, "{:?}", all[0]);
    assert_eq!((all[0][6], all[0][7]), (paid - refunded, refunded), "the totals equal the payments");
}

both!(figures_add_up_if_prices_include_taxes);
async fn figures_add_up_if_prices_include_taxes(app: TestApp) {
    trade(&app, 0x5EED_0001).await;
}

both!(figures_add_up_if_taxes_are_added);
async fn figures_add_up_if_taxes_are_added(database: Database) {
    let app = TestApp::with(database, &[("SHOP_TAXES_INCLUDED", "false")]).await;
    trade(&app, 0x5EED_0002).await;
}

/// Sells something and refunds all of it: afterwards, the net figures are zero.
async fn sell_and_cancel(app: TestApp) {
    let variants = seed(&app).await;
    let first = today(&app);
    let order = buy(&app, &[(&variants[0], 3), (&variants[1], 2)], &["THIRD"], "DE").await;
    change(&app, "refundCreate", order, json!({ "shippingAmount": "0.37" })).await;
    app.clock.advance(DAY);
    change(&app, "orderCancel", order, json!({ "reason": "CUSTOMER" })).await;
    app.work().await;
    for by in ["DAY", "PRODUCT"] {
        let [gross, discounts, returns, net, shipping, taxes, total, _] =
            assert_adds_up(&report(&app, &first, by).await, by);
        assert_eq!((net, shipping, taxes, total), (0, 0, 0, 0), "by {by}");
        assert_eq!(returns, gross - discounts);
    }
}

both!(net_figures_of_a_canceled_order_are_zero);
async fn net_figures_of_a_canceled_order_are_zero(database: Database) {
    sell_and_cancel(TestApp::with(database, &[("SHOP_TAXES_INCLUDED", "false")]).await).await;
}

both!(net_figures_of_a_canceled_order_are_zero_if_prices_include_taxes);
async fn net_figures_of_a_canceled_order_are_zero_if_prices_include_taxes(app: TestApp) {
    sell_and_cancel(app).await;
}

both!(refunds_of_delivery_include_its_taxes);
async fn refunds_of_delivery_include_its_taxes(database: Database) {
    let app = TestApp::with(database, &[("SHOP_TAXES_INCLUDED", "false")]).await;
    let variants = seed(&app).await;
    let order = buy(&app, &[(&variants[1], 1)], &[], "DE").await;
    let row = app.order(order).await;
    let delivery = row.delivery.0.clone().unwrap();
    let taxes: i64 = delivery.taxes.iter().map(|tax| tax.amount).sum();
    assert!(taxes > 0);
    let decimal = |cents: i64| format!("{}.{:02}", cents / 100, cents % 100);
    let refunded = async || -> i64 {
        let ledger = app.payments_of(order).await;
        ledger.iter().filter(|row| row.kind == PaymentKind::Refunded).map(|row| row.amount).sum()
    };
    // In two parts, which add up to `totalShippingPrice`.
    change(&app, "refundCreate", order, json!({ "shippingAmount": "1.01" })).await;
    let rest = decimal(row.shipping_total - 101);
    change(&app, "refundCreate", order, json!({ "shippingAmount": rest })).await;
    assert_eq!(refunded().await, row.shipping_total + taxes);
    // Whatever exceeds the price of delivery is a goodwill refund, without taxes.
    change(&app, "refundCreate", order, json!({ "shippingAmount": "1" })).await;
    assert_eq!(refunded().await, row.shipping_total + taxes + 100);
    // Everything up to the last cent can be refunded.
    let left = decimal(row.total - row.shipping_total - taxes - 100);
    change(&app, "refundCreate", order, json!({ "shippingAmount": left })).await;
    assert_eq!(refunded().await, row.total);
}
