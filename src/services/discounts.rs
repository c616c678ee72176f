//! Discounts, as staff make and change them. What they take off is `services::pricing`'s.

use std::sync::Arc;

use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, OnConstraint, Tx, retrying};
use crate::domain::discount::{CombinesWith, DiscountRule, DiscountValue, Items, code_key};
use crate::domain::event::{DiscountEvent, Event};
use crate::domain::ids::DiscountId;
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::permission::Permission;
use crate::domain::rounding::MICROS;
use crate::domain::search::{self, Warning};
use crate::domain::time::Timestamp;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::discounts::{self, Discount};
use crate::repositories::{Visibility, collections, products};
use crate::services::validate::Problems;
use crate::services::{Shop, list_query, set};

/// How many products and how many collections a discount may name.
const MAX_ITEMS: usize = 250;
/// How long a code may be, in characters.
const MAX_CODE: usize = 100;

/// Makes, changes and deletes discounts.
pub struct Discounts {
    db: Db,
    shop: Arc<Shop>,
}

/// A discount's fields: `None` leaves a field as it is (or as it usually is, in one that is made), `Some(None)` empties it.
#[derive(Clone, Debug, Default)]
pub struct DiscountPatch {
    /// What buyers call it.
    pub title: Option<String>,
    /// What they type for it; an automatic one has none.
    pub code: Option<Option<String>>,
    /// What it gives.
    pub value: Option<NewValue>,
    /// What the basket must cost, as a decimal text.
    pub minimum_subtotal: Option<Option<String>>,
    /// What it may stand beside.
    pub combines_with: Option<CombinesWith>,
    /// From when on; now, in one that is made.
    pub starts_at: Option<Timestamp>,
    /// Until when.
    pub ends_at: Option<Option<Timestamp>>,
    /// How many orders may use it.
    pub usage_limit: Option<Option<i64>>,
    /// How many orders of one customer may use it.
    pub customer_limit: Option<Option<i64>>,
    /// Whether it can be used; true, in one that is made.
    pub is_active: Option<bool>,
}

/// What a discount is to give, with its numbers as they were written.
#[derive(Clone, Debug)]
pub enum NewValue {
    /// A part of the price.
    Percentage {
        /// Such as `12.5`.
        percentage: String,
        /// Off what; `None`: the whole order.
        items: Option<Items>,
    },
    /// An amount.
    FixedAmount {
        /// A decimal text.
        amount: String,
        /// Off each piece.
        each: bool,
        /// Off what; `None`: the whole order.
        items: Option<Items>,
    },
    /// For so many pieces that are bought, so many others are cheaper.
    BuyXGetY {
        /// What must be bought; `None`: anything.
        buy: Option<Items>,
        /// How many of it.
        buy_quantity: i64,
        /// What is cheaper; `None`: anything.
        get: Option<Items>,
        /// How many of it.
        get_quantity: i64,
        /// Off their price; `100` makes them free.
        percentage: String,
        /// How often in an order.
        uses_per_order: Option<i64>,
    },
    /// Delivery costs nothing.
    FreeShipping,
}

impl Discounts {
    /// The service over a database.
    #[must_use]
    pub fn new(db: Db, shop: Arc<Shop>) -> Self {
        Self { db, shop }
    }

    /// A page of the discounts that a query finds, and what of the query was not understood.
    ///
    /// # Errors
    /// [`Error::Forbidden`] to those who may not manage the shop's settings; [`Error::BadInput`]
    /// when the query is larger than a search may be.
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

