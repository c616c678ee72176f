//! The names of the schema keep the rules that `src/graphql.rs` lists. What the dialect has is as it is there; the lists
//! below are all else that is let off.

use mercato::domain::events::Event;
use mercato::domain::webhooks::{topic_name, topics};
use serde_json::Value;

use super::{Introspected, assert_none, innermost, list, name, places, written};
use crate::support::TestApp;

/// The dialect's mutations: their names, arguments and payloads are not ours to choose.
const OF_DIALECT: [&str; 27] = [
    "cartAttributesUpdate",
    "cartBuyerIdentityUpdate",
    "cartCreate",
    "cartDeliveryAddressesAdd",
    "cartDeliveryAddressesRemove",
    "cartDeliveryAddressesUpdate",
    "cartDiscountCodesUpdate",
    "cartGiftCardCodesAdd",
    "cartGiftCardCodesRemove",
    "cartGiftCardCodesUpdate",
    "cartLinesAdd",
    "cartLinesRemove",
    "cartLinesUpdate",
    "cartNoteUpdate",
    "cartSelectedDeliveryOptionsUpdate",
    "customerAccessTokenCreate",
    "customerAccessTokenDelete",
    "customerAccessTokenRenew",
    "customerAddressCreate",
    "customerAddressDelete",
    "customerAddressUpdate",
    "customerCreate",
    "customerDefaultAddressUpdate",
    "customerRecover",
    "customerReset",
    "customerResetByUrl",
    "customerUpdate",
];

/// What mutations of ours do: the end of their names.
const VERBS: [&str; 27] = [
    "Add",
    "Adjust",
    "Cancel",
    "Change",
    "Complete",
    "Create",
    "Delete",
    "Erase",
    "Export",
    "Login",
    "Logout",
    "MarkAsPaid",
    "Place",
    "Receive",
    "Recover",
    "Remove",
    "Renew",
    "Reorder",
    "Request",
    "Reset",
    "Retry",
    "Revoke",
    "Run",
    "Set",
    "Test",
    "Update",
    "Verify",
];

/// Ids that the dialect has as texts.
const IDS_AS_TEXTS: [&str; 2] = [
    "CustomerAccessTokenDeletePayload.deletedCustomerAccessTokenId",
    "CustomerAddressDeletePayload.deletedCustomerAddressId",
];

/// Names that end as those of ids do, of what is none; and ids that are named by something else in the dialect.
const NO_IDS: [&str; 1] = ["QueryRoot.customerById"];
const IDS_BY_OTHER_NAMES: [&str; 1] = ["CartWarning.target"];

/// Booleans that don't begin as ours do: the dialect's, those of its API for operators, and what is to be done or not.
const BOOLEANS: [&str; 39] = [
    "acceptsMarketing",
    "analytics",
    "applicable",
    "appliedDisjunctively",
    "appliesOnEachItem",
    "availableForSale",
    "caseInsensitiveMatch",
    "currentlyNotInStock",
    "edited",
    "freeShipping",
    "hasNextPage",
    "hasPreviousPage",
    "ignoreCompareQuantity",
    "ignoreUnknownOptions",
    "marketing",
    "oneTimeUse",
    "orderDiscounts",
    "paymentPending",
    "preferences",
    "productDiscounts",
    "refund",
    "requiresComponents",
    "requiresSellingPlan",
    "requiresShipping",
    "restock",
    "reverse",
    "saleOfData",
    "selected",
    "shippingDiscounts",
    "sslEnabled",
    "subtotalAmountEstimated",
    "taxable",
    "taxesIncluded",
    "totalAmountEstimated",
    "totalDutyAmountEstimated",
    "totalTaxAmountEstimated",
    "withCarrierRates",
    "withCompany",
    "withName",
];

async fn schema() -> Introspected {
    Introspected::by(&TestApp::sqlite().await.admin()).await
}

/// The mutations that are not the dialect's.
fn ours(schema: &Introspected) -> Vec<&Value> {
    let all = schema.root_fields("mutationType").into_iter();
    all.filter(|field| !OF_DIALECT.contains(&name(field))).collect()
}

/// The arguments of a field, as `id: ID!`.
fn arguments(field: &Value) -> Vec<String> {
    list(field, "args").into_iter().map(|of| format!("{}: {}", name(of), written(&of["type"]))).collect()
}

/// `Product` of `productCreate`, where a mutation does this.
fn thing_of(mutation: &str, verb: &str) -> Option<String> {
    let thing = mutation.strip_suffix(verb)?;
    let (first, rest) = thing.split_at(1);
    Some(format!("{}{rest}", first.to_uppercase()))
}

/// The fields of a mutation's payload.
fn payload_of<'a>(schema: &'a Introspected, mutation: &Value) -> Vec<&'a Value> {
    list(schema.find(innermost(&mutation["type"])).unwrap(), "fields")
}

