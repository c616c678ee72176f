//! Renaming and reordering of product options and their values. Variants keep their identity.

use std::sync::Arc;

use super::{ProductIndexer, product_event, product_not_found};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::{ProductOption, variant_title};
use crate::domain::events::{Event, VariantsEvent};
use crate::domain::ids::{Id, ProductId};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::catalog::products::{self, Product};
use crate::repositories::catalog::variants::{self, Variant};
use crate::services::Shop;
use crate::services::input::Problems;

/// Renames and reorders product options.
pub struct Options {
    db: Db,
    shop: Arc<Shop>,
}

/// New names for an option and its values.
#[derive(Clone, Debug, Default)]
pub struct OptionPatch {
    /// Index of the option.
    pub option: usize,
    /// New name; `None` keeps it.
    pub name: Option<String>,
    /// New names of values, each with the index of the value.
    pub values: Vec<(usize, String)>,
}

/// An entry of the new order of options: its index in the list is the option's new position.
#[derive(Clone, Debug)]
pub struct OptionPlace {
    /// The option's current index.
    pub option: usize,
    /// The current indexes of its values in their new order; `None` keeps the order.
    pub values: Option<Vec<usize>>,
}

impl Options {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db, shop: Arc<Shop>) -> Self {
        Self { db, shop }
    }

    /// Renames an option and its values.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn rename(&self, op: &OpContext, id: ProductId, patch: &OptionPatch) -> Result<Product, Error> {
        op.authorize(Permission::WriteProducts)?;
        self.change(op, id, &["id"], |options| rename_options(options, patch)).await
    }

    /// Reorders options and their values. Variants are sorted accordingly.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn reorder(
        &self,
        op: &OpContext,
        id: ProductId,
        places: &[OptionPlace],
    ) -> Result<Product, Error> {
        op.authorize(Permission::WriteProducts)?;
        self.change(op, id, &["productId"], |options| reorder_options(options, places)).await
    }

    /// Applies `change` to a product's options, and updates its variants.
    async fn change(
        &self,
        op: &OpContext,
        id: ProductId,
        field: &[&str],
        change: impl Fn(&[ProductOption]) -> Result<OptionsChange, Error> + Send + Sync,
    ) -> Result<Product, Error> {
        let work = async |tx: &mut Tx| self.change_in(tx, op, id, field, &change).await;
        self.db.transaction(&op.statements, work).await
    }

    async fn change_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        id: ProductId,
        field: &[&str],
        change: &(impl Fn(&[ProductOption]) -> Result<OptionsChange, Error> + Send + Sync),
    ) -> Result<Product, Error> {
        let Some(mut product) = products::lock(tx.conn(), id).await? else {
            return Err(product_not_found(field));
        };
        let changed = change(&product.options.0)?;
        let mut rows = variants::by_product_ids(tx.conn(), &[id]).await?;
        let before = rows.clone();
        for row in &mut rows {
            row.option_values = Json(changed.values_of(&product.options.0, &row.option_values.0));
            row.title = variant_title(&row.option_values.0);
        }
        if changed.is_reordered {
            rows.sort_by_key(|row| value_indexes(&changed.options, &row.option_values.0));
            for (position, row) in (1..).zip(&mut rows) {
                row.position = position;
            }
        }
        rows.retain(|row| before.iter().all(|known| known != row));
        store_variants(tx, op, &before, &mut rows).await?;
        product.options = Json(changed.options);
        products::update(tx.conn(), &product).await?;
        let indexer = ProductIndexer::load(tx, self.shop.currency).await?;
        let collections = indexer.save_and_index(tx, op, &mut product).await?;
        let mut events = vec![Event::ProductUpdated(product_event(&product, false, collections))];
        if !rows.is_empty() {
            let variant_ids = rows.iter().map(|row| row.id).collect();
            let collection_ids = Some(Vec::new());
            events.push(Event::VariantsUpdated(VariantsEvent {
                product_id: id,
                variant_ids,
                collection_ids,
            }));
        }
        events::append(tx, op, events).await?;
        Ok(product)
    }
}

/// The options after a change, with the previous indexes of them and their values.
struct OptionsChange {
    options: Vec<ProductOption>,
    /// The previous index of each option.
    from: Vec<usize>,
    /// For each option, the previous indexes of its values.
    values_from: Vec<Vec<usize>>,
    is_reordered: bool,
}

