//! Column types that are the same in Rust for both backends: `uuid` or a 16-byte blob,
//! `timestamptz` or integer microseconds, `jsonb` or text, and enums as text. Repositories use them
//! in their rows.

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, IsNull, Output, ToSql};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::Weigh;
use crate::domain::access::owners::Owner;
use crate::domain::catalog::{CollectionSortOrder, InventoryPolicy, ProductStatus, WeightUnit};
use crate::domain::content::menus::MenuItemKind;
use crate::domain::content::policies::PolicyKind;
use crate::domain::ids::{
    AddressId, ApiKeyId, CartId, CartLineId, CollectionId, CreditAccountId, CreditTransactionId, CustomerId,
    CustomerTokenId, DiscountId, DraftOrderId, EventId, FulfillmentId, Id, ImageId, JobId, LocationId,
    MediaId, MenuId, MenuItemId, OrderId, OrderLineId, PageId, PaymentId, PaymentMethodId, PolicyId,
    ProductId, RefreshTokenId, RefundId, ReturnId, RoleId, SessionId, ShippingRateId, ShippingZoneId, ShopId,
    StaffId, TaxRateId, UrlRedirectId, VariantId, WebhookAttemptId, WebhookDeliveryId, WebhookSubscriptionId,
    WorkerId,
};
use crate::domain::jobs::JobStatus;
use crate::domain::media::{ContentHash, MediaFormat, MediaKind, MediaStatus};
use crate::domain::orders::OrderStatus;
use crate::domain::orders::fulfillments::{FulfillmentState, ReturnStatus};
use crate::domain::payments::PaymentKind;
use crate::domain::payments::credit::{CreditKind, CreditReason};
use crate::domain::time::Timestamp;
use crate::domain::webhooks::{DeliveryStatus, WebhookStatus};

#[cfg(feature = "postgres")]
use diesel::pg::{Pg, PgValue};
#[cfg(feature = "sqlite")]
use diesel::sqlite::{Sqlite, SqliteValue};

/// The SQL types of `schema.rs`.
pub mod sql {
    pub use diesel::sql_types::{BigInt, Bool, Double, Float8, Int4, Int8, Integer, Nullable, Text};

    use diesel::query_builder::QueryId;
    use diesel::sql_types::SqlType;

    /// A UUID.
    #[derive(Debug, Clone, Copy, Default, SqlType, QueryId)]
    #[diesel(postgres_type(oid = 2950, array_oid = 2951))]
    #[diesel(sqlite_type(name = "Binary"))]
    pub struct Uuid;

    /// A point in time with microsecond precision.
    #[derive(Debug, Clone, Copy, Default, SqlType, QueryId)]
    #[diesel(postgres_type(oid = 1184, array_oid = 1185))]
    #[diesel(sqlite_type(name = "Long"))]
    pub struct Timestamptz;

    // `diesel::table!` generates arithmetic for columns of a type with this name, and so requires
    // it.
    impl diesel::sql_types::ops::Add for Timestamptz {
        type Rhs = BigInt;
        type Output = Self;
    }
    impl diesel::sql_types::ops::Sub for Timestamptz {
        type Rhs = BigInt;
        type Output = Self;
    }

    /// A JSON document.
    #[derive(Debug, Clone, Copy, Default, SqlType, QueryId)]
    #[diesel(postgres_type(oid = 3802, array_oid = 3807))]
    #[diesel(sqlite_type(name = "Text"))]
    pub struct Jsonb;
}

/// PostgreSQL's epoch, the year 2000, in microseconds since 1970.
#[cfg(feature = "postgres")]
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// The version byte before a binary `jsonb`.
#[cfg(feature = "postgres")]
const JSONB_VERSION: u8 = 1;

/// A JSON column that holds a `T`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, AsExpression, FromSqlRow)]
#[diesel(sql_type = sql::Jsonb)]
pub struct Json<T: Serialize + DeserializeOwned + std::fmt::Debug>(pub T);

impl<T: Weigh + Serialize + DeserializeOwned + std::fmt::Debug> Weigh for Json<T> {
    fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }
}

#[cfg(feature = "postgres")]
impl<T: Serialize + DeserializeOwned + std::fmt::Debug> ToSql<sql::Jsonb, Pg> for Json<T> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        use std::io::Write;
        out.write_all(&[JSONB_VERSION])?;
        serde_json::to_writer(out, &self.0)?;
        Ok(IsNull::No)
    }
}

#[cfg(feature = "postgres")]
impl<T: Serialize + DeserializeOwned + std::fmt::Debug> FromSql<sql::Jsonb, Pg> for Json<T> {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        match value.as_bytes().split_first() {
            Some((&JSONB_VERSION, json)) => Ok(Self(serde_json::from_slice(json)?)),
            _ => Err("unknown jsonb version".into()),
        }
    }
}

#[cfg(feature = "sqlite")]
impl<T: Serialize + DeserializeOwned + std::fmt::Debug> ToSql<sql::Jsonb, Sqlite> for Json<T> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(serde_json::to_string(&self.0)?);
        Ok(IsNull::No)
    }
}

#[cfg(feature = "sqlite")]
impl<T: Serialize + DeserializeOwned + std::fmt::Debug> FromSql<sql::Jsonb, Sqlite> for Json<T> {
    fn from_sql(mut value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        Ok(Self(serde_json::from_str(value.read_text())?))
    }
}

/// Maps a domain type, which does not depend on Diesel, to an SQL type.
macro_rules! column {
    ($rust:ty, $sql:ty) => {
        const _: () = {
            #[derive(AsExpression, FromSqlRow)]
            #[diesel(foreign_derive, sql_type = $sql)]
            #[expect(dead_code, reason = "names the type for the derives")]
            struct Proxy($rust);
        };
    };
}

