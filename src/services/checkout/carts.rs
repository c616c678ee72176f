//! Carts, from their first line until they are ordered.
//!
//! Anyone can create a cart. Until it belongs to a customer, anyone who knows its key may read and
//! change it; after that, only the customer may and, on the checkout page, anyone who has the link.
//! Changes lock the cart's row first, so that concurrent changes are applied one after another.
//! Prices come from `services::checkout::pricing`. Carts reserve no stock.

mod addresses;
mod availability;
mod check;
mod checkout_sign_in;
mod codes;
mod gift_cards;
mod input;
mod limits;
mod lines;
mod merge;
mod new_carts;
mod open;
mod warning;

use std::sync::Arc;

use crate::auth::Keys;
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, DbError, Tx};
use crate::domain::access::actors::Actor;
use crate::domain::checkout::carts::{Attribute, CartRef};
use crate::domain::customers::addresses::Address;
use crate::domain::events::{CartEvent, Event};
use crate::domain::ids::{CartAddressId, CartId, CartLineId, CreditAccountId, Id, VariantId};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::checkout::carts::{self, Cart, CartLine};
use crate::services::checkout::pricing::{Basket, BasketLine, PricedBasket};
use crate::services::input::Problems;
use crate::services::{Attempts, Pricing, RateLimits};
use limits::CartSize;
use lines::CartLines;
use new_carts::NewCarts;

pub use availability::{Availability, SellableVariants};
pub use checkout_sign_in::SignInLink;
pub use input::{
    AddressPatch, AddressSource, BuyerPatch, ChosenOption, LinePatch, NewAddress, NewCart, NewLine,
};
pub use limits::GuestCartLimits;
pub use merge::merged_cart_not_found;
pub use open::OpenCart;
pub(crate) use open::may_use;
pub use warning::{Warning, WarningCode, WarningTarget, warnings};

/// Creates, changes and prices carts.
pub struct Carts {
    db: Db,
    pricing: Arc<Pricing>,
    keys: Arc<Keys>,
    attempts: Arc<Attempts>,
    guests: GuestCartLimits,
    new_carts: NewCarts,
    /// Where checkout pages are, if not on this server; without a trailing slash.
    checkout_url: Option<String>,
}

/// A cart after a change.
#[derive(Clone, Debug)]
pub struct ChangedCart {
    /// The cart.
    pub cart: Cart,
    /// Its lines, in order.
    pub lines: Vec<CartLine>,
    /// Requested changes that were not fully applied.
    pub warnings: Vec<Warning>,
}

/// The basket to price for a cart.
#[must_use]
pub fn basket<'a>(cart: &'a Cart, lines: &[CartLine]) -> Basket<'a> {
    let line = |line: &CartLine| BasketLine {
        key: line.id.uuid(),
        variant_id: line.variant_id,
        quantity: line.quantity,
    };
    Basket {
        lines: lines.iter().map(line).collect(),
        codes: &cart.discount_codes.0,
        buyer: cart.buyer(),
        destination: cart.destination().map(|chosen| &chosen.address),
        country: cart.country.as_deref(),
        delivery_option: cart.delivery_option.as_deref(),
    }
}

