//! The authorization matrix: every root field, every guarded field, and the checks in every service
//! below GraphQL.
//!
//! A new root field or service method without a row in these tables fails a test, so that none is
//! left unchecked.

use std::sync::Arc;

use async_graphql::Variables;
use mercato::context::OpContext;
use mercato::domain::access::actors::Identity;
use mercato::domain::access::permissions::Permission;
use mercato::domain::access::permissions::Permission::{
    ReadInventory, ReadProducts, WriteInventory, WriteProducts,
};
use mercato::graphql::live::{PreparedSubscription, Trigger};
use mercato::graphql::request::document::Document;
use serde_json::json;

use crate::schema::{Introspected, name};
use crate::support::{Client, Reply, TestApp, both, order_input};

mod accounts;
mod carts;
mod catalog;
mod checkout;
mod content;
mod federation;
mod gift_cards;
mod jobs;
mod operators;
mod orders;
mod pricing;
mod reports;
mod services;
mod webhooks;

/// The tables of one area of the shop.
struct Area {
    /// Root fields that anybody may use, each with a valid document.
    public: &'static [(&'static str, &'static str)],
    /// Root fields that require a permission, each with a valid document. A user error, such as for
    /// an unknown id, counts as allowed.
    guarded: &'static [Guarded],
    /// Guarded fields of public types.
    guarded_fields: &'static [Guarded],
}

/// A field, the permission that it requires, and a document that selects it.
type Guarded = (&'static str, Permission, &'static str);

const AREAS: &[Area] = &[
    catalog::AREA,
    carts::AREA,
    checkout::AREA,
    content::AREA,
    gift_cards::AREA,
    pricing::AREA,
    accounts::AREA,
    orders::AREA,
    webhooks::AREA,
    reports::AREA,
    jobs::AREA,
];

fn public() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    AREAS.iter().flat_map(|area| area.public)
}

fn guarded() -> impl Iterator<Item = &'static Guarded> {
    AREAS.iter().flat_map(|area| area.guarded)
}

fn guarded_fields() -> impl Iterator<Item = &'static Guarded> {
    AREAS.iter().flat_map(|area| area.guarded_fields)
}

/// The result of the authorization of a request.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    Unauthenticated,
    Forbidden,
    /// The request failed for another reason.
    Failed(String),
}

impl Verdict {
    fn of(reply: &Reply) -> Self {
        if reply.errors().is_empty() {
            return Self::Allowed;
        }
        match reply.code() {
            "UNAUTHENTICATED" => Self::Unauthenticated,
            "FORBIDDEN" => Self::Forbidden,
            _ => Self::Failed(reply.message().to_owned()),
        }
    }
}

