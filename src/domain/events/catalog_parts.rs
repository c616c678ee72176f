//! The parts of the catalog that events change, so that what was computed from them can be
//! discarded.

use super::{CollectionEvent, Event, ProductEvent, VariantsEvent};
use crate::domain::ids::{CollectionId, ProductId, VariantId};

/// A part of the catalog.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CatalogPart<'a> {
    /// A product with its variants, tags and images, but without its stock; also that there is no
    /// such product.
    Product(ProductId),
    /// Which product has a handle.
    ProductHandle(&'a str),
    /// Which products there are, and which of them buyers see.
    Listing,
    /// The listing, and anything by which products can be found or sorted, except their stock and
    /// their sales.
    Products,
    /// A collection, and which of the listed products are in it.
    Collection(CollectionId),
    /// Which collection has a handle.
    CollectionHandle(&'a str),
    /// Which collections there are, and their rules.
    Collections,
    /// A variant's stock at all locations.
    Stock(VariantId),
    /// The stock of all variants.
    AllStock,
    /// The locations, and whether their stock can be sold.
    Locations,
}

/// What the kinds of the events begin with that change the catalog.
const PREFIXES: [&str; 5] = ["product.", "variants.", "collection.", "inventory.", "location."];

/// The kinds of the events that change the catalog.
#[must_use]
pub fn kinds_changing_catalog() -> Vec<String> {
    let changes = |kind: &&&str| PREFIXES.iter().any(|prefix| kind.starts_with(prefix));
    Event::KINDS.iter().filter(changes).map(|kind| (*kind).to_owned()).collect()
}

impl Event {
    /// The parts of the catalog that the event changes; `None` if they are unknown, because the
    /// event was logged by an older version.
    #[must_use]
    pub fn changed_catalog_parts(&self) -> Option<Vec<CatalogPart<'_>>> {
        use CatalogPart as Part;

        let of_collections = |ids: &Option<Vec<CollectionId>>| {
            ids.as_ref().map(|ids| ids.iter().copied().map(Part::Collection).collect::<Vec<_>>())
        };
        let mut parts = Vec::new();
        match self {
            Self::ProductCreated(event) | Self::ProductUpdated(event) | Self::ProductDeleted(event) => {
                let ProductEvent { product_id, handle, status_changed, collection_ids } = event;
                parts.extend([Part::Product(*product_id), Part::ProductHandle(handle), Part::Products]);
                if (*status_changed)? {
                    parts.push(Part::Listing);
                }
                parts.extend(of_collections(collection_ids)?);
            }
            Self::VariantsCreated(event) | Self::VariantsUpdated(event) | Self::VariantsDeleted(event) => {
                let VariantsEvent { product_id, variant_ids, collection_ids } = event;
                // The stock of a variant matters only if it is tracked, and new ones have some.
                parts.extend([Part::Product(*product_id), Part::Products, Part::AllStock]);
                parts.extend(variant_ids.iter().copied().map(Part::Stock));
                parts.extend(of_collections(collection_ids)?);
            }
            Self::CollectionCreated(event)
            | Self::CollectionUpdated(event)
            | Self::CollectionDeleted(event) => {
                let CollectionEvent { collection_id, handle } = event;
                let handle = Part::CollectionHandle(handle);
                parts.extend([Part::Collection(*collection_id), handle, Part::Collections]);
            }
            Self::CollectionProductsAdded(event) | Self::CollectionProductsRemoved(event) => {
                parts.push(Part::Collection(event.collection_id));
                parts.extend(event.product_ids.iter().copied().map(Part::Product));
            }
            Self::InventoryLevelChanged(event) => {
                parts.extend([Part::Stock(event.variant_id), Part::AllStock]);
            }
            Self::InventoryReserved(event) | Self::InventoryReleased(event) => {
                parts.extend([Part::Stock(event.variant_id), Part::AllStock]);
            }
            Self::LocationCreated(_) | Self::LocationUpdated(_) | Self::LocationDeleted(_) => {
                parts.push(Part::Locations);
            }
            _ => {}
        }
        Some(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::events::InventoryEvent;
    use crate::domain::ids::{Id, LocationId};

    #[test]
    fn events_that_change_the_catalog_are_found_by_their_kind() {
        let kinds = kinds_changing_catalog();
        let event = Event::InventoryLevelChanged(InventoryEvent {
            variant_id: VariantId::generate(),
            location_id: LocationId::generate(),
            delta: 1,
            on_hand: 1,
            reason: "correction".to_owned(),
        });
        let variant = event.aggregate().1;
        let stock = CatalogPart::Stock(VariantId::from_uuid(variant));
        assert_eq!(event.changed_catalog_parts(), Some(vec![stock, CatalogPart::AllStock]));
        assert!(kinds.iter().any(|kind| kind == event.kind()));
        assert!(kinds.iter().any(|kind| kind == "product.updated"));
        assert!(!kinds.iter().any(|kind| kind.starts_with("order.")));
    }
}