/// A change of a cart, validated as far as possible without reading the cart.
enum CartChange<'a> {
    AddLines(&'a [NewLine]),
    UpdateLines(&'a [LinePatch]),
    RemoveLines(&'a [CartLineId]),
    Codes(Vec<String>),
    /// The gift cards and store credit that it is paid with.
    Credit(Vec<CreditAccountId>),
    Buyer(BuyerPatch),
    Note(&'a str),
    Attributes(&'a [Attribute]),
    AddAddresses(Vec<(NewAddress, Address)>),
    UpdateAddresses(Vec<(AddressPatch, Option<Address>)>),
    RemoveAddresses(&'a [CartAddressId]),
    Delivery(&'a [ChosenOption]),
}

impl CartChange<'_> {
    /// The argument that is reported when the cart would become too large.
    fn path(&self) -> &'static [&'static str] {
        match self {
            Self::AddLines(_) | Self::UpdateLines(_) => &["lines"],
            Self::RemoveLines(_) => &["lineIds"],
            Self::Codes(_) => &["discountCodes"],
            Self::Credit(_) => &["giftCardCodes"],
            Self::Buyer(_) => &["buyerIdentity"],
            Self::Note(_) => &["note"],
            Self::Attributes(_) => &["attributes"],
            Self::AddAddresses(_) | Self::UpdateAddresses(_) => &["addresses"],
            Self::RemoveAddresses(_) => &["addressIds"],
            Self::Delivery(_) => &["selectedDeliveryOptions"],
        }
    }
}

impl Carts {
    /// Creates the service.
    #[must_use]
    pub fn new(
        db: Db,
        pricing: Arc<Pricing>,
        keys: Arc<Keys>,
        attempts: Arc<Attempts>,
        guests: GuestCartLimits,
        rates: Arc<RateLimits>,
        checkout_url: Option<String>,
    ) -> Self {
        let new_carts = NewCarts::new(guests.max_new_per_hour, rates);
        Self { db, pricing, keys, attempts, guests, new_carts, checkout_url }
    }

    /// Prices a cart. The caller is responsible for authorization.
    ///
    /// # Errors
    /// Database errors; [`Error::Invalid`] when amounts overflow.
    pub async fn price(
        &self,
        op: &OpContext,
        cart: &Cart,
        lines: &[CartLine],
    ) -> Result<PricedBasket, Error> {
        let mut conn = self.db.read(&op.statements).await?;
        self.pricing.price(op, &mut conn, &basket(cart, lines)).await
    }

    /// Creates a cart. If a customer is signed in, it belongs to them.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn create(&self, op: &OpContext, new: &NewCart) -> Result<ChangedCart, Error> {
        let mut problems = Problems::default();
        check::new_lines(&mut problems, &["input", "lines"], &new.lines);
        check::note(&mut problems, &["input", "note"], &new.note);
        check::attributes(&mut problems, &["input", "attributes"], &new.attributes);
        let codes = check::codes(&mut problems, &["input", "discountCodes"], &new.codes);
        let buyer = check::buyer(&mut problems, &["input", "buyerIdentity"], &new.buyer);
        let path = ["input", "delivery", "addresses"];
        let new_addresses = self.new_addresses(op, &mut problems, &path, &new.addresses).await?;
        problems.check()?;
        if let (Actor::Anonymous, Some(address)) = (&op.actor, op.client_address) {
            self.new_carts.count(op, address).await?;
        }
        let mut cart = Cart {
            id: CartId::generate(),
            customer_id: op.actor.customer(),
            email: None,
            phone: None,
            country: op.locale.country.map(str::to_owned),
            note: new.note.clone(),
            attributes: Json(check::dedup_attributes(&new.attributes)),
            discount_codes: Json(codes),
            delivery_addresses: Json(Vec::new()),
            delivery_option: None,
            created_at: op.now(),
            updated_at: op.now(),
            token_hash: None,
            credit_account_ids: Json(Vec::new()),
        };
        buyer.apply(&mut cart);
        let warnings = addresses::add(&mut cart.delivery_addresses.0, &path, &new_addresses)?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let (cart, warnings) = (cart.clone(), warnings.clone());
                let mut changed = ChangedCart { cart, lines: Vec::new(), warnings };
                self.insert_cart(tx, op, &mut changed, &new.lines).await?;
                Ok(changed)
            })
            .await
    }

    async fn insert_cart(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        changed: &mut ChangedCart,
        new: &[NewLine],
    ) -> Result<(), Error> {
        let mut lines = CartLines::of(changed.cart.id, Vec::new());
        if !new.is_empty() {
            let sellable = read_sellable_variants(tx, new.iter().map(|line| line.variant_id)).await?;
            changed.warnings.extend(lines.add(&["input", "lines"], new, &sellable, op.now())?);
        }
        check_size(&changed.cart, &lines, &["input", "lines"])?;
        self.check_guest(op, &changed.cart, CartSize::default(), &lines, &["input"])?;
        self.count_unknown_codes(tx, op, &changed.cart, &changed.cart.discount_codes.0).await?;
        carts::insert(tx.conn(), &changed.cart).await.map_err(customer_not_found)?;
        let made = event(&changed.cart, &lines);
        changed.lines = write_lines(tx, lines).await?;
        Ok(events::append(tx, op, [Event::CartCreated(made)]).await?)
    }

    /// Adds lines. If there is a line of the same variant and attributes, its quantity is
    /// increased. Quantities are limited to the available stock.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn add_lines(
        &self,
        op: &OpContext,
        cart: &CartRef,
        new: &[NewLine],
    ) -> Result<ChangedCart, Error> {
        let mut problems = Problems::default();
        check::new_lines(&mut problems, &["lines"], new);
        problems.check()?;
        self.change(op, cart, &CartChange::AddLines(new)).await
    }

    /// Updates lines; a quantity of zero removes the line. Increased quantities are limited to the
    /// available stock, but never fall below their previous value.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn update_lines(
        &self,
        op: &OpContext,
        cart: &CartRef,
        patches: &[LinePatch],
    ) -> Result<ChangedCart, Error> {
        let mut problems = Problems::default();
        check::line_patches(&mut problems, &["lines"], patches);
        problems.check()?;
        self.change(op, cart, &CartChange::UpdateLines(patches)).await
    }

    /// Removes lines.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn remove_lines(
        &self,
        op: &OpContext,
        cart: &CartRef,
        ids: &[CartLineId],
    ) -> Result<ChangedCart, Error> {
        let mut problems = Problems::default();
        check::ids(&mut problems, &["lineIds"], ids);
        problems.check()?;
        self.change(op, cart, &CartChange::RemoveLines(ids)).await
    }

    /// Replaces the discount codes. Whether they apply is part of the cart's price.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn set_discount_codes(
        &self,
        op: &OpContext,
        cart: &CartRef,
        codes: &[String],
    ) -> Result<ChangedCart, Error> {
        let mut problems = Problems::default();
        let codes = check::codes(&mut problems, &["discountCodes"], codes);
        problems.check()?;
        self.change(op, cart, &CartChange::Codes(codes)).await
    }

    /// Updates the buyer. If a customer is signed in, the cart becomes theirs.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn update_buyer(
        &self,
        op: &OpContext,
        cart: &CartRef,
        buyer: &BuyerPatch,
    ) -> Result<ChangedCart, Error> {
        let mut problems = Problems::default();
        let buyer = check::buyer(&mut problems, &["buyerIdentity"], buyer);
        problems.check()?;
        self.change(op, cart, &CartChange::Buyer(buyer)).await
    }

    /// Replaces the buyer's note.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is too long.
    pub async fn set_note(&self, op: &OpContext, cart: &CartRef, note: &str) -> Result<ChangedCart, Error> {
        let mut problems = Problems::default();
        check::note(&mut problems, &["note"], note);
        problems.check()?;
        self.change(op, cart, &CartChange::Note(note)).await
    }

    /// Replaces the attributes.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn set_attributes(
        &self,
        op: &OpContext,
        cart: &CartRef,
        attributes: &[Attribute],
    ) -> Result<ChangedCart, Error> {
        let mut problems = Problems::default();
        check::attributes(&mut problems, &["attributes"], attributes);
        problems.check()?;
        self.change(op, cart, &CartChange::Attributes(attributes)).await
    }

    /// Adds delivery addresses. The first address of a cart is selected by default.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn add_addresses(
        &self,
        op: &OpContext,
        cart: &CartRef,
        new: &[NewAddress],
    ) -> Result<ChangedCart, Error> {
        let mut problems = Problems::default();
        let new = self.new_addresses(op, &mut problems, &["addresses"], new).await?;
        problems.check()?;
        self.change(op, cart, &CartChange::AddAddresses(new)).await
    }

    async fn new_addresses(
        &self,
        op: &OpContext,
        problems: &mut Problems,
        path: &[&str],
        input: &[NewAddress],
    ) -> Result<Vec<(NewAddress, Address)>, Error> {
        check::check_single_selection(problems, path, input.iter().map(|new| new.selected));
        let sources: Vec<_> = input.iter().map(|new| Some(&new.address)).collect();
        let kept = addresses::resolve(&self.db, op, problems, path, &sources).await?;
        Ok(input.iter().cloned().zip(kept).filter_map(|(new, kept)| Some((new, kept?))).collect())
    }

    /// Updates delivery addresses.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn update_addresses(
        &self,
        op: &OpContext,
        cart: &CartRef,
        patches: &[AddressPatch],
    ) -> Result<ChangedCart, Error> {
        let (path, mut problems) = (["addresses"], Problems::default());
        check::reject_duplicates(&mut problems, &path, &["id"], patches.iter().map(|patch| patch.id));
        check::check_single_selection(&mut problems, &path, patches.iter().map(|patch| patch.selected));
        let sources: Vec<_> = patches.iter().map(|patch| patch.address.as_ref()).collect();
        let kept = addresses::resolve(&self.db, op, &mut problems, &path, &sources).await?;
        problems.check()?;
        let patches = patches.iter().cloned().zip(kept).collect();
        self.change(op, cart, &CartChange::UpdateAddresses(patches)).await
    }

    /// Removes delivery addresses.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn remove_addresses(
        &self,
        op: &OpContext,
        cart: &CartRef,
        ids: &[CartAddressId],
    ) -> Result<ChangedCart, Error> {
        let mut problems = Problems::default();
        check::ids(&mut problems, &["addressIds"], ids);
        problems.check()?;
        self.change(op, cart, &CartChange::RemoveAddresses(ids)).await
    }

    /// Selects a delivery option, or clears the selection if there is none.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the option is not available.
    pub async fn choose_delivery(
        &self,
        op: &OpContext,
        cart: &CartRef,
        chosen: &[ChosenOption],
    ) -> Result<ChangedCart, Error> {
        let mut problems = Problems::default();
        let groups = chosen.iter().map(|one| one.group_id);
        check::reject_duplicates(&mut problems, &["selectedDeliveryOptions"], &["deliveryGroupId"], groups);
        problems.check()?;
        self.change(op, cart, &CartChange::Delivery(chosen)).await
    }

    async fn change(
        &self,
        op: &OpContext,
        cart: &CartRef,
        change: &CartChange<'_>,
    ) -> Result<ChangedCart, Error> {
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| self.change_in(tx, op, cart, change).await)
            .await
    }

    async fn change_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        cart: &CartRef,
        change: &CartChange<'_>,
    ) -> Result<ChangedCart, Error> {
        let mut cart = lock(tx, op, &self.keys, cart).await?;
        let mut lines = CartLines::of(cart.id, carts::lines(tx.conn(), &[cart.id]).await?);
        let before = CartSize::of(&cart, &lines);
        let mut warnings = Vec::new();
        let path = change.path();
        match change {
            CartChange::AddLines(new) => {
                let sellable = read_sellable_variants(tx, new.iter().map(|line| line.variant_id)).await?;
                warnings = lines.add(path, new, &sellable, op.now())?;
            }
            CartChange::UpdateLines(patches) => {
                let there = lines.after.iter().map(|line| line.variant_id);
                let wanted = patches.iter().filter_map(|patch| patch.variant_id);
                let sellable = read_sellable_variants(tx, there.chain(wanted)).await?;
                warnings = lines.update(path, patches, &sellable)?;
            }
            CartChange::RemoveLines(ids) => lines.remove(path, ids)?,
            CartChange::Codes(codes) => {
                self.count_unknown_codes(tx, op, &cart, &codes::new_codes(&cart, codes)).await?;
                cart.discount_codes.0.clone_from(codes);
            }
            CartChange::Credit(ids) => cart.credit_account_ids.0.clone_from(ids),
            CartChange::Buyer(buyer) => {
                buyer.apply(&mut cart);
                cart.customer_id = cart.customer_id.or(op.actor.customer());
            }
            CartChange::Note(note) => (*note).clone_into(&mut cart.note),
            CartChange::Attributes(attributes) => cart.attributes = Json(check::dedup_attributes(attributes)),
            CartChange::AddAddresses(new) => {
                warnings = addresses::add(&mut cart.delivery_addresses.0, path, new)?;
            }
            CartChange::UpdateAddresses(patches) => {
                addresses::update(&mut cart.delivery_addresses.0, path, patches)?;
            }
            CartChange::RemoveAddresses(ids) => addresses::remove(&mut cart.delivery_addresses.0, path, ids)?,
            CartChange::Delivery(chosen) => {
                self.select_delivery(tx, op, &mut cart, &lines.after, chosen).await?;
            }
        }
        check_size(&cart, &lines, path)?;
        self.check_guest(op, &cart, before, &lines, path)?;
        cart.updated_at = op.now();
        update(tx, &cart).await?;
        let updated = event(&cart, &lines);
        let lines = write_lines(tx, lines).await?;
        events::append(tx, op, [Event::CartUpdated(updated)]).await?;
        Ok(ChangedCart { cart, lines, warnings })
    }

    /// Enforces the limits on guests' carts. They don't apply to an anonymous caller who uses a
    /// customer's cart, which is only possible on its checkout page.
    fn check_guest(
        &self,
        op: &OpContext,
        cart: &Cart,
        before: CartSize,
        lines: &CartLines,
        path: &[&str],
    ) -> Result<(), Error> {
        if op.actor != Actor::Anonymous || cart.customer_id.is_some() {
            return Ok(());
        }
        self.guests.check(before, CartSize::of(cart, lines), path)
    }

    async fn select_delivery(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        cart: &mut Cart,
        lines: &[CartLine],
        chosen: &[ChosenOption],
    ) -> Result<(), Error> {
        const LIST: &str = "selectedDeliveryOptions";
        for (index, one) in chosen.iter().enumerate() {
            let at = index.to_string();
            let wrong = |part, code, message| Err(Error::invalid(&[LIST, &at, part], code, message));
            if one.group_id.uuid() != cart.id.uuid() {
                let message = "The delivery group is not one of the cart's";
                return wrong("deliveryGroupId", UserErrorCode::InvalidDeliveryGroup, message);
            }
            let priced = self.pricing.price(op, tx.conn(), &basket(cart, lines)).await?;
            if priced.delivery_options.iter().all(|option| option.handle != one.handle) {
                let message = "The cart can't be delivered this way";
                return wrong("deliveryOptionHandle", UserErrorCode::InvalidDeliveryOption, message);
            }
        }
        cart.delivery_option = chosen.first().map(|one| one.handle.clone());
        Ok(())
    }
}

