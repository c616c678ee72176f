//! The second step: how the order is delivered.

use serde::Serialize;

use super::{CartView, Step, StepLink};
use crate::domain::checkout::quotes::DeliveryOption;
use crate::domain::ids::{DeliveryGroupId, Id};
use crate::domain::money::Money;
use crate::error::Error;
use crate::pages::summary::Summary;
use crate::pages::{BuyerPages, Fields, Page, PageResponse, Visit, redirect, status};
use crate::services::checkout::carts::ChosenOption;

#[derive(Serialize)]
struct DeliveryPage {
    steps: Vec<StepLink>,
    form_path: String,
    options: Vec<OptionView>,
    problem: Option<String>,
    /// Lines of the address.
    address: Vec<String>,
    contact_path: String,
    summary: Summary,
}

#[derive(Serialize)]
struct OptionView {
    handle: String,
    title: String,
    price: Money,
    /// Lines of the address where the order is picked up.
    pickup: Vec<String>,
    is_selected: bool,
}

impl BuyerPages {
    /// Shows the delivery options.
    pub(super) fn show_delivery(
        &self,
        visit: &Visit<'_>,
        view: &CartView,
        problem: Option<String>,
    ) -> Result<PageResponse, Error> {
        let options = &view.priced.delivery_options;
        let chosen = view.priced.quote.delivery.as_ref().map(|delivery| delivery.option.handle.as_str());
        let selected = chosen.or_else(|| options.first().map(|option| option.handle.as_str()));
        let to_view = |option: &DeliveryOption| OptionView {
            handle: option.handle.clone(),
            title: option.title.clone(),
            price: self.shop.money(option.price),
            pickup: option
                .pickup
                .as_ref()
                .map(|place| place.address().lines(false, true))
                .unwrap_or_default(),
            is_selected: selected == Some(option.handle.as_str()),
        };
        let address = view.open.cart.destination().map(|destination| destination.address.lines(true, true));
        let status = if problem.is_some() { status::UNPROCESSABLE } else { status::OK };
        let summary = view.summary(self, visit);
        let images = summary.images();
        let content = DeliveryPage {
            steps: view.steps(visit, Step::Delivery),
            form_path: view.path(visit, None),
            options: options.iter().map(to_view).collect(),
            problem,
            address: address.unwrap_or_default(),
            contact_path: view.path(visit, Some(Step::Contact)),
            summary,
        };
        let page =
            Page { status, images, ..Page::new("delivery.html", visit.text("step.delivery"), content) };
        self.render(visit, &page)
    }

    /// Selects a delivery option.
    pub(super) async fn submit_delivery(
        &self,
        visit: &Visit<'_>,
        view: &CartView,
        form: &Fields,
    ) -> Result<PageResponse, Error> {
        let chosen = ChosenOption {
            group_id: DeliveryGroupId::from_uuid(view.cart_ref.id.uuid()),
            handle: form.text("option").to_owned(),
        };
        match self.services.carts.choose_delivery(&visit.op, &view.cart_ref, &[chosen]).await {
            Ok(_) => Ok(redirect(view.path(visit, None))),
            Err(Error::Invalid(problems)) if !problems.iter().any(super::is_about_cart) => {
                self.show_delivery(visit, view, Some(visit.text("problem.delivery")))
            }
            Err(error) => Err(error),
        }
    }
}
