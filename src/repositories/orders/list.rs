//! Lists of orders, filtered by a search query or by customer; sorted and paginated.

use diesel::dsl::{count_star, not, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::Order;
use crate::db::expr::{Condition, KeepPrepared, constant, in_ids};
#[cfg(feature = "sqlite")]
use crate::db::load_sqlite;
use crate::db::schema::{order_lines, orders};
use crate::db::{Conn, DbError, load, per_backend};
use crate::domain::catalog::search::{Node, OrderTerm, TextMatch};
use crate::domain::ids::{CustomerId, Id, OrderId};
use crate::domain::money::Currency;
use crate::domain::orders::FulfillmentStatus;
use crate::domain::page::{Cursor, CursorKey, CursorKeyKind, Page, PageRequest};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::repositories::catalog::words::{HasWords, SearchField};
use crate::repositories::conditions::{compare, compare_price, text_condition};
use crate::repositories::keyset::{after_id, after_key, bind_position};

/// The sort key of a list of orders; ties are sorted by id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OrderSort {
    /// By placement, oldest first.
    Id,
    /// By number.
    Number,
    /// By date, oldest first; imported orders keep their date.
    PlacedAt,
    /// Oldest change first.
    UpdatedAt,
    /// Cheapest first.
    Total,
}

/// The sort key for numbers: orders without a number come first.
const NUMBER_KEY: &str = "coalesce(orders.number, 0)";

impl OrderSort {
    /// The type of the cursor key in this order.
    #[must_use]
    pub fn key_kind(self) -> CursorKeyKind {
        if self == Self::Id { CursorKeyKind::None } else { CursorKeyKind::Integer }
    }

    fn key(self, order: &Order) -> CursorKey {
        match self {
            Self::Id => CursorKey::None,
            Self::Number => CursorKey::Integer(order.number.unwrap_or_default()),
            Self::PlacedAt => CursorKey::Integer(order.placed_at.micros()),
            Self::UpdatedAt => CursorKey::Integer(order.updated_at.micros()),
            Self::Total => CursorKey::Integer(order.total),
        }
    }
}

/// A filtered and sorted list of orders.
#[derive(Clone, Debug)]
pub struct OrderList {
    /// The filter.
    pub filter: Node<OrderTerm>,
    /// The currency of totals in the filter.
    pub currency: Currency,
    /// The sort key.
    pub sort: OrderSort,
    /// Whether to reverse the order.
    pub reverse: bool,
}

/// A page to be read of the orders of each of several customers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CustomerPageQuery {
    /// The sort key.
    pub sort: OrderSort,
    /// Whether to reverse the order.
    pub reverse: bool,
    /// The requested page.
    pub request: PageRequest<Cursor>,
}

/// Whether an order was imported under one of these names.
macro_rules! imported_as_any {
    ($names:expr) => {
        orders::imported_as.is_not_null().and(orders::imported_as.assume_not_null().eq_any($names))
    };
}

