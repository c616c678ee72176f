//! Changes of a cart's lines, reckoned on what is in the locked cart: what the lines are afterwards, and the fewest writes that
//! make them so.

use super::check::{self, MAX_LINES, MAX_QUANTITY, attributes_key, blame, kept_attributes};
use super::stock::{Goods, Room};
use super::{LinePatch, NewLine, Warning, WarningTarget};
use crate::db::types::Json;
use crate::domain::ids::{CartId, CartLineId, Id, VariantId};
use crate::domain::time::Timestamp;
use crate::error::{Error, UserErrorCode};
use crate::repositories::carts::CartLine;
use crate::services::validate::Problems;

/// The lines of a cart as they are to be, and what is to be written.
pub struct Lines {
    /// As they are to be, in their order.
    pub after: Vec<CartLine>,
    /// Rows that go; some of them come back changed.
    pub deleted: Vec<CartLineId>,
    /// Rows that come, or whose quantities are added to those that are there.
    pub inserted: Vec<CartLine>,
    cart_id: CartId,
}

impl Lines {
    /// The lines of a cart, unchanged.
    pub fn of(cart_id: CartId, lines: Vec<CartLine>) -> Self {
        Self { after: lines, deleted: Vec::new(), inserted: Vec::new(), cart_id }
    }

    /// Pieces in the cart.
    pub fn total_quantity(&self) -> i64 {
        self.after.iter().map(|line| line.quantity).sum()
    }

