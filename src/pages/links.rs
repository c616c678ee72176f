//! The paths of pages, with the secrets that open them.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::domain::checkout::carts::CartRef;
use crate::domain::ids::{Id, OrderId};

/// The parameter with the key of a cart.
pub(super) const KEY: &str = "key";
/// The parameter with the token of an order.
pub(super) const TOKEN: &str = "token";
/// The parameter with the step of checkout.
pub(super) const STEP: &str = "step";
/// The parameter that signs a customer in to the checkout page of a cart.
pub(super) const CUSTOMER: &str = "customer";
/// The parameter with the language.
pub(super) const LANGUAGE: &str = "lang";
/// The parameter by which a payment provider's return is recognized.
pub(super) const RETURNED: &str = "returned";
/// The parameter by which the buyer is sent on to the payment provider.
pub(super) const FORWARD: &str = "forward";

/// The path of a cart's checkout page, with other parameters.
pub(super) fn checkout(cart: &CartRef, language: Option<&str>, others: &[(&str, &str)]) -> String {
    let path = format!("/checkout/{}", cart.id.uuid());
    with_parameters(&path, (KEY, &cart.key), language, others)
}

/// The path of an order's page, with other parameters.
pub(super) fn order(id: OrderId, token: &str, language: Option<&str>, others: &[(&str, &str)]) -> String {
    with_parameters(&format!("/orders/{}", id.uuid()), (TOKEN, token), language, others)
}

fn with_parameters(
    path: &str,
    secret: (&str, &str),
    language: Option<&str>,
    others: &[(&str, &str)],
) -> String {
    let language = language.map(|language| (LANGUAGE, language));
    let all = std::iter::once(secret).chain(language).chain(others.iter().copied());
    let encode =
        |(name, value): (&str, &str)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
    let parameters: Vec<String> = all.map(encode).collect();
    format!("{path}?{}", parameters.join("&"))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::ids::CartId;

    #[test]
    fn parameters_are_encoded() {
        let cart = CartRef { id: CartId::from_uuid(Uuid::from_u128(7)), key: "a&b".to_owned() };
        assert_eq!(
            checkout(&cart, Some("de"), &[(STEP, "review")]),
            "/checkout/00000000-0000-0000-0000-000000000007?key=a%26b&lang=de&step=review"
        );
        let id = OrderId::from_uuid(Uuid::from_u128(7));
        assert_eq!(order(id, "0a", None, &[]), "/orders/00000000-0000-0000-0000-000000000007?token=0a");
    }
}