/// Defines the function that translates a search to a condition, for one backend.
macro_rules! condition {
    ($name:ident, $backend:ty) => {
        fn $name(node: &Node<OrderTerm>, currency: Currency) -> Condition<orders::table, $backend> {
            let each = |nodes: &[Node<OrderTerm>]| -> Vec<Condition<orders::table, $backend>> {
                nodes.iter().map(|node| $name(node, currency)).collect()
            };
            match node {
                Node::All => Box::new(constant(true)),
                Node::And(nodes) => {
                    let all = each(nodes).into_iter().reduce(|a, b| Box::new(a.and(b)));
                    all.unwrap_or_else(|| Box::new(constant(true)))
                }
                Node::Or(nodes) => {
                    let any = each(nodes).into_iter().reduce(|a, b| Box::new(a.or(b)));
                    any.unwrap_or_else(|| Box::new(constant(false)))
                }
                Node::Not(node) => Box::new(not($name(node, currency))),
                Node::Text(text) => Box::new(HasWords::new("orders.id", &[SearchField::Order], text)),
                // Orders have no title.
                Node::Title(_) => Box::new(constant(false)),
                Node::Field(OrderTerm::Status(values)) => Box::new(orders::status.eq_any(values.clone())),
                Node::Field(OrderTerm::Financial(values)) => {
                    let names: Vec<&str> = values.iter().map(|status| status.as_str()).collect();
                    Box::new(sql::<Text>(FINANCIAL_STATUS).eq_any(names))
                }
                Node::Field(OrderTerm::Fulfillment(values)) => any_of(values, fulfillment_sql),
                Node::Field(OrderTerm::Email(value)) => {
                    let email = || orders::email.assume_not_null();
                    // An order without an address does not match, but matches the negation.
                    text_condition!(email(), email(), text::lower, value, |meets| {
                        orders::email.is_not_null().and(meets)
                    })
                }
                Node::Field(OrderTerm::Name(names)) => {
                    let numbers: Vec<i64> = names.iter().filter_map(|name| parse_number(name)).collect();
                    let is_numbered = orders::number.assume_not_null().eq_any(numbers);
                    let named: Condition<orders::table, $backend> = Box::new(
                        orders::number.is_not_null().and(is_numbered).or(imported_as_any!(names.clone())),
                    );
                    let unnumbered = names.iter().filter(|name| is_unnumbered_name(name));
                    unnumbered.filter_map(|name| TextMatch::new(name, false, false)).fold(
                        named,
                        |any, text| {
                            let has_words: Condition<orders::table, $backend> =
                                Box::new(HasWords::new("orders.id", &[SearchField::Order], &text));
                            Box::new(any.or(has_words))
                        },
                    )
                }
                Node::Field(OrderTerm::Sku(value)) => {
                    let (sku, key) = (order_lines::sku, || order_lines::sku_key.assume_not_null());
                    text_condition!(sku.assume_not_null(), key(), text::key, value, |meets| {
                        orders::id.eq_any(order_lines::table.filter(meets).select(order_lines::order_id))
                    })
                }
                Node::Field(OrderTerm::Id(ids)) => {
                    Box::new(orders::id.eq_any(parse_ids(ids).map(OrderId::from_uuid).collect::<Vec<_>>()))
                }
                Node::Field(OrderTerm::Customer(ids)) => {
                    let ids: Vec<CustomerId> = parse_ids(ids).map(CustomerId::from_uuid).collect();
                    let meets = orders::customer_id.assume_not_null().eq_any(ids);
                    Box::new(orders::customer_id.is_not_null().and(meets))
                }
                Node::Field(OrderTerm::Total(comparator, amount)) => {
                    let Some((comparator, minor)) = compare_price(*comparator, amount, currency) else {
                        return Box::new(constant(false));
                    };
                    compare!(orders::total, comparator, minor, |meets| meets)
                }
                Node::Field(OrderTerm::CreatedAt(comparator, at)) => {
                    compare!(orders::placed_at, *comparator, Timestamp::from(*at), |meets| meets)
                }
                Node::Field(OrderTerm::UpdatedAt(comparator, at)) => {
                    compare!(orders::updated_at, *comparator, Timestamp::from(*at), |meets| meets)
                }
            }
        }
    };
}

#[cfg(feature = "postgres")]
condition!(postgres_condition, diesel::pg::Pg);
#[cfg(feature = "sqlite")]
condition!(sqlite_condition, diesel::sqlite::Sqlite);

/// The payment status of an order: the same rules in the same order as those of
/// `domain::orders::FinancialStatus::of`. The integration test `orders::financial_status` compares
/// the two. `undone` is what `LedgerTotals::without_undone_releases` leaves out.
const FINANCIAL_STATUS: &str = "(SELECT CASE
    WHEN captured > 0 AND refunded >= captured THEN 'REFUNDED'
    WHEN captured > 0 AND captured - refunded >= orders.total THEN 'PAID'
    WHEN refunded > 0 THEN 'PARTIALLY_REFUNDED'
    WHEN captured > 0 THEN 'PARTIALLY_PAID'
    WHEN authorized > 0 THEN 'AUTHORIZED'
    WHEN voiding > 0 AND orders.status IN ('CANCELLED', 'EXPIRED') THEN 'AUTHORIZED'
    WHEN released > 0 THEN 'VOIDED'
    WHEN orders.status IN ('CANCELLED', 'EXPIRED') THEN 'VOIDED'
    WHEN orders.total = 0 AND orders.status <> 'PENDING_PAYMENT' THEN 'PAID'
    ELSE 'PENDING' END
    FROM (SELECT
        coalesce(sum(captured), 0) - coalesce(sum(undone), 0) AS captured,
        coalesce(sum(CASE WHEN refunded > failed THEN refunded - failed ELSE 0 END), 0)
            + coalesce(sum(lost), 0) - coalesce(sum(undone), 0) AS refunded,
        coalesce(sum(CASE WHEN authorized > captured + voided AND void_requests = 0 THEN 1 ELSE 0 END), 0)
            AS authorized,
        coalesce(sum(CASE WHEN authorized > captured + voided AND void_requests > 0 THEN 1 ELSE 0 END), 0)
            AS voiding,
        coalesce(sum(CASE WHEN authorized > 0 AND voided > 0 THEN 1 ELSE 0 END), 0) AS released
        FROM (SELECT
            coalesce(sum(amount) FILTER (WHERE kind = 'captured'), 0) AS captured,
            coalesce(sum(amount) FILTER (WHERE kind = 'authorized'), 0) AS authorized,
            coalesce(sum(amount) FILTER (WHERE kind = 'voided'), 0) AS voided,
            count(*) FILTER (WHERE kind = 'void_requested') AS void_requests,
            coalesce(sum(amount) FILTER (WHERE kind = 'refunded'), 0) AS refunded,
            coalesce(sum(amount) FILTER (WHERE kind = 'refund_failed'), 0) AS failed,
            coalesce(sum(amount) FILTER (WHERE kind = 'dispute_lost'), 0) AS lost,
            coalesce(sum(undone), 0) AS undone
            FROM (SELECT attempt_id, refund_id, kind, amount, CASE
                WHEN kind <> 'refunded' OR substr(provider_event_id, 1, 9) <> 'released:' THEN 0
                WHEN orders.status NOT IN ('CANCELLED', 'EXPIRED') THEN amount
                WHEN EXISTS (SELECT 1 FROM payments AS taken WHERE taken.order_id = payments.order_id
                    AND taken.id > payments.id AND taken.kind = 'captured'
                    AND taken.provider IN ('gift_card', 'store_credit')) THEN amount
                ELSE 0 END AS undone
                FROM payments WHERE payments.order_id = orders.id) AS entries
            GROUP BY attempt_id, refund_id) AS parts) AS ledger)";

