//! Administration of discounts. For their calculation see `services::checkout::pricing`.

use std::sync::Arc;

use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, OnConstraint, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::search::{self, Warning};
use crate::domain::checkout::discounts::{
    CombinesWith, DiscountRule, DiscountValue, ItemSelection, code_key,
};
use crate::domain::events::{DiscountEvent, Event};
use crate::domain::ids::DiscountId;
use crate::domain::money::rounding::MICROS;
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::time::Timestamp;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::Visibility;
use crate::repositories::catalog::{collections, products};
use crate::repositories::checkout::discounts::{self, Discount};
use crate::services::input::{Problems, list_query};
use crate::services::{Shop, set};

/// Maximum number of products, and of collections, per discount.
const MAX_ITEMS: usize = 250;
/// Maximum length of a code, in characters.
const MAX_CODE: usize = 100;

/// Creates, updates and deletes discounts.
pub struct Discounts {
    db: Db,
    shop: Arc<Shop>,
}

/// The fields of a discount. `None` keeps a field (or uses its default, on creation), `Some(None)`
/// clears it.
#[derive(Clone, Debug, Default)]
pub struct DiscountPatch {
    /// Title shown to buyers.
    pub title: Option<String>,
    /// The code that buyers enter; automatic discounts have none.
    pub code: Option<Option<String>>,
    /// What is discounted and by how much.
    pub value: Option<NewValue>,
    /// Minimum subtotal of the basket, as a decimal amount.
    pub minimum_subtotal: Option<Option<String>>,
    /// Which other discounts it combines with.
    pub combines_with: Option<CombinesWith>,
    /// Start; defaults to now.
    pub starts_at: Option<Timestamp>,
    /// End; `None` for no end.
    pub ends_at: Option<Option<Timestamp>>,
    /// Maximum number of orders that may use it.
    pub usage_limit: Option<Option<i64>>,
    /// Maximum number of orders per customer that may use it.
    pub customer_limit: Option<Option<i64>>,
    /// Whether it can be used; defaults to true.
    pub is_active: Option<bool>,
}

/// The value of a discount, with its numbers as sent.
#[derive(Clone, Debug)]
pub enum NewValue {
    /// A percentage off.
    Percentage {
        /// Percentage, such as `12.5`.
        percentage: String,
        /// Discounted items; `None` for the whole order.
        items: Option<ItemSelection>,
    },
    /// A fixed amount off.
    FixedAmount {
        /// Decimal amount.
        amount: String,
        /// Whether the amount is per unit.
        each: bool,
        /// Discounted items; `None` for the whole order.
        items: Option<ItemSelection>,
    },
    /// Buy some units, get others at a discount.
    BuyXGetY {
        /// Items that must be bought; `None` for any.
        buy: Option<ItemSelection>,
        /// Number of units that must be bought.
        buy_quantity: i64,
        /// Discounted items; `None` for any.
        get: Option<ItemSelection>,
        /// Number of units that are discounted.
        get_quantity: i64,
        /// Percentage off the discounted units; `100` makes them free.
        percentage: String,
        /// Maximum number of times per order.
        uses_per_order: Option<i64>,
    },
    /// Free delivery.
    FreeShipping,
}

