//! Inputs of `cartPaymentUpdate`.

use async_graphql::{Enum, InputObject};

use crate::graphql::customers::addresses::MailingAddressInput;
use crate::graphql::types::codes::CurrencyCode;
use crate::graphql::types::scalars::Decimal;
use crate::services::checkout::{ChosenPayment, DirectPayment};

/// How a cart is paid. Exactly one of the payment methods must be given.
#[derive(InputObject)]
pub(super) struct CartPaymentInput {
    /// The amount that the buyer agreed to pay: the cart's `paymentDueAmount`.
    amount: MoneyInput,
    /// A payment through a payment provider.
    direct_payment_method: Option<CartDirectPaymentMethodInput>,
    /// No payment, for a cart with nothing left to pay.
    free_payment_method: Option<CartFreePaymentMethodInput>,
    /// The name of the payment provider, one of `paymentProviders`. May be omitted if the shop has
    /// only one.
    source_identifier: Option<String>,
    /// The payload of a wallet. Not supported: it always results in a `NOT_ALLOWED` error. Instead,
    /// use the payment provider's script to create a token for the wallet, and send it as
    /// `directPaymentMethod.sessionId`.
    wallet_payment_method: Option<CartWalletPaymentMethodInput>,
}

/// An amount of money.
#[derive(InputObject)]
pub(super) struct MoneyInput {
    /// The amount, as a decimal number.
    amount: Decimal,
    /// The currency, which must be that of the shop.
    currency_code: CurrencyCode,
}

/// A payment through a payment provider.
#[derive(InputObject)]
pub(super) struct CartDirectPaymentMethodInput {
    /// Whether the buyer has accepted the terms of a subscription. Has no effect, since there are
    /// no subscriptions.
    #[graphql(default = false)]
    accepted_subscription_terms: bool,
    /// The billing address of the buyer.
    billing_address: MailingAddressInput,
    /// Where the card's details come from. Has no effect, since the token determines it.
    card_source: Option<CartCardSource>,
    /// The token of the payment method, which the storefront obtains from the payment provider.
    /// Empty if the buyer pays on the provider's pages, with its script, or outside of the shop.
    /// Must not be a card number. It is stored encrypted until the cart is submitted.
    session_id: String,
}

/// No payment, for a cart with nothing left to pay.
#[derive(InputObject)]
pub(super) struct CartFreePaymentMethodInput {
    /// The billing address of the buyer.
    billing_address: MailingAddressInput,
}

/// The payload of a wallet. Not supported.
#[derive(InputObject)]
pub(super) struct CartWalletPaymentMethodInput {
    /// The payload of Apple Pay.
    apple_pay_wallet_content: Option<ApplePayWalletContentInput>,
    /// The payload of Shop Pay.
    shop_pay_wallet_content: Option<ShopPayWalletContentInput>,
}

/// The payload of Apple Pay. Not supported.
#[derive(InputObject)]
pub(super) struct ApplePayWalletContentInput {
    /// The billing address of the buyer.
    billing_address: MailingAddressInput,
    /// The encrypted payment data.
    data: String,
    /// The header of the payment data.
    header: ApplePayWalletHeaderInput,
    /// The last digits of the card.
    last_digits: Option<String>,
    /// The signature of the payment data.
    signature: String,
    /// The version of the payment data's format.
    version: String,
}

/// The header of a payload of Apple Pay. Not supported.
#[derive(InputObject)]
pub(super) struct ApplePayWalletHeaderInput {
    /// The hash of the application's data.
    application_data: Option<String>,
    /// The ephemeral public key.
    ephemeral_public_key: String,
    /// The hash of the merchant's public key.
    public_key_hash: String,
    /// The ID of the transaction.
    transaction_id: String,
}

/// The payload of Shop Pay. Not supported.
#[derive(InputObject)]
pub(super) struct ShopPayWalletContentInput {
    /// The billing address of the buyer.
    billing_address: MailingAddressInput,
    /// The token of the session.
    session_token: String,
}

/// Where the details of a card come from.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(super) enum CartCardSource {
    /// The card was saved by a third party.
    SavedCreditCard,
}

impl From<CartPaymentInput> for ChosenPayment {
    fn from(input: CartPaymentInput) -> Self {
        Self {
            amount: input.amount.amount.0,
            currency: input.amount.currency_code.0,
            provider: input.source_identifier,
            free: input.free_payment_method.map(|method| method.billing_address.into()),
            direct: input.direct_payment_method.map(|method| DirectPayment {
                token: method.session_id,
                billing_address: method.billing_address.into(),
            }),
            has_wallet: input.wallet_payment_method.is_some(),
        }
    }
}