#[tokio::test]
async fn mutations_end_in_what_they_do() {
    let schema = schema().await;
    let wrong = ours(&schema).into_iter().map(name);
    let wrong = wrong.filter(|mutation| !VERBS.iter().any(|verb| mutation.ends_with(verb)));
    assert_none("a mutation is called `thingVerb`", wrong.map(str::to_owned).collect());
}

#[tokio::test]
async fn what_is_created_is_an_argument_that_is_called_as_in_the_payload() {
    let schema = schema().await;
    let wrong = ours(&schema).into_iter().filter(|mutation| {
        let Some(thing) = thing_of(name(mutation), "Create") else { return false };
        // Of the parts of a thing there are several, and the thing's id beside them.
        if thing.ends_with("Bulk") || name(mutation) == "productMediaCreate" {
            return false;
        }
        let payload = payload_of(&schema, mutation);
        let first = list(mutation, "args").into_iter().next().map(|of| (name(of), written(&of["type"])));
        let is_shown = |argument: &str| payload.iter().any(|field| name(field) == argument);
        let is_input =
            |kind: &str| kind == format!("{thing}CreateInput!") || kind == format!("{thing}Input!");
        !first.is_some_and(|(argument, kind)| is_shown(argument) && is_input(&kind))
    });
    let wrong = wrong.map(|mutation| format!("{}({})", name(mutation), arguments(mutation).join(", ")));
    assert_none("`thingCreate(thing: ThingCreateInput!): { thing }`", wrong.collect());
}

#[tokio::test]
async fn what_is_updated_has_its_id_beside_the_changes() {
    let schema = schema().await;
    let wrong = ours(&schema).into_iter().filter(|mutation| {
        let Some(thing) = thing_of(name(mutation), "Update") else { return false };
        // There is one shop.
        if thing.ends_with("Bulk") || thing == "Shop" {
            return false;
        }
        let payload = payload_of(&schema, mutation);
        let arguments = list(mutation, "args");
        let [id, changes, ..] = arguments.as_slice() else { return true };
        let kind = written(&changes["type"]);
        !(name(id) == "id"
            && written(&id["type"]) == "ID!"
            && payload.iter().any(|field| name(field) == name(changes))
            && (kind == format!("{thing}UpdateInput!") || kind == format!("{thing}Input!")))
    });
    let wrong = wrong.map(|mutation| format!("{}({})", name(mutation), arguments(mutation).join(", ")));
    assert_none("`thingUpdate(id: ID!, thing: ThingUpdateInput!): { thing }`", wrong.collect());
}

#[tokio::test]
async fn what_is_deleted_is_named_by_its_id_and_told_by_it() {
    let schema = schema().await;
    let wrong = ours(&schema).into_iter().filter(|mutation| {
        let Some(thing) = thing_of(name(mutation), "Delete") else { return false };
        let payload = payload_of(&schema, mutation);
        let tells = |field: &str, kind: &str| {
            payload.iter().any(|known| name(known) == field && written(&known["type"]) == kind)
        };
        if let Some(several) = list(mutation, "args").into_iter().map(name).find(|of| of.ends_with("Ids")) {
            let (first, rest) = several.split_at(1);
            return !tells(&format!("deleted{}{rest}", first.to_uppercase()), "[ID!]");
        }
        arguments(mutation) != ["id: ID!"] || !tells(&format!("deleted{thing}Id"), "ID")
    });
    let wrong = wrong.map(|mutation| format!("{}({})", name(mutation), arguments(mutation).join(", ")));
    assert_none("`thingDelete(id: ID!): { deletedThingId }`", wrong.collect());
}

#[tokio::test]
async fn inputs_hold_neither_the_id_of_what_is_changed_nor_the_requests_key() {
    let schema = schema().await;
    let mut wrong = Vec::new();
    for mutation in ours(&schema) {
        let inputs = list(mutation, "args").into_iter().filter(|of| {
            let is_list = written(&of["type"]).starts_with('[');
            !is_list && innermost(&of["type"]).ends_with("Input")
        });
        for input in inputs {
            let kind = innermost(&input["type"]);
            let fields = list(schema.find(kind).unwrap(), "inputFields");
            let held = fields.into_iter().map(name).filter(|field| ["id", "idempotencyKey"].contains(field));
            wrong.extend(held.map(|field| format!("{}: {kind}.{field}", name(mutation))));
            let (first, rest) = name(mutation).split_at(1);
            if name(input) == "input" && kind != format!("{}{rest}Input", first.to_uppercase()) {
                wrong.push(format!("{}(input: {kind})", name(mutation)));
            }
        }
    }
    assert_none("`id` and `idempotencyKey` stand beside an input, and `input` is a `MutationInput`", wrong);
}

