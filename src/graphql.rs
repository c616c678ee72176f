//! The schema: one folder or file an area, each with its types, queries and mutations.
//!
//! A resolver decodes its arguments, calls one service or loader, and wraps the answer. Rules are services', queries are
//! repositories', and neither is here. The buyer's side has the names and shapes of the Shopify Storefront API.
//!
//! ## Names
//!
//! What the Storefront API has is called as it is there, whatever the rules below say. All else keeps
//! them, in its spelling (`canceled`, `color`, `meter`); `tests/it/schema/names.rs` fails otherwise.
//!
//! - A mutation is `thingVerb`. What it works on is its argument `id: ID!`; where it works on parts of
//!   a thing (`collectionProductsAdd`, `orderNoteAdd`), the thing is `thingId: ID!`.
//! - `thingCreate(thing: ThingCreateInput!)` and `thingUpdate(id: ID!, thing: ThingUpdateInput!)` answer
//!   with `thing`; `ThingInput` serves both where they take the same. `thingDelete(id: ID!)` answers
//!   with `deletedThingId`, or `deleted…Ids` where it deletes several.
//! - What else a mutation is to know of how it is done is `input: ThingVerbInput!`, or an argument
//!   where that is one value. `idempotencyKey` is always an argument: it is the request's.
//! - The input of a part is called after the part: `ProductOptionCreateInput`. A field of an input
//!   has the name of the field that shows it: `inventoryLevels { onHand }`.
//! - Ids are `id`, `thingId` and `thingIds`, of the type `ID`. Another thing is called by its type:
//!   `shippingZone`, `webhookSubscriptionId`.
//! - Booleans are `isX` or `hasX`, or a verb that says what to do (`restock`). Times are `…At`,
//!   numbers of things `…Count`, bounds `…Limit`. A number with a unit names it
//!   (`pricePerKilometer`, `durationMilliseconds`).
//! - `…percentage` is in percent: 20 % is `20`, a `Decimal`. Inside it stays a whole number of
//!   millionths.
//! - A state is a `ThingStatus` of adjectives and participles (`PENDING`, `FAILED`).
//! - `thingUpdated(id: ID!)` follows a thing. Events are a thing and what happened to it:
//!   `order.canceled`, as a topic `ORDER_CANCELED`. The log keeps the kinds it began with;
//!   [`Event::public_name`](crate::domain::event::Event::public_name) has the names outside.

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
