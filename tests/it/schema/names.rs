//! Names in the schema follow the rules in `src/graphql.rs`. Names of the dialect are exempt; the
//! lists below have all other exceptions.

use mercato::domain::events::Event;
use mercato::domain::webhooks::{topic_name, topics};
use serde_json::Value;

use super::{Introspected, assert_none, elements, innermost, list, name, written};
use crate::support::TestApp;

/// The mutations of the dialect, which determines their names, arguments and payloads.
const OF_DIALECT: [&str; 30] = [
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
    "cartPaymentUpdate",
    "cartPrepareForCompletion",
    "cartSelectedDeliveryOptionsUpdate",
    "cartSubmitForCompletion",
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

/// The verbs that names of our mutations end with.
const VERBS: [&str; 31] = [
    "Add",
    "Adjust",
    "Cancel",
    "Change",
    "Complete",
    "Create",
    "Credit",
    "Deactivate",
    "Debit",
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
    "Sync",
    "Test",
    "Update",
    "Verify",
];

/// Ids that are of the type `String` in the dialect.
const IDS_AS_STRINGS: [&str; 11] = [
    "ApplePayWalletHeaderInput.transactionId",
    "CartCompletionActionRequired.id",
    "CartCompletionFailed.id",
    "CartCompletionProcessing.id",
    "CartCompletionSuccess.id",
    "CartDirectPaymentMethodInput.sessionId",
    "CustomerAccessTokenDeletePayload.deletedCustomerAccessTokenId",
    "CustomerAddressDeletePayload.deletedCustomerAddressId",
    "QueryRoot.cartCompletionAttempt(attemptId:)",
    "SubmitAlreadyAccepted.attemptId",
    "SubmitSuccess.attemptId",
];

/// Fields that are not ids although their names end like those of ids.
const NOT_IDS: [&str; 1] = ["QueryRoot.customerById"];
/// Ids with other names in the dialect.
const IDS_WITH_OTHER_NAMES: [&str; 1] = ["CartWarning.target"];

/// Times with other names in the dialect.
const TIMES_WITH_OTHER_NAMES: [&str; 1] = ["pollAfter"];

/// Booleans without one of our prefixes: those of the dialect, of Shopify's Admin API, and options
/// of mutations.
const BOOLEANS: [&str; 40] = [
    "acceptedSubscriptionTerms",
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

/// The mutations that are not part of the dialect.
fn our_mutations(schema: &Introspected) -> Vec<&Value> {
    let all = schema.root_fields("mutationType").into_iter();
    all.filter(|field| !OF_DIALECT.contains(&name(field))).collect()
}

/// The arguments of a field, such as `id: ID!`.
fn arguments(field: &Value) -> Vec<String> {
    list(field, "args").into_iter().map(|of| format!("{}: {}", name(of), written(&of["type"]))).collect()
}

/// The type that a mutation with this verb is about: `Product` of `productCreate`.
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
async fn names_of_mutations_end_with_a_verb() {
    let schema = schema().await;
    let wrong = our_mutations(&schema).into_iter().map(name);
    let wrong = wrong.filter(|mutation| !VERBS.iter().any(|verb| mutation.ends_with(verb)));
    assert_none("a mutation is named `thingVerb`", wrong.map(str::to_owned).collect());
}

#[tokio::test]
async fn create_mutations_take_and_return_the_thing_under_the_same_name() {
    // These create parts of a thing, and take its id, or something that is yet to be confirmed.
    const OTHERS: [&str; 4] = [
        "productMediaCreate",
        "orderPaymentCreate",
        "customerPaymentMethodCreate",
        "customerCheckoutUrlCreate",
    ];
    let schema = schema().await;
    let wrong = our_mutations(&schema).into_iter().filter(|mutation| {
        let Some(thing) = thing_of(name(mutation), "Create") else { return false };
        if thing.ends_with("Bulk") || OTHERS.contains(&name(mutation)) {
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
async fn update_mutations_take_the_id_and_the_changes() {
    let schema = schema().await;
    let wrong = our_mutations(&schema).into_iter().filter(|mutation| {
        let Some(thing) = thing_of(name(mutation), "Update") else { return false };
        // There is only one shop, so it needs no id.
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
async fn delete_mutations_take_and_return_the_id() {
    let schema = schema().await;
    let wrong = our_mutations(&schema).into_iter().filter(|mutation| {
        let Some(thing) = thing_of(name(mutation), "Delete") else { return false };
        let payload = payload_of(&schema, mutation);
        let returns = |field: &str, kind: &str| {
            payload.iter().any(|known| name(known) == field && written(&known["type"]) == kind)
        };
        if let Some(several) = list(mutation, "args").into_iter().map(name).find(|of| of.ends_with("Ids")) {
            let (first, rest) = several.split_at(1);
            return !returns(&format!("deleted{}{rest}", first.to_uppercase()), "[ID!]");
        }
        arguments(mutation) != ["id: ID!"] || !returns(&format!("deleted{thing}Id"), "ID")
    });
    let wrong = wrong.map(|mutation| format!("{}({})", name(mutation), arguments(mutation).join(", ")));
    assert_none("`thingDelete(id: ID!): { deletedThingId }`", wrong.collect());
}

#[tokio::test]
async fn inputs_contain_neither_ids_nor_idempotency_keys() {
    let schema = schema().await;
    let mut wrong = Vec::new();
    for mutation in our_mutations(&schema) {
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
    assert_none(
        "`id` and `idempotencyKey` are arguments of their own, and `input` is a `MutationInput`",
        wrong,
    );
}

#[tokio::test]
async fn ids_are_of_the_type_id_and_named_accordingly() {
    let schema = schema().await;
    let is_named_as_id = |name: &str| {
        let ends = ["Id", "Ids"].iter().any(|end| name.ends_with(end));
        ends || ["id", "ids"].contains(&name)
    };
    let wrong = elements(&schema).into_iter().filter(|(path, of)| {
        let exceptions = [&IDS_AS_STRINGS[..], &NOT_IDS, &IDS_WITH_OTHER_NAMES].concat();
        of["type"].is_object()
            && is_named_as_id(name(of)) != (innermost(&of["type"]) == "ID")
            && !exceptions.contains(&path.as_str())
    });
    let wrong = wrong.map(|(path, of)| format!("{path} is {}", written(&of["type"])));
    assert_none("`…Id` and `…Ids` are of the type ID, and nothing else is", wrong.collect());
}

#[tokio::test]
async fn names_follow_the_conventions_for_booleans_times_percentages_and_units() {
    let schema = schema().await;
    let is_valid = |path: &str, of: &Value| {
        let (name, kind) = (name(of), innermost(&of["type"]));
        let begins = |word: &str| {
            name.strip_prefix(word).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
        };
        match kind {
            "Boolean" => ["is", "has", "may"].iter().any(|word| begins(word)) || BOOLEANS.contains(&name),
            "DateTime" => name.ends_with("At") || TIMES_WITH_OTHER_NAMES.contains(&name),
            _ if name.to_lowercase().contains("percent") => {
                // The dialect has one as a float, and the other is a type of discount.
                let exceptions = ["PricingPercentageValue.percentage", "DiscountValueInput.percentage"];
                name.to_lowercase().ends_with("percentage")
                    && (["Decimal", "Int"].contains(&kind) || exceptions.contains(&path))
            }
            _ => !["Seconds", "Weight", "Distance", "Duration", "duration"].iter().any(|end| {
                // A number with a unit names it, unless its type or another field does.
                name.ends_with(end) && ["Int", "Decimal", "Float"].contains(&kind)
            }),
        }
    };
    let elements = elements(&schema);
    let wrong = elements.iter().filter(|(path, of)| of["type"].is_object() && !is_valid(path, of));
    let wrong = wrong.map(|(path, of)| format!("{path} is {}", written(&of["type"])));
    assert_none(
        "booleans are `isX`, times `…At`, percentages `…Percentage`, and numbers have their unit",
        wrong.collect(),
    );
}

#[tokio::test]
async fn names_use_the_spelling_of_the_dialect() {
    let schema = schema().await;
    let other_spellings = ["cancelled", "metre", "colour", "fulfilment", "catalogue"];
    let paths = elements(&schema).into_iter().map(|(path, _)| path);
    let wrong = paths.filter(|path| other_spellings.iter().any(|word| path.to_lowercase().contains(word)));
    assert_none("not the dialect's spelling", wrong.collect());
    let kinds = Event::KINDS.iter().map(|kind| Event::public_name(kind).to_owned());
    assert_none("not the dialect's spelling", kinds.filter(|kind| kind.contains("cancelled")).collect());
}

#[tokio::test]
async fn enums_of_states_are_named_status_with_adjectives_as_values() {
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
        "states are `ThingStatus`, with adjectives and participles as values",
        wrong.map(|of| name(of).to_owned()).collect(),
    );
}

#[tokio::test]
async fn subscriptions_to_a_thing_are_named_after_its_updates() {
    let schema = schema().await;
    let wrong = schema.root_fields("subscriptionType").into_iter().filter(|field| {
        let Some(thing) = thing_of(name(field), "Updated") else {
            return list(field, "args").iter().any(|of| name(of) == "id");
        };
        // Updates of jobs are not events of the log, and have no cursor.
        innermost(&field["type"]) != format!("{thing}Update") && thing != "Job"
    });
    assert_none("`thingUpdated(id: ID!): ThingUpdate!`", wrong.map(|field| name(field).to_owned()).collect());
}

#[test]
fn names_of_events_consist_of_a_thing_and_a_participle() {
    let participles = ["PAID", "RAN_LOW"];
    let wrong = topics().map(topic_name);
    let wrong =
        wrong.filter(|topic| !topic.ends_with("ED") && !participles.iter().any(|end| topic.ends_with(end)));
    assert_none("`THING_HAPPENED`", wrong.collect());
}
