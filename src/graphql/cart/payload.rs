//! What mutations of carts answer.

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};

use super::Cart;
use crate::error::{Error, UserErrorCode};
use crate::graphql::scalars::gid;
use crate::services::cart::{Changed, Warning, WarningCode, WarningTarget};

/// A problem with the input of a cart's mutation, to be shown beside the field it is about.
#[derive(SimpleObject)]
pub struct CartUserError {
    /// The kind of problem.
    code: UserErrorCode,
    /// The path of the input field, from the mutation's argument on; null when no field is to blame.
    field: Option<Vec<String>>,
    /// What is wrong and how to mend it.
    message: String,
}

/// Something a buyer should know of their cart. It does not keep a mutation from its work.
#[derive(SimpleObject)]
pub struct CartWarning {
    /// Its kind.
    code: CartWarningCode,
    /// A sentence for the buyer.
    message: String,
    /// The global id of what it is about: a line, a variant that did not get into the cart, a delivery address, the cart.
    target: ID,
}

/// The kinds of warnings.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "WarningCode")]
enum CartWarningCode {
    /// There are fewer pieces than are wanted.
    MerchandiseNotEnoughStock,
    /// There is none.
    MerchandiseOutOfStock,
    /// The cart has the delivery address already.
    DuplicateDeliveryAddress,
    /// The discount code takes nothing off.
    DiscountCodeNotHonoured,
}

impl CartWarning {
    /// A warning of the cart with this global id.
    pub fn of(cart: &ID, warning: Warning) -> Self {
        let target = match warning.target {
            WarningTarget::Cart => cart.clone(),
            WarningTarget::Line(id) => gid(id),
            WarningTarget::Variant(id) => gid(id),
            WarningTarget::Address(id) => gid(id),
        };
        Self { code: warning.code.into(), message: warning.message, target }
    }
}

/// What every mutation of a cart answers.
pub struct Answer {
    cart: Option<Cart>,
    user_errors: Vec<CartUserError>,
    warnings: Vec<Warning>,
}

impl Answer {
    /// The service's answer, or what its sender can mend. Other errors end the field.
    pub fn of(answer: Result<Changed, Error>) -> Result<Self> {
        match answer {
            Ok(mut changed) => {
                let warnings = std::mem::take(&mut changed.warnings);
                Ok(Self { cart: Some(Cart::of(changed)), user_errors: Vec::new(), warnings })
            }
            Err(Error::Invalid(errors)) => {
                let error = |error: crate::error::UserError| CartUserError {
                    code: error.code,
                    field: (!error.field.is_empty()).then_some(error.field),
                    message: error.message,
                };
                let user_errors = errors.into_iter().map(error).collect();
                Ok(Self { cart: None, user_errors, warnings: Vec::new() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What the mutation itself has to say, and what there is to say of the cart besides.
    async fn warned(&self, ctx: &Context<'_>) -> Result<Vec<CartWarning>> {
        let Some(cart) = &self.cart else { return Ok(Vec::new()) };
        let is_new = |warning: &Warning| {
            self.warnings.iter().all(|known| (known.code, known.target) != (warning.code, warning.target))
        };
        let more = cart.warned(ctx).await?.into_iter().filter(is_new);
        let all = self.warnings.iter().cloned().chain(more);
        let id = cart.gid(ctx);
        Ok(all.map(|warning| CartWarning::of(&id, warning)).collect())
    }
}

/// Defines the payloads, which differ by their names alone.
macro_rules! payloads {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        pub struct $name(Answer);

        impl $name {
            /// See [`Answer::of`].
            pub fn of(answer: Result<Changed, Error>) -> Result<Self> {
                Answer::of(answer).map(Self)
            }
        }

        $(#[$doc])*
        #[Object]
        impl $name {
            /// The cart as it is now; null if nothing was done.
            async fn cart(&self) -> Option<Cart> {
                self.0.cart.clone()
            }

            /// What is wrong with the input.
            async fn user_errors(&self) -> &[CartUserError] {
                &self.0.user_errors
            }

            /// What was not done as it was asked for, and what can no longer be had.
            async fn warnings(&self, ctx: &Context<'_>) -> Result<Vec<CartWarning>> {
                self.0.warned(ctx).await
            }
        }
    )*};
}

payloads! {
    /// What became of the new cart.
    CartCreatePayload;
    /// What became of the new lines.
    CartLinesAddPayload;
    /// What became of the changed lines.
    CartLinesUpdatePayload;
    /// What became of the removed lines.
    CartLinesRemovePayload;
    /// What became of the discount codes.
    CartDiscountCodesUpdatePayload;
    /// What became of the buyer.
    CartBuyerIdentityUpdatePayload;
    /// What became of the note.
    CartNoteUpdatePayload;
    /// What became of the attributes.
    CartAttributesUpdatePayload;
    /// What became of the new delivery addresses.
    CartDeliveryAddressesAddPayload;
    /// What became of the changed delivery addresses.
    CartDeliveryAddressesUpdatePayload;
    /// What became of the removed delivery addresses.
    CartDeliveryAddressesRemovePayload;
    /// What became of the chosen delivery options.
    CartSelectedDeliveryOptionsUpdatePayload;
    /// What became of the gift cards to be used.
    CartGiftCardCodesAddPayload;
    /// What became of the gift cards to be used no more.
    CartGiftCardCodesRemovePayload;
    /// What became of the gift cards in place of others.
    CartGiftCardCodesUpdatePayload;
}
