//! Kinds of callers that limits distinguish, and values per kind.

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