/// Locks a cart that the caller may use. A missing cart, a wrong key, another customer's cart and
/// an ordered cart all give the same error.
async fn lock(tx: &mut Tx, op: &OpContext, keys: &Keys, cart: &CartRef) -> Result<Cart, Error> {
    let row = carts::lock(tx.conn(), cart.id).await?;
    let is_open = |(row, is_ordered): &(Cart, bool)| !is_ordered && may_use(op, keys, row, &cart.key);
    row.filter(is_open).map(|(row, _)| row).ok_or_else(cart_not_found)
}

/// The error of mutations on a missing cart.
#[must_use]
pub fn cart_not_found() -> Error {
    Error::invalid(&["cartId"], UserErrorCode::Invalid, "The specified cart does not exist")
}

async fn read_sellable_variants(
    tx: &mut Tx,
    ids: impl Iterator<Item = VariantId>,
) -> Result<SellableVariants, Error> {
    let mut ids: Vec<VariantId> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    Ok(SellableVariants::read(tx.conn(), &ids).await?)
}

fn check_size(cart: &Cart, lines: &CartLines, path: &[&str]) -> Result<(), Error> {
    let own = cart.attributes.0.iter().map(|attribute| attribute.key.len() + attribute.value.len());
    if own.sum::<usize>() + lines.attribute_bytes() > check::MAX_ATTRIBUTE_BYTES {
        let max_kib = check::MAX_ATTRIBUTE_BYTES / 1024;
        let message = format!("The attributes of a cart and its lines may have up to {max_kib} KiB in total");
        return Err(Error::invalid(path, UserErrorCode::CartTooLarge, message));
    }
    Ok(())
}

