// @generated automatically by Diesel CLI.

diesel::table! {
    use crate::db::types::sql::*;

    collection_products (collection_id, product_id) {
        collection_id -> Uuid,
        product_id -> Uuid,
        position -> Int8,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    collections (id) {
        id -> Uuid,
        handle -> Text,
        title -> Text,
        description -> Text,
        description_html -> Text,
        sort_order -> Text,
        rules -> Nullable<Jsonb>,
        image_url -> Nullable<Text>,
        image_alt_text -> Nullable<Text>,
        seo_title -> Nullable<Text>,
        seo_description -> Nullable<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    events (id) {
        id -> Uuid,
        kind -> Text,
        version -> Int4,
        aggregate_type -> Text,
        aggregate_id -> Uuid,
        payload -> Jsonb,
        actor -> Text,
        request_id -> Text,
        occurred_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    idempotency_keys (actor, key) {
        actor -> Text,
        key -> Text,
        operation -> Text,
        input_hash -> Text,
        answer -> Jsonb,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    inventory_levels (variant_id, location_id) {
        variant_id -> Uuid,
        location_id -> Uuid,
        on_hand -> Int8,
        reserved -> Int8,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    locations (id) {
        id -> Uuid,
        name -> Text,
        address1 -> Nullable<Text>,
        address2 -> Nullable<Text>,
        city -> Nullable<Text>,
        province -> Nullable<Text>,
        zip -> Nullable<Text>,
        country -> Nullable<Text>,
        phone -> Nullable<Text>,
        is_active -> Bool,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    product_images (id) {
        id -> Uuid,
        product_id -> Uuid,
        position -> Int8,
        url -> Text,
        alt_text -> Nullable<Text>,
        width -> Nullable<Int8>,
        height -> Nullable<Int8>,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    product_tags (product_id, tag) {
        product_id -> Uuid,
        tag -> Text,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    products (id) {
        id -> Uuid,
        handle -> Text,
        title -> Text,
        description -> Text,
        description_html -> Text,
        vendor -> Text,
        product_type -> Text,
        status -> Text,
        options -> Jsonb,
        seo_title -> Nullable<Text>,
        seo_description -> Nullable<Text>,
        min_price -> Int8,
        max_price -> Int8,
        units_sold -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    shops (id) {
        id -> Uuid,
        singleton -> Bool,
        name -> Text,
        description -> Nullable<Text>,
        currency -> Text,
        country -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    variants (id) {
        id -> Uuid,
        product_id -> Uuid,
        position -> Int8,
        title -> Text,
        sku -> Nullable<Text>,
        barcode -> Nullable<Text>,
        price -> Int8,
        compare_at_price -> Nullable<Int8>,
        option_values -> Jsonb,
        weight_milligrams -> Int8,
        weight_unit -> Text,
        taxable -> Bool,
        requires_shipping -> Bool,
        inventory_tracked -> Bool,
        inventory_policy -> Text,
        image_id -> Nullable<Uuid>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::joinable!(collection_products -> collections (collection_id));
diesel::joinable!(collection_products -> products (product_id));
diesel::joinable!(inventory_levels -> locations (location_id));
diesel::joinable!(inventory_levels -> variants (variant_id));
diesel::joinable!(product_images -> products (product_id));
diesel::joinable!(product_tags -> products (product_id));
diesel::joinable!(variants -> product_images (image_id));
diesel::joinable!(variants -> products (product_id));

diesel::allow_tables_to_appear_in_same_query!(
    collection_products,
    collections,
    events,
    idempotency_keys,
    inventory_levels,
    locations,
    product_images,
    product_tags,
    products,
    shops,
    variants,
);
