//! Guards on fields: the first of two permission checks. The second is `op.authorize` in the
//! service, because guards are skipped on fields that are reached through an interface.

use async_graphql::{Context, Guard};

use crate::context::OpContext;
use crate::domain::access::permissions::Permission;
use crate::graphql::request::{RequestContext, RequestData};

/// Allows a field only for actors with a permission.
pub(crate) struct PermissionGuard(pub Permission);

impl Guard for PermissionGuard {
    async fn check(&self, ctx: &Context<'_>) -> async_graphql::Result<()> {
        Ok(ctx.op().authorize(self.0)?)
    }
}

/// Allows a field only for staff and services.
pub(crate) struct StaffGuard;

impl Guard for StaffGuard {
    async fn check(&self, ctx: &Context<'_>) -> async_graphql::Result<()> {
        Ok(ctx.op().authorize_staff()?)
    }
}

/// Defines functions that tell whether introspection shows something to an actor, who must have one
/// of the permissions. The printed schema shows everything.
macro_rules! visibility_checks {
    ($($name:ident: $($permission:ident)|+;)*) => {$(
        pub(crate) fn $name(ctx: &Context<'_>) -> bool {
            let may = |op: &OpContext| [$(Permission::$permission),+].iter().any(|&any| op.may(any));
            RequestData::of(ctx).is_none_or(|request| may(&request.op))
        }
    )*};
}

visibility_checks! {
    may_read_products: ReadProducts;
    may_write_products: WriteProducts;
    may_read_inventory: ReadInventory;
    may_write_inventory: WriteInventory;
    may_manage_settings: ManageSettings;
    may_read_orders: ReadOrders;
    may_write_orders: WriteOrders;
    may_see_draft_orders: ReadOrders | WriteOrders;
    may_read_customers: ReadCustomers;
    may_write_customers: WriteCustomers;
    may_manage_staff: ManageStaff;
    may_read_reports: ReadReports;
    may_read_gift_cards: ReadGiftCards;
    may_write_gift_cards: WriteGiftCards;
    may_see_gift_cards: ReadGiftCards | WriteGiftCards;
    // For types that are also part of mutation payloads.
    may_see_stock: ReadInventory | WriteInventory;
    may_see_locations: ReadInventory | WriteInventory | ManageSettings;
}

/// Whether introspection shows something to an actor, who must be staff or a service. The printed
/// schema shows everything.
pub(crate) fn is_staff(ctx: &Context<'_>) -> bool {
    RequestData::of(ctx).is_none_or(|request| request.op.actor.is_staff())
}
