//! Changes of a cart's lines, computed from the lines of the locked cart: the resulting lines, and
//! the minimum of writes to get there.

use super::availability::{Availability, SellableVariants};
use super::check::{self, MAX_LINES, MAX_QUANTITY, add_problem, attributes_key, dedup_attributes};
use super::{LinePatch, NewLine, Warning, WarningTarget};
use crate::db::types::Json;
use crate::domain::ids::{CartId, CartLineId, Id, VariantId};
use crate::domain::time::Timestamp;
use crate::error::{Error, UserErrorCode};
use crate::repositories::checkout::carts::CartLine;
use crate::services::input::Problems;

/// The lines of a cart after a change, with the writes that are needed.
pub struct CartLines {
    /// The resulting lines, in order.
    pub after: Vec<CartLine>,
    /// Rows to delete; some of them are inserted again in changed form.
    pub deleted: Vec<CartLineId>,
    /// Rows to insert, or to add to the quantity of existing ones.
    pub inserted: Vec<CartLine>,
    cart_id: CartId,
}

impl CartLines {
    /// The lines of a cart, unchanged.
    pub fn of(cart_id: CartId, lines: Vec<CartLine>) -> Self {
        Self { after: lines, deleted: Vec::new(), inserted: Vec::new(), cart_id }
    }

    /// Number of units in the cart.
    pub fn total_quantity(&self) -> i64 {
        self.after.iter().map(|line| line.quantity).sum()
    }