impl Discounts {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db, shop: Arc<Shop>) -> Self {
        Self { db, shop }
    }

    /// A page of the discounts that match a search query, with warnings about parts of the query
    /// that were ignored.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without the permission to manage settings; [`Error::BadInput`] when the
    /// query exceeds the limits of a search.
    pub async fn page(
        &self,
        op: &OpContext,
        query: Option<&str>,
        request: &PageRequest<Cursor>,
    ) -> Result<(Page<Discount>, Vec<Warning>), Error> {
        op.authorize(Permission::ManageSettings)?;
        let (filter, warnings) = list_query::read(query, search::parse_discounts)?;
        let mut conn = self.db.read(&op.statements).await?;
        Ok((discounts::page(&mut conn, &filter, request).await?, warnings))
    }

    /// Creates a discount.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn create(&self, op: &OpContext, new: &DiscountPatch) -> Result<Discount, Error> {
        op.authorize(Permission::ManageSettings)?;
        self.db.transaction(&op.statements, async |tx: &mut Tx| self.create_in(tx, op, new).await).await
    }

    async fn create_in(&self, tx: &mut Tx, op: &OpContext, new: &DiscountPatch) -> Result<Discount, Error> {
        let mut discount = Discount {
            id: DiscountId::generate(),
            title: String::new(),
            code_key: None,
            code: None,
            rule: Json(DiscountRule {
                value: DiscountValue::FreeShipping,
                minimum_subtotal: None,
                combines_with: CombinesWith::default(),
            }),
            starts_at: op.now(),
            ends_at: None,
            usage_limit: None,
            customer_limit: None,
            used_count: 0,
            is_active: true,
            created_at: op.now(),
            updated_at: op.now(),
        };
        let mut problems = Problems::default();
        if new.value.is_none() {
            problems.add(&["discount", "value"], UserErrorCode::Blank, "Specify the value of the discount");
        }
        self.apply(tx, &mut problems, &mut discount, new).await?;
        problems.check()?;
        discounts::insert(tx.conn(), &discount)
            .await
            .on_constraint("discounts", "code_key", || code_taken(&discount))?;
        events::append(tx, op, [Event::DiscountCreated(event(&discount))]).await?;
        Ok(discount)
    }

    /// Updates a discount. Existing orders keep their discounts.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems, or for an unknown id.
    pub async fn update(
        &self,
        op: &OpContext,
        id: DiscountId,
        patch: &DiscountPatch,
    ) -> Result<Discount, Error> {
        op.authorize(Permission::ManageSettings)?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let Some(mut discount) = discounts::lock(tx.conn(), id).await? else {
                    return Err(not_found(&["id"]));
                };
                let mut problems = Problems::default();
                self.apply(tx, &mut problems, &mut discount, patch).await?;
                problems.check()?;
                discount.updated_at = op.now();
                discounts::update(tx.conn(), &discount).await.on_constraint(
                    "discounts",
                    "code_key",
                    || code_taken(&discount),
                )?;
                events::append(tx, op, [Event::DiscountUpdated(event(&discount))]).await?;
                Ok(discount)
            })
            .await
    }

    /// Deletes a discount. Existing orders keep their discounts.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown id.
    pub async fn delete(&self, op: &OpContext, id: DiscountId) -> Result<(), Error> {
        op.authorize(Permission::ManageSettings)?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let Some(discount) = discounts::lock(tx.conn(), id).await? else {
                    return Err(not_found(&["id"]));
                };
                discounts::delete(tx.conn(), id).await?;
                Ok(events::append(tx, op, [Event::DiscountDeleted(event(&discount))]).await?)
            })
            .await
    }

    /// Applies a patch to a discount and validates the result.
    async fn apply(
        &self,
        tx: &mut Tx,
        problems: &mut Problems,
        discount: &mut Discount,
        patch: &DiscountPatch,
    ) -> Result<(), Error> {
        if let Some(title) = &patch.title {
            title.trim().clone_into(&mut discount.title);
        }
        problems.required(&["discount", "title"], &discount.title);
        if let Some(code) = &patch.code {
            set_code(problems, discount, code.as_deref());
        }
        let rule = &mut discount.rule.0;
        if let Some(value) = &patch.value {
            rule.value = self.value(tx, problems, value).await?;
        }
        if let Some(minimum) = &patch.minimum_subtotal {
            let field = ["discount", "minimumSubtotal"];
            rule.minimum_subtotal = problems.optional_amount(&field, minimum.as_deref(), self.shop.currency);
        }
        set(&mut rule.combines_with, patch.combines_with.as_ref());
        set(&mut discount.starts_at, patch.starts_at.as_ref());
        set(&mut discount.ends_at, patch.ends_at.as_ref());
        set(&mut discount.usage_limit, patch.usage_limit.as_ref());
        set(&mut discount.customer_limit, patch.customer_limit.as_ref());
        set(&mut discount.is_active, patch.is_active.as_ref());
        if discount.ends_at.is_some_and(|end| end <= discount.starts_at) {
            let message = "Ends at must be after starts at";
            problems.add(&["discount", "endsAt"], UserErrorCode::Invalid, message);
        }
        for (field, limit) in
            [("usageLimit", discount.usage_limit), ("customerLimit", discount.customer_limit)]
        {
            if let Some(limit) = limit {
                problems.count(&["discount", field], limit);
            }
        }
        if discount.usage_limit.is_some_and(|limit| limit > 0 && limit < discount.used_count) {
            let message = format!("{} orders use this discount already", discount.used_count);
            problems.add(&["discount", "usageLimit"], UserErrorCode::NotAllowed, message);
        }
        Ok(())
    }

    /// Validates and converts the value.
    async fn value(
        &self,
        tx: &mut Tx,
        problems: &mut Problems,
        value: &NewValue,
    ) -> Result<DiscountValue, Error> {
        Ok(match value {
            NewValue::FreeShipping => DiscountValue::FreeShipping,
            NewValue::Percentage { percentage, items } => {
                check_items(tx, problems, &["percentage", "items"], items.as_ref()).await?;
                let rate_micros = parse_percentage(problems, "percentage", percentage);
                DiscountValue::Percentage { rate_micros, items: items.clone() }
            }
            NewValue::FixedAmount { amount, each, items } => {
                check_items(tx, problems, &["fixedAmount", "items"], items.as_ref()).await?;
                let field = ["discount", "value", "fixedAmount", "amount"];
                let currency = self.shop.currency;
                let amount =
                    require_positive(problems, &field, |local| local.amount(&field, amount, currency));
                DiscountValue::FixedAmount { amount, each: *each, items: items.clone() }
            }
            NewValue::BuyXGetY { buy, buy_quantity, get, get_quantity, percentage, uses_per_order } => {
                check_items(tx, problems, &["buyXGetY", "buy"], buy.as_ref()).await?;
                check_items(tx, problems, &["buyXGetY", "get"], get.as_ref()).await?;
                let field = |name: &'static str| ["discount", "value", "buyXGetY", name];
                problems.count(&field("buyQuantity"), *buy_quantity);
                problems.count(&field("getQuantity"), *get_quantity);
                if let Some(uses) = uses_per_order {
                    problems.count(&field("usesPerOrderLimit"), *uses);
                }
                DiscountValue::BuyXGetY {
                    buy: buy.clone(),
                    buy_quantity: *buy_quantity,
                    get: get.clone(),
                    get_quantity: *get_quantity,
                    rate_micros: parse_percentage(problems, "buyXGetY", percentage),
                    uses_per_order: *uses_per_order,
                }
            }
        })
    }
}

