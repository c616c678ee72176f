//! Exports all customers as CSV, with the columns of Shopify's customer export where they apply.
//!
//! Reads in chunks, so that memory use does not depend on the size of the shop.

use std::collections::HashMap;
use std::io::Write;

use csv::Writer;

use super::product_export::ExportError;
use super::spreadsheet::{address_cells, optional_cell, text_cell};
use crate::context::OpContext;
use crate::db::{Conn, Db, DbError};
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{CustomerId, Id};
use crate::loaders::{Customer, CustomerAddress};
use crate::repositories::customers::{self, addresses};
use crate::repositories::orders;

/// Number of customers per chunk.
const CHUNK_SIZE: i64 = 500;

const COLUMNS: [&str; 18] = [
    "Customer ID",
    "First Name",
    "Last Name",
    "Email",
    "Accepts Email Marketing",
    "Phone",
    "Total Orders",
    "Tags",
    "Note",
    "Created at",
    "Default Address Address1",
    "Default Address Address2",
    "Default Address Company",
    "Default Address City",
    "Default Address Zip",
    "Default Address Province Code",
    "Default Address Country Code",
    "Default Address Phone",
];

/// Exports customers.
pub struct CustomerExport {
    db: Db,
}

impl CustomerExport {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Exports every customer who was not erased; calls `progress` with the number written so far.
    /// Returns the total.
    ///
    /// # Errors
    /// [`ExportError`] when the shop can't be read or the file can't be written.
    pub async fn run<W: Write>(
        &self,
        op: &OpContext,
        output: W,
        mut progress: impl FnMut(u64),
    ) -> Result<u64, ExportError> {
        op.authorize(Permission::ReadCustomers)?;
        op.authorize(Permission::ReadOrders)?;
        let mut writer = Writer::from_writer(output);
        writer.write_record(COLUMNS)?;
        let (mut written, mut last) = (0, None);
        loop {
            let mut conn = self.db.read(&op.statements).await?;
            let chunk = customers::list_after(&mut conn, last, CHUNK_SIZE).await?;
            let Some(end) = chunk.last() else { break };
            last = Some(end.id);
            for cells in rows(&mut conn, &chunk).await? {
                writer.write_record(cells)?;
                written += 1;
            }
            progress(written);
        }
        writer.flush().map_err(csv::Error::from)?;
        Ok(written)
    }
}

async fn rows(conn: &mut Conn, customers: &[Customer]) -> Result<Vec<Vec<String>>, DbError> {
    let ids: Vec<CustomerId> = customers.iter().map(|customer| customer.id).collect();
    let counts: HashMap<CustomerId, i64> =
        orders::count_of_customers(conn, &ids).await?.into_iter().collect();
    let addresses = addresses::by_customer_ids(conn, &ids).await?;
    let addresses: HashMap<CustomerId, &CustomerAddress> =
        addresses.iter().filter(|row| row.is_default).map(|row| (row.customer_id, row)).collect();
    let row = |customer: &Customer| {
        let mut cells = vec![
            customer.id.uuid().to_string(),
            optional_cell(customer.first_name.as_deref()),
            optional_cell(customer.last_name.as_deref()),
            optional_cell(customer.email.as_deref()),
            if customer.accepts_marketing { "yes" } else { "no" }.to_owned(),
            optional_cell(customer.phone.as_deref()),
            counts.get(&customer.id).copied().unwrap_or(0).to_string(),
            text_cell(&customer.tags.0.join(", ")),
            text_cell(&customer.note),
            customer.created_at.to_string(),
        ];
        // The name columns hold the customer's name, not the address's.
        let [_, address @ ..] = address_cells(addresses.get(&customer.id).map(|row| &row.address.0));
        cells.extend(address);
        cells
    };
    Ok(customers.iter().map(row).collect())
}
