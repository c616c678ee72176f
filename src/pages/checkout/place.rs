//! Placing the order. The form has the total that the buyer saw and a key of its own: a form that
//! is sent twice places one order and charges once.

use super::{CartView, FoundCart, Step};
use crate::domain::ids::Id;
use crate::error::{Error, UserError, UserErrorCode};
use crate::pages::providers;
use crate::pages::{BuyerPages, Fields, PageResponse, Visit, links, redirect};
use crate::services::checkout::{PlaceOrder, sale};

/// Why no order was placed: the step that the buyer has to go back to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Refusal {
    /// The contact or the address is incomplete.
    Contact,
    /// There is no delivery, or none is chosen.
    Delivery,
    /// The review has to be looked at again, for the reason with this text.
    Review(&'static str),
}

impl BuyerPages {
    /// Places an order, and leads to its page, which goes on to the payment provider if need be.
    pub(super) async fn submit_place(
        &self,
        visit: &Visit<'_>,
        view: &CartView,
        form: &Fields,
    ) -> Result<PageResponse, Error> {
        let provider = self.services.payments.provider(providers::chosen(visit).0);
        let return_path = links::checkout(&view.cart_ref, visit.chosen_language(), &[(links::RETURNED, "1")]);
        // What the buyer saw as left to pay: nothing if gift cards pay for all of it.
        let due = form.optional("due");
        let is_covered = view.credit.total() > 0 && due == Some(self.shop.money(0).to_decimal());
        let input = PlaceOrder {
            cart_id: view.cart_ref.to_string(),
            email: None,
            shipping_address: None,
            billing_address: None,
            delivery_option: None,
            payment: (!is_covered).then(|| providers::payment_input(visit, provider, &return_path)),
            expected_total: form.text("total").to_owned(),
            expected_payment_due: due,
        };
        let key = Some(form.text(providers::ATTEMPT));
        let refusal = match self.services.checkout.place(&visit.op, &input, key).await {
            // If the payment was declined, the order's page offers other ways to pay.
            Ok(placed) => {
                let forward = [(links::FORWARD, "1")];
                return Ok(redirect(self.order_path(visit, placed.order.id, &forward)));
            }
            Err(Error::Invalid(problems)) => refusal(&problems),
            // The form was sent before with other values.
            Err(Error::Conflict(_)) => Refusal::Review("problem.sent_before"),
            Err(error) => return Err(error),
        };
        self.show_refusal(visit, view, refusal).await
    }

    /// Shows the cart as it is now, and why it was not ordered.
    async fn show_refusal(
        &self,
        visit: &Visit<'_>,
        view: &CartView,
        refusal: Refusal,
    ) -> Result<PageResponse, Error> {
        let found = self.find_cart(visit, &view.cart_ref.id.uuid().to_string()).await?;
        let current = match found {
            FoundCart::Ready(current) => current,
            FoundCart::Ordered(order) => return Ok(redirect(self.order_path(visit, order, &[]))),
            other => return self.unavailable_cart(visit, &other),
        };
        match refusal {
            Refusal::Contact => Ok(redirect(current.path(visit, Some(Step::Contact)))),
            Refusal::Delivery => Ok(redirect(current.path(visit, Some(Step::Delivery)))),
            Refusal::Review(text) => {
                let is_sold_out = !sale::unavailable_lines(&current.open.lines, &current.priced).is_empty();
                // Otherwise, a guest may not hold as many without paying at once.
                let text = match text {
                    "problem.stock" if is_sold_out => "problem.sold_out",
                    text => text,
                };
                self.show_review(visit, &current, Some(visit.text(text))).await
            }
        }
    }
}

/// The most important of the problems.
fn refusal(problems: &[UserError]) -> Refusal {
    let has = |field: &str, code: UserErrorCode| {
        let is_it =
            |problem: &UserError| problem.code == code && problem.field.iter().any(|part| part == field);
        problems.iter().any(is_it)
    };
    let is_about =
        |field: &str| problems.iter().any(|problem| problem.field.iter().any(|part| part == field));
    if is_about("email") || is_about("shippingAddress") {
        Refusal::Contact
    } else if is_about("deliveryOptionHandle") {
        Refusal::Delivery
    } else if has("cartId", UserErrorCode::InsufficientStock) {
        Refusal::Review("problem.stock")
    } else if is_about("expectedTotal") || is_about("expectedPaymentDue") {
        Refusal::Review("problem.price_changed")
    } else if has("cartId", UserErrorCode::Stale) {
        Refusal::Review("problem.discount_gone")
    } else if has("payment", UserErrorCode::TooMany) {
        Refusal::Review("problem.too_many_orders")
    } else if is_about("payment") {
        Refusal::Review("problem.payment")
    } else {
        Refusal::Review("problem.refused")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_important_problem_is_shown() {
        let problem = |field: &[&str], code| UserError::new(field, code, "");
        let stock = problem(&["input", "cartId"], UserErrorCode::InsufficientStock);
        let total = problem(&["input", "expectedTotal"], UserErrorCode::Stale);
        let address = problem(&["input", "shippingAddress", "city"], UserErrorCode::Blank);
        assert_eq!(refusal(&[total.clone(), stock.clone(), address]), Refusal::Contact);
        assert_eq!(refusal(&[total.clone(), stock]), Refusal::Review("problem.stock"));
        assert_eq!(refusal(&[total]), Refusal::Review("problem.price_changed"));
        let provider = problem(&["input", "payment", "provider"], UserErrorCode::NotFound);
        assert_eq!(refusal(&[provider]), Refusal::Review("problem.payment"));
        assert_eq!(refusal(&[]), Refusal::Review("problem.refused"));
    }
}