/// A percentage above zero and up to 100.
fn parse_percentage(problems: &mut Problems, of: &str, percentage: &str) -> i64 {
    let field = ["discount", "value", of, "percentage"];
    require_positive(problems, &field, |local| local.percentage(&field, percentage, MICROS))
}

/// A number above zero. `read` reports other problems itself.
fn require_positive(problems: &mut Problems, field: &[&str], read: impl FnOnce(&mut Problems) -> i64) -> i64 {
    let mut local = Problems::default();
    let number = read(&mut local);
    if number == 0 && local.is_empty() {
        local.add(field, UserErrorCode::Invalid, "Must be more than zero");
    }
    problems.append(local);
    number
}

fn set_code(problems: &mut Problems, discount: &mut Discount, code: Option<&str>) {
    let field = ["discount", "code"];
    let Some(code) = code.map(str::trim) else {
        (discount.code, discount.code_key) = (None, None);
        return;
    };
    problems.required(&field, code);
    if code.chars().count() > MAX_CODE {
        let message = format!("Code is too long (maximum is {MAX_CODE} characters)");
        problems.add(&field, UserErrorCode::TooLong, message);
    }
    if code.contains(char::is_control) {
        problems.add(&field, UserErrorCode::Invalid, "Code can't contain control characters");
    }
    (discount.code, discount.code_key) = (Some(code.to_owned()), Some(code_key(code)));
}

/// Checks that products or collections are given, exist, and do not exceed their maximum number.
async fn check_items(
    tx: &mut Tx,
    problems: &mut Problems,
    place: &[&str; 2],
    items: Option<&ItemSelection>,
) -> Result<(), Error> {
    let Some(items) = items else { return Ok(()) };
    let [value, name] = *place;
    let field = |list: &'static str| ["discount", "value", value, name, list];
    if items.products.is_empty() && items.collections.is_empty() {
        let message = "Specify at least one product or collection, or omit this for everything";
        problems.add(&["discount", "value", value, name], UserErrorCode::Blank, message);
    }
    for (list, number) in [("productIds", items.products.len()), ("collectionIds", items.collections.len())] {
        if number > MAX_ITEMS {
            let message = format!("Up to {MAX_ITEMS} are allowed");
            problems.add(&field(list), UserErrorCode::TooMany, message);
        }
    }
    let known = products::by_ids(tx.conn(), Visibility::All, &items.products).await?;
    for (at, id) in items.products.iter().enumerate() {
        if known.iter().all(|product| product.id != *id) {
            let at = at.to_string();
            let field = ["discount", "value", value, name, "productIds", &at];
            problems.add(&field, UserErrorCode::NotFound, "Product does not exist");
        }
    }
    let known = collections::by_ids(tx.conn(), &items.collections).await?;
    for (at, id) in items.collections.iter().enumerate() {
        if known.iter().all(|collection| collection.id != *id) {
            let at = at.to_string();
            let field = ["discount", "value", value, name, "collectionIds", &at];
            problems.add(&field, UserErrorCode::NotFound, "Collection does not exist");
        }
    }
    Ok(())
}

fn not_found(field: &[&str]) -> Error {
    Error::invalid(field, UserErrorCode::NotFound, "Discount does not exist")
}

fn code_taken(discount: &Discount) -> Error {
    let code = discount.code.as_deref().unwrap_or_default();
    let message = format!("There is a discount with the code '{code}' already");
    Error::invalid(&["discount", "code"], UserErrorCode::Taken, message)
}

fn event(discount: &Discount) -> DiscountEvent {
    DiscountEvent { discount_id: discount.id, title: discount.title.clone(), code: discount.code.clone() }
}
