//! Delivery addresses of a cart. At most one of them is selected.

use std::collections::HashMap;

use super::check::{MAX_ADDRESSES, add_problem, item_path};
use super::{AddressPatch, AddressSource, NewAddress, Warning, WarningCode, WarningTarget};
use crate::context::OpContext;
use crate::db::Db;
use crate::domain::checkout::carts::CartAddress;
use crate::domain::customers::addresses::Address;
use crate::domain::ids::{AddressId, CartAddressId};
use crate::error::{Error, UserErrorCode};
use crate::repositories::customers::addresses as customer_addresses;
use crate::services::input::{Problems, addresses};

/// Resolves the addresses of an input: validates those that were sent, and copies those of the
/// signed-in customer's address book. Problems are added with the paths of their items.
pub(super) async fn resolve(
    db: &Db,
    op: &OpContext,
    problems: &mut Problems,
    path: &[&str],
    sources: &[Option<&AddressSource>],
) -> Result<Vec<Option<Address>>, Error> {
    let mut book: HashMap<AddressId, Address> = HashMap::new();
    let is_of_book = |source: &Option<&AddressSource>| match source {
        Some(AddressSource::Book(id)) => Some(*id),
        _ => None,
    };
    let wanted: Vec<AddressId> = sources.iter().filter_map(is_of_book).collect();
    if let (Some(customer), false) = (op.actor.customer(), wanted.is_empty()) {
        let rows = customer_addresses::by_ids(&mut db.read(&op.statements).await?, &wanted).await?;
        let own = rows.into_iter().filter(|row| row.customer_id == customer);
        book.extend(own.map(|row| (row.id, row.address.0)));
    }
    let mut kept = Vec::with_capacity(sources.len());
    for (index, source) in sources.iter().enumerate() {
        kept.push(match source {
            None => None,
            Some(AddressSource::Input(address)) => {
                let path = item_path(path, index, &["address", "deliveryAddress"]);
                Some(addresses::check(
                    problems,
                    &path.iter().map(String::as_str).collect::<Vec<_>>(),
                    address,
                ))
            }
            Some(AddressSource::Book(id)) => {
                let known = book.get(id).cloned();
                if known.is_none() {
                    let parts = ["address", "copyFromCustomerAddressId"];
                    let message = "The address is not in the signed-in customer's address book";
                    add_problem(
                        problems,
                        (path, index, &parts),
                        UserErrorCode::InvalidDeliveryAddressId,
                        message,
                    );
                }
                known
            }
        });
    }
    Ok(kept)
}

/// Adds addresses. The first address of a cart is selected by default. Duplicates are not added
/// again.
///
/// # Errors
/// [`Error::Invalid`] when the cart would have too many addresses.
pub(super) fn add(
    addresses: &mut Vec<CartAddress>,
    path: &[&str],
    new: &[(NewAddress, Address)],
) -> Result<Vec<Warning>, Error> {
    let mut warnings = Vec::new();
    for (one, address) in new {
        let selected = one.selected.unwrap_or(addresses.is_empty());
        let known = addresses.iter().find(|known| known.address == *address).map(|known| known.id);
        let id = known.unwrap_or_else(CartAddressId::generate);
        if known.is_some() {
            warnings.push(Warning {
                code: WarningCode::DuplicateDeliveryAddress,
                target: WarningTarget::Address(id),
                message: "The cart already has this delivery address".to_owned(),
            });
        } else {
            addresses.push(CartAddress {
                id,
                selected: false,
                one_time_use: one.one_time_use,
                address: address.clone(),
            });
        }
        if selected {
            select(addresses, id);
        }
    }
    if addresses.len() > MAX_ADDRESSES {
        let message = format!("A cart can have up to {MAX_ADDRESSES} delivery addresses");
        return Err(Error::invalid(path, UserErrorCode::TooManyDeliveryAddresses, message));
    }
    Ok(warnings)
}

/// Updates addresses.
///
/// # Errors
/// [`Error::Invalid`] with all unknown ids.
pub(super) fn update(
    addresses: &mut [CartAddress],
    path: &[&str],
    patches: &[(AddressPatch, Option<Address>)],
) -> Result<(), Error> {
    let mut problems = Problems::default();
    for (index, (patch, address)) in patches.iter().enumerate() {
        let Some(known) = addresses.iter_mut().find(|known| known.id == patch.id) else {
            add_unknown_address(&mut problems, (path, index, &["id"]));
            continue;
        };
        if let Some(address) = address {
            known.address = address.clone();
        }
        if let Some(one_time_use) = patch.one_time_use {
            known.one_time_use = one_time_use;
        }
        match patch.selected {
            Some(true) => select(addresses, patch.id),
            Some(false) => known.selected = false,
            None => {}
        }
    }
    problems.check()
}

/// Removes addresses.
///
/// # Errors
/// [`Error::Invalid`] with all unknown ids.
pub(super) fn remove(
    addresses: &mut Vec<CartAddress>,
    path: &[&str],
    ids: &[CartAddressId],
) -> Result<(), Error> {
    let mut problems = Problems::default();
    for (index, id) in ids.iter().enumerate() {
        match addresses.iter().position(|known| known.id == *id) {
            Some(at) => drop(addresses.remove(at)),
            None => add_unknown_address(&mut problems, (path, index, &[])),
        }
    }
    problems.check()
}

fn select(addresses: &mut [CartAddress], id: CartAddressId) {
    for address in addresses {
        address.selected = address.id == id;
    }
}

fn add_unknown_address(problems: &mut Problems, place: (&[&str], usize, &[&str])) {
    let code = UserErrorCode::InvalidDeliveryAddressId;
    add_problem(problems, place, code, "The delivery address is not one of the cart's");
}
