//! The last step: everything that is bought with its price, discount codes, and the ways to pay.

use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use super::{CartView, Step, StepLink};
use crate::domain::ids::{self, CreditAccountId, Id};
use crate::domain::money::Money;
use crate::error::Error;
use crate::pages::providers::{self, ProviderOption};
use crate::pages::summary::Summary;
use crate::pages::{BuyerPages, Fields, Page, PageResponse, Visit, redirect, status};
use crate::services::checkout::carts::LinePatch;
use crate::services::checkout::pricing::CodeOutcome;
use crate::services::checkout::sale;
use crate::services::payments::{CreditPart, PaymentProvider};

#[derive(Serialize)]
struct ReviewPage {
    steps: Vec<StepLink>,
    form_path: String,
    problem: Option<String>,
    /// Whether lines have to be changed or removed before the order can be placed.
    has_unavailable_lines: bool,
    /// Whether something in the cart is no longer for sale at all.
    has_hidden_lines: bool,
    summary: Summary,
    codes: Vec<CodeView>,
    gift_cards: Vec<GiftCardView>,
    email: String,
    /// Lines of the address.
    address: Vec<String>,
    note: String,
    contact_path: String,
    /// `None` if nothing is shipped.
    delivery_path: Option<String>,
    providers: Vec<ProviderOption>,
    attempt: String,
    /// The total that the buyer agrees to, as the service expects it.
    expected_total: String,
    /// What is left to pay of it, in the same form.
    expected_due: String,
    due: Money,
    /// Whether gift cards and store credit pay for all of it.
    is_covered: bool,
}

#[derive(Serialize)]
struct CodeView {
    code: String,
    is_refused: bool,
}

/// A gift card, or the customer's store credit, that is applied to the cart.
#[derive(Serialize)]
struct GiftCardView {
    /// For the button that removes it.
    id: String,
    /// The end of its code; empty for store credit.
    last_characters: String,
    amount: Money,
    is_usable: bool,
}

impl BuyerPages {
    /// Shows the review.
    pub(super) async fn show_review(
        &self,
        visit: &Visit<'_>,
        view: &CartView,
        problem: Option<String>,
    ) -> Result<PageResponse, Error> {
        let cart = &view.open.cart;
        let unavailable = sale::unavailable_lines(&view.open.lines, &view.priced);
        let accepted: Vec<Arc<dyn PaymentProvider>> = self.services.payments.all().cloned().collect();
        let saved = match visit.op.actor.customer() {
            Some(_) => self.services.payments.saved_methods(&visit.op).await?,
            None => Vec::new(),
        };
        let code = |outcome: &CodeOutcome| CodeView {
            code: outcome.code.clone(),
            is_refused: outcome.refused.is_some(),
        };
        let delivery = view.priced.quote.delivery.as_ref();
        let is_picked_up = delivery.is_some_and(|delivery| delivery.option.pickup.is_some());
        let address = cart.destination().filter(|_| view.needs_shipping && !is_picked_up);
        let (total, due) = (self.shop.money(view.priced.quote.total), self.shop.money(view.due()));
        let gift_card = |part: &CreditPart| GiftCardView {
            id: part.account.id.uuid().to_string(),
            last_characters: part.account.last_characters.clone(),
            amount: self.shop.money(part.amount),
            is_usable: part.is_usable,
        };
        let summary = view.summary(self, visit);
        let images = summary.images();
        let status = if problem.is_some() { status::CONFLICT } else { status::OK };
        let content = ReviewPage {
            steps: view.steps(visit, Step::Review),
            form_path: view.path(visit, None),
            problem,
            has_unavailable_lines: !unavailable.is_empty(),
            has_hidden_lines: unavailable.iter().any(|line| line.available.is_none()),
            summary,
            codes: view.priced.codes.iter().map(code).collect(),
            gift_cards: view.credit.parts.iter().map(gift_card).collect(),
            email: view.email(visit),
            address: address.map(|chosen| chosen.address.lines(true, true)).unwrap_or_default(),
            note: cart.note.clone(),
            contact_path: view.path(visit, Some(Step::Contact)),
            delivery_path: view.needs_shipping.then(|| view.path(visit, Some(Step::Delivery))),
            providers: providers::options(visit, &accepted, &saved),
            attempt: ids::request_id(),
            expected_total: total.to_decimal(),
            expected_due: due.to_decimal(),
            due,
            is_covered: view.credit.total() > 0 && due.minor() == 0,
        };
        let page = Page { status, images, ..Page::new("review.html", visit.text("step.review"), content) };
        self.render(visit, &page)
    }

    /// Adds or removes a discount code. Whether it applies is shown with the review.
    pub(super) async fn submit_codes(
        &self,
        visit: &Visit<'_>,
        view: &CartView,
        form: &Fields,
    ) -> Result<PageResponse, Error> {
        let mut codes = view.open.cart.discount_codes.0.clone();
        if let Some(removed) = form.optional("remove") {
            codes.retain(|code| *code != removed);
        } else if let Some(added) = form.optional("code") {
            codes.push(added);
        }
        match self.services.carts.set_discount_codes(&visit.op, &view.cart_ref, &codes).await {
            Ok(_) => Ok(redirect(view.path(visit, None))),
            Err(Error::Invalid(problems)) if !problems.iter().any(super::is_about_cart) => {
                self.show_review(visit, view, Some(visit.text("problem.code"))).await
            }
            Err(error) => Err(error),
        }
    }

    /// Applies a gift card, or removes one or the customer's store credit.
    pub(super) async fn submit_gift_cards(
        &self,
        visit: &Visit<'_>,
        view: &CartView,
        form: &Fields,
    ) -> Result<PageResponse, Error> {
        let (op, cart) = (&visit.op, &view.cart_ref);
        let changed = if let Some(removed) = form.optional("remove") {
            let id = Uuid::try_parse(&removed).ok().map(CreditAccountId::from_uuid);
            self.services.carts.remove_gift_cards(op, cart, &[id]).await.map(drop)
        } else if let Some(code) = form.optional("gift_card") {
            self.services.carts.add_gift_cards(op, cart, &[code]).await.map(drop)
        } else {
            Ok(())
        };
        match changed {
            Ok(()) => Ok(redirect(view.path(visit, None))),
            Err(Error::Invalid(problems)) if !problems.iter().any(super::is_about_cart) => {
                self.show_review(visit, view, Some(visit.text("problem.gift_card"))).await
            }
            Err(error) => Err(error),
        }
    }

    /// Reduces lines to what is available.
    pub(super) async fn submit_fix(&self, visit: &Visit<'_>, view: &CartView) -> Result<PageResponse, Error> {
        let unavailable = sale::unavailable_lines(&view.open.lines, &view.priced);
        let patches: Vec<LinePatch> = unavailable
            .into_iter()
            .map(|line| LinePatch {
                id: line.line_id,
                variant_id: None,
                quantity: Some(line.available.unwrap_or(0).max(0)),
                attributes: None,
            })
            .collect();
        if !patches.is_empty() {
            self.services.carts.update_lines(&visit.op, &view.cart_ref, &patches).await?;
        }
        Ok(redirect(view.path(visit, None)))
    }
}
