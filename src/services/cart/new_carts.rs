//! How many carts an address may make in an hour. Counted in memory, by each process for itself: a cart is small, and what a second
//! process lets through is cleaned up as soon. Called by [`super::Carts`] before a guest's cart is made.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::domain::client_address::ClientAddress;
use crate::domain::time::Timestamp;
use crate::error::{Error, UserErrorCode};

const HOUR_MICROS: i64 = 60 * 60 * 1_000_000;
const MINUTE_MICROS: i64 = 60 * 1_000_000;
/// How many addresses are counted. Beyond that the count begins anew: whoever has so many is limited by nothing of this kind.
const MAX_ADDRESSES: usize = 100_000;

/// The count of the hour.
pub(super) struct NewCarts {
    max: u64,
    hour: Mutex<Hour>,
}

#[derive(Default)]
struct Hour {
    /// Hours since 1970.
    number: i64,
    by_address: HashMap<IpAddr, u64>,
}

impl NewCarts {
    /// Nobody has made any yet.
    pub(super) fn new(max: u64) -> Self {
        Self { max, hour: Mutex::default() }
    }

    /// Counts one more cart.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the limit and when there is room again.
    pub(super) fn count(&self, address: ClientAddress, now: Timestamp) -> Result<(), Error> {
        let mut hour = self.hour.lock().unwrap_or_else(PoisonError::into_inner);
        let number = now.micros().div_euclid(HOUR_MICROS);
        if hour.number != number || hour.by_address.len() >= MAX_ADDRESSES {
            *hour = Hour { number, by_address: HashMap::new() };
        }
        let made = hour.by_address.entry(address.site()).or_default();
        if *made < self.max {
            *made += 1;
            return Ok(());
        }
        let minutes = (HOUR_MICROS - now.micros().rem_euclid(HOUR_MICROS)).div_euclid(MINUTE_MICROS) + 1;
        let message = format!(
            "{} carts were made from your address in this hour, and no more may: go on with one of them, try again in \
             {minutes} min, or sign in",
            self.max
        );
        Err(Error::invalid(&["input"], UserErrorCode::TooMany, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_makes_so_many_carts_an_hour() {
        let carts = NewCarts::new(2);
        let (one, other) =
            (ClientAddress::new([192, 0, 2, 1].into()), ClientAddress::new([192, 0, 2, 2].into()));
        let at = |minutes: i64| Timestamp::from_micros(minutes * MINUTE_MICROS).unwrap();
        assert!(carts.count(one, at(0)).is_ok() && carts.count(one, at(30)).is_ok());
        let Err(Error::Invalid(refused)) = carts.count(one, at(50)) else { panic!("a third") };
        assert!(
            refused[0].message.contains("2 carts") && refused[0].message.contains("in 11 min"),
            "{refused:?}"
        );
        assert!(carts.count(other, at(50)).is_ok());
        assert!(carts.count(one, at(60)).is_ok());
    }
}
