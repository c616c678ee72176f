//! The first step: the buyer's e-mail address, and the address that the order is shipped to.

use serde::Serialize;

use super::{CartView, Step, StepLink};
use crate::domain::codes::COUNTRIES;
use crate::domain::customers::addresses::Address;
use crate::domain::shop::localization::country_name;
use crate::error::{Error, UserError, UserErrorCode};
use crate::pages::summary::Summary;
use crate::pages::{BuyerPages, Fields, Page, PageResponse, Visit, redirect, status};
use crate::services::checkout::carts::{AddressPatch, AddressSource, BuyerPatch, NewAddress};
use crate::services::checkout::missing_address_parts;

const EMAIL: &str = "email";
const COUNTRY: &str = "country";

/// The fields of an address with their `autocomplete` tokens, in the order of the form.
const ADDRESS_FIELDS: [(&str, &str); 10] = [
    ("firstName", "given-name"),
    ("lastName", "family-name"),
    ("company", "organization"),
    ("address1", "address-line1"),
    ("address2", "address-line2"),
    ("zip", "postal-code"),
    ("city", "address-level2"),
    ("province", "address-level1"),
    (COUNTRY, COUNTRY),
    ("phone", "tel"),
];

#[derive(Serialize)]
struct ContactPage {
    steps: Vec<StepLink>,
    form_path: String,
    /// The e-mail address of a customer, which can't be changed here.
    fixed_email: Option<String>,
    fields: Vec<Field>,
    /// The fields with problems.
    wrong: Vec<WrongField>,
    /// A problem that is not with one of the fields.
    problem: Option<String>,
    summary: Summary,
}

/// A field of the form.
#[derive(Serialize)]
struct Field {
    name: &'static str,
    label: String,
    /// The type of the input, or `country`.
    kind: &'static str,
    value: String,
    autocomplete: &'static str,
    is_required: bool,
    problem: Option<String>,
    /// The code and name of each country.
    options: Vec<(&'static str, &'static str)>,
}

#[derive(Serialize)]
struct WrongField {
    name: &'static str,
    label: String,
    problem: String,
}

/// What was entered.
struct Contact {
    email: String,
    address: Address,
}

impl Contact {
    /// What the cart remembers.
    fn of_cart(view: &CartView, default_country: &str) -> Self {
        let cart = &view.open.cart;
        let address = cart.destination().map(|destination| destination.address.clone());
        let mut address = address.unwrap_or_default();
        let country = address.country.take().or_else(|| cart.country.clone());
        address.country = country.or_else(|| Some(default_country.to_owned()));
        address.phone = address.phone.or_else(|| cart.phone.clone());
        Self { email: cart.email.clone().unwrap_or_default(), address }
    }

    fn of_form(form: &Fields) -> Self {
        let address = Address {
            first_name: form.optional("firstName"),
            last_name: form.optional("lastName"),
            company: form.optional("company"),
            address1: form.optional("address1"),
            address2: form.optional("address2"),
            city: form.optional("city"),
            province: form.optional("province"),
            zip: form.optional("zip"),
            country: form.optional(COUNTRY),
            phone: form.optional("phone"),
            latitude: None,
            longitude: None,
        };
        Self { email: form.text(EMAIL).to_owned(), address }
    }

    fn value(&self, name: &str) -> String {
        let address = &self.address;
        let part = match name {
            EMAIL => return self.email.clone(),
            "firstName" => &address.first_name,
            "lastName" => &address.last_name,
            "company" => &address.company,
            "address1" => &address.address1,
            "address2" => &address.address2,
            "zip" => &address.zip,
            "city" => &address.city,
            "province" => &address.province,
            COUNTRY => &address.country,
            _ => &address.phone,
        };
        part.clone().unwrap_or_default()
    }
}

impl BuyerPages {
    /// Shows the form with what the cart remembers.
    pub(super) async fn show_contact(
        &self,
        visit: &Visit<'_>,
        view: &CartView,
    ) -> Result<PageResponse, Error> {
        self.contact_page(visit, view, &Contact::of_cart(view, &self.shop.country), &[]).await
    }

    /// Saves what was entered in the cart. Missing fields and problems found by the services are
    /// shown together.
    pub(super) async fn submit_contact(
        &self,
        visit: &Visit<'_>,
        view: &CartView,
        form: &Fields,
    ) -> Result<PageResponse, Error> {
        let mut contact = Contact::of_form(form);
        if view.open.has_account_email {
            // Anyone with the link could otherwise have the confirmation sent to another address.
            contact.email.clear();
        }
        let mut problems: Vec<UserError> = missing(view, &contact)
            .into_iter()
            .map(|name| UserError::new(&[name], UserErrorCode::Blank, ""))
            .collect();
        let country = contact.address.country.clone();
        if country.as_ref().is_some_and(|country| !COUNTRIES.iter().any(|(code, _)| code == country)) {
            problems.push(UserError::new(&[COUNTRY], UserErrorCode::Invalid, ""));
            return self.contact_page(visit, view, &contact, &problems).await;
        }
        let buyer = BuyerPatch {
            email: (!contact.email.is_empty()).then(|| Some(contact.email.clone())),
            phone: view.needs_shipping.then(|| contact.address.phone.clone()),
            country: country.map(Some),
        };
        let saved = self.services.carts.update_buyer(&visit.op, &view.cart_ref, &buyer).await;
        problems.extend(user_errors(saved)?);
        if view.needs_shipping {
            problems.extend(user_errors(self.save_address(visit, view, &contact.address).await)?);
        }
        if let Some(gone) = problems.iter().find(|problem| super::is_about_cart(problem)) {
            return Err(Error::Invalid(vec![gone.clone()]));
        }
        if problems.is_empty() {
            return Ok(redirect(view.path(visit, None)));
        }
        self.contact_page(visit, view, &contact, &problems).await
    }

