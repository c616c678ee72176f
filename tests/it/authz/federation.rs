//! Guarded fields through `_entities`. `federation` tests who sees which entity.

use super::{Shop, guarded_fields};
use crate::support::{Database, TestApp, both};

/// The entities with guarded fields that everybody sees, and the placeholders for their ids.
const ENTITIES: [(&str, &str); 3] =
    [("Product", "<product>"), ("ProductVariant", "<variant>"), ("Collection", "<collection>")];

/// The document that selects a guarded field through `_entities` instead of a root field.
fn through_entities(field: &str, document: &str) -> Option<String> {
    let kind = field.split_once('.')?.0;
    let id = ENTITIES.iter().find(|(entity, _)| *entity == kind)?.1;
    let selection = document.split_once(") {")?.1.trim_end().strip_suffix("} }")?;
    Some(format!(
        "{{ _entities(representations: [{{ __typename: \"{kind}\", id: {id} }}]) {{ ... on {kind} {{ {selection} }} }} }}"
    ))
}

both!(guarded_fields_require_their_permission_through_entities);
async fn guarded_fields_require_their_permission_through_entities(database: Database) {
    let shop = Shop::open(TestApp::with(database, &[("FEDERATION", "on")]).await).await;
    let mut checked = Vec::new();
    for (field, needed, document) in guarded_fields() {
        let Some(document) = through_entities(field, document) else { continue };
        for (caller, client, expected) in shop.callers(*needed) {
            assert_eq!(shop.verdict(&client, &document).await, expected, "{field} for {caller}: {document}");
        }
        checked.push(*field);
    }
    for (entity, _) in ENTITIES {
        assert!(checked.iter().any(|field| field.starts_with(&format!("{entity}."))), "{entity}");
    }
}
