//! Names and order of a product's options and of their values. Their variants stay the variants
//! they are.

use std::sync::Arc;

use super::products::product_missing;
use super::{Settle, product_event};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, Tx, retrying};
use crate::domain::catalog::{ProductOption, variant_title};
use crate::domain::event::{Event, VariantsEvent};
use crate::domain::ids::{Id, ProductId};
use crate::domain::permission::Permission;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::products::{self, Product};
use crate::repositories::variants::{self, Variant};
use crate::services::Shop;
use crate::services::validate::Problems;

/// Renames and reorders options of products.
pub struct Options {
    db: Db,
    shop: Arc<Shop>,
}

/// New names for an option and its values.
#[derive(Clone, Debug, Default)]
pub struct OptionPatch {
    /// Its place among the product's options, from 0 on.
    pub option: usize,
    /// Its new name; `None` leaves it.
    pub name: Option<String>,
    /// New names of values, each with the value's place in the option.
    pub values: Vec<(usize, String)>,
}

/// An option's new place: the order of such is the options' new order.
#[derive(Clone, Debug)]
pub struct OptionPlace {
    /// Its present place.
    pub option: usize,
    /// The present places of its values, in their new order; `None` leaves them.
    pub values: Option<Vec<usize>>,
}

impl Options {
    /// The service over a database.
    #[must_use]
    pub fn new(db: Db, shop: Arc<Shop>) -> Self {
        Self { db, shop }
    }

    /// Renames an option and values of it.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn rename(&self, op: &OpContext, id: ProductId, patch: &OptionPatch) -> Result<Product, Error> {
        op.authorize(Permission::WriteProducts)?;
        retrying(|| self.change(op, id, &["id"], move |options| renamed(options, patch))).await
    }

    /// Puts options, and values within them, into another order. Variants are sorted by that order,
    /// too.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn reorder(
        &self,
        op: &OpContext,
        id: ProductId,
        places: &[OptionPlace],
    ) -> Result<Product, Error> {
        op.authorize(Permission::WriteProducts)?;
        retrying(|| self.change(op, id, &["productId"], move |options| reordered(options, places))).await
    }

    /// Changes a product's options as `change` says, and its variants with them.
    async fn change(
        &self,
        op: &OpContext,
        id: ProductId,
        field: &[&str],
        change: impl Fn(&[ProductOption]) -> Result<Change, Error> + Send + Sync,
    ) -> Result<Product, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let Some(mut product) = products::lock(tx.conn(), id).await? else {
            tx.rollback().await?;
            return Err(product_missing(field));
        };
        let changed = match change(&product.options.0) {
            Ok(changed) => changed,
            Err(error) => {
                tx.rollback().await?;
                return Err(error);
            }
        };
        let mut rows = variants::by_product_ids(tx.conn(), &[id]).await?;
        let before = rows.clone();
        for row in &mut rows {
            row.option_values = Json(changed.values_of(&product.options.0, &row.option_values.0));
            row.title = variant_title(&row.option_values.0);
        }
        if changed.sorts_variants {
            rows.sort_by_key(|row| places_of(&changed.options, &row.option_values.0));
            for (position, row) in (1..).zip(&mut rows) {
                row.position = position;
            }
        }
        rows.retain(|row| before.iter().all(|known| known != row));
        store(&mut tx, op, &before, &mut rows).await?;
        product.options = Json(changed.options);
        products::update(tx.conn(), &product).await?;
        Settle::begin(&mut tx, self.shop.currency).await?.product(&mut tx, op, &mut product).await?;
        let mut happened = vec![Event::ProductUpdated(product_event(&product))];
        if !rows.is_empty() {
            let variant_ids = rows.iter().map(|row| row.id).collect();
            happened.push(Event::VariantsUpdated(VariantsEvent { product_id: id, variant_ids }));
        }
        events::append(&mut tx, op, happened).await?;
        tx.commit().await?;
        Ok(product)
    }
}

