//! Payloads of cart mutations.

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};

use super::Cart;
use crate::error::{Error, UserError};
use crate::graphql::types::errors::UserErrorCode;
use crate::graphql::types::scalars::gid;
use crate::services::checkout::carts::{ChangedCart, Warning, WarningCode, WarningTarget};

/// An error in the input of a cart mutation.
#[derive(SimpleObject)]
pub(super) struct CartUserError {
    /// The error code.
    code: UserErrorCode,
    /// The path to the invalid input field, starting at the mutation's argument. Null when the
    /// error isn't about a single field.
    field: Option<Vec<String>>,
    /// What is wrong and how to fix it.
    message: String,
}

/// A warning about a cart. The mutation succeeded, but something needs the buyer's attention.
#[derive(SimpleObject)]
pub(super) struct CartWarning {
    /// The warning code.
    code: CartWarningCode,
    /// A message for the buyer.
    message: String,
    /// The ID of the object that the warning is about: a cart line, a product variant that couldn't
    /// be added, a delivery address or the cart.
    target: ID,
}

/// The codes of cart warnings.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "WarningCode")]
enum CartWarningCode {
    /// There are fewer units in stock than requested.
    MerchandiseNotEnoughStock,
    /// The variant is out of stock.
    MerchandiseOutOfStock,
    /// The cart already has this delivery address.
    DuplicateDeliveryAddress,
    /// The discount code doesn't apply to the cart.
    DiscountCodeNotHonoured,
    /// An applied gift card can't be used any longer.
    PaymentsGiftCardsUnavailable,
}

impl CartUserError {
    /// The errors in an input.
    pub(super) fn all(errors: Vec<UserError>) -> Vec<Self> {
        let to_cart_error = |error: UserError| Self {
            code: error.code.into(),
            field: (!error.field.is_empty()).then_some(error.field),
            message: error.message,
        };
        errors.into_iter().map(to_cart_error).collect()
    }
}

impl CartWarning {
    /// A warning about the cart with this global ID.
    pub(super) fn new(cart: &ID, warning: Warning) -> Self {
        let target = match warning.target {
            WarningTarget::Cart => cart.clone(),
            WarningTarget::Line(id) => gid(id),
            WarningTarget::Variant(id) => gid(id),
            WarningTarget::Address(id) => gid(id),
        };
        Self { code: warning.code.into(), message: warning.message, target }
    }
}

/// The fields that all cart payloads share.
pub(super) struct CartMutationResult {
    cart: Option<Cart>,
    user_errors: Vec<CartUserError>,
    warnings: Vec<Warning>,
}

impl CartMutationResult {
    /// Builds a payload from the result of the service. Errors in the input become user errors; any
    /// other error fails the field.
    pub(super) fn new(result: Result<ChangedCart, Error>) -> Result<Self> {
        match result {
            Ok(mut changed) => {
                let warnings = std::mem::take(&mut changed.warnings);
                Ok(Self { cart: Some(Cart::from_changed(changed)), user_errors: Vec::new(), warnings })
            }
            Err(Error::Invalid(errors)) => {
                Ok(Self { cart: None, user_errors: CartUserError::all(errors), warnings: Vec::new() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The warnings of the mutation, followed by those of the cart that it didn't report itself.
    async fn load_warnings(&self, ctx: &Context<'_>) -> Result<Vec<CartWarning>> {
        let Some(cart) = &self.cart else { return Ok(Vec::new()) };
        let is_new = |warning: &Warning| {
            self.warnings
                .iter()
                .all(|reported| (reported.code, reported.target) != (warning.code, warning.target))
        };
        let others = cart.load_warnings(ctx).await?.into_iter().filter(is_new);
        let all = self.warnings.iter().cloned().chain(others);
        let id = cart.gid(ctx);
        Ok(all.map(|warning| CartWarning::new(&id, warning)).collect())
    }
}

/// Defines the payload types, which differ only by name.
macro_rules! payloads {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        pub(super) struct $name(CartMutationResult);

        impl $name {
            /// See [`CartMutationResult::new`].
            pub(super) fn new(result: Result<ChangedCart, Error>) -> Result<Self> {
                CartMutationResult::new(result).map(Self)
            }
        }

        $(#[$doc])*
        #[Object]
        impl $name {
            /// The updated cart. Null if the mutation failed.
            async fn cart(&self) -> Option<Cart> {
                self.0.cart.clone()
            }

            /// Errors in the input. Empty when the mutation succeeded.
            async fn user_errors(&self) -> &[CartUserError] {
                &self.0.user_errors
            }

            /// Warnings about changes that could only be made in part, and about items that are no
            /// longer available.
            async fn warnings(&self, ctx: &Context<'_>) -> Result<Vec<CartWarning>> {
                self.0.load_warnings(ctx).await
            }
        }
    )*};
}

payloads! {
    /// The result of `cartCreate`.
    CartCreatePayload;
    /// The result of `cartLinesAdd`.
    CartLinesAddPayload;
    /// The result of `cartLinesUpdate`.
    CartLinesUpdatePayload;
    /// The result of `cartLinesRemove`.
    CartLinesRemovePayload;
    /// The result of `cartDiscountCodesUpdate`.
    CartDiscountCodesUpdatePayload;
    /// The result of `cartBuyerIdentityUpdate`.
    CartBuyerIdentityUpdatePayload;
    /// The result of `cartPaymentUpdate`.
    CartPaymentUpdatePayload;
    /// The result of `cartNoteUpdate`.
    CartNoteUpdatePayload;
    /// The result of `cartAttributesUpdate`.
    CartAttributesUpdatePayload;
    /// The result of `cartDeliveryAddressesAdd`.
    CartDeliveryAddressesAddPayload;
    /// The result of `cartDeliveryAddressesUpdate`.
    CartDeliveryAddressesUpdatePayload;
    /// The result of `cartDeliveryAddressesRemove`.
    CartDeliveryAddressesRemovePayload;
    /// The result of `cartSelectedDeliveryOptionsUpdate`.
    CartSelectedDeliveryOptionsUpdatePayload;
    /// The result of `cartGiftCardCodesAdd`.
    CartGiftCardCodesAddPayload;
    /// The result of `cartGiftCardCodesRemove`.
    CartGiftCardCodesRemovePayload;
    /// The result of `cartGiftCardCodesUpdate`.
    CartGiftCardCodesUpdatePayload;
    /// The result of `cartStoreCreditSet`.
    CartStoreCreditSetPayload;
}
