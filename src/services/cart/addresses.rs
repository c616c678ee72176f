//! Changes of the addresses that a cart may be sent to: one of them at most is selected.

use super::check::{MAX_ADDRESSES, blame};
use super::{AddressPatch, NewAddress, Warning, WarningCode, WarningTarget};
use crate::domain::cart::CartAddress;
use crate::domain::ids::CartAddressId;
use crate::error::{Error, UserErrorCode};
use crate::services::validate::Problems;

/// Adds addresses. The first of a cart is selected unless told otherwise; one that is there already is not added again.
///
/// # Errors
/// [`Error::Invalid`] when there would be too many.
pub fn add(
    addresses: &mut Vec<CartAddress>,
    path: &[&str],
    new: &[NewAddress],
) -> Result<Vec<Warning>, Error> {
    let mut warnings = Vec::new();
    for one in new {
        let selected = one.selected.unwrap_or(addresses.is_empty());
        let known = addresses.iter().find(|known| known.address == one.address).map(|known| known.id);
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
                address: one.address.clone(),
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
pub fn update(addresses: &mut [CartAddress], path: &[&str], patches: &[AddressPatch]) -> Result<(), Error> {
    let mut problems = Problems::default();
    for (index, patch) in patches.iter().enumerate() {
        let Some(known) = addresses.iter_mut().find(|known| known.id == patch.id) else {
            not_there(&mut problems, (path, index, &["id"]));
            continue;
        };
        if let Some(address) = &patch.address {
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
