//! Checkout of a cart, in up to three steps at one URL: contact and address, delivery, review and
//! payment. The cart itself remembers what was entered, so that every step can be loaded again, in
//! another tab or after days.

mod contact;
mod delivery;
mod place;
mod review;

use serde::Serialize;
use uuid::Uuid;

use super::summary::{Images, Summary};
use super::{BuyerPages, Fields, PageResponse, Visit, links, redirect, status};
use crate::domain::checkout::carts::CartRef;
use crate::domain::ids::{CartId, Id, OrderId, VariantId};
use crate::error::{Error, UserError};
use crate::services::checkout::carts::OpenCart;
use crate::services::checkout::pricing::PricedBasket;
use crate::services::checkout::{missing_address_parts, sale};
use crate::services::payments::CreditPlan;

/// A step of checkout, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Step {
    Contact,
    Delivery,
    Review,
}

/// A cart that can be checked out.
struct CartView {
    cart_ref: CartRef,
    open: OpenCart,
    priced: PricedBasket,
    /// What gift cards and store credit pay.
    credit: CreditPlan,
    images: Images,
    needs_shipping: bool,
}

/// A cart as it was found.
enum FoundCart {
    /// There is none, or the key is wrong.
    Missing,
    /// It was ordered.
    Ordered(OrderId),
    /// It has nothing that is for sale.
    Empty,
    /// It can be checked out.
    Ready(Box<CartView>),
}

/// A step in the list of steps.
#[derive(Serialize)]
struct StepLink {
    label: String,
    /// `None` if it can't be opened yet.
    path: Option<String>,
    is_current: bool,
}

impl Step {
    fn parse(text: &str) -> Option<Self> {
        [Self::Contact, Self::Delivery, Self::Review].into_iter().find(|step| step.as_str() == text)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::Delivery => "delivery",
            Self::Review => "review",
        }
    }
}

impl CartView {
    /// The last step that can be opened: all steps before it are complete.
    fn last_step(&self) -> Step {
        let has_email = self.open.cart.email.is_some() || self.open.has_account_email;
        if !has_email || !self.has_address() {
            Step::Contact
        } else if self.needs_shipping && self.priced.quote.delivery.is_none() {
            Step::Delivery
        } else {
            Step::Review
        }
    }

    /// Whether the address is complete, as far as it is needed. None is needed if the order is
    /// picked up.
    fn has_address(&self) -> bool {
        if !self.needs_shipping {
            return true;
        }
        let is_picked_up = match &self.priced.quote.delivery {
            Some(delivery) => delivery.option.pickup.is_some(),
            None => self.may_be_picked_up(),
        };
        let address = self.open.cart.destination().map(|destination| &destination.address);
        is_picked_up || address.is_some_and(|address| missing_address_parts(address).is_empty())
    }

    /// What is left to pay, in minor units.
    fn due(&self) -> i64 {
        self.priced.quote.total.saturating_sub(self.credit.total())
    }

    /// The address to which the order is confirmed. That of an account is not shown, because the
    /// link shows only what is in the cart.
    fn email(&self, visit: &Visit<'_>) -> String {
        match &self.open.cart.email {
            Some(email) => email.clone(),
            None if self.open.has_account_email => visit.text("contact.account_email"),
            None => String::new(),
        }
    }

    fn may_be_picked_up(&self) -> bool {
        self.priced.delivery_options.iter().any(|option| option.pickup.is_some())
    }

    /// The path of a step; by default, of the last one that can be opened. Forms are sent to the
    /// latter, too, so that the page of a refused form can be opened by its URL as well.
    fn path(&self, visit: &Visit<'_>, step: Option<Step>) -> String {
        let step = step.map(|step| (links::STEP, step.as_str()));
        let sign_in = visit.sign_in().map(|sign_in| (links::CUSTOMER, sign_in));
        let others: Vec<_> = sign_in.into_iter().chain(step).collect();
        links::checkout(&self.cart_ref, visit.chosen_language(), &others)
    }

    fn steps(&self, visit: &Visit<'_>, current: Step) -> Vec<StepLink> {
        let last = self.last_step();
        let steps = [Step::Contact, Step::Delivery, Step::Review].into_iter();
        let needed = steps.filter(|step| self.needs_shipping || *step != Step::Delivery);
        let link = |step: Step| StepLink {
            label: visit.text(&format!("step.{}", step.as_str())),
            path: (step <= last).then(|| self.path(visit, Some(step))),
            is_current: step == current,
        };
        needed.map(link).collect()
    }

    fn summary(&self, pages: &BuyerPages, visit: &Visit<'_>) -> Summary {
        let summary = Summary::of_cart(visit, pages.shop.currency, &self.open, &self.priced, &self.images);
        summary.with_credit(pages.shop.currency, self.credit.total(), Some(self.due()))
    }
}

