//! Callers to whom limits apply, the kinds that limits distinguish, and values per kind.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::domain::ids::{ApiKeyId, CustomerId, Id, StaffId};

/// Whom a limit applies to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Caller {
    /// A buyer who has not signed in, by network.
    Network(IpAddr),
    /// A customer.
    Customer(CustomerId),
    /// A staff member.
    Staff(StaffId),
    /// An API key.
    ApiKey(ApiKeyId),
}

impl Caller {
    /// The caller in a network. All whose network is unknown count as one.
    #[must_use]
    pub fn in_network(network: Option<IpAddr>) -> Self {
        Self::Network(network.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
    }

    /// The kind of caller.
    #[must_use]
    pub fn kind(self) -> CallerKind {
        match self {
            Self::Network(_) => CallerKind::Anonymous,
            Self::Customer(_) => CallerKind::Customer,
            Self::Staff(_) => CallerKind::Staff,
            Self::ApiKey(_) => CallerKind::ApiKey,
        }
    }
}

/// The form in keys that are stored in the database and in Redis.
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => write!(f, "address:{network}"),
            Self::Customer(id) => write!(f, "customer:{}", id.uuid()),
            Self::Staff(id) => write!(f, "staff:{}", id.uuid()),
            Self::ApiKey(id) => write!(f, "api_key:{}", id.uuid()),
        }
    }
}

/// The kind of caller that sends a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CallerKind {
    /// A buyer who has not signed in.
    Anonymous,
    /// A customer who has signed in.
    Customer,
    /// A staff member, or the shop itself.
    Staff,
    /// A service with an API key.
    ApiKey,
}

impl CallerKind {
    /// All kinds, in the order in which settings list them.
    pub const ALL: [Self; 4] = [Self::Anonymous, Self::Customer, Self::Staff, Self::ApiKey];

    /// Whether this is a buyer, rather than someone who works for the shop.
    #[must_use]
    pub fn is_buyer(self) -> bool {
        matches!(self, Self::Anonymous | Self::Customer)
    }

    /// The kind's name in settings and in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Customer => "customer",
            Self::Staff => "staff",
            Self::ApiKey => "api_key",
        }
    }
}

/// A value for each kind of caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PerCaller<T> {
    /// For buyers who have not signed in.
    pub anonymous: T,
    /// For customers.
    pub customer: T,
    /// For staff.
    pub staff: T,
    /// For services with an API key.
    pub api_key: T,
}

impl<T: Copy> PerCaller<T> {
    /// The same value for all kinds.
    pub const fn all(value: T) -> Self {
        Self { anonymous: value, customer: value, staff: value, api_key: value }
    }

    /// One value for buyers, signed in or not, and one for staff and services.
    pub const fn buyers_and_staff(buyers: T, staff: T) -> Self {
        Self { anonymous: buyers, customer: buyers, staff, api_key: staff }
    }

    /// The value for a kind of caller.
    #[must_use]
    pub fn of(&self, kind: CallerKind) -> T {
        match kind {
            CallerKind::Anonymous => self.anonymous,
            CallerKind::Customer => self.customer,
            CallerKind::Staff => self.staff,
            CallerKind::ApiKey => self.api_key,
        }
    }

    /// Sets the value for a kind of caller.
    pub fn set(&mut self, kind: CallerKind, value: T) {
        match kind {
            CallerKind::Anonymous => self.anonymous = value,
            CallerKind::Customer => self.customer = value,
            CallerKind::Staff => self.staff = value,
            CallerKind::ApiKey => self.api_key = value,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn stored_keys_of_callers_never_change() {
        let id = Uuid::from_u128(7);
        for (caller, key) in [
            (Caller::in_network(None), "address:0.0.0.0"),
            (Caller::Network([192, 0, 2, 1].into()), "address:192.0.2.1"),
            (Caller::Customer(CustomerId::from_uuid(id)), "customer:00000000-0000-0000-0000-000000000007"),
            (Caller::Staff(StaffId::from_uuid(id)), "staff:00000000-0000-0000-0000-000000000007"),
            (Caller::ApiKey(ApiKeyId::from_uuid(id)), "api_key:00000000-0000-0000-0000-000000000007"),
        ] {
            assert_eq!(caller.to_string(), key);
        }
    }
}