    /// Adds lines, each as far as its variant can be had.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub fn add(
        &mut self,
        path: &[&str],
        new: &[NewLine],
        goods: &Goods,
        at: Timestamp,
    ) -> Result<Vec<Warning>, Error> {
        let mut problems = Problems::default();
        let pieces_before = self.total_quantity();
        let mut short = Vec::new();
        for (index, line) in new.iter().enumerate() {
            let room = goods.room(line.variant_id);
            if room == Room::Gone {
                no_merchandise(&mut problems, path, index, line.variant_id);
                continue;
            }
            let accepted = room.accept(self.quantity_of(line.variant_id, None), line.quantity);
            if accepted < line.quantity && !short.contains(&line.variant_id) {
                short.push(line.variant_id);
            }
            if accepted > 0 && self.put(line, accepted, at) > MAX_QUANTITY {
                too_many_pieces(&mut problems, path, index);
            }
        }
        if self.after.len() > MAX_LINES {
            let message = format!("A cart can have up to {MAX_LINES} lines");
            problems.add(path, UserErrorCode::CartTooLarge, message);
        }
        self.check_pieces(&mut problems, path, pieces_before);
        problems.check()?;
        Ok(self.warnings(short, goods))
    }

    /// Puts pieces into the line of their variant and attributes; its quantity since.
    fn put(&mut self, new: &NewLine, quantity: i64, at: Timestamp) -> i64 {
        let attributes = kept_attributes(&new.attributes);
        let key = attributes_key(&attributes);
        let row = CartLine {
            id: CartLineId::generate(),
            cart_id: self.cart_id,
            variant_id: new.variant_id,
            quantity,
            attributes: Json(attributes),
            attributes_key: key,
            created_at: at,
        };
        match self.inserted.iter_mut().find(|known| is_same(known, &row)) {
            Some(known) => known.quantity += quantity,
            None => self.inserted.push(row.clone()),
        }
        match self.after.iter_mut().find(|known| is_same(known, &row)) {
            Some(known) => {
                known.quantity += quantity;
                known.quantity
            }
            None => {
                self.after.push(row);
                quantity
            }
        }
    }

    /// Changes lines. More pieces are had as far as there are any; fewer always. Lines that become alike become one.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub fn update(
        &mut self,
        path: &[&str],
        patches: &[LinePatch],
        goods: &Goods,
    ) -> Result<Vec<Warning>, Error> {
        let mut problems = Problems::default();
        let mut short = Vec::new();
        let before = self.after.clone();
        for (index, patch) in patches.iter().enumerate() {
            let Some(line) = self.after.iter().find(|line| line.id == patch.id) else {
                no_line(&mut problems, (path, index, &["id"]));
                continue;
            };
            let mut line = line.clone();
            let variant = patch.variant_id.unwrap_or(line.variant_id);
            let held = if variant == line.variant_id { line.quantity } else { 0 };
            let wanted = patch.quantity.unwrap_or(line.quantity);
            let room = goods.room(variant);
            if held == 0 && room == Room::Gone {
                no_merchandise(&mut problems, path, index, variant);
                continue;
            }
            let accepted = if wanted <= held {
                wanted
            } else {
                room.accept(self.quantity_of(variant, Some(line.id)), wanted).max(held)
            };
            if accepted < wanted && !short.contains(&variant) {
                short.push(variant);
            }
            // A line whose new variant can't be had at all stays as it is.
            if accepted > 0 || wanted == 0 {
                (line.variant_id, line.quantity) = (variant, accepted);
            }
            if let Some(attributes) = &patch.attributes {
                let attributes = kept_attributes(attributes);
                line.attributes_key = attributes_key(&attributes);
                line.attributes = Json(attributes);
            }
            self.replace(line);
        }
        self.merge(&mut problems, path);
        self.check_pieces(&mut problems, path, before.iter().map(|line| line.quantity).sum());
        problems.check()?;
        self.write_differences(&before);
        Ok(self.warnings(short, goods))
    }

    /// Removes lines.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the ids of those that are not there.
    pub fn remove(&mut self, path: &[&str], ids: &[CartLineId]) -> Result<(), Error> {
        let mut problems = Problems::default();
        for (index, id) in ids.iter().enumerate() {
            match self.after.iter().position(|line| line.id == *id) {
                Some(at) => self.deleted.push(self.after.remove(at).id),
                None => no_line(&mut problems, (path, index, &[])),
            }
        }
        problems.check()
    }

    /// All lines together may have as many pieces as one, so that what they cost can always be added up. A cart that was beyond
    /// that before may still shrink.
    fn check_pieces(&self, problems: &mut Problems, path: &[&str], before: i64) {
        let pieces = self.total_quantity();
        if problems.is_empty() && pieces > MAX_QUANTITY && pieces > before {
            let message =
                format!("A cart can have up to {MAX_QUANTITY} pieces in all its lines, and not {pieces}");
            problems.add(path, UserErrorCode::CartTooLarge, message);
        }
    }

    /// How large all attributes are together, in bytes.
    pub fn attribute_bytes(&self) -> usize {
        let attributes = self.after.iter().flat_map(|line| &line.attributes.0);
        attributes.map(|attribute| attribute.key.len() + attribute.value.len()).sum()
    }

    fn quantity_of(&self, variant: VariantId, but: Option<CartLineId>) -> i64 {
        let lines = self.after.iter().filter(|line| line.variant_id == variant && Some(line.id) != but);
        lines.map(|line| line.quantity).sum()
    }

    fn replace(&mut self, line: CartLine) {
        if let Some(known) = self.after.iter_mut().find(|known| known.id == line.id) {
            *known = line;
        }
    }

    /// Makes one line of those that are alike, in the place of the first, and drops those without pieces.
    fn merge(&mut self, problems: &mut Problems, path: &[&str]) {
        let mut merged: Vec<CartLine> = Vec::with_capacity(self.after.len());
        for line in self.after.drain(..).filter(|line| line.quantity > 0) {
            match merged.iter_mut().find(|known| is_same(known, &line)) {
                Some(known) => known.quantity += line.quantity,
                None => merged.push(line),
            }
        }
        if merged.iter().any(|line| line.quantity > MAX_QUANTITY) {
            let message = format!("A line can have up to {MAX_QUANTITY} pieces");
            problems.add(path, UserErrorCode::MaximumExceeded, message);
        }
        self.after = merged;
    }

    /// Rows that changed go and come back: two statements, however many there are.
    fn write_differences(&mut self, before: &[CartLine]) {
        let differ = |line: &CartLine, lines: &[CartLine]| !lines.contains(line);
        self.deleted.extend(before.iter().filter(|line| differ(line, &self.after)).map(|line| line.id));
        self.inserted.extend(self.after.iter().filter(|line| differ(line, before)).cloned());
    }

    /// What is to be said of variants of which there is less than was wanted.
    fn warnings(&self, short: Vec<VariantId>, goods: &Goods) -> Vec<Warning> {
        let warning = |variant: VariantId| {
            let line = self.after.iter().find(|line| line.variant_id == variant);
            let target = line.map_or(WarningTarget::Variant(variant), |line| WarningTarget::Line(line.id));
            let available = goods.room(variant).accept(0, MAX_QUANTITY);
            Warning::of_stock(target, goods.title(variant), available)
        };
        short.into_iter().map(warning).collect()
    }
}

fn is_same(a: &CartLine, b: &CartLine) -> bool {
    a.variant_id == b.variant_id && a.attributes_key == b.attributes_key
}

fn no_merchandise(problems: &mut Problems, path: &[&str], index: usize, variant: VariantId) {
    let message = format!("There is no product variant {} for sale", variant.uuid());
    blame(problems, (path, index, &["merchandiseId"]), UserErrorCode::Invalid, message);
}

fn no_line(problems: &mut Problems, place: (&[&str], usize, &[&str])) {
    check::blame(problems, place, UserErrorCode::InvalidMerchandiseLine, "The line is not in the cart");
}

fn too_many_pieces(problems: &mut Problems, path: &[&str], index: usize) {
    let message = format!("A line can have up to {MAX_QUANTITY} pieces");
    blame(problems, (path, index, &["quantity"]), UserErrorCode::MaximumExceeded, message);
}
