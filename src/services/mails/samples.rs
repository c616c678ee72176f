//! Sample content for each kind of mail, for `mercato mail preview` and for tests.

use chrono::NaiveDate;

use super::content::{
    AccountChange, BestSeller, DailyFigures, DailySales, DeliverySummary, EmailVerification,
    GiftCardDelivery, LowStock, MailContent, MailItem, NewOrder, OrderCancellation, OrderSummary,
    PasswordReset, PaymentAlert, PaymentReceipt, RefundNotice, ReturnNotice, ShipmentNotice, SignInAlert,
    StaffToken, SummaryLine, WebhookPause, Welcome,
};
use super::kind::MailKind;
use crate::domain::money::{Currency, Money, MoneyError};

/// The name of the sample shop.
pub const SAMPLE_SHOP: &str = "Mercato Paper & Home";
/// Stands in for a secret token.
const TOKEN: &str = "sample-token-that-opens-nothing";
/// The total of the sample order, in minor units.
const TOTAL: i64 = 123_840;

/// Returns the sample of a kind.
///
/// # Errors
/// When the currency code is unknown, which tests rule out.
pub fn sample(kind: MailKind) -> Result<MailContent, MoneyError> {
    let currency = Currency::parse("EUR")?;
    Ok(match kind {
        MailKind::OrderConfirmation => MailContent::OrderConfirmation(order(currency)),
        MailKind::PaymentReceipt => MailContent::PaymentReceipt(payment_receipt(currency)),
        MailKind::ShippingNotice => MailContent::ShippingNotice(shipment_notice()),
        MailKind::OrderCancelled => MailContent::OrderCancelled(order_cancellation(currency)),
        MailKind::RefundNotice => MailContent::RefundNotice(refund_notice(currency)),
        MailKind::ReturnNotice => MailContent::ReturnNotice(return_notice()),
        MailKind::Welcome => MailContent::Welcome(Welcome { name: name(), link: link("") }),
        MailKind::PasswordRecovery => MailContent::PasswordRecovery(password_reset()),
        MailKind::EmailVerification => MailContent::EmailVerification(email_verification()),
        MailKind::SignInWarning => MailContent::SignInWarning(SignInAlert { name: name() }),
        MailKind::AccountChange => MailContent::AccountChange(AccountChange {
            name: name(),
            has_new_address: true,
            has_new_password: true,
        }),
        MailKind::StaffInvitation => MailContent::StaffInvitation(staff_token(7 * 24 * 60)),
        MailKind::StaffRecovery => MailContent::StaffRecovery(staff_token(60)),
        MailKind::NewOrder => MailContent::NewOrder(new_order(currency)),
        MailKind::LowStock => MailContent::LowStock(low_stock()),
        MailKind::DailyReport => MailContent::DailyReport(daily_sales(currency)),
        MailKind::WebhookPaused => MailContent::WebhookPaused(webhook_pause()),
        MailKind::PaymentAlert => MailContent::PaymentAlert(payment_alert(currency)),
        MailKind::GiftCard => MailContent::GiftCard(gift_card(currency)),
    })
}

fn payment_receipt(currency: Currency) -> PaymentReceipt {
    PaymentReceipt {
        amount: Money::new(TOTAL, currency),
        paid_on: day(),
        order: OrderSummary { is_unpaid: false, ..order(currency) },
    }
}

fn shipment_notice() -> ShipmentNotice {
    ShipmentNotice {
        name: name(),
        number: number(),
        link: order_link(),
        pieces: pieces(),
        is_part: true,
        carrier: Some("Parcel & Sons".to_owned()),
        tracking: Some("PS 0123 4567 89".to_owned()),
        tracking_link: Some("https://parcel.example/track?number=PS0123456789&language=en".to_owned()),
        address: address(),
    }
}

fn order_cancellation(currency: Currency) -> OrderCancellation {
    OrderCancellation {
        name: name(),
        number: number(),
        link: order_link(),
        refund: Some(Money::new(TOTAL, currency)),
        is_unpaid: false,
        pieces: pieces(),
    }
}

fn refund_notice(currency: Currency) -> RefundNotice {
    RefundNotice {
        name: name(),
        number: number(),
        link: order_link(),
        amount: Money::new(3_600, currency),
        pieces: pieces(),
    }
}

fn gift_card(currency: Currency) -> GiftCardDelivery {
    GiftCardDelivery {
        name: name(),
        message: Some("Happy birthday, Ada!".to_owned()),
        amount: Money::new(3_600, currency),
        code: "AB9A 9HJK LMNP QRST".to_owned(),
        expires_on: Some(day()),
    }
}

fn return_notice() -> ReturnNotice {
    ReturnNotice { name: name(), number: number(), link: order_link(), pieces: pieces(), is_received: false }
}

fn password_reset() -> PasswordReset {
    PasswordReset {
        name: name(),
        link: link(&format!("/account/reset/0192f0c1-0000-7000-8000-000000000007/{TOKEN}")),
        token: TOKEN.to_owned(),
        minutes: 60,
    }
}

fn email_verification() -> EmailVerification {
    EmailVerification {
        name: name(),
        link: link(&format!("/account/verify/{TOKEN}")),
        token: TOKEN.to_owned(),
        days: 7,
    }
}

fn new_order(currency: Currency) -> NewOrder {
    NewOrder {
        number: number(),
        total: Money::new(TOTAL, currency),
        pieces: pieces(),
        way: Some("Standard".to_owned()),
        is_unpaid: true,
    }
}

fn low_stock() -> LowStock {
    LowStock {
        title: "Linen Notebook (A5)".to_owned(),
        sku: Some("LN-A5".to_owned()),
        available: 3,
        threshold: 5,
    }
}

fn daily_sales(currency: Currency) -> DailySales {
    let money = |minor| Money::new(minor, currency);
    DailySales {
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
    }
}

fn webhook_pause() -> WebhookPause {
    WebhookPause {
        url: "https://warehouse.example/hooks/orders".to_owned(),
        topics: vec!["order.placed".to_owned(), "order.canceled".to_owned()],
        since: day(),
        is_ownerless: false,
    }
}

fn payment_alert(currency: Currency) -> PaymentAlert {
    PaymentAlert {
        number: number(),
        provider: "stripe".to_owned(),
        what: "disputed".to_owned(),
        amount: Money::new(TOTAL, currency),
        reason: Some("product not received".to_owned()),
    }
}

fn staff_token(minutes: i64) -> StaffToken {
    let days = minutes.saturating_add(24 * 60 - 1) / (24 * 60);
    StaffToken { name: name(), token: TOKEN.to_owned(), minutes, days }
}

fn name() -> Option<String> {
    Some("Ada".to_owned())
}

fn number() -> String {
    "#1042".to_owned()
}

fn link(path: &str) -> Option<String> {
    Some(format!("https://shop.example{path}"))
}

fn order_link() -> Option<String> {
    link("/orders/0192f0c1-0000-7000-8000-000000001042?token=sample")
}

fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 24).unwrap_or_default()
}

fn order(currency: Currency) -> OrderSummary {
    let money = |minor| Money::new(minor, currency);
    OrderSummary {
        name: name(),
        number: number(),
        link: order_link(),
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
        total: money(TOTAL),
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
