//! The first of the two gates: a guard on the field. The second is `op.authorize` in the service, since guards are skipped on
//! fields that are reached through an interface.

use async_graphql::{Context, Guard};

use super::request::RequestContext;
use crate::context::OpContext;
use crate::domain::permission::Permission;

/// Lets a field be resolved only for an actor who holds a permission.
pub struct Requires(pub Permission);

impl Guard for Requires {
    async fn check(&self, ctx: &Context<'_>) -> async_graphql::Result<()> {
        Ok(ctx.op().authorize(self.0)?)
    }
}

/// Lets a field be resolved only for staff and services.
pub struct RequiresStaff;

impl Guard for RequiresStaff {
    async fn check(&self, ctx: &Context<'_>) -> async_graphql::Result<()> {
        Ok(ctx.op().authorize_staff()?)
    }
}

/// Whether introspection shows something to an actor, who must hold one of the permissions; the printed schema shows all.
macro_rules! shown_to {
    ($($name:ident: $($permission:ident)|+;)*) => {$(
        pub fn $name(ctx: &Context<'_>) -> bool {
            ctx.data_opt::<OpContext>().is_none_or(|op| [$(Permission::$permission),+].iter().any(|&any| op.may(any)))
        }
    )*};
}

shown_to! {
    reads_products: ReadProducts;
    writes_products: WriteProducts;
    reads_inventory: ReadInventory;
    writes_inventory: WriteInventory;
    manages_settings: ManageSettings;
    reads_orders: ReadOrders;
    writes_orders: WriteOrders;
    sees_drafts: ReadOrders | WriteOrders;
    reads_customers: ReadCustomers;
    writes_customers: WriteCustomers;
    manages_staff: ManageStaff;
    reads_reports: ReadReports;
    // Types that the payloads of writes hold, too.
    sees_stock: ReadInventory | WriteInventory;
    sees_locations: ReadInventory | WriteInventory | ManageSettings;
}

/// Whether introspection shows something to an actor, who must be staff or a service; the printed schema shows all.
pub fn is_staff(ctx: &Context<'_>) -> bool {
    ctx.data_opt::<OpContext>().is_none_or(|op| op.actor.is_staff())
}