/// The same rules as `domain::orders::LineCount::shipped`.
fn fulfillment_sql(status: FulfillmentStatus) -> String {
    let any =
        |what: &str| format!("EXISTS (SELECT 1 FROM order_lines l WHERE l.order_id = orders.id AND {what})");
    let shipped = any("l.fulfilled_quantity > 0");
    let open = any("l.fulfilled_quantity + l.refunded_quantity < l.quantity");
    match status {
        FulfillmentStatus::Unfulfilled => format!("(NOT {shipped})"),
        FulfillmentStatus::PartiallyFulfilled => format!("({shipped} AND {open})"),
        FulfillmentStatus::Fulfilled => format!("({shipped} AND NOT {open})"),
    }
}

fn any_of<T: Copy, DB>(values: &[T], to_sql: fn(T) -> String) -> Condition<orders::table, DB>
where
    DB: diesel::backend::Backend + 'static,
    diesel::expression::SqlLiteral<Bool>: diesel::BoxableExpression<orders::table, DB, SqlType = Bool>,
{
    let any: Vec<String> = values.iter().map(|one| to_sql(*one)).collect();
    Box::new(sql::<Bool>(&format!("({})", any.join(" OR "))))
}

/// Parses the number of a name such as `#1001`.
fn parse_number(name: &str) -> Option<i64> {
    name.trim_start_matches('#').parse().ok()
}

/// Whether it is the name of an order without a number: `#X-0A1B2C3D`.
fn is_unnumbered_name(name: &str) -> bool {
    let bare = name.trim_start_matches('#');
    bare.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-"))
}

fn parse_ids(ids: &[String]) -> impl Iterator<Item = Uuid> {
    ids.iter().filter_map(|id| Uuid::try_parse(id).ok())
}

/// Reads a page of a list on one backend.
macro_rules! read_page {
    (|$query:ident| $load:expr, $condition:ident, $list:expr, $request:expr) => {{
        let (list, request): (&OrderList, &PageRequest<Cursor>) = ($list, $request);
        let (is_descending, after) = (request.is_descending(list.reverse), request.position());
        let (after, id) = (after.as_ref(), orders::id);
        let query = match &list.filter {
            Node::All => orders::table.into_boxed(),
            filter => orders::table.filter($condition(filter, list.currency)).into_boxed(),
        };
        let query = match list.sort {
            OrderSort::Number => {
                after_key!(query, sql::<BigInt>(NUMBER_KEY), CursorKey::integer, id, after, is_descending)
            }
            OrderSort::PlacedAt => {
                after_key!(query, orders::placed_at, CursorKey::moment, id, after, is_descending)
            }
            OrderSort::UpdatedAt => {
                after_key!(query, orders::updated_at, CursorKey::moment, id, after, is_descending)
            }
            OrderSort::Total => {
                after_key!(query, orders::total, CursorKey::integer, id, after, is_descending)
            }
            OrderSort::Id => after_id!(query, id, after, is_descending),
        };
        let $query = query.limit(request.row_limit()).select(Order::as_select());
        $load
    }};
}

/// Returns a page of orders, each with its sort key.
pub async fn page(
    conn: &mut Conn,
    list: &OrderList,
    request: &PageRequest<Cursor>,
) -> Result<Page<(Order, CursorKey)>, DbError> {
    let rows: Vec<Order> = per_backend!(conn,
        postgres: |c| read_page!(|query| query.load(c).await, postgres_condition, list, request),
        sqlite: |c| read_page!(|query| load_sqlite!(c, query), sqlite_condition, list, request),
    )?;
    Ok(Page::from_rows(rows, request).with_keys(|order| list.sort.key(order)))
}