/// Options after a change, and where they and their values were before.
struct Change {
    options: Vec<ProductOption>,
    /// For each option its place before.
    from: Vec<usize>,
    /// For each option the place before of each of its values.
    values_from: Vec<Vec<usize>>,
    sorts_variants: bool,
}

impl Change {
    /// A variant's values after the change.
    fn values_of(&self, before: &[ProductOption], values: &[String]) -> Vec<String> {
        let places = self.options.iter().zip(&self.from).zip(&self.values_from);
        let value = |((option, from), values_from): ((&ProductOption, &usize), &Vec<usize>)| {
            let value = values.get(*from)?;
            let known = before.get(*from)?.values.iter().position(|known| known == value);
            let now = known.and_then(|known| values_from.iter().position(|from| *from == known));
            Some(now.and_then(|now| option.values.get(now)).unwrap_or(value).clone())
        };
        places.filter_map(value).collect()
    }
}

/// The places of a variant's values within their options: what variants are sorted by.
fn places_of(options: &[ProductOption], values: &[String]) -> Vec<usize> {
    let place = |(option, value): (&ProductOption, &String)| {
        option.values.iter().position(|known| known == value).unwrap_or(usize::MAX)
    };
    options.iter().zip(values).map(place).collect()
}

/// Stores changed variants. Their values are unique in the product at every moment, so where one
/// takes those of another, they first take what nobody has.
async fn store(tx: &mut Tx, op: &OpContext, before: &[Variant], rows: &mut [Variant]) -> Result<(), Error> {
    let takes_anothers = |row: &Variant| {
        before.iter().any(|other| other.id != row.id && other.option_values == row.option_values)
    };
    if rows.iter().any(takes_anothers) {
        for row in rows.iter() {
            let nobodys = Json(vec![row.id.uuid().to_string()]);
            variants::update(tx.conn(), &Variant { option_values: nobodys, ..row.clone() }).await?;
        }
    }
    for row in rows {
        row.updated_at = op.now();
        variants::update(tx.conn(), row).await?;
    }
    Ok(())
}

fn renamed(options: &[ProductOption], patch: &OptionPatch) -> Result<Change, Error> {
    let mut options = options.to_vec();
    let from: Vec<usize> = (0..options.len()).collect();
    let values_from = options.iter().map(|option| (0..option.values.len()).collect()).collect();
    let others: Vec<String> = options
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != patch.option)
        .map(|(_, option)| option.name.to_lowercase())
        .collect();
    let Some(option) = options.get_mut(patch.option) else {
        let message = "The product has no such option";
        return Err(Error::invalid(&["id"], UserErrorCode::NotFound, message));
    };
    let mut problems = Problems::default();
    if let Some(name) = &patch.name {
        problems.required(&["productOption", "name"], name);
        if others.contains(&name.trim().to_lowercase()) {
            let message = format!("The product has another option '{}'", name.trim());
            problems.add(&["productOption", "name"], UserErrorCode::Taken, message);
        }
        name.trim().clone_into(&mut option.name);
    }
    for (at, (place, name)) in patch.values.iter().enumerate() {
        let at = at.to_string();
        problems.required(&["productOption", "values", &at, "name"], name);
        match option.values.get_mut(*place) {
            Some(value) => name.trim().clone_into(value),
            None => {
                let message = "The option has no such value";
                problems.add(&["productOption", "values", &at, "id"], UserErrorCode::NotFound, message);
            }
        }
    }
    for (at, (place, name)) in patch.values.iter().enumerate() {
        let twins = option.values.iter().filter(|value| *value == name.trim()).count();
        if twins > 1 && option.values.get(*place).is_some() {
            let message = format!("The option would have the value '{}' twice", name.trim());
            problems.add(
                &["productOption", "values", &at.to_string(), "name"],
                UserErrorCode::Taken,
                message,
            );
        }
    }
    problems.check()?;
    Ok(Change { options, from, values_from, sorts_variants: false })
}

