//! The GraphQL schema: one folder or file per area, each with its types, queries and mutations.
//!
//! A resolver decodes its arguments, calls a single service or loader, and wraps the result. It
//! contains neither business rules, which belong to services, nor database queries, which belong to
//! repositories. The types for buyers follow the Shopify Storefront API.
//!
//! ## Names
//!
//! Anything that exists in the Storefront API has the same name here. Everything else follows the
//! rules below, in American spelling (`canceled`, `color`, `meter`), which
//! `tests/it/schema/names.rs` enforces.
//!
//! - Mutations are named `thingVerb`. Their object is the argument `id: ID!`; a mutation of an
//!   object's parts (`collectionProductsAdd`, `orderNoteAdd`) has `thingId: ID!` instead.
//! - `thingCreate(thing: ThingCreateInput!)` and `thingUpdate(id: ID!, thing: ThingUpdateInput!)`
//!   return `thing`; if both take the same input, it is called `ThingInput`. `thingDelete(id: ID!)`
//!   returns `deletedThingId`, or `deleted…Ids` if it deletes several objects.
//! - Further options of a mutation are `input: ThingVerbInput!`, or an argument if there is only
//!   one. `idempotencyKey` is always an argument, since it belongs to the request.
//! - The input for a part is named after the part: `ProductOptionCreateInput`. An input field has
//!   the same name as the output field that shows its value: `inventoryLevels { onHand }`.
//! - Ids are `id`, `thingId` and `thingIds`, of type `ID`. References are named after their type:
//!   `shippingZone`, `webhookSubscriptionId`.
//! - Booleans are `isX` or `hasX`, or a verb that says what to do (`restock`). Times end in `At`,
//!   counts in `Count`, bounds in `Limit`. A number with a unit names the unit
//!   (`pricePerKilometer`, `durationMilliseconds`).
//! - `…percentage` is in percent: 20 % is `20`, a `Decimal`. Internally it is an integer in
//!   millionths.
//! - A state is an enum `ThingStatus` of adjectives and participles (`PENDING`, `FAILED`).
//! - `thingUpdated(id: ID!)` follows an object. Events are named after an object and what happened
//!   to it: `order.canceled`, as a topic `ORDER_CANCELED`. The event log has internal names;
//!   [`Event::public_name`](crate::domain::events::Event::public_name) returns the public ones.

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
mod inline_object;
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

pub use errors::{AUTHORIZATION, RETRY_AFTER, complete_errors, invalid_token_extension, request_error};
pub use request::{BaseUrl, SearchHints};
pub use throttle::{cost_extension, throttled_response};
pub use upload::Uploads;
pub use webhook::PayloadRenderer;

use std::sync::Arc;

use async_graphql::{MergedObject, MergedSubscription, SDLExportOptions};

use crate::auth::Keys;
use crate::services::{Services, Shop};

/// The type of the schema.
pub type Schema = async_graphql::Schema<QueryRoot, Mutation, Subscription>;

/// The root of all queries.
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

/// The root of all mutations.
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
    BackOfficeMutation,
    StoreMutation,
);

/// The root of all subscriptions.
#[derive(MergedSubscription, Default)]
pub struct Subscription(
    subscription::BuyerSubscription,
    subscription::StaffSubscription,
    subscription::JobSubscription,
);

/// Mutations of the shop and its content, and of gift cards in carts. Merged separately, like the
/// next one.
#[derive(MergedObject, Default)]
pub struct StoreMutation(shop::ShopMutation, content::ContentMutation, cart::CartGiftCardMutation);

/// Mutations of customers, staff and services. Merged separately, because a single flat merge of so
/// many types causes an overflow.
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

/// Further mutations by staff. Merged separately for the same reason.
#[derive(MergedObject, Default)]
pub struct BackOfficeMutation(
    order::OrderEditMutation,
    customer::StaffCustomerMutation,
    catalog::CatalogReorderMutation,
    inventory::LocationDeleteMutation,
    staff::StaffAccountMutation,
);

/// Creates the schema over the services.
#[must_use]
pub fn schema(services: Arc<Services>, shop: Arc<Shop>, keys: Arc<Keys>) -> Schema {
    builder().data(services).data(shop).data(keys).finish()
}

/// The schema in the schema definition language, as printed by `mercato schema`.
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
        // `limits` has checked documents before they get here.
        .limit_recursive_depth(limits::shape::MAX_SELECTION_NESTING + 1)
}
