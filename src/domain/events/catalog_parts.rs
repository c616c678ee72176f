//! The parts of the catalog, and of the content around it, that events change, so that what was
//! computed from them can be discarded.

use super::{CollectionEvent, Event, ProductEvent, VariantsEvent};
use crate::domain::ids::{CollectionId, ProductId, VariantId};

/// A part of the catalog, or of the content around it.
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
    /// Which collections there are, their titles and their rules.
    Collections,
    /// Anything about any collection, and which products are in it.
    AllCollections,
    /// A variant's stock at all locations.
    Stock(VariantId),
    /// The stock of all variants.
    AllStock,
    /// The locations, and whether their stock can be sold.
    Locations,
    /// The pages, menus and policies.
    Content,
}

/// Prefixes of the kinds of events that change the catalog.
const PREFIXES: [&str; 8] =
    ["product.", "variants.", "collection.", "inventory.", "location.", "page.", "menu.", "shop."];

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
            let ids = ids.as_ref()?;
            let all = (!ids.is_empty()).then_some(Part::AllCollections);
            Some(ids.iter().copied().map(Part::Collection).chain(all).collect::<Vec<_>>())
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
                parts.extend([Part::Collection(*collection_id), handle]);
                parts.extend([Part::Collections, Part::AllCollections]);
            }
            Self::CollectionProductsAdded(event) | Self::CollectionProductsRemoved(event) => {
                parts.extend([Part::Collection(event.collection_id), Part::AllCollections]);
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
            Self::PageCreated(_) | Self::PageUpdated(_) | Self::PageDeleted(_) => parts.push(Part::Content),
            Self::MenuCreated(_) | Self::MenuUpdated(_) | Self::MenuDeleted(_) => parts.push(Part::Content),
            // It also covers policies.
            Self::ShopUpdated(_) => parts.push(Part::Content),
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
