//! The units of an order's lines and where they are: at which locations they are reserved, from
//! which they were taken, and to which they return.

use crate::db::{DbError, Tx};
use crate::domain::catalog::inventory::UnitsAtLocation;
use crate::domain::ids::{LocationId, VariantId};
use crate::error::{Error, UserErrorCode};
use crate::repositories::catalog::{locations, variants};

/// Removes up to `quantity` units from `places`, in their order, and returns what was removed.
pub(super) fn take_units(places: &mut Vec<UnitsAtLocation>, quantity: i64) -> Vec<UnitsAtLocation> {
    let mut left = quantity;
    let mut taken = Vec::new();
    for place in places.iter_mut() {
        let part = place.quantity.min(left).max(0);
        if part > 0 {
            taken.push(UnitsAtLocation { quantity: part, ..*place });
            place.quantity = place.quantity.saturating_sub(part);
            left = left.saturating_sub(part);
        }
    }
    places.retain(|place| place.quantity > 0);
    taken
}

/// Adds units to `places`, merging those at the same location.
pub(super) fn add_units(places: &mut Vec<UnitsAtLocation>, units: &[UnitsAtLocation]) {
    for added in units {
        match places.iter_mut().find(|place| place.location_id == added.location_id) {
            Some(place) => place.quantity = place.quantity.saturating_add(added.quantity),
            None => places.push(*added),
        }
    }
}

pub(super) fn sum_units(units: &[UnitsAtLocation]) -> i64 {
    units.iter().map(|place| place.quantity).sum()
}

/// Those of the variants whose inventory is tracked.
pub(super) async fn find_tracked_variants(tx: &mut Tx, ids: &[VariantId]) -> Result<Vec<VariantId>, DbError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = variants::by_ids(tx.conn(), ids).await?;
    Ok(rows.into_iter().filter(|row| row.inventory_tracked).map(|row| row.id).collect())
}

/// The location that returned goods are put back to: the requested one, or else the first.
/// `None` when there are no locations.
///
/// # Errors
/// [`Error::Invalid`] when the requested location does not exist.
pub(super) async fn resolve_restock_location(
    tx: &mut Tx,
    argument: &str,
    requested: Option<LocationId>,
) -> Result<Option<LocationId>, Error> {
    let Some(id) = requested else { return Ok(locations::first(tx.conn()).await?.map(|row| row.id)) };
    let known = locations::by_ids(tx.conn(), &[id]).await?;
    if known.is_empty() {
        let field = [argument, "locationId"];
        return Err(Error::invalid(&field, UserErrorCode::NotFound, "Location does not exist"));
    }
    Ok(Some(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_taken_from_the_first_locations_and_added_back() {
        let [shelf, cellar] = [LocationId::generate(), LocationId::generate()];
        let units_at = |location_id, quantity| UnitsAtLocation { location_id, quantity };
        let mut units = vec![units_at(shelf, 2), units_at(cellar, 3)];
        assert_eq!(take_units(&mut units, 4), [units_at(shelf, 2), units_at(cellar, 2)]);
        assert_eq!(units, [units_at(cellar, 1)]);
        assert_eq!(take_units(&mut units, 5), [units_at(cellar, 1)]);
        assert_eq!(take_units(&mut units, 1), []);
        add_units(&mut units, &[units_at(shelf, 1), units_at(shelf, 1), units_at(cellar, 1)]);
        assert_eq!((sum_units(&units), units.len()), (3, 2));
    }
}