    /// Adds lines, with quantities limited to the available stock.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub fn add(
        &mut self,
        path: &[&str],
        new: &[NewLine],
        sellable: &SellableVariants,
        at: Timestamp,
    ) -> Result<Vec<Warning>, Error> {
        let mut problems = Problems::default();
        let units_before = self.total_quantity();
        let mut limited = Vec::new();
        for (index, line) in new.iter().enumerate() {
            let availability = sellable.availability(line.variant_id);
            if availability == Availability::Unavailable {
                add_unavailable_variant(&mut problems, path, index, line.variant_id);
                continue;
            }
            let accepted = availability.limit(self.quantity_of(line.variant_id, None), line.quantity);
            if accepted < line.quantity && !limited.contains(&line.variant_id) {
                limited.push(line.variant_id);
            }
            if accepted > 0 && self.add_to_line(line, accepted, at) > MAX_QUANTITY {
                add_line_too_large(&mut problems, path, index);
            }
        }
        if self.after.len() > MAX_LINES {
            let message = format!("A cart can have up to {MAX_LINES} lines");
            problems.add(path, UserErrorCode::CartTooLarge, message);
        }
        self.check_total_units(&mut problems, path, units_before);
        problems.check()?;
        Ok(self.warnings(limited, sellable))
    }

    /// Adds units to the line of this variant and these attributes, and returns its new quantity.
    fn add_to_line(&mut self, new: &NewLine, quantity: i64, at: Timestamp) -> i64 {
        let attributes = dedup_attributes(&new.attributes);
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
        match self.inserted.iter_mut().find(|known| is_mergeable(known, &row)) {
            Some(known) => known.quantity += quantity,
            None => self.inserted.push(row.clone()),
        }
        match self.after.iter_mut().find(|known| is_mergeable(known, &row)) {
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

    /// Updates lines. Increased quantities are limited to the available stock, decreased ones are
    /// not. Lines of the same variant and attributes are merged.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub fn update(
        &mut self,
        path: &[&str],
        patches: &[LinePatch],
        sellable: &SellableVariants,
    ) -> Result<Vec<Warning>, Error> {
        let mut problems = Problems::default();
        let mut limited = Vec::new();
        let before = self.after.clone();
        for (index, patch) in patches.iter().enumerate() {
            let Some(line) = self.after.iter().find(|line| line.id == patch.id) else {
                add_unknown_line(&mut problems, (path, index, &["id"]));
                continue;
            };
            let mut line = line.clone();
            let variant = patch.variant_id.unwrap_or(line.variant_id);
            let held = if variant == line.variant_id { line.quantity } else { 0 };
            let wanted = patch.quantity.unwrap_or(line.quantity);
            let availability = sellable.availability(variant);
            if held == 0 && availability == Availability::Unavailable {
                add_unavailable_variant(&mut problems, path, index, variant);
                continue;
            }
            let accepted = if wanted <= held {
                wanted
            } else {
                availability.limit(self.quantity_of(variant, Some(line.id)), wanted).max(held)
            };
            if accepted < wanted && !limited.contains(&variant) {
                limited.push(variant);
            }
            // A line stays as it is if its new variant is not available at all.
            if accepted > 0 || wanted == 0 {
                (line.variant_id, line.quantity) = (variant, accepted);
            }
            if let Some(attributes) = &patch.attributes {
                let attributes = dedup_attributes(attributes);
                line.attributes_key = attributes_key(&attributes);
                line.attributes = Json(attributes);
            }
            self.replace(line);
        }
        self.merge(&mut problems, path);
        self.check_total_units(&mut problems, path, before.iter().map(|line| line.quantity).sum());
        problems.check()?;
        self.record_changes(&before);
        Ok(self.warnings(limited, sellable))
    }

    /// Removes lines.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all unknown ids.
    pub fn remove(&mut self, path: &[&str], ids: &[CartLineId]) -> Result<(), Error> {
        let mut problems = Problems::default();
        for (index, id) in ids.iter().enumerate() {
            match self.after.iter().position(|line| line.id == *id) {
                Some(at) => self.deleted.push(self.after.remove(at).id),
                None => add_unknown_line(&mut problems, (path, index, &[])),
            }
        }
        problems.check()
    }

    /// The maximum quantity of one line also applies to the sum of all lines, which keeps the total
    /// from overflowing. A cart beyond the limit may still shrink.
    fn check_total_units(&self, problems: &mut Problems, path: &[&str], before: i64) {
        let units = self.total_quantity();
        if problems.is_empty() && units > MAX_QUANTITY && units > before {
            let message = format!("A cart can have up to {MAX_QUANTITY} units in total, not {units}");
            problems.add(path, UserErrorCode::CartTooLarge, message);
        }
    }

    /// Size of all attributes of the lines, in bytes.
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

    /// Merges lines of the same variant and attributes into the first of them, and drops lines
    /// without units.
    fn merge(&mut self, problems: &mut Problems, path: &[&str]) {
        let mut merged: Vec<CartLine> = Vec::with_capacity(self.after.len());
        for line in self.after.drain(..).filter(|line| line.quantity > 0) {
            match merged.iter_mut().find(|known| is_mergeable(known, &line)) {
                Some(known) => known.quantity += line.quantity,
                None => merged.push(line),
            }
        }
        if merged.iter().any(|line| line.quantity > MAX_QUANTITY) {
            let message = format!("A line can have up to {MAX_QUANTITY} units");
            problems.add(path, UserErrorCode::MaximumExceeded, message);
        }
        self.after = merged;
    }

    /// Deletes and reinserts the rows that differ: two statements, regardless of their number.
    fn record_changes(&mut self, before: &[CartLine]) {
        let differ = |line: &CartLine, lines: &[CartLine]| !lines.contains(line);
        self.deleted.extend(before.iter().filter(|line| differ(line, &self.after)).map(|line| line.id));
        self.inserted.extend(self.after.iter().filter(|line| differ(line, before)).cloned());
    }

    /// Warnings for variants of which fewer units are available than requested.
    fn warnings(&self, limited: Vec<VariantId>, sellable: &SellableVariants) -> Vec<Warning> {
        let warning = |variant: VariantId| {
            let line = self.after.iter().find(|line| line.variant_id == variant);
            let target = line.map_or(WarningTarget::Variant(variant), |line| WarningTarget::Line(line.id));
            let available = sellable.availability(variant).limit(0, MAX_QUANTITY);
            Warning::low_stock(target, sellable.title(variant), available)
        };
        limited.into_iter().map(warning).collect()
    }
}

fn is_mergeable(a: &CartLine, b: &CartLine) -> bool {
    a.variant_id == b.variant_id && a.attributes_key == b.attributes_key
}

fn add_unavailable_variant(problems: &mut Problems, path: &[&str], index: usize, variant: VariantId) {
    let message = format!("Product variant {} does not exist or is not for sale", variant.uuid());
    add_problem(problems, (path, index, &["merchandiseId"]), UserErrorCode::Invalid, message);
}

fn add_unknown_line(problems: &mut Problems, place: (&[&str], usize, &[&str])) {
    check::add_problem(problems, place, UserErrorCode::InvalidMerchandiseLine, "The line is not in the cart");
}

fn add_line_too_large(problems: &mut Problems, path: &[&str], index: usize) {
    let message = format!("A line can have up to {MAX_QUANTITY} units");
    add_problem(problems, (path, index, &["quantity"]), UserErrorCode::MaximumExceeded, message);
}
