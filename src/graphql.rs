//! The schema: one folder or file an area, each with its types, queries and mutations.
//!
//! A resolver decodes its arguments, calls one service or loader, and wraps the answer. Rules are services', queries are
//! repositories', and neither is here. The buyer's side has the names and shapes of the Shopify Storefront API.

mod address;
mod attribute;
mod cart;
mod catalog;
mod checkout;
mod codes;
mod conformance;
mod connection;
mod content;
mod customer;
mod discount;
pub mod document;
mod errors;
mod guard;
mod in_context;
mod in_order;
mod inventory;
mod job;
pub mod limits;
pub mod live;
mod media;
mod namespace;
mod node;
mod order;
mod report;
mod request;
mod scalars;
mod shipping;
mod shop;
mod staff;
mod subscription;
mod syntax;
mod tax;
mod throttle;
mod total;
mod type_system;
mod upload;
mod webhook;

pub use errors::{AUTHORIZATION, RETRY_AFTER, error_response, invalid_token, request_error};
pub use request::{BaseUrl, SearchHints};
pub use throttle::{cost, throttled};
pub use upload::Uploads;
pub use webhook::Shaper;

use std::sync::Arc;

use async_graphql::{MergedObject, MergedSubscription, SDLExportOptions};

use crate::auth::Keys;
use crate::services::{Services, Shop};

/// The schema that is served.
pub type Schema = async_graphql::Schema<QueryRoot, Mutation, Subscription>;

/// Everything that can be read.
#[derive(MergedObject, Default)]
pub struct QueryRoot(
    node::NodeQuery,
    shop::ShopQuery,
    catalog::CatalogQuery,
    content::ContentQuery,
    inventory::InventoryQuery,
    discount::DiscountQuery,
    tax::TaxQuery,
    shipping::ShippingQuery,
    order::OrderQuery,
    order::DraftOrderQuery,
    cart::CartQuery,
    customer::CustomerQuery,
    staff::StaffQuery,
    webhook::WebhookQuery,
    report::ReportQuery,
    job::JobQuery,
);

/// Everything that can be changed.
#[derive(MergedObject, Default)]
pub struct Mutation(
    catalog::ProductMutation,
    catalog::VariantMutation,
    catalog::CollectionMutation,
    inventory::InventoryMutation,
    order::OrderMutation,
    order::DraftOrderMutation,
    checkout::CheckoutMutation,
    discount::DiscountMutation,
    tax::TaxMutation,
    shipping::ShippingMutation,
    cart::CartMutation,
    job::JobMutation,
    media::MediaMutation,
    AccountMutation,
    ArrangeMutation,
    StoreMutation,
);

/// Everything that can be followed live.
#[derive(MergedSubscription, Default)]
pub struct Subscription(
    subscription::BuyerSubscription,
    subscription::StaffSubscription,
    subscription::JobSubscription,
);

/// What changes the shop itself, and what else storefronts of the dialect send. A root of its own, as the next one.
#[derive(MergedObject, Default)]
pub struct StoreMutation(shop::ShopMutation, content::ContentMutation, cart::CartGiftCardMutation);

/// What changes customers, staff and services. A root of its own: one flat merge of many types overflows.
#[derive(MergedObject, Default)]
pub struct AccountMutation(
    customer::CustomerAccountMutation,
    customer::CustomerSignInMutation,
    customer::CustomerAddressMutation,
    customer::CustomerPrivacyMutation,
    staff::StaffSignInMutation,
    staff::StaffMemberMutation,
    staff::RoleMutation,
    staff::ApiKeyMutation,
    webhook::WebhookMutation,
);

/// What staff set in order after it was made. A root of its own for the same reason.
#[derive(MergedObject, Default)]
pub struct ArrangeMutation(
    order::OrderEditMutation,
    customer::StaffCustomerMutation,
    catalog::ArrangeCatalogMutation,
    inventory::ClosingMutation,
    staff::StaffLeaveMutation,
);

/// The schema over services.
#[must_use]
pub fn schema(services: Arc<Services>, shop: Arc<Shop>, keys: Arc<Keys>) -> Schema {
    builder().data(services).data(shop).data(keys).finish()
}

/// The schema's definition language, as `mercato schema` prints it.
#[must_use]
pub fn sdl() -> String {
    let sdl =
        builder().finish().sdl_with_options(SDLExportOptions::new().sorted_fields().sorted_enum_items());
    format!("{}\n", sdl.trim_end())
}

fn builder() -> async_graphql::SchemaBuilder<QueryRoot, Mutation, Subscription> {
    async_graphql::Schema::build(QueryRoot::default(), Mutation::default(), Subscription::default())
        .directive(in_context::InContext)
        .directive(conformance::directives::Defer)
        .directive(conformance::directives::Stream)
        // Documents are weighed in `limits` before they come here.
        .limit_recursive_depth(limits::shape::MAX_SELECTION_NESTING + 1)
}
