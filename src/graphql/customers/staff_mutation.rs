//! Customer mutations for staff. `customerCreate` and `customerUpdate` are the customers' own in
//! the dialect, hence the prefix `staff`.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::Customer;
use crate::domain::access::permissions::Permission;
use crate::graphql::request::RequestContext;
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::guard::{PermissionGuard, may_write_customers};
use crate::graphql::types::scalars::parse_gid;
use crate::services::customers::CustomerRecord;

/// Customer mutations for staff.
#[derive(Default)]
pub(crate) struct StaffCustomerMutation;

/// The input fields of a new customer created by staff.
#[derive(InputObject)]
pub(super) struct StaffCustomerCreateInput {
    /// The email address, unique in the shop.
    email: String,
    /// The first name.
    first_name: Option<String>,
    /// The last name.
    last_name: Option<String>,
    /// The phone number.
    phone: Option<String>,
    /// Whether the customer accepts marketing. Defaults to false.
    accepts_marketing: Option<bool>,
    /// The tags of the customer, at most 250. A tag can't contain a comma.
    tags: Option<Vec<String>>,
    /// A note for staff, at most 5000 characters.
    note: Option<String>,
}

/// The changes to a customer. Omitted fields are left unchanged.
#[derive(InputObject)]
pub(super) struct StaffCustomerUpdateInput {
    /// The email address, unique in the shop. A new address is unverified, and changing it ends the
    /// customer's sessions.
    email: Option<String>,
    /// The first name.
    first_name: MaybeUndefined<String>,
    /// The last name.
    last_name: MaybeUndefined<String>,
    /// The phone number.
    phone: MaybeUndefined<String>,
    /// Whether the customer accepts marketing.
    accepts_marketing: Option<bool>,
    /// The tags of the customer. Replaces the existing tags.
    tags: Option<Vec<String>>,
    /// A note for staff, at most 5000 characters.
    note: Option<String>,
}

/// The result of `staffCustomerCreate`.
#[derive(SimpleObject)]
#[graphql(visible = "may_write_customers")]
pub(super) struct StaffCustomerCreatePayload {
    /// The new customer. Null if the mutation failed.
    customer: Option<Customer>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `staffCustomerUpdate`.
#[derive(SimpleObject)]
#[graphql(visible = "may_write_customers")]
pub(super) struct StaffCustomerUpdatePayload {
    /// The updated customer. Null if the mutation failed.
    customer: Option<Customer>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

#[Object]
impl StaffCustomerMutation {
    /// Creates a customer on behalf of the shop. The customer has no password and isn't notified.
    /// They can take over the account with `customerRecover`.
    #[graphql(guard = "PermissionGuard(Permission::WriteCustomers)", visible = "may_write_customers")]
    async fn staff_customer_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The customer to create.")] customer: StaffCustomerCreateInput,
    ) -> Result<StaffCustomerCreatePayload> {
        let new = CustomerRecord {
            email: Some(customer.email),
            first_name: Some(customer.first_name),
            last_name: Some(customer.last_name),
            phone: Some(customer.phone),
            accepts_marketing: customer.accepts_marketing,
            tags: customer.tags,
            note: customer.note,
        };
        let (created, user_errors) = payload(ctx.services().customers.add_by_staff(ctx.op(), &new).await)?;
        Ok(StaffCustomerCreatePayload { customer: created.map(Customer::new), user_errors })
    }

    /// Updates a customer.
    #[graphql(guard = "PermissionGuard(Permission::WriteCustomers)", visible = "may_write_customers")]
    async fn staff_customer_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the customer.")] id: ID,
        #[graphql(desc = "The fields to change.")] customer: StaffCustomerUpdateInput,
    ) -> Result<StaffCustomerUpdatePayload> {
        let id = parse_gid(&id)?;
        let patch = CustomerRecord {
            email: customer.email,
            first_name: customer.first_name.into(),
            last_name: customer.last_name.into(),
            phone: customer.phone.into(),
            accepts_marketing: customer.accepts_marketing,
            tags: customer.tags,
            note: customer.note,
        };
        let changed = ctx.services().customers.update_by_staff(ctx.op(), id, &patch).await;
        let (changed, user_errors) = payload(changed)?;
        Ok(StaffCustomerUpdatePayload { customer: changed.map(Customer::new), user_errors })
    }
}
