//! The GraphQL schema: one folder or file per area, each with its types, queries and mutations.
//! `request` prepares documents, `live` executes subscriptions, `federation` has the fields for
//! gateways, and `types` has what types are made of.
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

mod catalog;
mod checkout;
mod content;
mod customers;
mod federation;
mod gift_cards;
mod jobs;
pub mod live;
mod media;
mod orders;
mod reports;
pub mod request;
mod shop;
mod staff;
mod subscriptions;
mod types;
mod webhooks;

pub use request::throttle::{CostExtension, ExtensionsWithCost, ResponseWithCost, throttled_response};
pub use request::upload::Uploads;
pub use request::{RequestData, SearchHints};
pub use types::errors::{
    AUTHORIZATION, RETRY_AFTER, complete_errors, invalid_token_extension, request_error,
};
pub use webhooks::PayloadRenderer;

use std::sync::{Arc, LazyLock};

use async_graphql::{MergedObject, MergedSubscription, SDLExportOptions, ValidationMode};

use crate::auth::Keys;
use crate::services::{Services, Shop};

/// The type of the schema.
pub type Schema = async_graphql::Schema<QueryRoot, Mutation, Subscription>;

// The roots are merged by area: merging copies the fields of all types that follow, at every start.

/// The root of all queries.
#[derive(MergedObject, Default)]
pub struct QueryRoot(
    StoreQueries,
    CatalogQueries,
    CheckoutQueries,
    OrderQueries,
    AccountQueries,
    ServerQueries,
);

/// Queries of the shop and its content.
#[derive(MergedObject, Default)]
pub struct StoreQueries(types::node::NodeQuery, shop::ShopQuery, content::ContentQuery);

/// Queries of products and their stock.
#[derive(MergedObject, Default)]
pub struct CatalogQueries(catalog::CatalogQuery, catalog::inventory::InventoryQuery);

/// Queries of carts and of what determines their prices.
#[derive(MergedObject, Default)]
pub struct CheckoutQueries(
    checkout::carts::CartQuery,
    checkout::discounts::DiscountQuery,
    checkout::PaymentQuery,
    checkout::taxes::TaxQuery,
    checkout::shipping::ShippingQuery,
    gift_cards::GiftCardQuery,
);

/// Queries of orders.
#[derive(MergedObject, Default)]
pub struct OrderQueries(orders::OrderQuery, orders::DraftOrderQuery, reports::ReportQuery);

/// Queries of customers, staff and services.
#[derive(MergedObject, Default)]
pub struct AccountQueries(customers::CustomerQuery, staff::StaffQuery, webhooks::WebhookQuery);

/// Queries of the server: its jobs, and its part in a federated graph.
#[derive(MergedObject, Default)]
pub struct ServerQueries(jobs::JobQuery, federation::FederationQuery);

/// The root of all mutations.
#[derive(MergedObject, Default)]
pub struct Mutation(
    StoreMutations,
    CatalogMutations,
    CartMutations,
    CheckoutMutations,
    OrderMutations,
    CustomerMutations,
    StaffMutations,
);

/// Mutations of the shop and its content.
#[derive(MergedObject, Default)]
pub struct StoreMutations(
    shop::ShopMutation,
    content::ContentMutation,
    media::MediaMutation,
    jobs::JobMutation,
);

/// Mutations of products and their stock.
#[derive(MergedObject, Default)]
pub struct CatalogMutations(
    catalog::ProductMutation,
    catalog::VariantMutation,
    catalog::CollectionMutation,
    catalog::CatalogReorderMutation,
    catalog::inventory::InventoryMutation,
    catalog::inventory::LocationDeleteMutation,
);

/// Mutations of carts, and those that order them.
#[derive(MergedObject, Default)]
pub struct CartMutations(
    checkout::carts::CartMutation,
    checkout::carts::CartGiftCardMutation,
    checkout::carts::CartCompletionMutation,
    checkout::CheckoutMutation,
);

/// Mutations of what determines the prices of carts.
#[derive(MergedObject, Default)]
pub struct CheckoutMutations(
    checkout::discounts::DiscountMutation,
    checkout::taxes::TaxMutation,
    checkout::shipping::ShippingMutation,
    gift_cards::GiftCardMutation,
);

/// Mutations of orders.
#[derive(MergedObject, Default)]
pub struct OrderMutations(orders::OrderMutation, orders::DraftOrderMutation, orders::OrderEditMutation);

/// Mutations of customers, by themselves and by staff.
#[derive(MergedObject, Default)]
pub struct CustomerMutations(
    customers::CustomerAccountMutation,
    customers::CustomerSignInMutation,
    customers::CustomerAddressMutation,
    customers::CustomerPaymentMethodMutation,
    customers::CustomerPrivacyMutation,
    customers::StaffCustomerMutation,
);

/// Mutations of staff and services.
#[derive(MergedObject, Default)]
pub struct StaffMutations(
    staff::StaffSignInMutation,
    staff::StaffMemberMutation,
    staff::StaffAccountMutation,
    staff::RoleMutation,
    staff::ApiKeyMutation,
    webhooks::WebhookMutation,
);

/// The root of all subscriptions.
#[derive(MergedSubscription, Default)]
pub struct Subscription(
    subscriptions::BuyerSubscription,
    subscriptions::StaffSubscription,
    subscriptions::JobSubscription,
);

/// What the fields of [`Subscription`] follow.
const EVENT_SOURCES: [&live::EventSources; 3] = [
    subscriptions::BuyerSubscription::SOURCES,
    subscriptions::StaffSubscription::SOURCES,
    subscriptions::JobSubscription::SOURCES,
];

/// Creates the schema over the services. As a subgraph, it has the fields for gateways.
#[must_use]
pub fn schema(services: Arc<Services>, shop: Arc<Shop>, keys: Arc<Keys>, is_subgraph: bool) -> Schema {
    let builder = if is_subgraph { builder() } else { builder_without_gateway() };
    // Documents were validated before: see `request::validation`.
    builder.validation_mode(ValidationMode::Fast).data(services).data(shop).data(keys).finish()
}

/// The schema in the schema definition language, as printed by `mercato schema`.
#[must_use]
pub fn sdl() -> String {
    let options = SDLExportOptions::new().sorted_fields().sorted_enum_items();
    let sdl = builder_without_gateway().finish().sdl_with_options(options);
    format!("{}\n", sdl.trim_end())
}

/// The schema of a subgraph of a federated graph, as printed by `mercato schema --federation`.
#[must_use]
pub fn subgraph_sdl() -> &'static str {
    static SDL: LazyLock<String> = LazyLock::new(|| {
        federation::print_subgraph(&builder().register_output_type::<federation::WithKeys>().finish())
    });
    &SDL
}

fn builder_without_gateway() -> async_graphql::SchemaBuilder<QueryRoot, Mutation, Subscription> {
    builder().register_output_type::<federation::WithoutGateway>()
}

/// Builds a schema that has everything, including the fields for gateways. Documents are validated
/// against it, and `http` rejects those that select such fields from a server that is no subgraph.
fn builder() -> async_graphql::SchemaBuilder<QueryRoot, Mutation, Subscription> {
    async_graphql::Schema::build(QueryRoot::default(), Mutation::default(), Subscription::default())
        .directive(request::in_context::InContext)
        .directive(request::conformance::directives::Defer)
        .directive(request::conformance::directives::Stream)
        // `limits` has checked documents before they get here.
        .limit_recursive_depth(request::limits::shape::MAX_SELECTION_NESTING + 1)
}
