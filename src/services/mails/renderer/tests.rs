//! Every kind of mail in every language, as its reader sees it.

use super::super::content::{GiftCardDelivery, OrderSummary, PasswordReset, WebhookPause, Welcome};
use super::super::kind::MailKind;
use super::super::samples::{SAMPLE_SHOP as SHOP, sample};
use super::*;
use crate::domain::money::Currency;

fn render(content: &MailContent, language: Language) -> RenderedMail {
    MailRenderer::new().unwrap().render(SHOP, content, language).unwrap()
}

/// The sample of a kind with every string changed.
fn sample_with_changed_strings(kind: MailKind, change: impl Fn(&str) -> String + Copy) -> Value {
    fn change_strings(value: &mut Value, change: impl Fn(&str) -> String + Copy) {
        match value {
            // Currencies and days aren't user input.
            Value::String(text) if text != "EUR" && text != "2026-11-24" => *text = change(text),
            Value::Array(items) => items.iter_mut().for_each(|item| change_strings(item, change)),
            Value::Object(fields) => fields.values_mut().for_each(|field| change_strings(field, change)),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(sample(kind).unwrap()).unwrap();
    change_strings(&mut value, change);
    value
}

#[test]
fn every_mail_is_complete_in_every_language() {
    let renderer = MailRenderer::new().unwrap();
    for kind in MailKind::ALL {
        let mut subjects = Vec::new();
        for language in Language::ALL {
            let rendered = renderer.render(SHOP, &sample(*kind).unwrap(), *language).unwrap();
            for text in [&rendered.subject, &rendered.text, &rendered.html] {
                assert!(!text.trim().is_empty() && !text.contains(['{', '}']), "{kind:?}: {text}");
            }
            assert!(!rendered.text.contains("none"), "a value is missing: {}", rendered.text);
            assert!(!rendered.subject.contains('\n'), "{kind:?}: {}", rendered.subject);
            assert!(rendered.html.contains(&format!("<html lang=\"{}\">", language.as_str())), "{kind:?}");
            assert!(
                rendered.text.contains(SHOP) && rendered.html.contains("Mercato Paper &amp; Home"),
                "{kind:?}"
            );
            assert!(
                !rendered.text.contains("\n\n\n") && rendered.text.ends_with('\n'),
                "{kind:?}: {}",
                rendered.text
            );
            assert!(rendered.text.lines().all(|line| !line.starts_with('<')), "{kind:?}: {}", rendered.text);
            subjects.push(rendered.subject);
        }
        subjects.sort_unstable();
        subjects.dedup();
        assert_eq!(subjects.len(), Language::ALL.len(), "{kind:?} is translated");
    }
}

#[test]
fn only_languages_that_are_used_are_compiled() {
    let renderer = MailRenderer::new().unwrap();
    let compiled = || {
        let compiled = renderer.languages.iter().filter(|(_, environment)| environment.get().is_some());
        compiled.map(|(language, _)| *language).collect::<Vec<_>>()
    };
    assert!(compiled().is_empty());
    for kind in MailKind::ALL {
        renderer.render(SHOP, &sample(*kind).unwrap(), Language::German).unwrap();
    }
    assert_eq!(compiled(), [Language::German]);
}

/// For reviewing the wording: after a change, `INSTA_UPDATE=always cargo test` writes the
/// snapshots.
#[test]
fn mails_match_their_snapshots() {
    for language in Language::ALL {
        let mails = MailKind::ALL.iter().map(|kind| {
            let RenderedMail { subject, text, .. } = render(&sample(*kind).unwrap(), *language);
            format!("=== {}: {subject} ===\n\n{text}\n", kind.as_str())
        });
        insta::assert_snapshot!(language.as_str(), mails.collect::<String>());
    }
}

#[test]
fn every_text_is_used() {
    let templates: String = TEMPLATES.iter().map(|(_, source)| *source).collect();
    for name in TextCatalog::load(Language::English).unwrap().names() {
        assert!(templates.contains(&format!("\"{name}\"")), "{name} is in no template");
    }
}

#[test]
fn all_values_are_escaped() {
    let renderer = MailRenderer::new().unwrap();
    for kind in MailKind::ALL {
        let hostile = sample_with_changed_strings(*kind, |text| {
            format!("{text}<script>alert(\"'&\")</script>\r\nBcc: x")
        });
        let environment = renderer.environment(Language::English).unwrap();
        let mut page =
            serde_json::json!({ "shop": "<b>Shop</b>", "language": "en", "subject": "<i>Hello</i>" });
        let (Value::Object(page_fields), Value::Object(fields)) = (&mut page, hostile) else {
            panic!("objects")
        };
        page_fields.extend(fields);
        replace_control_characters(&mut page);
        let html = environment
            .get_template(&format!("{}.html", kind.as_str()))
            .unwrap()
            .render(Serde(&page))
            .unwrap();
        for tag in ["<script", "<b>", "<i>", "alert(\""] {
            assert!(!html.contains(tag), "{kind:?}: {tag} in {html}");
        }
        let text = environment
            .get_template(&format!("{}.txt", kind.as_str()))
            .unwrap()
            .render(Serde(&page))
            .unwrap();
        assert!(!text.lines().any(|line| line.starts_with("Bcc")), "{kind:?}: {text}");
    }
    for (name, source) in TEMPLATES {
        assert!(!source.contains("safe") && !source.contains("autoescape"), "{name}");
    }
}

#[test]
fn order_confirmations_show_the_order() {
    let MailContent::OrderConfirmation(order) = sample(MailKind::OrderConfirmation).unwrap() else {
        panic!("an order")
    };
    let rendered = render(&MailContent::OrderConfirmation(order.clone()), Language::German);
    assert_eq!(rendered.subject, "Bestellung #1042 bestätigt");
    for part in [
        "Guten Tag Ada,",
        "2 × Linen Notebook (A5): 36,00\u{a0}EUR",
        "Zwischensumme: 1.235,00\u{a0}EUR",
        "Rabatt: −3,60\u{a0}EUR",
        "Versand (Standard): 7,00\u{a0}EUR",
        "Gesamtbetrag: 1.238,40\u{a0}EUR",
        "Enthaltene Steuern: 197,73\u{a0}EUR",
        "12 St James's Square",
        "https://shop.example/orders/",
        "noch nicht bei uns eingegangen",
    ] {
        assert!(rendered.text.contains(part), "{part} is not in {}", rendered.text);
    }

    // A pickup order, by a buyer without a name, in a currency without minor units, from a shop
    // without a storefront.
    let yen = |minor| Money::new(minor, Currency::parse("JPY").unwrap());
    let plain = OrderSummary {
        name: None,
        link: None,
        is_unpaid: false,
        lines: vec![],
        subtotal: yen(123_500),
        discount: None,
        delivery: None,
        tax: Some(yen(10_000)),
        taxes_included: false,
        total: yen(133_500),
        address: Vec::new(),
        pickup: vec!["Corner Shop".to_owned(), "10115 Berlin".to_owned()],
        ..order
    };
    let rendered = render(&MailContent::OrderConfirmation(plain), Language::English);
    for part in [
        "Hello,",
        "Subtotal: 123,500\u{a0}JPY",
        "Taxes: 10,000\u{a0}JPY",
        "Total: 133,500\u{a0}JPY",
        "#1042",
        "Pick up at:\nCorner Shop\n10115 Berlin\n",
    ] {
        assert!(rendered.text.contains(part), "{part} is not in {}", rendered.text);
    }
    for part in ["Discount", "Delivery", "on its way", "reached us", "https://", "View"] {
        assert!(
            !rendered.text.contains(part) && !rendered.html.contains(part),
            "{part} is in {}",
            rendered.text
        );
    }
}

#[test]
fn mails_without_a_link_contain_the_token() {
    let MailContent::PasswordRecovery(reset) = sample(MailKind::PasswordRecovery).unwrap() else {
        panic!("a reset")
    };
    let linked = render(&MailContent::PasswordRecovery(reset.clone()), Language::English);
    assert!(
        linked.text.contains("https://shop.example/account/reset/") && !linked.text.contains("code"),
        "{}",
        linked.text
    );
    let token = reset.token.clone();
    let bare =
        render(&MailContent::PasswordRecovery(PasswordReset { link: None, ..reset }), Language::English);
    assert!(bare.text.contains(&format!("\n    {token}\n")) && bare.html.contains(&token), "{}", bare.text);
    assert!(!bare.text.contains("https://"), "{}", bare.text);
}

#[test]
fn user_input_is_rendered_without_links() {
    let name = Some("You won! https://evil.example/prize".to_owned());
    let welcome = render(&MailContent::Welcome(Welcome { name, link: None }), Language::English);
    let MailContent::OrderConfirmation(order) = sample(MailKind::OrderConfirmation).unwrap() else {
        panic!("an order")
    };
    let address = vec!["Ada at evil.example".to_owned(), "12 St. James's Square".to_owned()];
    let order = render(&MailContent::OrderConfirmation(OrderSummary { address, ..order }), Language::English);
    let MailContent::GiftCard(card) = sample(MailKind::GiftCard).unwrap() else { panic!("a gift card") };
    let message = Some("Claim it at https://evil.example".to_owned());
    let card = render(&MailContent::GiftCard(GiftCardDelivery { message, ..card }), Language::English);
    for text in [&welcome.text, &welcome.html, &order.text, &order.html, &card.text, &card.html] {
        assert!(!text.contains("evil.example") && !text.contains("https://evil"), "{text}");
    }
    assert!(
        order.text.contains("12 St. James's Square") && order.text.contains("https://shop.example/orders/")
    );
}

#[test]
fn mails_about_webhooks_without_an_owner_differ() {
    let MailContent::WebhookPaused(pause) = sample(MailKind::WebhookPaused).unwrap() else {
        panic!("a pause")
    };
    for language in Language::ALL {
        let failing = render(&MailContent::WebhookPaused(pause.clone()), *language);
        let ownerless = WebhookPause { is_ownerless: true, ..pause.clone() };
        let ownerless = render(&MailContent::WebhookPaused(ownerless), *language);
        assert_ne!(failing.text, ownerless.text, "{language:?}");
        for text in [&ownerless.text, &ownerless.html] {
            assert!(text.contains("warehouse.example") && text.contains("order.placed"), "{text}");
            assert!(!text.contains("\n\n\n\n"), "{text}");
        }
        assert!(!ownerless.text.contains("\n\n\n"), "{}", ownerless.text);
    }
}