impl OptionsChange {
    /// The values of a variant after the change.
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

/// The indexes of a variant's values, which variants are sorted by.
fn value_indexes(options: &[ProductOption], values: &[String]) -> Vec<usize> {
    let place = |(option, value): (&ProductOption, &String)| {
        option.values.iter().position(|known| known == value).unwrap_or(usize::MAX)
    };
    options.iter().zip(values).map(place).collect()
}

/// Stores changed variants. The values of a product's variants are unique at all times, so if one
/// takes over the values of another, all get unique placeholders first.
async fn store_variants(
    tx: &mut Tx,
    op: &OpContext,
    before: &[Variant],
    rows: &mut [Variant],
) -> Result<(), Error> {
    let is_taken = |row: &Variant| {
        before.iter().any(|other| other.id != row.id && other.option_values == row.option_values)
    };
    if rows.iter().any(is_taken) {
        for row in rows.iter() {
            let placeholder = Json(vec![row.id.uuid().to_string()]);
            variants::update(tx.conn(), &Variant { option_values: placeholder, ..row.clone() }).await?;
        }
    }
    for row in rows {
        row.updated_at = op.now();
        variants::update(tx.conn(), row).await?;
    }
    Ok(())
}

fn rename_options(options: &[ProductOption], patch: &OptionPatch) -> Result<OptionsChange, Error> {
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
        let duplicates = option.values.iter().filter(|value| *value == name.trim()).count();
        if duplicates > 1 && option.values.get(*place).is_some() {
            let message = format!("The option would have the value '{}' twice", name.trim());
            problems.add(
                &["productOption", "values", &at.to_string(), "name"],
                UserErrorCode::Taken,
                message,
            );
        }
    }
    problems.check()?;
    Ok(OptionsChange { options, from, values_from, is_reordered: false })
}

fn reorder_options(options: &[ProductOption], places: &[OptionPlace]) -> Result<OptionsChange, Error> {
    let mut problems = Problems::default();
    let from: Vec<usize> = places.iter().map(|place| place.option).collect();
    if !is_permutation(&from, options.len()) {
        let message = format!("Name each of the product's {} options once", options.len());
        problems.add(&["options"], UserErrorCode::Invalid, message);
    }
    let mut now = Vec::new();
    let mut values_from = Vec::new();
    for (at, place) in places.iter().enumerate() {
        let Some(option) = options.get(place.option) else { continue };
        let order = place.values.clone().unwrap_or_else(|| (0..option.values.len()).collect());
        if !is_permutation(&order, option.values.len()) {
            let message =
                format!("Name each of the {} values of '{}' once", option.values.len(), option.name);
            problems.add(&["options", &at.to_string(), "valueIds"], UserErrorCode::Invalid, message);
        }
        let values = order.iter().filter_map(|value| option.values.get(*value).cloned()).collect();
        now.push(ProductOption { name: option.name.clone(), values });
        values_from.push(order);
    }
    problems.check()?;
    Ok(OptionsChange { options: now, from, values_from, is_reordered: true })
}

/// Whether `places` is a permutation of the indexes of a list.
fn is_permutation(places: &[usize], length: usize) -> bool {
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

    fn values(change: &OptionsChange, of: [&str; 2]) -> Vec<String> {
        change.values_of(&options(), &of.map(str::to_owned))
    }

    #[test]
    fn values_can_swap_their_names() {
        let swap = vec![(0, "M".to_owned()), (1, "S".to_owned())];
        let patch = OptionPatch { option: 0, name: Some("Fit".to_owned()), values: swap };
        let change = rename_options(&options(), &patch).unwrap();
        assert_eq!(change.options[0].name, "Fit");
        assert_eq!(values(&change, ["S", "Red"]), ["M", "Red"]);
        assert_eq!(values(&change, ["M", "Blue"]), ["S", "Blue"]);
    }

    #[test]
    fn duplicate_and_blank_names_are_rejected() {
        for (name, value) in [("colour", "L"), ("Size", "M"), (" ", "L"), ("Size", "")] {
            let patch =
                OptionPatch { option: 0, name: Some(name.to_owned()), values: vec![(0, value.to_owned())] };
            assert!(rename_options(&options(), &patch).is_err(), "{name} {value}");
        }
    }

    #[test]
    fn variants_follow_the_order_of_their_options() {
        let places =
            [OptionPlace { option: 1, values: Some(vec![1, 0]) }, OptionPlace { option: 0, values: None }];
        let change = reorder_options(&options(), &places).unwrap();
        assert_eq!(values(&change, ["S", "Red"]), ["Red", "S"]);
        assert_eq!(change.options[0].values, ["Blue", "Red"]);
        assert_eq!(value_indexes(&change.options, &values(&change, ["M", "Blue"])), [0, 1]);
        for wrong in [vec![0], vec![0, 0], vec![0, 2], vec![0, 1, 1]] {
            let places: Vec<_> =
                wrong.iter().map(|option| OptionPlace { option: *option, values: None }).collect();
            assert!(reorder_options(&options(), &places).is_err(), "{wrong:?}");
        }
        let wrong =
            [OptionPlace { option: 0, values: Some(vec![0]) }, OptionPlace { option: 1, values: None }];
        assert!(reorder_options(&options(), &wrong).is_err());
    }
}