fn reordered(options: &[ProductOption], places: &[OptionPlace]) -> Result<Change, Error> {
    let mut problems = Problems::default();
    let from: Vec<usize> = places.iter().map(|place| place.option).collect();
    if !is_order_of(&from, options.len()) {
        let message = format!("Name each of the product's {} options once", options.len());
        problems.add(&["options"], UserErrorCode::Invalid, message);
    }
    let mut now = Vec::new();
    let mut values_from = Vec::new();
    for (at, place) in places.iter().enumerate() {
        let Some(option) = options.get(place.option) else { continue };
        let order = place.values.clone().unwrap_or_else(|| (0..option.values.len()).collect());
        if !is_order_of(&order, option.values.len()) {
            let message =
                format!("Name each of the {} values of '{}' once", option.values.len(), option.name);
            problems.add(&["options", &at.to_string(), "valueIds"], UserErrorCode::Invalid, message);
        }
        let values = order.iter().filter_map(|value| option.values.get(*value).cloned()).collect();
        now.push(ProductOption { name: option.name.clone(), values });
        values_from.push(order);
    }
    problems.check()?;
    Ok(Change { options: now, from, values_from, sorts_variants: true })
}

/// Whether places are those of a list, each once.
fn is_order_of(places: &[usize], length: usize) -> bool {
    let mut sorted = places.to_vec();
    sorted.sort_unstable();
    sorted.into_iter().eq(0..length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Vec<ProductOption> {
        [("Size", ["S", "M"]), ("Colour", ["Red", "Blue"])]
            .map(|(name, values)| ProductOption {
                name: name.to_owned(),
                values: values.map(str::to_owned).to_vec(),
            })
            .to_vec()
    }

    fn values(change: &Change, of: [&str; 2]) -> Vec<String> {
        change.values_of(&options(), &of.map(str::to_owned))
    }

    #[test]
    fn values_that_trade_their_names_trade_their_variants() {
        let swap = vec![(0, "M".to_owned()), (1, "S".to_owned())];
        let patch = OptionPatch { option: 0, name: Some("Fit".to_owned()), values: swap };
        let change = renamed(&options(), &patch).unwrap();
        assert_eq!(change.options[0].name, "Fit");
        assert_eq!(values(&change, ["S", "Red"]), ["M", "Red"]);
        assert_eq!(values(&change, ["M", "Blue"]), ["S", "Blue"]);
    }

    #[test]
    fn names_stay_unique() {
        for (name, value) in [("colour", "L"), ("Size", "M"), (" ", "L"), ("Size", "")] {
            let patch =
                OptionPatch { option: 0, name: Some(name.to_owned()), values: vec![(0, value.to_owned())] };
            assert!(renamed(&options(), &patch).is_err(), "{name} {value}");
        }
    }

    #[test]
    fn variants_follow_their_options() {
        let places =
            [OptionPlace { option: 1, values: Some(vec![1, 0]) }, OptionPlace { option: 0, values: None }];
        let change = reordered(&options(), &places).unwrap();
        assert_eq!(values(&change, ["S", "Red"]), ["Red", "S"]);
        assert_eq!(change.options[0].values, ["Blue", "Red"]);
        assert_eq!(places_of(&change.options, &values(&change, ["M", "Blue"])), [0, 1]);
        for wrong in [vec![0], vec![0, 0], vec![0, 2], vec![0, 1, 1]] {
            let places: Vec<_> =
                wrong.iter().map(|option| OptionPlace { option: *option, values: None }).collect();
            assert!(reordered(&options(), &places).is_err(), "{wrong:?}");
        }
        let wrong =
            [OptionPlace { option: 0, values: Some(vec![0]) }, OptionPlace { option: 1, values: None }];
        assert!(reordered(&options(), &wrong).is_err());
    }
}
