//! Permissions for customers, staff and API keys.

use mercato::domain::access::permissions::Permission::{ManageStaff, ReadCustomers, WriteCustomers};

use super::Area;

#[rustfmt::skip]
pub const AREA: Area = Area {
    // Customers' own accounts need no permission: callers who are not signed in get a user error,
    // as in the Storefront API.
    public: &[
        ("customer", "{ customer { id } }"),
        ("viewer", "{ viewer { name } }"),
        ("customerCreate", r#"mutation { customerCreate(input: { email: "a@example.com", password: "long enough" }) { customer { id } userErrors { code } } }"#),
        ("customerUpdate", r#"mutation { customerUpdate(customer: { firstName: "Ada" }) { customer { id } userErrors { code } } }"#),
        ("customerEmailVerificationRequest", "mutation { customerEmailVerificationRequest { userErrors { code } } }"),
        ("customerEmailVerify", r#"mutation { customerEmailVerify(token: "x") { userErrors { code } } }"#),
        ("customerAccessTokenCreate", r#"mutation { customerAccessTokenCreate(input: { email: "a@example.com", password: "x" }) { userErrors { code } } }"#),
        ("customerAccessTokenRenew", r#"mutation { customerAccessTokenRenew(customerAccessToken: "x") { userErrors { code } } }"#),
        ("customerAccessTokenDelete", r#"mutation { customerAccessTokenDelete(customerAccessToken: "x") { userErrors { code } } }"#),
        ("customerRecover", r#"mutation { customerRecover(email: "nobody@example.com") { userErrors { code } } }"#),
        ("customerReset", r#"mutation { customerReset(id: "gid://mercato/Customer/00000000-0000-7000-8000-000000000000", input: { resetToken: "x", password: "long enough" }) { userErrors { code } } }"#),
        ("customerResetByUrl", r#"mutation { customerResetByUrl(resetUrl: "https://shop.example/reset/x/y", password: "long enough") { userErrors { code } } }"#),
        ("customerAddressCreate", r#"mutation { customerAddressCreate(address: { city: "London" }) { customerAddress { id } userErrors { code } } }"#),
        ("customerAddressUpdate", r#"mutation { customerAddressUpdate(id: "gid://mercato/MailingAddress/00000000-0000-7000-8000-000000000000", address: {}) { userErrors { code } } }"#),
        ("customerAddressDelete", r#"mutation { customerAddressDelete(id: "gid://mercato/MailingAddress/00000000-0000-7000-8000-000000000000") { userErrors { code } } }"#),
        ("customerDefaultAddressUpdate", r#"mutation { customerDefaultAddressUpdate(addressId: "gid://mercato/MailingAddress/00000000-0000-7000-8000-000000000000") { userErrors { code } } }"#),
        ("customerPaymentMethodCreate", "mutation { customerPaymentMethodCreate { userErrors { code } } }"),
        ("customerPaymentMethodSync", "mutation { customerPaymentMethodSync { userErrors { code } } }"),
        ("customerPaymentMethodRemove", r#"mutation { customerPaymentMethodRemove(id: "gid://mercato/CustomerPaymentMethod/00000000-0000-7000-8000-000000000000") { userErrors { code } } }"#),
        ("customerDefaultPaymentMethodSet", r#"mutation { customerDefaultPaymentMethodSet(id: "gid://mercato/CustomerPaymentMethod/00000000-0000-7000-8000-000000000000") { userErrors { code } } }"#),
        ("customerCheckoutUrlCreate", r#"mutation { customerCheckoutUrlCreate(cartId: "gid://mercato/Cart/none") { userErrors { code } } }"#),
        ("staffLogin", r#"mutation { staffLogin(email: "a@example.com", password: "x") { userErrors { code } } }"#),
        ("staffAccessTokenRenew", r#"mutation { staffAccessTokenRenew(refreshToken: "x") { userErrors { code } } }"#),
        ("staffRecover", r#"mutation { staffRecover(email: "nobody@example.com") { userErrors { code } } }"#),
        ("staffPasswordReset", r#"mutation { staffPasswordReset(token: "x", password: "long enough") { userErrors { code } } }"#),
        ("staffLogout", "mutation { staffLogout { hasEnded userErrors { code } } }"),
        ("staffPasswordChange", r#"mutation { staffPasswordChange(oldPassword: "long enough", newPassword: "longer still") { userErrors { code } } }"#),
    ],
    guarded: &[
        ("customerById", ReadCustomers, r#"{ customerById(id: "gid://mercato/Customer/00000000-0000-7000-8000-000000000000") { id } }"#),
        ("customers", ReadCustomers, r#"{ customers(first: 1, query: "ada") { nodes { email } } }"#),
        ("customerDataExport", WriteCustomers, r#"mutation { customerDataExport(customerId: "gid://mercato/Customer/00000000-0000-7000-8000-000000000000") { userErrors { code } } }"#),
        ("customerErase", WriteCustomers, r#"mutation { customerErase(id: "gid://mercato/Customer/00000000-0000-7000-8000-000000000000") { userErrors { code } } }"#),
        ("staffCustomerCreate", WriteCustomers, r#"mutation { staffCustomerCreate(customer: { email: "c@example.com" }) { userErrors { code } } }"#),
        ("staffCustomerUpdate", WriteCustomers, r#"mutation { staffCustomerUpdate(id: "gid://mercato/Customer/00000000-0000-7000-8000-000000000000", customer: { note: "Hm" }) { userErrors { code } } }"#),
        ("staffMemberDelete", ManageStaff, r#"mutation { staffMemberDelete(id: "gid://mercato/StaffMember/00000000-0000-7000-8000-000000000000") { userErrors { code } } }"#),
        ("apiKeys", ManageStaff, "{ apiKeys(first: 1) { nodes { name } } }"),
        ("roles", ManageStaff, "{ roles { name } }"),
        ("staffMember", ManageStaff, r#"{ staffMember(id: "gid://mercato/StaffMember/00000000-0000-7000-8000-000000000000") { name } }"#),
        ("staffMembers", ManageStaff, "{ staffMembers(first: 1) { nodes { name } } }"),
        ("staffMemberCreate", ManageStaff, r#"mutation { staffMemberCreate(staffMember: { email: "s@example.com", name: "S" }) { userErrors { code } } }"#),
        ("staffMemberUpdate", ManageStaff, r#"mutation { staffMemberUpdate(id: "gid://mercato/StaffMember/00000000-0000-7000-8000-000000000000", staffMember: { name: "S" }) { userErrors { code } } }"#),
        ("roleCreate", ManageStaff, r#"mutation { roleCreate(role: { name: "clerk", permissions: [MANAGE_STAFF] }) { userErrors { code } } }"#),
        ("roleUpdate", ManageStaff, r#"mutation { roleUpdate(id: "gid://mercato/Role/00000000-0000-7000-8000-000000000000", role: { name: "clerks" }) { userErrors { code } } }"#),
        ("roleDelete", ManageStaff, r#"mutation { roleDelete(id: "gid://mercato/Role/00000000-0000-7000-8000-000000000000") { userErrors { code } } }"#),
        ("apiKeyCreate", ManageStaff, r#"mutation { apiKeyCreate(apiKey: { name: "till", permissions: [MANAGE_STAFF] }) { userErrors { code } } }"#),
        ("apiKeyRevoke", ManageStaff, r#"mutation { apiKeyRevoke(id: "gid://mercato/ApiKey/00000000-0000-7000-8000-000000000000") { userErrors { code } } }"#),
    ],
    guarded_fields: &[],
};
