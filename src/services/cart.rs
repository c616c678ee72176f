//! Carts: what buyers mean to buy, from the first line until an order is placed.
//!
//! Anybody may make a cart; whoever knows its token may see and change it, until it is a customer's: then they alone. A change
//! locks the cart's row first, so that of two changes at once each sees what the other did. Prices are `services::pricing`'s;
//! nothing is reserved before an order is placed.

mod addresses;
mod check;
mod codes;
mod input;
mod limits;
mod lines;
mod new_carts;
mod stock;
mod warning;

use std::sync::Arc;

use crate::auth::{Actor, Keys};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, DbError, Tx, retrying};
use crate::domain::address::Address;
use crate::domain::cart::{Attribute, CartRef};
use crate::domain::event::{CartEvent, Event};
use crate::domain::ids::{CartAddressId, CartId, CartLineId, Id, VariantId};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::carts::{self, Cart, CartLine};
use crate::services::pricing::{Basket, BasketLine, Priced};
use crate::services::validate::Problems;
use crate::services::{Attempts, Pricing, RateLimits};
use limits::CartSize;
use lines::Lines;
use new_carts::NewCarts;

pub use input::{
    AddressPatch, AddressSource, BuyerPatch, ChosenOption, LinePatch, NewAddress, NewCart, NewLine,
};
pub use limits::GuestCartLimits;
pub use stock::{Goods, Room};
pub use warning::{Warning, WarningCode, WarningTarget, warnings};

/// Makes, changes and prices carts.
pub struct Carts {
    db: Db,
    pricing: Arc<Pricing>,
    keys: Arc<Keys>,
    attempts: Arc<Attempts>,
    guests: GuestCartLimits,
    new_carts: NewCarts,
}

/// A cart since a change.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The cart.
    pub cart: Cart,
    /// Its lines, in their order.
    pub lines: Vec<CartLine>,
    /// What was not done as it was asked for.
    pub warnings: Vec<Warning>,
}

/// What a cart's price is wanted for.
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

