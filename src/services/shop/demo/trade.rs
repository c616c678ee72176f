//! The demo shop's customers and orders, with a discount, taxes and a second location.

use std::io::Cursor;

use super::{DemoError, DemoShop};
use crate::context::{Locale, OpContext};
use crate::db::{Db, DbError, Tx};
use crate::domain::access::actors::Actor;
use crate::domain::customers::addresses::Address;
use crate::domain::ids::{CustomerId, VariantId};
use crate::repositories::catalog::{products, variants};
use crate::repositories::customers;
use crate::services::catalog::inventory::{Adjustment, LocationPatch};
use crate::services::checkout::discounts::{DiscountPatch, NewValue};
use crate::services::checkout::taxes::TaxRatePatch;
use crate::services::customers::NewCustomer;
use crate::services::transfer::order_import::ImportedOrder;

/// The password of the demo customers.
pub const CUSTOMER_PASSWORD: &str = "demo-customer";

const ORDERS: &str = include_str!("orders.csv");
/// The currency in the order file; replaced by the shop's currency.
const CURRENCY: &str = "USD";

/// Name, country, province, tax class and percentage.
const TAXES: [(&str, &str, Option<&str>, &str, &str); 5] = [
    ("VAT", "DE", None, "standard", "19"),
    ("VAT", "DE", None, "shipping", "19"),
    ("VAT", "GB", None, "standard", "20"),
    ("VAT", "GB", None, "shipping", "20"),
    ("Sales tax", "US", Some("NY"), "standard", "8.875"),
];

/// Products whose first variant is stocked at the second location, too, with the number of units.
const STORE_STOCK: [(&str, i64); 3] = [("linen-notebook", 6), ("stoneware-mug", 4), ("cedar-pencil-set", 12)];

/// A customer with an account.
struct DemoCustomer {
    email: &'static str,
    first_name: &'static str,
    last_name: &'static str,
    /// Country and language, as in `@inContext`.
    locale: Locale,
    street: &'static str,
    city: &'static str,
    zip: &'static str,
    province: Option<&'static str>,
    country: &'static str,
}

const CUSTOMERS: [DemoCustomer; 2] = [
    DemoCustomer {
        email: "ada@example.com",
        first_name: "Ada",
        last_name: "Moreno",
        locale: Locale { country: Some("US"), language: Some("EN") },
        street: "48 Spring Lane",
        city: "Burlington",
        zip: "05401",
        province: Some("VT"),
        country: "US",
    },
    // Gets mails in German.
    DemoCustomer {
        email: "jonas@example.com",
        first_name: "Jonas",
        last_name: "Weber",
        locale: Locale { country: Some("DE"), language: Some("DE") },
        street: "Lindenweg 7",
        city: "Berlin",
        zip: "10115",
        province: None,
        country: "DE",
    },
];

/// Creates customers and orders. The products must exist.
pub(super) async fn fill(db: &Db, op: &OpContext, demo: &DemoShop<'_>) -> Result<(), DemoError> {
    let services = demo.services;
    let location = LocationPatch {
        name: Some("Harbour Street store".to_owned()),
        address1: Some(Some("12 Harbour Street".to_owned())),
        city: Some(Some("Portland".to_owned())),
        province: Some(Some("ME".to_owned())),
        zip: Some(Some("04101".to_owned())),
        country: Some(Some("US".to_owned())),
        ..LocationPatch::default()
    };
    let store = services.inventory.create_location(op, &location).await?.id;
    let mut changes = Vec::new();
    for (handle, delta) in STORE_STOCK {
        let variant_id = first_variant(db, op, handle).await?;
        changes.push(Adjustment { variant_id, location_id: store, delta });
    }
    services.inventory.adjust(op, "received", &changes, None).await?;
    let discount = DiscountPatch {
        title: Some("Welcome".to_owned()),
        code: Some(Some("WELCOME10".to_owned())),
        value: Some(NewValue::Percentage { percentage: "10".to_owned(), items: None }),
        ..DiscountPatch::default()
    };
    services.discounts.create(op, &discount).await?;
    for (name, country, province, class, percentage) in TAXES {
        let rate = TaxRatePatch {
            name: Some(name.to_owned()),
            country: Some(country.to_owned()),
            province: province.map(|province| Some(province.to_owned())),
            tax_class: Some(class.to_owned()),
            percentage: Some(percentage.to_owned()),
        };
        services.taxes.create(op, &rate).await?;
    }
    for customer in &CUSTOMERS {
        add_customer(db, op, demo, customer).await?;
    }
    import_orders(op, demo).await
}

/// Finds the first variant of a product.
async fn first_variant(db: &Db, op: &OpContext, handle: &str) -> Result<VariantId, DemoError> {
    let missing = || DemoError::Data(format!("no product `{handle}`"));
    let mut conn = db.read(&op.statements).await?;
    let product = products::find_by_handle(&mut conn, handle).await?.ok_or_else(missing)?;
    let variants = variants::by_product_ids(&mut conn, &[product.id]).await?;
    Ok(variants.first().ok_or_else(missing)?.id)
}

/// Creates a customer with a verified address, so that they see their imported orders.
async fn add_customer(
    db: &Db,
    op: &OpContext,
    demo: &DemoShop<'_>,
    customer: &DemoCustomer,
) -> Result<(), DemoError> {
    let mut op = op.clone();
    op.locale = customer.locale;
    let new = NewCustomer {
        email: customer.email.to_owned(),
        password: CUSTOMER_PASSWORD.to_owned(),
        first_name: Some(customer.first_name.to_owned()),
        last_name: Some(customer.last_name.to_owned()),
        ..NewCustomer::default()
    };
    let id = demo.services.customers.create(&op, &new).await?.id;
    verify(db, &op, id).await?;
    let address = Address {
        first_name: new.first_name,
        last_name: new.last_name,
        address1: Some(customer.street.to_owned()),
        city: Some(customer.city.to_owned()),
        zip: Some(customer.zip.to_owned()),
        province: customer.province.map(ToOwned::to_owned),
        country: Some(customer.country.to_owned()),
        ..Address::default()
    };
    demo.services.customers.create_address(&op.acting_as(Actor::Customer(id)), None, &address).await?;
    Ok(())
}

async fn verify(db: &Db, op: &OpContext, id: CustomerId) -> Result<(), DemoError> {
    let verified = db.transaction(&op.statements, async |tx: &mut Tx| {
        if let Some(mut customer) = customers::lock(tx.conn(), id).await? {
            customer.email_verified_at = Some(op.now());
            customers::update(tx.conn(), &customer).await?;
        }
        Ok::<_, DbError>(())
    });
    Ok(verified.await?)
}

async fn import_orders(op: &OpContext, demo: &DemoShop<'_>) -> Result<(), DemoError> {
    let orders = ORDERS.replace(CURRENCY, demo.shop.currency.code());
    let mut first_error = None;
    let each = |imported: &ImportedOrder| {
        if let ImportedOrder::Failed(errors) = imported {
            first_error = errors.first().map(ToString::to_string);
        }
    };
    demo.order_import.run(op, Cursor::new(orders), false, each).await?;
    first_error.map_or(Ok(()), |first_error| Err(DemoError::Data(first_error)))
}