#[tokio::test]
async fn ids_are_ids_and_are_called_so() {
    let schema = schema().await;
    let is_called_so = |name: &str| {
        let ends = ["Id", "Ids"].iter().any(|end| name.ends_with(end));
        ends || ["id", "ids"].contains(&name)
    };
    let wrong = places(&schema).into_iter().filter(|(place, of)| {
        let let_off = [&IDS_AS_TEXTS[..], &NO_IDS, &IDS_BY_OTHER_NAMES].concat();
        of["type"].is_object()
            && is_called_so(name(of)) != (innermost(&of["type"]) == "ID")
            && !let_off.contains(&place.as_str())
    });
    let wrong = wrong.map(|(place, of)| format!("{place} is {}", written(&of["type"])));
    assert_none("`…Id` and `…Ids` are of the type ID, and nothing else is", wrong.collect());
}

#[tokio::test]
async fn names_tell_booleans_times_percentages_and_units() {
    let schema = schema().await;
    let is_right = |place: &str, of: &Value| {
        let (name, kind) = (name(of), innermost(&of["type"]));
        let begins = |word: &str| {
            name.strip_prefix(word).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
        };
        match kind {
            "Boolean" => ["is", "has", "may"].iter().any(|word| begins(word)) || BOOLEANS.contains(&name),
            "DateTime" => name.ends_with("At"),
            _ if name.to_lowercase().contains("percent") => {
                // The dialect has one as a number, and a kind of discount is called by it.
                let let_off = ["PricingPercentageValue.percentage", "DiscountValueInput.percentage"];
                name.to_lowercase().ends_with("percentage")
                    && (["Decimal", "Int"].contains(&kind) || let_off.contains(&place))
            }
            _ => !["Seconds", "Weight", "Distance", "Duration", "duration"].iter().any(|end| {
                // What has a unit says which, unless a field beside it or its type does.
                name.ends_with(end) && ["Int", "Decimal", "Float"].contains(&kind)
            }),
        }
    };
    let places = places(&schema);
    let wrong = places.iter().filter(|(place, of)| of["type"].is_object() && !is_right(place, of));
    let wrong = wrong.map(|(place, of)| format!("{place} is {}", written(&of["type"])));
    assert_none("`isX`, `…At`, `…Percentage`, and the unit of a number", wrong.collect());
}

#[tokio::test]
async fn names_are_spelt_as_in_the_dialect() {
    let schema = schema().await;
    let other_spellings = ["cancelled", "metre", "colour", "fulfilment", "catalogue"];
    let places = places(&schema).into_iter().map(|(place, _)| place);
    let wrong = places.filter(|place| other_spellings.iter().any(|word| place.to_lowercase().contains(word)));
    assert_none("not the dialect's spelling", wrong.collect());
    let kinds = Event::KINDS.iter().map(|kind| Event::public_name(kind).to_owned());
    assert_none("not the dialect's spelling", kinds.filter(|kind| kind.contains("cancelled")).collect());
}

#[tokio::test]
async fn states_are_called_status_and_told_by_what_became_of_the_thing() {
    let schema = schema().await;
    let enums = schema.types().filter(|of| of["kind"] == "ENUM");
    let wrong = enums.filter(|of| {
        let is_of_state = schema.types().any(|known| {
            list(known, "fields")
                .into_iter()
                .any(|field| name(field) == "status" && innermost(&field["type"]) == name(of))
        });
        name(of).ends_with("State")
            || (is_of_state && !name(of).ends_with("Status"))
            || list(of, "enumValues").into_iter().any(|value| ["SUCCESS", "FAILURE"].contains(&name(value)))
    });
    assert_none(
        "`ThingStatus`, of adjectives and participles",
        wrong.map(|of| name(of).to_owned()).collect(),
    );
}

#[tokio::test]
async fn one_thing_is_followed_by_what_happened_to_it() {
    let schema = schema().await;
    let wrong = schema.root_fields("subscriptionType").into_iter().filter(|field| {
        let Some(thing) = thing_of(name(field), "Updated") else {
            return list(field, "args").iter().any(|of| name(of) == "id");
        };
        // A job is no part of the log: it has no cursor.
        innermost(&field["type"]) != format!("{thing}Update") && thing != "Job"
    });
    assert_none("`thingUpdated(id: ID!): ThingUpdate!`", wrong.map(|field| name(field).to_owned()).collect());
}

#[test]
fn events_are_called_by_a_thing_and_what_happened_to_it() {
    let participles = ["PAID", "RAN_LOW"];
    let wrong = topics().map(topic_name);
    let wrong =
        wrong.filter(|topic| !topic.ends_with("ED") && !participles.iter().any(|end| topic.ends_with(end)));
    assert_none("`THING_HAPPENED`", wrong.collect());
}
