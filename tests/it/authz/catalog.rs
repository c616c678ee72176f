//! Permissions for the catalog, its stock and its locations.

use mercato::domain::access::permissions::Permission::{
    ManageSettings, ReadInventory, ReadProducts, WriteInventory, WriteProducts,
};

use super::Area;

pub const AREA: Area = Area {
    public: &[
    ("shop", "{ shop { name } }"),
    ("node", "{ node(id: <product>) { id } }"),
    ("nodes", "{ nodes(ids: [<product>, <location>]) { id } }"),
    ("product", "{ product(id: <product>) { title } }"),
    ("productByHandle", r#"{ productByHandle(handle: "mug") { title } }"#),
    ("products", "{ products(first: 1) { nodes { title } } }"),
    ("productRecommendations", "{ productRecommendations(productId: <product>) { title } }"),
    ("productTags", "{ productTags(first: 1) { nodes } }"),
    ("productTypes", "{ productTypes(first: 1) { nodes } }"),
    ("collection", "{ collection(id: <collection>) { title } }"),
    ("collectionByHandle", r#"{ collectionByHandle(handle: "mugs") { title } }"#),
    ("collections", "{ collections(first: 1) { nodes { title } } }"),
],
    guarded: &[
    ("location", ReadInventory, "{ location(id: <location>) { name } }"),
    ("locations", ReadInventory, "{ locations(first: 1) { nodes { name } } }"),
    (
        "productCreate",
        WriteProducts,
        r#"mutation { productCreate(product: { title: "Bowl" }) { product { title } userErrors { code } } }"#,
    ),
    (
        "productUpdate",
        WriteProducts,
        r#"mutation { productUpdate(id: <product>, product: { title: "Cup" }) { product { title } userErrors { code } } }"#,
    ),
    (
        "productMediaCreate",
        WriteProducts,
        r#"mutation {
            productMediaCreate(productId: <none>, media: [{ originalSource: "https://images.example/a.png" }]) {
                userErrors { code }
            }
        }"#,
    ),
    (
        "productMediaDelete",
        WriteProducts,
        "mutation { productMediaDelete(productId: <none>, mediaIds: []) { userErrors { code } } }",
    ),
    ("productDelete", WriteProducts, "mutation { productDelete(id: <none>) { userErrors { code } } }"),
    (
        "productVariantsBulkCreate",
        WriteProducts,
        "mutation { productVariantsBulkCreate(productId: <product>, variants: [{}]) { userErrors { code } } }",
    ),
    (
        "productVariantsBulkUpdate",
        WriteProducts,
        "mutation {
            productVariantsBulkUpdate(productId: <product>, variants: [{ id: <variant>, price: 7 }]) { userErrors { code } }
        }",
    ),
    (
        "productVariantsBulkDelete",
        WriteProducts,
        "mutation { productVariantsBulkDelete(productId: <none>, variantIds: [<variant>]) { userErrors { code } } }",
    ),
    (
        "collectionCreate",
        WriteProducts,
        r#"mutation { collectionCreate(collection: { title: "Bowls" }) { userErrors { code } } }"#,
    ),
    (
        "collectionUpdate",
        WriteProducts,
        r#"mutation { collectionUpdate(id: <collection>, collection: { title: "Cups" }) { userErrors { code } } }"#,
    ),
    (
        "collectionDelete",
        WriteProducts,
        "mutation { collectionDelete(id: <no collection>) { userErrors { code } } }",
    ),
    (
        "collectionProductsAdd",
        WriteProducts,
        "mutation { collectionProductsAdd(collectionId: <collection>, productIds: [<product>]) { userErrors { code } } }",
    ),
    (
        "collectionProductsRemove",
        WriteProducts,
        "mutation { collectionProductsRemove(collectionId: <collection>, productIds: [<product>]) { userErrors { code } } }",
    ),
    (
        "mediaUpdate",
        WriteProducts,
        r#"mutation {
            mediaUpdate(id: "gid://mercato/MediaImage/00000000-0000-7000-8000-000000000000", media: { alt: "A mug" }) {
                userErrors { code }
            }
        }"#,
    ),
    (
        "productMediaReorder",
        WriteProducts,
        "mutation { productMediaReorder(productId: <none>, moves: []) { userErrors { code } } }",
    ),
    (
        "productOptionUpdate",
        WriteProducts,
        r#"mutation {
            productOptionUpdate(
                id: "gid://mercato/ProductOption/00000000-0000-7000-8000-000000000000?option=0", productOption: { name: "Size" }
            ) { userErrors { code } }
        }"#,
    ),
    (
        "productOptionsReorder",
        WriteProducts,
        "mutation { productOptionsReorder(productId: <none>, options: []) { userErrors { code } } }",
    ),
    (
        "collectionProductsReorder",
        WriteProducts,
        "mutation { collectionProductsReorder(collectionId: <no collection>, moves: []) { userErrors { code } } }",
    ),
    (
        "locationDelete",
        ManageSettings,
        r#"mutation {
            locationDelete(id: "gid://mercato/Location/00000000-0000-7000-8000-000000000000") { userErrors { code } }
        }"#,
    ),
    (
        "inventoryQuantitiesAdjust",
        WriteInventory,
        r#"mutation {
            inventoryQuantitiesAdjust(
                input: { reason: "received", changes: [{ variantId: <variant>, locationId: <location>, delta: 1 }] }
            ) { userErrors { code } }
        }"#,
    ),
    (
        "inventoryQuantitiesSet",
        WriteInventory,
        r#"mutation {
            inventoryQuantitiesSet(input: {
                reason: "counted", ignoreCompareQuantity: true,
                quantities: [{ variantId: <variant>, locationId: <location>, quantity: 1 }]
            }) { userErrors { code } }
        }"#,
    ),
    ("locationCreate", ManageSettings, r#"mutation { locationCreate(location: { name: "Attic" }) { userErrors { code } } }"#),
    (
        "locationUpdate",
        ManageSettings,
        r#"mutation { locationUpdate(id: <location>, location: { name: "Cellar" }) { userErrors { code } } }"#,
    ),
],
    guarded_fields: &[
    ("Product.status", ReadProducts, "{ product(id: <product>) { status } }"),
    (
        "Collection.ruleSet",
        ReadProducts,
        "{ collection(id: <collection>) { ruleSet { appliedDisjunctively } } }",
    ),
    ("Collection.sortOrder", ReadProducts, "{ collection(id: <collection>) { sortOrder } }"),
    (
        "ProductVariant.inventoryPolicy",
        ReadProducts,
        "{ node(id: <variant>) { ...on ProductVariant { inventoryPolicy } } }",
    ),
    (
        "ProductVariant.isInventoryTracked",
        ReadProducts,
        "{ node(id: <variant>) { ...on ProductVariant { isInventoryTracked } } }",
    ),
    (
        "ProductVariant.inventoryLevels",
        ReadInventory,
        "{ node(id: <variant>) { ...on ProductVariant { inventoryLevels { onHand } } } }",
    ),
],
};
