//! The shop's policies and legal texts.

use crate::domain::catalog::text_enum;

text_enum! {
    /// The kind of a policy; a shop has at most one of each.
    PolicyKind {
        /// Use of personal data.
        Privacy = "privacy_policy",
        /// Conditions of refunds.
        Refund = "refund_policy",
        /// Conditions of shipping.
        Shipping = "shipping_policy",
        /// Terms for using the site.
        TermsOfService = "terms_of_service",
        /// Conditions of subscriptions.
        Subscription = "subscription_policy",
        /// How to contact the shop.
        ContactInformation = "contact_information",
        /// Who runs the shop.
        LegalNotice = "legal_notice",
        /// Terms for buying goods.
        TermsOfSale = "terms_of_sale",
    }
}

impl PolicyKind {
    /// The default title.
    #[must_use]
    pub fn default_title(self) -> &'static str {
        match self {
            Self::Privacy => "Privacy policy",
            Self::Refund => "Refund policy",
            Self::Shipping => "Shipping policy",
            Self::TermsOfService => "Terms of service",
            Self::Subscription => "Subscription policy",
            Self::ContactInformation => "Contact information",
            Self::LegalNotice => "Legal notice",
            Self::TermsOfSale => "Terms of sale",
        }
    }

    /// The URL segment of the policy: `privacy-policy`.
    #[must_use]
    pub fn handle(self) -> String {
        self.as_str().replace('_', "-")
    }

    /// The storefront's path of the policy.
    #[must_use]
    pub fn path(self) -> String {
        format!("/policies/{}", self.handle())
    }
}