/// What is to be done to a cart, checked as far as it can be without reading it.
enum Change<'a> {
    AddLines(&'a [NewLine]),
    UpdateLines(&'a [LinePatch]),
    RemoveLines(&'a [CartLineId]),
    Codes(Vec<String>),
    Buyer(BuyerPatch),
    Note(&'a str),
    Attributes(&'a [Attribute]),
    AddAddresses(Vec<(NewAddress, Address)>),
    UpdateAddresses(Vec<(AddressPatch, Option<Address>)>),
    RemoveAddresses(&'a [CartAddressId]),
    Delivery(&'a [ChosenOption]),
}

impl Change<'_> {
    /// The argument that is to blame when the cart would be too large.
    fn path(&self) -> &'static [&'static str] {
        match self {
            Self::AddLines(_) | Self::UpdateLines(_) => &["lines"],
            Self::RemoveLines(_) => &["lineIds"],
            Self::Codes(_) => &["discountCodes"],
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
    /// The service over a database.
    #[must_use]
    pub fn new(
        db: Db,
        pricing: Arc<Pricing>,
        keys: Arc<Keys>,
        attempts: Arc<Attempts>,
        guests: GuestCartLimits,
        rates: Arc<RateLimits>,
    ) -> Self {
        let new_carts = NewCarts::new(guests.max_new_per_hour, rates);
        Self { db, pricing, keys, attempts, guests, new_carts }
    }

    /// What a cart that its reader may see costs at this moment.
    ///
    /// # Errors
    /// [`Error`] of the database, or when the cart costs more than can be reckoned.
    pub async fn price(&self, op: &OpContext, cart: &Cart, lines: &[CartLine]) -> Result<Priced, Error> {
        let mut conn = self.db.read(&op.statements).await?;
        self.pricing.price(op, &mut conn, &basket(cart, lines)).await
    }

    /// Makes a cart. It is a signed-in customer's from the start.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn create(&self, op: &OpContext, new: &NewCart) -> Result<Changed, Error> {
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
            attributes: Json(check::kept_attributes(&new.attributes)),
            discount_codes: Json(codes),
            delivery_addresses: Json(Vec::new()),
            delivery_option: None,
            created_at: op.now(),
            updated_at: op.now(),
            token_hash: None,
        };
        buyer.apply(&mut cart);
        let warnings = addresses::add(&mut cart.delivery_addresses.0, &path, &new_addresses)?;
        retrying(|| self.create_once(op, &cart, &new.lines, &warnings)).await
    }

    async fn create_once(
        &self,
        op: &OpContext,
        cart: &Cart,
        new: &[NewLine],
        warnings: &[Warning],
    ) -> Result<Changed, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let mut changed = Changed { cart: cart.clone(), lines: Vec::new(), warnings: warnings.to_vec() };
        let made = self.fill(&mut tx, op, &mut changed, new).await;
        finish(tx, made).await.map(|()| changed)
    }

    async fn fill(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        changed: &mut Changed,
        new: &[NewLine],
    ) -> Result<(), Error> {
        let mut lines = Lines::of(changed.cart.id, Vec::new());
        if !new.is_empty() {
            let goods = read_goods(tx, new.iter().map(|line| line.variant_id)).await?;
            changed.warnings.extend(lines.add(&["input", "lines"], new, &goods, op.now())?);
        }
        check_size(&changed.cart, &lines, &["input", "lines"])?;
        self.check_guest(op, CartSize::default(), CartSize::of(&changed.cart, &lines), &["input"])?;
        self.count_unknown_codes(tx, op, &changed.cart, &changed.cart.discount_codes.0).await?;
        carts::insert(tx.conn(), &changed.cart).await.map_err(no_such_customer)?;
        let made = event(&changed.cart, &lines);
        changed.lines = write(tx, lines).await?;
        Ok(events::append(tx, op, [Event::CartCreated(made)]).await?)
    }

    /// Adds lines; a variant that is there with the same attributes gets more pieces. Of what there is too little, as much as
    /// there is.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn add_lines(&self, op: &OpContext, cart: &CartRef, new: &[NewLine]) -> Result<Changed, Error> {
        let mut problems = Problems::default();
        check::new_lines(&mut problems, &["lines"], new);
        problems.check()?;
        self.change(op, cart, &Change::AddLines(new)).await
    }

    /// Changes lines; one of no pieces goes. Of what there is too little, as much as there is, but not less than before.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn update_lines(
        &self,
        op: &OpContext,
        cart: &CartRef,
        patches: &[LinePatch],
    ) -> Result<Changed, Error> {
        let mut problems = Problems::default();
        check::line_patches(&mut problems, &["lines"], patches);
        problems.check()?;
        self.change(op, cart, &Change::UpdateLines(patches)).await
    }

    /// Removes lines.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn remove_lines(
        &self,
        op: &OpContext,
        cart: &CartRef,
        ids: &[CartLineId],
    ) -> Result<Changed, Error> {
        let mut problems = Problems::default();
        check::ids(&mut problems, &["lineIds"], ids);
        problems.check()?;
        self.change(op, cart, &Change::RemoveLines(ids)).await
    }

    /// Puts these discount codes in the place of the cart's. Whether they take anything off, its price tells.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn set_discount_codes(
        &self,
        op: &OpContext,
        cart: &CartRef,
        codes: &[String],
    ) -> Result<Changed, Error> {
        let mut problems = Problems::default();
        let codes = check::codes(&mut problems, &["discountCodes"], codes);
        problems.check()?;
        self.change(op, cart, &Change::Codes(codes)).await
    }

    /// Changes who buys. The cart becomes the signed-in customer's.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn update_buyer(
        &self,
        op: &OpContext,
        cart: &CartRef,
        buyer: &BuyerPatch,
    ) -> Result<Changed, Error> {
        let mut problems = Problems::default();
        let buyer = check::buyer(&mut problems, &["buyerIdentity"], buyer);
        problems.check()?;
        self.change(op, cart, &Change::Buyer(buyer)).await
    }

    /// Changes the buyer's note.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is too long.
    pub async fn set_note(&self, op: &OpContext, cart: &CartRef, note: &str) -> Result<Changed, Error> {
        let mut problems = Problems::default();
        check::note(&mut problems, &["note"], note);
        problems.check()?;
        self.change(op, cart, &Change::Note(note)).await
    }

    /// Puts these attributes in the place of the cart's.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn set_attributes(
        &self,
        op: &OpContext,
        cart: &CartRef,
        attributes: &[Attribute],
    ) -> Result<Changed, Error> {
        let mut problems = Problems::default();
        check::attributes(&mut problems, &["attributes"], attributes);
        problems.check()?;
        self.change(op, cart, &Change::Attributes(attributes)).await
    }

    /// Adds delivery addresses. The first of a cart is selected unless told otherwise.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn add_addresses(
        &self,
        op: &OpContext,
        cart: &CartRef,
        new: &[NewAddress],
    ) -> Result<Changed, Error> {
        let mut problems = Problems::default();
        let new = self.new_addresses(op, &mut problems, &["addresses"], new).await?;
        problems.check()?;
        self.change(op, cart, &Change::AddAddresses(new)).await
    }

    async fn new_addresses(
        &self,
        op: &OpContext,
        problems: &mut Problems,
        path: &[&str],
        sent: &[NewAddress],
    ) -> Result<Vec<(NewAddress, Address)>, Error> {
        check::one_selected(problems, path, sent.iter().map(|new| new.selected));
        let sources: Vec<_> = sent.iter().map(|new| Some(&new.address)).collect();
        let kept = addresses::kept(&self.db, op, problems, path, &sources).await?;
        Ok(sent.iter().cloned().zip(kept).filter_map(|(new, kept)| Some((new, kept?))).collect())
    }

    /// Changes delivery addresses.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn update_addresses(
        &self,
        op: &OpContext,
        cart: &CartRef,
        patches: &[AddressPatch],
    ) -> Result<Changed, Error> {
        let (path, mut problems) = (["addresses"], Problems::default());
        check::no_twins(&mut problems, &path, &["id"], patches.iter().map(|patch| patch.id));
        check::one_selected(&mut problems, &path, patches.iter().map(|patch| patch.selected));
        let sources: Vec<_> = patches.iter().map(|patch| patch.address.as_ref()).collect();
        let kept = addresses::kept(&self.db, op, &mut problems, &path, &sources).await?;
        problems.check()?;
        let patches = patches.iter().cloned().zip(kept).collect();
        self.change(op, cart, &Change::UpdateAddresses(patches)).await
    }

    /// Removes delivery addresses.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn remove_addresses(
        &self,
        op: &OpContext,
        cart: &CartRef,
        ids: &[CartAddressId],
    ) -> Result<Changed, Error> {
        let mut problems = Problems::default();
        check::ids(&mut problems, &["addressIds"], ids);
        problems.check()?;
        self.change(op, cart, &Change::RemoveAddresses(ids)).await
    }

    /// Chooses how the cart is delivered; no choice at all takes back what was chosen.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is none of the options that can be chosen.
    pub async fn choose_delivery(
        &self,
        op: &OpContext,
        cart: &CartRef,
        chosen: &[ChosenOption],
    ) -> Result<Changed, Error> {
        let mut problems = Problems::default();
        let groups = chosen.iter().map(|one| one.group_id);
        check::no_twins(&mut problems, &["selectedDeliveryOptions"], &["deliveryGroupId"], groups);
        problems.check()?;
        self.change(op, cart, &Change::Delivery(chosen)).await
    }

    async fn change(&self, op: &OpContext, cart: &CartRef, change: &Change<'_>) -> Result<Changed, Error> {
        retrying(|| self.change_once(op, cart, change)).await
    }

    async fn change_once(
        &self,
        op: &OpContext,
        cart: &CartRef,
        change: &Change<'_>,
    ) -> Result<Changed, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let changed = self.change_locked(&mut tx, op, cart, change).await;
        finish(tx, changed).await
    }

    async fn change_locked(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        cart: &CartRef,
        change: &Change<'_>,
    ) -> Result<Changed, Error> {
        let mut cart = lock(tx, op, &self.keys, cart).await?;
        let mut lines = Lines::of(cart.id, carts::lines(tx.conn(), &[cart.id]).await?);
        let before = CartSize::of(&cart, &lines);
        let mut warnings = Vec::new();
        let path = change.path();
        match change {
            Change::AddLines(new) => {
                let goods = read_goods(tx, new.iter().map(|line| line.variant_id)).await?;
                warnings = lines.add(path, new, &goods, op.now())?;
            }
            Change::UpdateLines(patches) => {
                let there = lines.after.iter().map(|line| line.variant_id);
                let wanted = patches.iter().filter_map(|patch| patch.variant_id);
                let goods = read_goods(tx, there.chain(wanted)).await?;
                warnings = lines.update(path, patches, &goods)?;
            }
            Change::RemoveLines(ids) => lines.remove(path, ids)?,
            Change::Codes(codes) => {
                self.count_unknown_codes(tx, op, &cart, &codes::added(&cart, codes)).await?;
                cart.discount_codes.0.clone_from(codes);
            }
            Change::Buyer(buyer) => {
                buyer.apply(&mut cart);
                cart.customer_id = cart.customer_id.or(op.actor.customer());
            }
            Change::Note(note) => (*note).clone_into(&mut cart.note),
            Change::Attributes(sent) => cart.attributes = Json(check::kept_attributes(sent)),
            Change::AddAddresses(new) => {
                warnings = addresses::add(&mut cart.delivery_addresses.0, path, new)?;
            }
            Change::UpdateAddresses(patches) => {
                addresses::update(&mut cart.delivery_addresses.0, path, patches)?;
            }
            Change::RemoveAddresses(ids) => addresses::remove(&mut cart.delivery_addresses.0, path, ids)?,
            Change::Delivery(chosen) => self.choose(tx, op, &mut cart, &lines.after, chosen).await?,
        }
        check_size(&cart, &lines, path)?;
        self.check_guest(op, before, CartSize::of(&cart, &lines), path)?;
        cart.updated_at = op.now();
        if !carts::update(tx.conn(), &cart).await.map_err(no_such_customer)? {
            // It was ordered while this waited for it.
            return Err(no_such_cart());
        }
        let happened = event(&cart, &lines);
        let lines = write(tx, lines).await?;
        events::append(tx, op, [Event::CartUpdated(happened)]).await?;
        Ok(Changed { cart, lines, warnings })
    }

    /// Refuses what would be too much of a caller whom nobody knows.
    fn check_guest(
        &self,
        op: &OpContext,
        before: CartSize,
        after: CartSize,
        path: &[&str],
    ) -> Result<(), Error> {
        if op.actor == Actor::Anonymous { self.guests.check(before, after, path) } else { Ok(()) }
    }

    async fn choose(
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

/// Keeps a cart from change by others, if the one who asks may use it. What there is not, what there is another key of and what
/// is somebody else's are told apart to nobody, nor is what has been ordered.
async fn lock(tx: &mut Tx, op: &OpContext, keys: &Keys, cart: &CartRef) -> Result<Cart, Error> {
    let row = carts::lock(tx.conn(), cart.id).await?;
    let is_open = |(row, is_ordered): &(Cart, bool)| {
        !is_ordered && keys.opens_cart(row, &cart.token, op.actor.customer())
    };
    row.filter(is_open).map(|(row, _)| row).ok_or_else(no_such_cart)
}

/// What a mutation of a cart that is not there answers.
#[must_use]
pub fn no_such_cart() -> Error {
    Error::invalid(&["cartId"], UserErrorCode::Invalid, "The specified cart does not exist")
}

/// Ends a transaction. What was refused is undone, and the connection kept.
async fn finish<T>(tx: Tx, result: Result<T, Error>) -> Result<T, Error> {
    match &result {
        Ok(_) => tx.commit().await?,
        Err(Error::Invalid(_) | Error::Throttled { .. }) => tx.rollback().await?,
        Err(_) => {}
    }
    result
}

async fn read_goods(tx: &mut Tx, ids: impl Iterator<Item = VariantId>) -> Result<Goods, Error> {
    let mut ids: Vec<VariantId> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    Ok(Goods::read(tx.conn(), &ids).await?)
}

fn check_size(cart: &Cart, lines: &Lines, path: &[&str]) -> Result<(), Error> {
    let own = cart.attributes.0.iter().map(|attribute| attribute.key.len() + attribute.value.len());
    if own.sum::<usize>() + lines.attribute_bytes() > check::MAX_ATTRIBUTE_BYTES {
        let most = check::MAX_ATTRIBUTE_BYTES / 1024;
        let message = format!("The attributes of a cart and its lines may have {most} KiB together");
        return Err(Error::invalid(path, UserErrorCode::CartTooLarge, message));
    }
    Ok(())
}

/// Writes what changed of the lines; the lines since.
async fn write(tx: &mut Tx, lines: Lines) -> Result<Vec<CartLine>, Error> {
    if !lines.deleted.is_empty() {
        carts::delete_lines(tx.conn(), &lines.deleted).await?;
    }
    if !lines.inserted.is_empty() {
        carts::insert_or_add_lines(tx.conn(), &lines.inserted).await.map_err(|error| match error {
            // A variant that was there a moment ago has been deleted: the next try finds it gone.
            DbError::ForeignKey(_, error) => DbError::Clash(error).into(),
            // The bound that was looked at above, where the database knows better.
            DbError::Check(..) => {
                let message = format!("A line can have up to {} pieces", check::MAX_QUANTITY);
                Error::invalid(&["lines"], UserErrorCode::MaximumExceeded, message)
            }
            error => error.into(),
        })?;
    }
    Ok(lines.after)
}

/// A cart refers to nothing but its customer, who has been erased since they signed in.
fn no_such_customer(error: DbError) -> Error {
    match error {
        DbError::ForeignKey(..) => Error::Unauthenticated,
        error => error.into(),
    }
}

fn event(cart: &Cart, lines: &Lines) -> CartEvent {
    CartEvent { cart_id: cart.id, total_quantity: lines.total_quantity() }
}
