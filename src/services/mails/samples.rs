//! Sample content for each kind of mail, for `mercato mail preview` and for tests.

use chrono::NaiveDate;

use super::content::{
    AccountChange, BestSeller, DailyFigures, DailySales, DeliverySummary, EmailVerification, LowStock,
    MailContent, MailItem, NewOrder, OrderCancellation, OrderSummary, PasswordReset, PaymentReceipt,
    RefundNotice, ReturnNotice, ShipmentNotice, SignInAlert, StaffToken, SummaryLine, WebhookPause, Welcome,
};
use super::kind::MailKind;
use crate::domain::money::{Currency, Money, MoneyError};

/// The name of the sample shop.
pub const SAMPLE_SHOP: &str = "Mercato Paper & Home";
/// Stands in for a secret token.
const TOKEN: &str = "sample-token-that-opens-nothing";

/// Returns the sample of a kind.
///
/// # Errors
/// When the currency code is unknown, which tests rule out.
pub fn sample(kind: MailKind) -> Result<MailContent, MoneyError> {
    let currency = Currency::parse("EUR")?;
    let money = |minor| Money::new(minor, currency);
    let name = || Some("Ada".to_owned());
    let number = || "#1042".to_owned();
    let link = |path: &str| Some(format!("https://shop.example{path}"));
    let order_link = || link("/orders/0192f0c1-0000-7000-8000-000000001042?key=sample");
    Ok(match kind {
        MailKind::OrderConfirmation => MailContent::OrderConfirmation(order(currency)),
        MailKind::PaymentReceipt => MailContent::PaymentReceipt(PaymentReceipt {
            amount: money(123_840),
            paid_on: day(),
            order: OrderSummary { is_unpaid: false, ..order(currency) },
        }),
        MailKind::ShippingNotice => MailContent::ShippingNotice(ShipmentNotice {
            name: name(),
            number: number(),
            link: order_link(),
            pieces: pieces(),
            is_part: true,
            carrier: Some("Parcel & Sons".to_owned()),
            tracking: Some("PS 0123 4567 89".to_owned()),
            tracking_link: Some("https://parcel.example/track?number=PS0123456789&language=en".to_owned()),
            address: address(),
        }),
        MailKind::OrderCancelled => MailContent::OrderCancelled(OrderCancellation {
            name: name(),
            number: number(),
            link: order_link(),
            refund: Some(money(123_840)),
            is_unpaid: false,
            pieces: pieces(),
        }),
        MailKind::RefundNotice => MailContent::RefundNotice(RefundNotice {
            name: name(),
            number: number(),
            link: order_link(),
            amount: money(3_600),
            pieces: pieces(),
        }),
        MailKind::ReturnNotice => MailContent::ReturnNotice(ReturnNotice {
            name: name(),
            number: number(),
            link: order_link(),
            pieces: pieces(),
            is_received: false,
        }),
        MailKind::Welcome => MailContent::Welcome(Welcome { name: name(), link: link("") }),
        MailKind::PasswordRecovery => MailContent::PasswordRecovery(PasswordReset {
            name: name(),
            link: link(&format!("/account/reset/0192f0c1-0000-7000-8000-000000000007/{TOKEN}")),
            token: TOKEN.to_owned(),
            minutes: 60,
        }),
        MailKind::EmailVerification => MailContent::EmailVerification(EmailVerification {
            name: name(),
            link: link(&format!("/account/verify/{TOKEN}")),
            token: TOKEN.to_owned(),
            days: 7,
        }),
        MailKind::SignInWarning => MailContent::SignInWarning(SignInAlert { name: name() }),
        MailKind::AccountChange => MailContent::AccountChange(AccountChange {
            name: name(),
            has_new_address: true,
            has_new_password: true,
        }),
        MailKind::StaffInvitation => MailContent::StaffInvitation(staff_token(7 * 24 * 60)),
        MailKind::StaffRecovery => MailContent::StaffRecovery(staff_token(60)),
        MailKind::NewOrder => MailContent::NewOrder(NewOrder {
            number: number(),
            total: money(123_840),
            pieces: pieces(),
            way: Some("Standard".to_owned()),
            is_unpaid: true,
        }),
        MailKind::LowStock => MailContent::LowStock(LowStock {
            title: "Linen Notebook (A5)".to_owned(),
            sku: Some("LN-A5".to_owned()),
            available: 3,
            threshold: 5,
        }),
        MailKind::DailyReport => MailContent::DailyReport(DailySales {
            day: day(),
            figures: vec![DailyFigures {
                orders: 31,
                pieces: 78,
                sales: money(2_345_670),
                refunds: money(4_990),
            }],
            best: vec![
                BestSeller { title: "Linen Notebook (A5)".to_owned(), quantity: 24, sales: money(43_200) },
                BestSeller { title: "Oak Pencil Box".to_owned(), quantity: 11, sales: money(54_890) },
            ],
        }),
        MailKind::WebhookPaused => MailContent::WebhookPaused(WebhookPause {
            url: "https://warehouse.example/hooks/orders".to_owned(),
            topics: vec!["order.placed".to_owned(), "order.canceled".to_owned()],
            since: day(),
            is_ownerless: false,
        }),
    })
}

fn staff_token(minutes: i64) -> StaffToken {
    let days = minutes.saturating_add(24 * 60 - 1) / (24 * 60);
    StaffToken { name: Some("Ada".to_owned()), token: TOKEN.to_owned(), minutes, days }
}

fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 24).unwrap_or_default()
}

fn order(currency: Currency) -> OrderSummary {
    let money = |minor| Money::new(minor, currency);
    OrderSummary {
        name: Some("Ada".to_owned()),
        number: "#1042".to_owned(),
        link: Some("https://shop.example/orders/0192f0c1-0000-7000-8000-000000001042?key=sample".to_owned()),
        placed_on: day(),
        is_unpaid: true,
        lines: vec![
            SummaryLine { title: "Linen Notebook (A5)".to_owned(), quantity: 2, total: money(3_600) },
            SummaryLine { title: "Oak Desk \"Nordic\"".to_owned(), quantity: 1, total: money(119_900) },
        ],
        subtotal: money(123_500),
        discount: Some(money(360)),
        delivery: Some(DeliverySummary { title: "Standard".to_owned(), price: money(700) }),
        tax: Some(money(19_773)),
        taxes_included: true,
        total: money(123_840),
        address: address(),
        pickup: Vec::new(),
    }
}

fn pieces() -> Vec<MailItem> {
    vec![
        MailItem { title: "Linen Notebook (A5)".to_owned(), quantity: 2 },
        MailItem { title: "Oak Desk \"Nordic\"".to_owned(), quantity: 1 },
    ]
}

fn address() -> Vec<String> {
    ["Ada Lovelace", "12 St James's Square", "London SW1Y 4JH", "United Kingdom"].map(str::to_owned).to_vec()
}