/// A shop with one object of each kind, and the placeholders for their ids in documents.
struct Shop {
    app: TestApp,
    ids: [(&'static str, String); 12],
}

impl Shop {
    async fn open(app: TestApp) -> Self {
        let product = app.create_product(json!({ "title": "Mug" })).await;
        let variant = app.variants_of(&product).await.remove(0);
        let collection = app.create_collection(json!({ "title": "Mugs" })).await;
        let location = app.create_location("Shelf").await;
        let none = "00000000-0000-7000-8000-000000000000";
        let (order, token) = refunded_order(&app).await;
        let cart = app.cart(&[(&variant, 1)]).await;
        let job = "mutation { scheduledTaskRun(name: \"task.clean_up\") { job { id } userErrors { code } } }";
        let job = app.admin().ask(job).await.ok()["scheduledTaskRun.job.id"].as_str().unwrap().to_owned();
        let page = "mutation { pageCreate(page: { title: \"Care\" }) { page { id } userErrors { code } } }";
        let page = app.admin().ask(page).await.ok()["pageCreate.page.id"].as_str().unwrap().to_owned();
        let ids = [
            ("<page>", page),
            ("<cart>", cart),
            ("<job>", job),
            ("<order>", order),
            ("<token>", token),
            ("<no order>", format!("gid://mercato/Order/{none}")),
            ("<product>", product),
            ("<variant>", variant),
            ("<collection>", collection),
            ("<location>", location),
            ("<none>", format!("gid://mercato/Product/{none}")),
            ("<no collection>", format!("gid://mercato/Collection/{none}")),
        ];
        Self { app, ids }
    }

    async fn verdict(&self, client: &Client, document: &str) -> Verdict {
        let fill = |text: String, (mark, id): &(&str, String)| text.replace(mark, &format!("\"{id}\""));
        let document = self.ids.iter().fold(document.to_owned(), fill);
        if document.starts_with("subscription") {
            return self.verdict_on_subscription(client, &document).await;
        }
        Verdict::of(&client.ask(&document).await)
    }

    /// The verdict on a subscription, started as a live connection would start it.
    async fn verdict_on_subscription(&self, client: &Client, document: &str) -> Verdict {
        let app = &self.app.app;
        if let Some(service) = &client.service {
            service.ensure_key().await;
        }
        let identity = match &client.token {
            Some(token) => app.auth.identify(token).await.unwrap().unwrap(),
            None => Identity::ANONYMOUS,
        };
        let op = OpContext::for_identity(identity, "test".into(), Arc::clone(&app.clock));
        let limits = app.config.query_limits.of(op.caller_kind());
        let document =
            Arc::new(Document::parse(document, &limits).unwrap_or_else(|error| panic!("{error:?}")));
        let operation = document.operation(None, Variables::default(), &limits).unwrap();
        let subscription = PreparedSubscription::from_operation(operation, "", limits).unwrap();
        match app.subscriptions.run(&subscription, op, Trigger::Start).await {
            None => Verdict::Allowed,
            Some(response) => {
                let response = serde_json::to_value(&response).unwrap();
                match response["errors"][0]["extensions"]["code"].as_str().unwrap() {
                    "UNAUTHENTICATED" => Verdict::Unauthenticated,
                    "FORBIDDEN" => Verdict::Forbidden,
                    _ => Verdict::Failed(response.to_string()),
                }
            }
        }
    }

    /// One caller of each kind, with the verdict expected for a field that requires a permission.
    fn callers(&self, needed: Permission) -> [(&'static str, Client, Verdict); 4] {
        let others: Vec<Permission> =
            Permission::ALL.iter().copied().filter(|other| *other != needed).collect();
        [
            ("anonymous", self.app.anonymous(), Verdict::Unauthenticated),
            ("a customer", self.app.customer(), Verdict::Forbidden),
            ("staff without the permission", self.app.staff(&others), Verdict::Forbidden),
            ("staff with it", self.app.staff(&[needed]), Verdict::Allowed),
        ]
    }

    async fn check(&self, guarded: impl Iterator<Item = &Guarded>) {
        for (field, needed, document) in guarded {
            for (caller, client, expected) in self.callers(*needed) {
                assert_eq!(self.verdict(&client, document).await, expected, "{field} for {caller}");
            }
        }
    }
}

/// Creates a partly refunded order; returns its global id and its token.
async fn refunded_order(app: &TestApp) -> (String, String) {
    let cup = app.create_stocked("Cup", "5", 1).await;
    let cart = app.cart(&[(&cup, 1)]).await;
    let placed = app.anonymous().place(order_input(&cart, "5", "tok_ok")).await.ok();
    let text = |path: &str| placed[path].as_str().unwrap().to_owned();
    let (order, token) = (text("orderPlace.order.id"), text("orderPlace.token"));
    let document = "mutation($id: ID!) { refundCreate(refund: { orderId: $id, shippingAmount: 1 }) { userErrors { message } } }";
    app.admin().ask_with(document, json!({ "id": order })).await.assert_ok();
    (order, token)
}

/// Describes the names that are missing from the table, and those in the table that don't exist.
fn differences(existing: &[String], listed: &[&str]) -> Vec<String> {
    let unlisted = existing
        .iter()
        .filter(|name| !listed.contains(&name.as_str()))
        .map(|name| format!("{name} has no row"));
    let unknown = listed.iter().filter(|name| !existing.iter().any(|known| known == *name));
    unlisted.chain(unknown.map(|name| format!("{name} does not exist"))).collect()
}

both!(all_callers_may_use_public_root_fields);
async fn all_callers_may_use_public_root_fields(app: TestApp) {
    let shop = Shop::open(app).await;
    for (field, document) in public() {
        for client in [shop.app.anonymous(), shop.app.customer(), shop.app.staff(&[]), shop.app.admin()] {
            assert_eq!(shop.verdict(&client, document).await, Verdict::Allowed, "{field} for {client:?}");
        }
    }
}

both!(some_root_fields_are_for_all_staff);
async fn some_root_fields_are_for_all_staff(app: TestApp) {
    let shop = Shop::open(app).await;
    for (field, document) in jobs::FOR_STAFF {
        for (client, expected) in [
            (shop.app.anonymous(), Verdict::Unauthenticated),
            (shop.app.customer(), Verdict::Forbidden),
            (shop.app.staff(&[]), Verdict::Allowed),
            (shop.app.admin(), Verdict::Allowed),
        ] {
            assert_eq!(shop.verdict(&client, document).await, expected, "{field} for {client:?}");
        }
    }
}

both!(guarded_root_fields_require_their_permission);
async fn guarded_root_fields_require_their_permission(app: TestApp) {
    Shop::open(app).await.check(guarded()).await;
}

both!(guarded_fields_require_their_permission);
async fn guarded_fields_require_their_permission(app: TestApp) {
    Shop::open(app).await.check(guarded_fields()).await;
}

both!(guarded_objects_cannot_be_read_by_id);
async fn guarded_objects_cannot_be_read_by_id(app: TestApp) {
    let draft = app.create_product(json!({ "title": "Mug", "status": "DRAFT" })).await;
    let variant = app.variants_of(&draft).await.remove(0);
    let location = app.create_location("Shelf").await;
    let variables = json!({ "ids": [draft, variant, location] });
    let document = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }";
    for client in [app.anonymous(), app.customer(), app.staff(&[WriteProducts, WriteInventory])] {
        assert_eq!(
            client.ask_with(document, variables.clone()).await.ok()["nodes"],
            json!([null, null, null])
        );
    }
    let all = app.staff(&[ReadProducts, ReadInventory]).ask_with(document, variables).await.ok();
    assert!(all["nodes"].as_array().unwrap().iter().all(|node| !node.is_null()));
}

#[tokio::test]
async fn every_root_field_has_a_row() {
    let schema = Introspected::by(&TestApp::sqlite().await.admin()).await;
    let roots = ["queryType", "mutationType", "subscriptionType"]
        .into_iter()
        .flat_map(|root| schema.root_fields(root));
    let existing: Vec<String> = roots.map(|field| name(field).to_owned()).collect();
    let public = public().chain(jobs::FOR_STAFF).map(|(field, _)| *field);
    let listed: Vec<&str> = public.chain(guarded().map(|(field, ..)| *field)).collect();
    assert_eq!(differences(&existing, &listed), Vec::<String>::new());
    // The check itself is able to fail.
    assert_eq!(differences(&["new".to_owned()], &["old"]), ["new has no row", "old does not exist"]);
}

#[tokio::test]
async fn every_hidden_field_of_a_public_type_has_a_row() {
    let app = TestApp::sqlite().await;
    let (all, shown) = (Introspected::by(&app.admin()).await, Introspected::by(&app.anonymous()).await);
    let fields = |schema: &Introspected| -> Vec<String> { schema.fields() };
    let shown_fields = fields(&shown);
    let is_of_public_type = |field: &String| {
        let of = field.split_once('.').map(|(of, _)| of);
        of.is_some_and(|of| shown.find(of).is_some() && !all.is_root(of))
    };
    let hidden: Vec<String> = fields(&all)
        .into_iter()
        .filter(|field| is_of_public_type(field) && !shown_fields.contains(field))
        .collect();
    let listed: Vec<&str> = guarded_fields().map(|(field, ..)| *field).collect();
    assert_eq!(differences(&hidden, &listed), Vec::<String>::new());
}
