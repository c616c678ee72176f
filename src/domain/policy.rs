//! The policies of a shop: what it promises its buyers, and what it has to tell them.

use super::catalog::text_enum;

text_enum! {
    /// A policy of the shop, of which it has at most one of a kind.
    PolicyKind {
        /// What becomes of personal data.
        Privacy = "privacy_policy",
        /// When and how money goes back.
        Refund = "refund_policy",
        /// How and where orders are sent.
        Shipping = "shipping_policy",
        /// Under which terms the site is used.
        TermsOfService = "terms_of_service",
        /// How subscriptions are bought and ended.
        Subscription = "subscription_policy",
        /// How to reach the shop.
        ContactInformation = "contact_information",
        /// Who runs the shop.
        LegalNotice = "legal_notice",
        /// Under which terms goods are sold.
        TermsOfSale = "terms_of_sale",
    }
}

impl PolicyKind {
    /// The title of a policy that staff gave none.
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

    /// The part of its address that names it: `privacy-policy`.
    #[must_use]
    pub fn handle(self) -> String {
        self.as_str().replace('_', "-")
    }

    /// Where storefronts show it.
    #[must_use]
    pub fn path(self) -> String {
        format!("/policies/{}", self.handle())
    }
}