column!(Timestamp, sql::Timestamptz);

#[cfg(feature = "postgres")]
impl ToSql<sql::Timestamptz, Pg> for Timestamp {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        use std::io::Write;
        out.write_all(&(self.micros() - POSTGRES_EPOCH).to_be_bytes())?;
        Ok(IsNull::No)
    }
}

#[cfg(feature = "postgres")]
impl FromSql<sql::Timestamptz, Pg> for Timestamp {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let micros = i64::from_be_bytes(value.as_bytes().try_into()?);
        micros
            .checked_add(POSTGRES_EPOCH)
            .and_then(Timestamp::from_micros)
            .ok_or_else(|| "time out of range".into())
    }
}

#[cfg(feature = "sqlite")]
impl ToSql<sql::Timestamptz, Sqlite> for Timestamp {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.micros());
        Ok(IsNull::No)
    }
}

#[cfg(feature = "sqlite")]
impl FromSql<sql::Timestamptz, Sqlite> for Timestamp {
    fn from_sql(mut value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        Timestamp::from_micros(value.read_long()).ok_or_else(|| "time out of range".into())
    }
}

macro_rules! uuid_columns {
    ($($id:ty),* $(,)?) => {$(
        column!($id, sql::Uuid);

        #[cfg(feature = "postgres")]
        impl ToSql<sql::Uuid, Pg> for $id {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                use std::io::Write;
                out.write_all(self.uuid().as_bytes())?;
                Ok(IsNull::No)
            }
        }

        #[cfg(feature = "postgres")]
        impl FromSql<sql::Uuid, Pg> for $id {
            fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                Ok(Self::from_uuid(Uuid::from_slice(value.as_bytes())?))
            }
        }

        #[cfg(feature = "sqlite")]
        impl ToSql<sql::Uuid, Sqlite> for $id {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
                out.set_value(self.uuid().into_bytes().to_vec());
                Ok(IsNull::No)
            }
        }

        #[cfg(feature = "sqlite")]
        impl FromSql<sql::Uuid, Sqlite> for $id {
            fn from_sql(mut value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
                Ok(Self::from_uuid(Uuid::from_slice(value.read_blob())?))
            }
        }
    )*};
}

uuid_columns!(
    ShopId,
    ProductId,
    VariantId,
    ImageId,
    MediaId,
    CollectionId,
    LocationId,
    EventId,
    CreditAccountId,
    CreditTransactionId,
    CustomerId,
    AddressId,
    StaffId,
    RoleId,
    ApiKeyId,
    RefreshTokenId,
    SessionId,
    CustomerTokenId,
    CartId,
    CartLineId,
    ShippingZoneId,
    ShippingRateId,
    DiscountId,
    TaxRateId,
    OrderId,
    OrderLineId,
    PaymentId,
    PaymentMethodId,
    FulfillmentId,
    RefundId,
    ReturnId,
    DraftOrderId,
    JobId,
    WorkerId,
    WebhookSubscriptionId,
    WebhookDeliveryId,
    WebhookAttemptId,
    MenuId,
    MenuItemId,
    PageId,
    PolicyId,
    UrlRedirectId,
    AnyId,
);

/// An id whose type is stored in another column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AnyId(pub Uuid);

impl AnyId {
    fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    fn uuid(self) -> Uuid {
        self.0
    }
}

macro_rules! text_columns {
    ($($text:ty),* $(,)?) => {$(
        column!($text, sql::Text);

        impl<DB: Backend> ToSql<sql::Text, DB> for $text
        where
            str: ToSql<sql::Text, DB>,
        {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
                <str as ToSql<sql::Text, DB>>::to_sql(self.as_str(), out)
            }
        }

        #[cfg(feature = "postgres")]
        impl FromSql<sql::Text, Pg> for $text {
            fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                let text = std::str::from_utf8(value.as_bytes())?;
                <$text>::parse(text).ok_or_else(|| unknown_text(text))
            }
        }

        #[cfg(feature = "sqlite")]
        impl FromSql<sql::Text, Sqlite> for $text {
            fn from_sql(mut value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
                let text = value.read_text();
                <$text>::parse(text).ok_or_else(|| unknown_text(text))
            }
        }
    )*};
}

text_columns!(ProductStatus, InventoryPolicy, WeightUnit, CollectionSortOrder, OrderStatus, PaymentKind);
text_columns!(FulfillmentState, ReturnStatus, JobStatus, DeliveryStatus, WebhookStatus);
text_columns!(MediaKind, MediaStatus, MediaFormat, ContentHash);
text_columns!(MenuItemKind, PolicyKind);
text_columns!(CreditKind, CreditReason);

column!(Owner, sql::Text);

#[cfg(feature = "postgres")]
impl ToSql<sql::Text, Pg> for Owner {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        use std::io::Write;
        write!(out, "{self}")?;
        Ok(IsNull::No)
    }
}

#[cfg(feature = "postgres")]
impl FromSql<sql::Text, Pg> for Owner {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let text = std::str::from_utf8(value.as_bytes())?;
        Self::parse(text).ok_or_else(|| unknown_text(text))
    }
}

#[cfg(feature = "sqlite")]
impl ToSql<sql::Text, Sqlite> for Owner {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.to_string());
        Ok(IsNull::No)
    }
}

#[cfg(feature = "sqlite")]
impl FromSql<sql::Text, Sqlite> for Owner {
    fn from_sql(mut value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        let text = value.read_text();
        Self::parse(text).ok_or_else(|| unknown_text(text))
    }
}

fn unknown_text(text: &str) -> Box<dyn std::error::Error + Send + Sync> {
    format!("`{text}` is not a valid value of this column").into()
}
