//! What staff write down of customers. The dialect's `customerCreate` and `customerUpdate` are the
//! customers' own, so these have names of their own.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::Customer;
use crate::domain::permission::Permission;
use crate::graphql::errors::{UserError, payload};
use crate::graphql::guard::{Requires, writes_customers};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::parse_gid;
use crate::services::customers::CustomerRecord;

/// What staff write down of customers.
#[derive(Default)]
pub struct StaffCustomerMutation;

/// A customer who did not sign up.
#[derive(InputObject)]
pub struct StaffCustomerCreateInput {
    /// E-mail address, unique in the shop.
    email: String,
    /// Given name.
    first_name: Option<String>,
    /// Family name.
    last_name: Option<String>,
    /// Phone number.
    phone: Option<String>,
    /// Whether they want to hear of offers.
    accepts_marketing: Option<bool>,
    /// Words to tell them by, up to 250; none has a comma in it.
    tags: Option<Vec<String>>,
    /// What is noted on them, up to 5000 characters.
    note: Option<String>,
}

/// A change of a customer; what is not given stays as it is.
#[derive(InputObject)]
pub struct StaffCustomerUpdateInput {
    /// E-mail address, unique in the shop. A new one is not theirs until they prove it, and ends
    /// their sessions.
    email: Option<String>,
    /// Given name.
    first_name: MaybeUndefined<String>,
    /// Family name.
    last_name: MaybeUndefined<String>,
    /// Phone number.
    phone: MaybeUndefined<String>,
    /// Whether they want to hear of offers.
    accepts_marketing: Option<bool>,
    /// All words to tell them by, in place of those there were.
    tags: Option<Vec<String>>,
    /// What is noted on them, up to 5000 characters.
    note: Option<String>,
}

/// What became of the customer.
#[derive(SimpleObject)]
#[graphql(visible = "writes_customers")]
pub struct StaffCustomerCreatePayload {
    /// The customer; null if they could not be made.
    customer: Option<Customer>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the change.
#[derive(SimpleObject)]
#[graphql(visible = "writes_customers")]
pub struct StaffCustomerUpdatePayload {
    /// The customer; null if they could not be changed.
    customer: Option<Customer>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

#[Object]
impl StaffCustomerMutation {
    /// Makes a customer who did not sign up. They have no password and are mailed nothing; by
    /// `customerRecover` they make the account theirs.
    #[graphql(guard = "Requires(Permission::WriteCustomers)", visible = "writes_customers")]
    async fn staff_customer_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The customer.")] customer: StaffCustomerCreateInput,
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
        let (made, user_errors) = payload(ctx.services().customers.add_by_staff(ctx.op(), &new).await)?;
        Ok(StaffCustomerCreatePayload { customer: made.map(Customer::of), user_errors })
    }

    /// Changes what is held on a customer.
    #[graphql(guard = "Requires(Permission::WriteCustomers)", visible = "writes_customers")]
    async fn staff_customer_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Their global id.")] id: ID,
        #[graphql(desc = "What is to change.")] customer: StaffCustomerUpdateInput,
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
        Ok(StaffCustomerUpdatePayload { customer: changed.map(Customer::of), user_errors })
    }
}