/// Writes the changed lines and returns all lines.
async fn write_lines(tx: &mut Tx, lines: CartLines) -> Result<Vec<CartLine>, Error> {
    if !lines.deleted.is_empty() {
        carts::delete_lines(tx.conn(), &lines.deleted).await?;
    }
    if !lines.inserted.is_empty() {
        carts::insert_or_add_lines(tx.conn(), &lines.inserted).await.map_err(|error| match error {
            // The variant was deleted a moment ago: the retry will not find it.
            DbError::ForeignKey(_, error) => DbError::Conflict(error).into(),
            // The limit was checked above, but a concurrent change came first.
            DbError::Check(..) => {
                let message = format!("A line can have up to {} units", check::MAX_QUANTITY);
                Error::invalid(&["lines"], UserErrorCode::MaximumExceeded, message)
            }
            error => error.into(),
        })?;
    }
    Ok(lines.after)
}

async fn update(tx: &mut Tx, cart: &Cart) -> Result<(), Error> {
    let is_open = carts::update(tx.conn(), cart).await.map_err(customer_not_found)?;
    // The cart may have been ordered while the change waited for the lock.
    if is_open { Ok(()) } else { Err(cart_not_found()) }
}

/// The only foreign key of a cart is its customer, who must have been erased since they signed in.
fn customer_not_found(error: DbError) -> Error {
    match error {
        DbError::ForeignKey(..) => Error::Unauthenticated,
        error => error.into(),
    }
}

fn event(cart: &Cart, lines: &CartLines) -> CartEvent {
    CartEvent { cart_id: cart.id, total_quantity: lines.total_quantity() }
}
