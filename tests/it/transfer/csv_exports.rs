//! Exports of orders and customers for spreadsheets.

use serde_json::json;

use crate::support::{TestApp, both, order_input, update_variables};

/// The rows of a file, with cells by the names of their columns.
fn cells(file: &[u8]) -> Vec<std::collections::HashMap<String, String>> {
    let mut reader = csv::Reader::from_reader(file);
    let names = reader.headers().unwrap().clone();
    let row =
        |row: csv::StringRecord| names.iter().map(str::to_owned).zip(row.iter().map(str::to_owned)).collect();
    reader.records().map(|record| row(record.unwrap())).collect()
}

both!(the_order_export_has_a_row_for_each_line);
async fn the_order_export_has_a_row_for_each_line(app: TestApp) {
    let (mug, bowl) = (app.create_stocked("Mug", "4", 9).await, app.create_stocked("Bowl", "7", 9).await);
    let cart = app.cart(&[(&mug, 2), (&bowl, 1)]).await;
    let placed = app.anonymous().place(order_input(&cart, "15", "tok_ok")).await.ok();
    let change = "mutation($id: ID!, $order: OrderUpdateInput!) { orderUpdate(id: $id, order: $order) { userErrors { message } } }";
    let formula = "=HYPERLINK(\"https://x.example\")";
    let order = json!({ "id": placed["orderPlace.order.id"], "note": formula, "tags": ["vip", "gift"] });
    app.admin().ask_with(change, update_variables("order", order)).await.assert_ok();

    let mut file = Vec::new();
    let written = app.app.order_export.run(&app.app.system(), &mut file, |_| {}).await.unwrap();
    assert_eq!(written, 1);
    let rows = cells(&file);
    assert_eq!(rows.len(), 2, "{rows:#?}");
    let name = placed["orderPlace.order.name"].as_str().unwrap();
    for (row, [quantity, title, price]) in rows.iter().zip([["2", "Mug", "4.00"], ["1", "Bowl", "7.00"]]) {
        assert_eq!(row["Name"], name);
        assert_eq!(
            [&row["Lineitem quantity"], &row["Lineitem name"], &row["Lineitem price"]],
            [quantity, title, price]
        );
    }
    let first = &rows[0];
    assert_eq!((first["Email"].as_str(), first["Total"].as_str()), ("ada@example.com", "15.00"));
    assert_eq!(
        (first["Financial Status"].as_str(), first["Fulfillment Status"].as_str()),
        ("paid", "unfulfilled")
    );
    assert_eq!(first["Tags"], "vip, gift");
    // Spreadsheets must not take a buyer's text for a formula.
    assert_eq!(first["Notes"], format!("'{formula}"));
    assert_eq!((rows[1]["Email"].as_str(), rows[1]["Total"].as_str()), ("", ""));
}

both!(the_customer_export_has_a_row_for_each_customer);
async fn the_customer_export_has_a_row_for_each_customer(app: TestApp) {
    let create = "mutation($customer: StaffCustomerCreateInput!) {
        staffCustomerCreate(customer: $customer) { customer { id } userErrors { message } }
    }";
    for (email, tags) in [("grace@example.com", json!(["trade", "late"])), ("gone@example.com", json!([]))] {
        let customer = json!({ "email": email, "firstName": "Grace", "tags": tags });
        let created = app.admin().ask_with(create, json!({ "customer": customer })).await.ok();
        if email.starts_with("gone") {
            let erase = "mutation($id: ID!) { customerErase(id: $id) { userErrors { code } } }";
            let id = &created["staffCustomerCreate.customer.id"];
            app.admin().ask_with(erase, json!({ "id": id })).await.assert_ok();
        }
    }
    let mut file = Vec::new();
    let written = app.app.customer_export.run(&app.app.system(), &mut file, |_| {}).await.unwrap();
    let rows = cells(&file);
    let emails: Vec<&str> = rows.iter().map(|row| row["Email"].as_str()).collect();
    assert_eq!((written, emails), (2, vec!["customer@example.com", "grace@example.com"]));
    assert_eq!((rows[1]["Tags"].as_str(), rows[1]["Total Orders"].as_str()), ("trade, late", "0"));
}
