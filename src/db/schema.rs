// @generated automatically by Diesel CLI.

diesel::table! {
    use crate::db::types::sql::*;

    api_keys (id) {
        id -> Uuid,
        name -> Text,
        hint -> Text,
        secret_hash -> Text,
        permissions -> Jsonb,
        created_by -> Text,
        expires_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        owner -> Text,
        is_storefront -> Bool,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    attempt_counters (key) {
        key -> Text,
        failures -> Int8,
        blocked_until -> Timestamptz,
        last_at -> Timestamptz,
        is_reported -> Bool,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    cart_lines (id) {
        id -> Uuid,
        cart_id -> Uuid,
        variant_id -> Uuid,
        quantity -> Int8,
        attributes -> Jsonb,
        attributes_key -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    cart_payments (cart_id) {
        cart_id -> Uuid,
        provider -> Nullable<Text>,
        sealed_token -> Nullable<Text>,
        billing_address -> Jsonb,
        amount -> Int8,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    carts (id) {
        id -> Uuid,
        customer_id -> Nullable<Uuid>,
        email -> Nullable<Text>,
        phone -> Nullable<Text>,
        country -> Nullable<Text>,
        note -> Text,
        attributes -> Jsonb,
        discount_codes -> Jsonb,
        delivery_addresses -> Jsonb,
        delivery_option -> Nullable<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        token_hash -> Nullable<Text>,
        credit_account_ids -> Jsonb,
    }
}

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
        title_key -> Text,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    credit_accounts (id) {
        id -> Uuid,
        kind -> Text,
        customer_id -> Nullable<Uuid>,
        code_hash -> Nullable<Text>,
        last_characters -> Text,
        currency -> Text,
        initial_value -> Int8,
        balance -> Int8,
        note -> Text,
        expires_at -> Nullable<Timestamptz>,
        disabled_at -> Nullable<Timestamptz>,
        order_line_id -> Nullable<Uuid>,
        order_line_unit -> Nullable<Int8>,
        sealed_code -> Nullable<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    credit_transactions (id) {
        id -> Uuid,
        account_id -> Uuid,
        reason -> Text,
        amount -> Int8,
        balance_after -> Int8,
        order_id -> Nullable<Uuid>,
        note -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    customer_addresses (id) {
        id -> Uuid,
        customer_id -> Uuid,
        is_default -> Bool,
        address -> Jsonb,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    customer_tokens (id) {
        id -> Uuid,
        customer_id -> Uuid,
        purpose -> Text,
        token_hash -> Text,
        expires_at -> Timestamptz,
        used_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        email -> Text,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    customers (id) {
        id -> Uuid,
        email -> Nullable<Text>,
        password_hash -> Nullable<Text>,
        first_name -> Nullable<Text>,
        last_name -> Nullable<Text>,
        phone -> Nullable<Text>,
        accepts_marketing -> Bool,
        email_verified_at -> Nullable<Timestamptz>,
        erased_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        language -> Nullable<Text>,
        tags -> Jsonb,
        note -> Text,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    discount_uses (discount_id, order_id) {
        discount_id -> Uuid,
        order_id -> Uuid,
        customer_key -> Text,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    discounts (id) {
        id -> Uuid,
        title -> Text,
        code_key -> Nullable<Text>,
        code -> Nullable<Text>,
        rule -> Jsonb,
        starts_at -> Timestamptz,
        ends_at -> Nullable<Timestamptz>,
        usage_limit -> Nullable<Int8>,
        customer_limit -> Nullable<Int8>,
        used_count -> Int8,
        is_active -> Bool,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    draft_orders (id) {
        id -> Uuid,
        draft -> Jsonb,
        order_id -> Nullable<Uuid>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    event_consumers (name) {
        name -> Text,
        position -> Int8,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    event_head (singleton) {
        singleton -> Bool,
        position -> Int8,
        pruned -> Int8,
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
        entry -> Int8,
        position -> Nullable<Int8>,
        sequence -> Nullable<Int8>,
        traceparent -> Nullable<Text>,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    fulfillments (id) {
        id -> Uuid,
        order_id -> Uuid,
        status -> Text,
        tracking_company -> Nullable<Text>,
        tracking_number -> Nullable<Text>,
        tracking_url -> Nullable<Text>,
        lines -> Jsonb,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
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

    jobs (id) {
        id -> Uuid,
        kind -> Text,
        payload -> Jsonb,
        status -> Text,
        unique_key -> Nullable<Text>,
        event_id -> Nullable<Uuid>,
        request_id -> Text,
        priority -> Int4,
        attempts -> Int4,
        max_attempts -> Int4,
        run_at -> Timestamptz,
        worker -> Nullable<Uuid>,
        lease_until -> Nullable<Timestamptz>,
        progress -> Int4,
        error -> Nullable<Text>,
        created_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
        traceparent -> Nullable<Text>,
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
        latitude -> Nullable<Float8>,
        longitude -> Nullable<Float8>,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    media (id) {
        id -> Uuid,
        product_id -> Uuid,
        kind -> Text,
        status -> Text,
        position -> Int8,
        source_url -> Nullable<Text>,
        alt -> Nullable<Text>,
        hash -> Nullable<Text>,
        format -> Nullable<Text>,
        bytes -> Nullable<Int8>,
        width -> Nullable<Int8>,
        height -> Nullable<Int8>,
        poster_url -> Nullable<Text>,
        note -> Nullable<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    media_renditions (source_hash, format, width) {
        source_hash -> Text,
        format -> Text,
        width -> Int8,
        height -> Int8,
        hash -> Text,
        bytes -> Int8,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    menu_items (id) {
        id -> Uuid,
        menu_id -> Uuid,
        parent_id -> Nullable<Uuid>,
        position -> Int8,
        title -> Text,
        kind -> Text,
        resource_id -> Nullable<Uuid>,
        url -> Nullable<Text>,
        tags -> Jsonb,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    menus (id) {
        id -> Uuid,
        handle -> Text,
        title -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    order_lines (id) {
        id -> Uuid,
        order_id -> Uuid,
        position -> Int8,
        variant_id -> Nullable<Uuid>,
        title -> Text,
        variant_title -> Text,
        sku -> Nullable<Text>,
        vendor -> Text,
        quantity -> Int8,
        unit_price -> Int8,
        discount_total -> Int8,
        tax_total -> Int8,
        discounts -> Jsonb,
        taxes -> Jsonb,
        attributes -> Jsonb,
        requires_shipping -> Bool,
        weight_milligrams -> Int8,
        reserved -> Jsonb,
        fulfilled_quantity -> Int8,
        refunded_quantity -> Int8,
        picked -> Jsonb,
        product_id -> Nullable<Uuid>,
        sku_key -> Nullable<Text>,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    order_sales (day, country, currency) {
        day -> Text,
        country -> Text,
        currency -> Text,
        orders -> Int8,
        quantity -> Int8,
        gross -> Int8,
        discounts -> Int8,
        returns -> Int8,
        shipping -> Int8,
        tax -> Int8,
        total -> Int8,
        refunds -> Int8,
        cancelled -> Int8,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    orders (id) {
        id -> Uuid,
        number -> Nullable<Int8>,
        cart_id -> Nullable<Uuid>,
        imported_as -> Nullable<Text>,
        customer_id -> Nullable<Uuid>,
        email -> Nullable<Text>,
        phone -> Nullable<Text>,
        status -> Text,
        currency -> Text,
        taxes_included -> Bool,
        subtotal -> Int8,
        discount_total -> Int8,
        shipping_total -> Int8,
        tax_total -> Int8,
        total -> Int8,
        delivery -> Jsonb,
        shipping_address -> Nullable<Jsonb>,
        billing_address -> Nullable<Jsonb>,
        note -> Text,
        attributes -> Jsonb,
        cancel_reason -> Nullable<Text>,
        expires_at -> Nullable<Timestamptz>,
        placed_at -> Timestamptz,
        cancelled_at -> Nullable<Timestamptz>,
        updated_at -> Timestamptz,
        language -> Nullable<Text>,
        fulfillment_opened_at -> Nullable<Timestamptz>,
        token_hash -> Nullable<Text>,
        tags -> Jsonb,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    pages (id) {
        id -> Uuid,
        handle -> Text,
        title -> Text,
        body -> Text,
        body_summary -> Text,
        seo_title -> Nullable<Text>,
        seo_description -> Nullable<Text>,
        is_published -> Bool,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    payment_actions (attempt_id) {
        attempt_id -> Uuid,
        order_id -> Uuid,
        reference -> Text,
        sealed_action -> Text,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    payment_customers (customer_id, provider) {
        customer_id -> Uuid,
        provider -> Text,
        reference -> Text,
        synced_at -> Timestamptz,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    payments (id) {
        id -> Uuid,
        order_id -> Uuid,
        provider -> Text,
        provider_event_id -> Text,
        kind -> Text,
        amount -> Int8,
        reference -> Nullable<Text>,
        message -> Nullable<Text>,
        refund_id -> Nullable<Uuid>,
        occurred_at -> Timestamptz,
        attempt_id -> Nullable<Uuid>,
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

    product_sales (day, product_id, country, currency) {
        day -> Text,
        product_id -> Uuid,
        country -> Text,
        currency -> Text,
        orders -> Int8,
        quantity -> Int8,
        gross -> Int8,
        discounts -> Int8,
        returns -> Int8,
        shipping -> Int8,
        tax -> Int8,
        total -> Int8,
        refunds -> Int8,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    product_tags (product_id, tag) {
        product_id -> Uuid,
        tag -> Text,
        tag_key -> Text,
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
        tax_class -> Text,
        title_key -> Text,
        vendor_key -> Text,
        type_key -> Text,
        is_gift_card -> Bool,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    refresh_tokens (id) {
        id -> Uuid,
        family_id -> Uuid,
        customer_id -> Nullable<Uuid>,
        staff_id -> Nullable<Uuid>,
        token_hash -> Text,
        expires_at -> Timestamptz,
        spent_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    refunds (id) {
        id -> Uuid,
        order_id -> Uuid,
        amount -> Int8,
        note -> Text,
        lines -> Jsonb,
        created_at -> Timestamptz,
        delivery -> Int8,
        delivery_tax -> Int8,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    returns (id) {
        id -> Uuid,
        order_id -> Uuid,
        status -> Text,
        reason -> Text,
        lines -> Jsonb,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    roles (id) {
        id -> Uuid,
        name -> Text,
        permissions -> Jsonb,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    saved_payment_methods (id) {
        id -> Uuid,
        customer_id -> Uuid,
        provider -> Text,
        reference -> Text,
        brand -> Text,
        last_digits -> Text,
        expiry_month -> Int4,
        expiry_year -> Int4,
        is_default -> Bool,
        removed_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    scheduled_tasks (name) {
        name -> Text,
        last_due_at -> Timestamptz,
        last_job_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    search_words (field, word, row_id) {
        field -> Text,
        word -> Text,
        row_id -> Uuid,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    shipping_rates (id) {
        id -> Uuid,
        zone_id -> Uuid,
        strategy -> Text,
        name -> Text,
        per_kilogram_micros -> Int8,
        per_kilometre_micros -> Int8,
        min_weight_milligrams -> Nullable<Int8>,
        max_weight_milligrams -> Nullable<Int8>,
        min_subtotal -> Nullable<Int8>,
        max_subtotal -> Nullable<Int8>,
        free_from_subtotal -> Nullable<Int8>,
        is_active -> Bool,
        position -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        base_price -> Int8,
        price_table -> Nullable<Jsonb>,
        location_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    shipping_zones (id) {
        id -> Uuid,
        name -> Text,
        countries -> Jsonb,
        default_distance_metres -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    shop_policies (id) {
        id -> Uuid,
        kind -> Text,
        title -> Text,
        body -> Text,
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
        taxes_included -> Bool,
        profile -> Jsonb,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    staff_members (id) {
        id -> Uuid,
        email -> Text,
        name -> Text,
        password_hash -> Nullable<Text>,
        is_active -> Bool,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    staff_roles (staff_id, role_id) {
        staff_id -> Uuid,
        role_id -> Uuid,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    tax_rates (id) {
        id -> Uuid,
        name -> Text,
        country -> Text,
        province -> Nullable<Text>,
        tax_class -> Text,
        rate_micros -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    unindexed_rows (row_id) {
        row_id -> Uuid,
        kind -> Text,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    unpaid_order_stock (order_id, variant_id) {
        order_id -> Uuid,
        variant_id -> Uuid,
        quantity -> Int8,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    unpaid_orders (order_id) {
        order_id -> Uuid,
        caller -> Text,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    url_redirects (id) {
        id -> Uuid,
        path -> Text,
        target -> Text,
        created_at -> Timestamptz,
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
        is_priced -> Bool,
        sku_key -> Nullable<Text>,
        barcode_key -> Nullable<Text>,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    webhook_attempts (id) {
        id -> Uuid,
        delivery_id -> Uuid,
        number -> Int4,
        at -> Timestamptz,
        duration_ms -> Int8,
        response_status -> Nullable<Int4>,
        error -> Nullable<Text>,
        response_body -> Nullable<Text>,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    webhook_deliveries (id) {
        id -> Uuid,
        subscription_id -> Uuid,
        event_id -> Nullable<Uuid>,
        topic -> Text,
        position -> Nullable<Int8>,
        payload -> Nullable<Text>,
        status -> Text,
        attempts -> Int4,
        next_attempt_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        delivered_at -> Nullable<Timestamptz>,
        request_id -> Text,
        traceparent -> Nullable<Text>,
    }
}

diesel::table! {
    use crate::db::types::sql::*;

    webhook_subscriptions (id) {
        id -> Uuid,
        url -> Text,
        topics -> Jsonb,
        query -> Nullable<Text>,
        secret -> Text,
        permissions -> Jsonb,
        status -> Text,
        failing_since -> Nullable<Timestamptz>,
        paused_at -> Nullable<Timestamptz>,
        created_by -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        owner -> Text,
    }
}

diesel::joinable!(cart_lines -> carts (cart_id));
diesel::joinable!(cart_lines -> variants (variant_id));
diesel::joinable!(cart_payments -> carts (cart_id));
diesel::joinable!(carts -> customers (customer_id));
diesel::joinable!(collection_products -> collections (collection_id));
diesel::joinable!(collection_products -> products (product_id));
diesel::joinable!(credit_accounts -> customers (customer_id));
diesel::joinable!(credit_accounts -> order_lines (order_line_id));
diesel::joinable!(credit_transactions -> credit_accounts (account_id));
diesel::joinable!(credit_transactions -> orders (order_id));
diesel::joinable!(customer_addresses -> customers (customer_id));
diesel::joinable!(customer_tokens -> customers (customer_id));
diesel::joinable!(discount_uses -> discounts (discount_id));
diesel::joinable!(discount_uses -> orders (order_id));
diesel::joinable!(draft_orders -> orders (order_id));
diesel::joinable!(fulfillments -> orders (order_id));
diesel::joinable!(inventory_levels -> locations (location_id));
diesel::joinable!(inventory_levels -> variants (variant_id));
diesel::joinable!(media -> products (product_id));
diesel::joinable!(menu_items -> menus (menu_id));
diesel::joinable!(order_lines -> orders (order_id));
diesel::joinable!(order_lines -> variants (variant_id));
diesel::joinable!(orders -> customers (customer_id));
diesel::joinable!(payment_actions -> orders (order_id));
diesel::joinable!(payment_customers -> customers (customer_id));
diesel::joinable!(payments -> orders (order_id));
diesel::joinable!(product_images -> products (product_id));
diesel::joinable!(product_tags -> products (product_id));
diesel::joinable!(refresh_tokens -> customers (customer_id));
diesel::joinable!(refresh_tokens -> staff_members (staff_id));
diesel::joinable!(refunds -> orders (order_id));
diesel::joinable!(returns -> orders (order_id));
diesel::joinable!(shipping_rates -> locations (location_id));
diesel::joinable!(shipping_rates -> shipping_zones (zone_id));
diesel::joinable!(staff_roles -> roles (role_id));
diesel::joinable!(staff_roles -> staff_members (staff_id));
diesel::joinable!(unpaid_order_stock -> orders (order_id));
diesel::joinable!(unpaid_order_stock -> variants (variant_id));
diesel::joinable!(unpaid_orders -> orders (order_id));
diesel::joinable!(variants -> product_images (image_id));
diesel::joinable!(variants -> products (product_id));
diesel::joinable!(webhook_attempts -> webhook_deliveries (delivery_id));
diesel::joinable!(webhook_deliveries -> webhook_subscriptions (subscription_id));

diesel::allow_tables_to_appear_in_same_query!(
    api_keys,
    attempt_counters,
    cart_lines,
    cart_payments,
    carts,
    collection_products,
    collections,
    credit_accounts,
    credit_transactions,
    customer_addresses,
    customer_tokens,
    customers,
    discount_uses,
    discounts,
    draft_orders,
    event_consumers,
    event_head,
    events,
    fulfillments,
    idempotency_keys,
    inventory_levels,
    jobs,
    locations,
    media,
    media_renditions,
    menu_items,
    menus,
    order_lines,
    order_sales,
    orders,
    pages,
    payment_actions,
    payment_customers,
    payments,
    product_images,
    product_sales,
    product_tags,
    products,
    refresh_tokens,
    refunds,
    returns,
    roles,
    saved_payment_methods,
    scheduled_tasks,
    search_words,
    shipping_rates,
    shipping_zones,
    shop_policies,
    shops,
    staff_members,
    staff_roles,
    tax_rates,
    unindexed_rows,
    unpaid_order_stock,
    unpaid_orders,
    url_redirects,
    variants,
    webhook_attempts,
    webhook_deliveries,
    webhook_subscriptions,
);