    /// Replaces the selected address of the cart.
    async fn save_address(&self, visit: &Visit<'_>, view: &CartView, address: &Address) -> Result<(), Error> {
        let carts = &self.services.carts;
        let source = AddressSource::Input(Box::new(address.clone()));
        match view.open.cart.destination() {
            Some(known) => {
                let patch = AddressPatch {
                    id: known.id,
                    address: Some(source),
                    selected: Some(true),
                    one_time_use: None,
                };
                carts.update_addresses(&visit.op, &view.cart_ref, &[patch]).await.map(drop)
            }
            None => {
                let new = NewAddress { address: source, selected: Some(true), one_time_use: false };
                carts.add_addresses(&visit.op, &view.cart_ref, &[new]).await.map(drop)
            }
        }
    }

    async fn contact_page(
        &self,
        visit: &Visit<'_>,
        view: &CartView,
        contact: &Contact,
        problems: &[UserError],
    ) -> Result<PageResponse, Error> {
        let countries = self.countries(visit, view).await?;
        let names = std::iter::once((EMAIL, EMAIL)).chain(ADDRESS_FIELDS);
        let is_fixed = view.open.has_account_email;
        let shown = names.filter(|(name, _)| match *name {
            EMAIL => !is_fixed,
            COUNTRY => true,
            _ => view.needs_shipping,
        });
        let required = missing(view, &Contact { email: String::new(), address: Address::default() });
        let field = |(name, autocomplete): (&'static str, &'static str)| {
            let problem =
                problems.iter().find(|problem| problem.field.last().is_some_and(|last| last == name));
            Field {
                name,
                label: visit.text(&format!("field.{name}")),
                kind: match name {
                    EMAIL => "email",
                    COUNTRY => "country",
                    "phone" => "tel",
                    _ => "text",
                },
                value: contact.value(name),
                autocomplete,
                is_required: required.contains(&name),
                problem: problem.map(|problem| sentence(visit, name, problem.code)),
                options: if name == COUNTRY { countries.clone() } else { Vec::new() },
            }
        };
        let fields: Vec<Field> = shown.map(field).collect();
        let is_shown = |problem: &UserError| {
            fields.iter().any(|field| problem.field.last().is_some_and(|last| last == field.name))
        };
        let has_other = !problems.iter().all(is_shown);
        let wrong = |field: &Field| {
            let (label, problem) = (field.label.clone(), field.problem.clone()?);
            Some(WrongField { name: field.name, label, problem })
        };
        let summary = view.summary(self, visit);
        let images = summary.images();
        let content = ContactPage {
            steps: view.steps(visit, Step::Contact),
            form_path: view.path(visit, None),
            fixed_email: is_fixed.then(|| view.email(visit)),
            wrong: fields.iter().filter_map(wrong).collect(),
            problem: has_other.then(|| visit.text("problem.not_saved")),
            fields,
            summary,
        };
        let status = if problems.is_empty() { status::OK } else { status::UNPROCESSABLE };
        let page = Page { status, images, ..Page::new("contact.html", visit.text("step.contact"), content) };
        self.render(visit, &page)
    }

    /// The countries to choose from: those that the shop ships to, or all if nothing is shipped.
    async fn countries(
        &self,
        visit: &Visit<'_>,
        view: &CartView,
    ) -> Result<Vec<(&'static str, &'static str)>, Error> {
        let codes: Vec<&'static str> = if view.needs_shipping {
            self.services.shipping.countries(&visit.op).await?
        } else {
            COUNTRIES.iter().map(|(code, _)| *code).collect()
        };
        let mut countries: Vec<_> = codes.into_iter().map(|code| (code, country_name(code))).collect();
        countries.sort_unstable_by_key(|(_, name)| *name);
        Ok(countries)
    }
}

/// The names of the fields that are missing.
fn missing(view: &CartView, contact: &Contact) -> Vec<&'static str> {
    let mut names = Vec::new();
    if contact.email.is_empty() && !view.open.has_account_email {
        names.push(EMAIL);
    }
    if view.needs_shipping && !view.may_be_picked_up() {
        names.extend(missing_address_parts(&contact.address));
    }
    names
}

/// The problems that the buyer can fix; none if it succeeded.
fn user_errors<T>(result: Result<T, Error>) -> Result<Vec<UserError>, Error> {
    match result {
        Ok(_) => Ok(Vec::new()),
        Err(Error::Invalid(problems)) => Ok(problems),
        Err(error) => Err(error),
    }
}

/// What is wrong with a field, in the buyer's language.
fn sentence(visit: &Visit<'_>, name: &str, code: UserErrorCode) -> String {
    visit.text(match (code, name) {
        (UserErrorCode::Blank, _) => "problem.blank",
        (UserErrorCode::TooLong | UserErrorCode::CartTooLarge, _) => "problem.too_long",
        (_, EMAIL) => "problem.email",
        _ => "problem.invalid",
    })
}