impl BuyerPages {
    /// Shows the requested step, or the last one that can be opened.
    pub(super) async fn show_checkout(&self, visit: &Visit<'_>, cart: &str) -> Result<PageResponse, Error> {
        let view = match self.find_cart(visit, cart).await? {
            FoundCart::Ready(view) => view,
            FoundCart::Ordered(order) if !visit.param(links::RETURNED).is_empty() => {
                return Ok(redirect(self.order_path(visit, order, &[(links::RETURNED, "1")])));
            }
            other => return self.unavailable_cart(visit, &other),
        };
        let last = view.last_step();
        let step = Step::parse(visit.param(links::STEP)).filter(|step| *step <= last).unwrap_or(last);
        match step {
            Step::Contact => self.show_contact(visit, &view).await,
            Step::Delivery if view.needs_shipping => self.show_delivery(visit, &view, None),
            Step::Delivery | Step::Review => self.show_review(visit, &view, None).await,
        }
    }

    /// Handles a form of one of the steps.
    pub(super) async fn submit_checkout(
        &self,
        visit: &Visit<'_>,
        cart: &str,
        form: &Fields,
    ) -> Result<PageResponse, Error> {
        let view = match self.find_cart(visit, cart).await? {
            FoundCart::Ready(view) => view,
            // The form was sent twice, or from two tabs.
            FoundCart::Ordered(order) => return Ok(redirect(self.order_path(visit, order, &[]))),
            other => return self.unavailable_cart(visit, &other),
        };
        let submitted = match form.text("action") {
            "contact" => self.submit_contact(visit, &view, form).await,
            "delivery" => self.submit_delivery(visit, &view, form).await,
            "codes" => self.submit_codes(visit, &view, form).await,
            "gift_cards" => self.submit_gift_cards(visit, &view, form).await,
            "fix" => self.submit_fix(visit, &view).await,
            "place" => Box::pin(self.submit_place(visit, &view, form)).await,
            _ => return self.notice(visit, "unreadable", status::BAD_REQUEST),
        };
        match submitted {
            // The cart was ordered or deleted in the meantime.
            Err(Error::Invalid(problems)) if problems.iter().any(is_about_cart) => {
                let found = self.find_cart(visit, cart).await?;
                match found {
                    FoundCart::Ready(_) => Err(Error::Invalid(problems)),
                    other => self.unavailable_cart(visit, &other),
                }
            }
            submitted => submitted,
        }
    }

    /// Finds the cart with this UUID and the key in the request, and prices it.
    async fn find_cart(&self, visit: &Visit<'_>, cart: &str) -> Result<FoundCart, Error> {
        let Ok(id) = Uuid::try_parse(cart) else { return Ok(FoundCart::Missing) };
        let cart_ref = CartRef { id: CartId::from_uuid(id), key: visit.param(links::KEY).to_owned() };
        let Some(open) = self.services.carts.open(&visit.op, &cart_ref).await? else {
            return Ok(FoundCart::Missing);
        };
        if let Some(order) = open.order {
            return Ok(FoundCart::Ordered(order));
        }
        let priced = self.services.carts.price(&visit.op, &open.cart, &open.lines).await?;
        let sellable = sale::sellable_lines(&open.lines, &priced);
        if sellable.is_empty() {
            return Ok(FoundCart::Empty);
        }
        let variants: Vec<VariantId> = sellable.iter().map(|line| line.variant_id).collect();
        let images = self.images(&visit.op, &variants).await?;
        let needs_shipping = sale::needs_shipping(&sellable, &priced);
        let (total, currency) = (priced.quote.total, self.shop.currency.code());
        let credit = self.services.carts.plan_credit(&visit.op, &open.cart, total, currency).await?;
        Ok(FoundCart::Ready(Box::new(CartView { cart_ref, open, priced, credit, images, needs_shipping })))
    }

    /// The page for a cart that can't be checked out.
    fn unavailable_cart(&self, visit: &Visit<'_>, cart: &FoundCart) -> Result<PageResponse, Error> {
        match cart {
            FoundCart::Ordered(order) => {
                let link = self.order_path(visit, *order, &[]);
                self.notice_with_link(visit, "ordered", status::OK, Some(link))
            }
            FoundCart::Empty => self.notice(visit, "empty", status::OK),
            FoundCart::Missing | FoundCart::Ready(_) => self.not_found(visit),
        }
    }
}

/// Whether a problem is that the cart can't be used.
fn is_about_cart(problem: &UserError) -> bool {
    problem.field.last().is_some_and(|field| field == "cartId")
}
