//! Payment methods that customers save with a provider, to pay with them again.
//!
//! Separate from [`PaymentProvider`](super::PaymentProvider), because most providers can't save
//! payment methods. A vault identifies customers and methods by ids of its own, and receives no
//! personal data.

use std::fmt;

use super::ProviderFuture;
use crate::domain::ids::CustomerId;
use crate::domain::payments::ClientSecret;

/// The customer of a charge.
#[derive(Clone)]
pub struct ChargedCustomer {
    /// The provider's id of the customer.
    pub reference: String,
    /// Whether the method is to be saved, to which the customer has agreed.
    pub is_saving: bool,
}

/// Leaves out the reference, which is of no use in logs.
impl fmt::Debug for ChargedCustomer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ChargedCustomer {{ is_saving: {} }}", self.is_saving)
    }
}

/// A saved card, as far as its customer needs to recognize it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SavedCard {
    /// The provider's id of the method, which is charged like a token together with its customer.
    pub reference: String,
    /// The brand, such as `visa`.
    pub brand: String,
    /// The last four digits of the number.
    pub last_digits: String,
    /// The month in which it expires, from 1 to 12.
    pub expiry_month: i32,
    /// The year in which it expires.
    pub expiry_year: i32,
}

/// The payment methods that customers have saved with a provider.
pub trait PaymentVault: Send + Sync {
    /// Creates a customer without methods, and returns the provider's id. Creating one again is
    /// harmless: it leaves another customer behind, without any data.
    fn create_customer(&self, customer: CustomerId) -> ProviderFuture<'_, String>;

    /// Deletes a customer with all methods. Afterwards, the provider must not know them any more.
    fn delete_customer<'a>(&'a self, customer: &'a str) -> ProviderFuture<'a, ()>;

    /// Begins to save a method without paying. Its customer enters it with the provider's script.
    fn set_up<'a>(&'a self, customer: &'a str) -> ProviderFuture<'a, ClientSecret>;

    /// The methods of a customer, newest first; `None` if there is no such customer any more.
    fn methods<'a>(&'a self, customer: &'a str) -> ProviderFuture<'a, Option<Vec<SavedCard>>>;

    /// Removes a method, so that it can't be charged any more. Succeeds if it is already gone.
    fn remove<'a>(&'a self, method: &'a str) -> ProviderFuture<'a, ()>;
}