    /// Makes a discount.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn create(&self, op: &OpContext, new: &DiscountPatch) -> Result<Discount, Error> {
        op.authorize(Permission::ManageSettings)?;
        retrying(|| self.create_once(op, new)).await
    }

    async fn create_once(&self, op: &OpContext, new: &DiscountPatch) -> Result<Discount, Error> {
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
            problems.add(&["discount", "value"], UserErrorCode::Blank, "Say what the discount gives");
        }
        let mut tx = self.db.begin(&op.statements).await?;
        self.apply(&mut tx, &mut problems, &mut discount, new).await?;
        if let Err(error) = problems.check() {
            tx.rollback().await?;
            return Err(error);
        }
        discounts::insert(tx.conn(), &discount)
            .await
            .on_constraint("discounts", "code_key", || code_taken(&discount))?;
        events::append(&mut tx, op, [Event::DiscountCreated(event(&discount))]).await?;
        tx.commit().await?;
        Ok(discount)
    }

    /// Changes a discount. Orders that used it keep what it took off.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong, also when there is no such discount.
    pub async fn update(
        &self,
        op: &OpContext,
        id: DiscountId,
        patch: &DiscountPatch,
    ) -> Result<Discount, Error> {
        op.authorize(Permission::ManageSettings)?;
        retrying(|| self.update_once(op, id, patch)).await
    }

    async fn update_once(
        &self,
        op: &OpContext,
        id: DiscountId,
        patch: &DiscountPatch,
    ) -> Result<Discount, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let Some(mut discount) = discounts::lock(tx.conn(), id).await? else {
            tx.rollback().await?;
            return Err(missing(&["id"]));
        };
        let mut problems = Problems::default();
        self.apply(&mut tx, &mut problems, &mut discount, patch).await?;
        if let Err(error) = problems.check() {
            tx.rollback().await?;
            return Err(error);
        }
        discount.updated_at = op.now();
        discounts::update(tx.conn(), &discount)
            .await
            .on_constraint("discounts", "code_key", || code_taken(&discount))?;
        events::append(&mut tx, op, [Event::DiscountUpdated(event(&discount))]).await?;
        tx.commit().await?;
        Ok(discount)
    }

    /// Deletes a discount. Orders that used it keep what it took off.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such discount.
    pub async fn delete(&self, op: &OpContext, id: DiscountId) -> Result<(), Error> {
        op.authorize(Permission::ManageSettings)?;
        retrying(|| self.delete_once(op, id)).await
    }

    async fn delete_once(&self, op: &OpContext, id: DiscountId) -> Result<(), Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let Some(discount) = discounts::lock(tx.conn(), id).await? else {
            tx.rollback().await?;
            return Err(missing(&["id"]));
        };
        discounts::delete(tx.conn(), id).await?;
        events::append(&mut tx, op, [Event::DiscountDeleted(event(&discount))]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Puts a patch's fields into a discount and notes what is wrong with the outcome.
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
            rule.minimum_subtotal = problems.amount_if_any(&field, minimum.as_deref(), self.shop.currency);
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

    /// Reads what a discount is to give.
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
                let rate_micros = part(problems, "percentage", percentage);
                DiscountValue::Percentage { rate_micros, items: items.clone() }
            }
            NewValue::FixedAmount { amount, each, items } => {
                check_items(tx, problems, &["fixedAmount", "items"], items.as_ref()).await?;
                let field = ["discount", "value", "fixedAmount", "amount"];
                let currency = self.shop.currency;
                let amount = positive(problems, &field, |own| own.amount(&field, amount, currency));
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
                    rate_micros: part(problems, "buyXGetY", percentage),
                    uses_per_order: *uses_per_order,
                }
            }
        })
    }
}

/// A part of a price, above zero and up to all of it.
fn part(problems: &mut Problems, of: &str, percentage: &str) -> i64 {
    let field = ["discount", "value", of, "percentage"];
    positive(problems, &field, |own| own.percentage(&field, percentage, MICROS))
}

/// A number that must be above zero; what is wrong with it otherwise is noted by `read`.
fn positive(problems: &mut Problems, field: &[&str], read: impl FnOnce(&mut Problems) -> i64) -> i64 {
    let mut own = Problems::default();
    let number = read(&mut own);
    if number == 0 && own.is_empty() {
        own.add(field, UserErrorCode::Invalid, "Must be more than zero");
    }
    problems.append(own);
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
    if code.contains(char::is_control) && !code.contains('\0') {
        problems.add(&field, UserErrorCode::Invalid, "Code can't contain control characters");
    }
    (discount.code, discount.code_key) = (Some(code.to_owned()), Some(code_key(code)));
}

/// Sees that products and collections are named, are not too many, and are there.
async fn check_items(
    tx: &mut Tx,
    problems: &mut Problems,
    place: &[&str; 2],
    items: Option<&Items>,
) -> Result<(), Error> {
    let Some(items) = items else { return Ok(()) };
    let [value, name] = *place;
    let field = |list: &'static str| ["discount", "value", value, name, list];
    if items.products.is_empty() && items.collections.is_empty() {
        let message = "Name at least one product or collection, or leave it out for everything";
        problems.add(&["discount", "value", value, name], UserErrorCode::Blank, message);
    }
    for (list, number) in [("productIds", items.products.len()), ("collectionIds", items.collections.len())] {
        if number > MAX_ITEMS {
            let message = format!("Up to {MAX_ITEMS} can be named");
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

fn missing(field: &[&str]) -> Error {
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
