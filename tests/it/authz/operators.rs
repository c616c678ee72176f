//! Calls of more service methods for `authz::services`.

use mercato::app::App;
use mercato::context::OpContext;
use mercato::domain::ids::{
    CollectionId, CustomerId, DraftOrderId, LocationId, MediaId, OrderId, ProductId, StaffId,
};
use mercato::error::Error;
use mercato::services::catalog::OptionPatch;
use mercato::services::customers::CustomerRecord;
use mercato::services::orders::OrderPatch;
use mercato::services::transfer::product_export::ExportError;

/// Calls a method with minimal arguments; `None` if the method is not in this file.
pub async fn call(app: &App, op: &OpContext, method: &str) -> Option<Result<(), Error>> {
    let services = &app.services;
    let product = ProductId::generate();
    Some(match method {
        "arrange.update" => services.media.update(op, MediaId::generate(), None).await.map(drop),
        "arrange.reorder" => services.media.reorder(op, product, &[]).await.map(drop),
        "options.rename" => services.options.rename(op, product, &OptionPatch::default()).await.map(drop),
        "options.reorder" => services.options.reorder(op, product, &[]).await.map(drop),
        "collections.reorder_products" => {
            services.collections.reorder_products(op, CollectionId::generate(), &[]).await.map(drop)
        }
        "delete_location.delete_location" => {
            services.inventory.delete_location(op, LocationId::generate()).await
        }
        "orders.count" => services.orders.count(op, None).await.map(drop),
        "edit.update" => {
            services.orders.update(op, OrderId::generate(), &OrderPatch::default(), None).await.map(drop)
        }
        "delete_draft.delete_draft" => services.orders.delete_draft(op, DraftOrderId::generate()).await,
        "draft.count_drafts" => services.orders.count_drafts(op).await.map(drop),
        "customers.count" => services.customers.count(op, None).await.map(drop),
        "by_staff.add_by_staff" => {
            services.customers.add_by_staff(op, &CustomerRecord::default()).await.map(drop)
        }
        "by_staff.update_by_staff" => {
            let (id, patch) = (CustomerId::generate(), CustomerRecord::default());
            services.customers.update_by_staff(op, id, &patch).await.map(drop)
        }
        "delete.delete" => services.staff.delete(op, StaffId::generate()).await,
        "order_export.run" => read(app.order_export.run(op, Vec::new(), |_| {}).await),
        "customer_export.run" => read(app.customer_export.run(op, Vec::new(), |_| {}).await),
        _ => return None,
    })
}

fn read(exported: Result<u64, ExportError>) -> Result<(), Error> {
    match exported {
        Err(ExportError::Read(error)) => Err(error),
        other => other.map(drop).map_err(|error| Error::BadInput(error.to_string())),
    }
}
