//! Changes of the addresses that a cart may be sent to: one of them at most is selected.

use std::collections::HashMap;

use super::check::{MAX_ADDRESSES, at, blame};
use super::{AddressPatch, AddressSource, NewAddress, Warning, WarningCode, WarningTarget};
use crate::context::OpContext;
use crate::db::Db;
use crate::domain::address::Address;
use crate::domain::cart::CartAddress;
use crate::domain::ids::{AddressId, CartAddressId};
use crate::error::{Error, UserErrorCode};
use crate::repositories::customer_addresses;
use crate::services::address;
use crate::services::validate::Problems;

/// Addresses as they are kept: those that were sent cleaned, those of the signed-in customer's book copied. What is wrong with
/// the address of an item is noted with its path.
pub async fn kept(
    db: &Db,
    op: &OpContext,
    problems: &mut Problems,
    path: &[&str],
    sent: &[Option<&AddressSource>],
) -> Result<Vec<Option<Address>>, Error> {
    let mut book: HashMap<AddressId, Address> = HashMap::new();
    let is_of_book = |source: &Option<&AddressSource>| match source {
        Some(AddressSource::Book(id)) => Some(*id),
        _ => None,
    };
    let wanted: Vec<AddressId> = sent.iter().filter_map(is_of_book).collect();
    if let (Some(customer), false) = (op.actor.customer(), wanted.is_empty()) {
        let rows = customer_addresses::by_ids(&mut db.read(&op.statements).await?, &wanted).await?;
        let own = rows.into_iter().filter(|row| row.customer_id == customer);
        book.extend(own.map(|row| (row.id, row.address.0)));
    }
    let mut kept = Vec::with_capacity(sent.len());
    for (index, source) in sent.iter().enumerate() {
        kept.push(match source {
            None => None,
            Some(AddressSource::Sent(sent)) => {
                let path = at(path, index, &["address", "deliveryAddress"]);
                Some(address::check(problems, &path.iter().map(String::as_str).collect::<Vec<_>>(), sent))
            }
            Some(AddressSource::Book(id)) => {
                let known = book.get(id).cloned();
                if known.is_none() {
                    let parts = ["address", "copyFromCustomerAddressId"];
                    let message = "The address is not in the address book of the customer who is signed in";
                    blame(problems, (path, index, &parts), UserErrorCode::InvalidDeliveryAddressId, message);
                }
                known
            }
        });
    }
    Ok(kept)
}

/// Adds addresses. The first of a cart is selected unless told otherwise; one that is there already is not added again.
///
/// # Errors
/// [`Error::Invalid`] when there would be too many.
pub fn add(
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
                message: "The cart has this delivery address already".to_owned(),
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

/// Changes addresses.
///
/// # Errors
/// [`Error::Invalid`] with the ids of those that are not there.
pub fn update(
    addresses: &mut [CartAddress],
    path: &[&str],
    patches: &[(AddressPatch, Option<Address>)],
) -> Result<(), Error> {
    let mut problems = Problems::default();
    for (index, (patch, address)) in patches.iter().enumerate() {
        let Some(known) = addresses.iter_mut().find(|known| known.id == patch.id) else {
            not_there(&mut problems, (path, index, &["id"]));
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
/// [`Error::Invalid`] with the ids of those that are not there.
pub fn remove(addresses: &mut Vec<CartAddress>, path: &[&str], ids: &[CartAddressId]) -> Result<(), Error> {
    let mut problems = Problems::default();
    for (index, id) in ids.iter().enumerate() {
        match addresses.iter().position(|known| known.id == *id) {
            Some(at) => drop(addresses.remove(at)),
            None => not_there(&mut problems, (path, index, &[])),
        }
    }
    problems.check()
}

fn select(addresses: &mut [CartAddress], id: CartAddressId) {
    addresses.iter_mut().for_each(|address| address.selected = address.id == id);
}

fn not_there(problems: &mut Problems, place: (&[&str], usize, &[&str])) {
    let code = UserErrorCode::InvalidDeliveryAddressId;
    blame(problems, place, code, "The delivery address is not one of the cart's");
}