/// Counts the orders of a list on one backend.
macro_rules! count_query {
    ($condition:ident, $list:expr) => {{
        let list: &OrderList = $list;
        let query = match &list.filter {
            Node::All => orders::table.into_boxed(),
            filter => orders::table.filter($condition(filter, list.currency)).into_boxed(),
        };
        query.select(count_star())
    }};
}

/// Counts the orders of a list.
pub async fn count(conn: &mut Conn, list: &OrderList) -> Result<i64, DbError> {
    let counted: Vec<i64> = per_backend!(conn,
        postgres: |c| count_query!(postgres_condition, list).load(c).await,
        sqlite: |c| load_sqlite!(c, count_query!(sqlite_condition, list)),
    )?;
    Ok(counted.into_iter().sum())
}

/// Counts the orders of each of these customers. Customers without orders are left out; orders
/// without a number are not counted, since their payment was declined or is pending.
pub async fn count_of_customers(
    conn: &mut Conn,
    customers: &[CustomerId],
) -> Result<Vec<(CustomerId, i64)>, DbError> {
    let counted: Vec<(Option<CustomerId>, i64)> = load!(
        conn,
        orders::table
            .filter(in_ids(orders::customer_id.assume_not_null(), customers))
            .filter(orders::number.is_not_null())
            .group_by(orders::customer_id)
            .select((orders::customer_id, count_star()))
    )?;
    Ok(counted.into_iter().filter_map(|(customer, count)| Some((customer?, count))).collect())
}

impl CustomerPageQuery {
    /// The SQL statement, one of twenty. SQLite numbers parameters by their first appearance, so
    /// they appear in the order they are bound: the customers, the cursor's key and id if there is
    /// one, the number of rows.
    fn sql(&self, of_customers: &str) -> String {
        let key = match self.sort {
            OrderSort::Id => "0",
            OrderSort::Number => "coalesce(o.number, 0)",
            OrderSort::PlacedAt => "o.placed_at",
            OrderSort::UpdatedAt => "o.updated_at",
            OrderSort::Total => "o.total",
        };
        let (direction, beyond) =
            if self.request.is_descending(self.reverse) { ("DESC", "<") } else { ("ASC", ">") };
        let (beyond, size) = match &self.request.cursor {
            None => (String::new(), "$2"),
            Some(_) => (format!("AND ({key}, o.id) {beyond} ($2, $3)"), "$4"),
        };
        format!(
            "SELECT * FROM (SELECT o.*, row_number() OVER \
             (PARTITION BY o.customer_id ORDER BY {key} {direction}, o.id {direction}) AS place \
             FROM orders o WHERE o.customer_id {of_customers} AND o.number IS NOT NULL {beyond}) numbered \
             WHERE place <= {size} ORDER BY customer_id, place"
        )
    }
}

/// Returns the same page for each of these customers: orders with their sort keys. Customers
/// without orders and orders without a number are left out.
pub async fn page_of_customers(
    conn: &mut Conn,
    customers: &[CustomerId],
    query_page: &CustomerPageQuery,
) -> Result<Vec<(CustomerId, Page<(Order, CursorKey)>)>, DbError> {
    let size = query_page.request.row_limit();
    macro_rules! load {
        ($c:ident, $query:expr) => {{
            let is_moment = matches!(query_page.sort, OrderSort::PlacedAt | OrderSort::UpdatedAt);
            let query = bind_position!($query, query_page.request.position(), is_moment);
            query.bind::<BigInt, _>(size).keep_prepared().load::<Order>($c).await
        }};
    }
    let rows: Vec<Order> = per_backend!(conn,
        postgres: |c| {
            let ids: Vec<Uuid> = customers.iter().map(|id| id.uuid()).collect();
            let query = diesel::sql_query(query_page.sql("= ANY($1)")).into_boxed();
            load!(c, query.bind::<diesel::sql_types::Array<diesel::sql_types::Uuid>, _>(ids))
        },
        sqlite: |c| {
            let ids: Vec<String> = customers.iter().map(|id| id.uuid().simple().to_string()).collect();
            let ids = format!("[\"{}\"]", ids.join("\",\""));
            let query = diesel::sql_query(query_page.sql("IN (SELECT unhex(value) FROM json_each($1))")).into_boxed();
            load!(c, query.bind::<Text, _>(ids))
        },
    )?;
    let rows = rows.into_iter().filter_map(|order| {
        let key = query_page.sort.key(&order);
        Some((order.customer_id?, (order, key)))
    });
    Ok(Page::from_grouped_rows(rows, &query_page.request))
}
