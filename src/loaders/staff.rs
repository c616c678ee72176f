//! Loaders of what staff manage: members, roles and webhooks. Callers must check access.

use std::sync::Arc;

use super::loader::Loader;
use super::{
    AreaLoaders, LoadContext, Role, StaffMember, WebhookAttempt, WebhookSubscription, group_by_key, index_by,
};
use crate::domain::ids::{StaffId, WebhookDeliveryId, WebhookSubscriptionId};
use crate::repositories::staff::{self, roles};
use crate::repositories::webhooks;

/// The loaders of what staff manage: members, roles and webhooks. Callers must check access.
pub struct StaffLoaders {
    /// Staff members, by id.
    pub members: Loader<StaffId, Option<Arc<StaffMember>>>,
    /// A staff member's roles, ordered by name.
    pub roles_of_member: Loader<StaffId, Arc<[Arc<Role>]>>,
    /// Webhook subscriptions, by id.
    pub webhook_subscriptions: Loader<WebhookSubscriptionId, Option<Arc<WebhookSubscription>>>,
    /// The attempts of a webhook delivery, in order.
    pub attempts_of_delivery: Loader<WebhookDeliveryId, Arc<[Arc<WebhookAttempt>]>>,
}

impl AreaLoaders for StaffLoaders {
    fn new(ctx: &Arc<LoadContext>) -> Self {
        Self {
            members: Loader::new("staff_members", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                Ok(index_by(staff::by_ids(&mut ctx.conn().await?, &ids).await?, |member| member.id))
            }),
            roles_of_member: Loader::new("roles_of_staff", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                let rows = roles::of_staff(&mut ctx.conn().await?, &ids).await?;
                Ok(group_by_key(rows.into_iter().map(|(member, role)| (member, Arc::new(role)))))
            }),
            webhook_subscriptions: Loader::new(
                "webhook_subscriptions",
                ctx,
                &|ctx: Arc<LoadContext>, ids| async move {
                    Ok(index_by(webhooks::by_ids(&mut ctx.conn().await?, &ids).await?, |webhook| webhook.id))
                },
            ),
            attempts_of_delivery: Loader::new(
                "attempts_of_delivery",
                ctx,
                &|ctx: Arc<LoadContext>, ids| async move {
                    let rows = webhooks::attempts_by_delivery_ids(&mut ctx.conn().await?, &ids).await?;
                    Ok(group_by_key(rows.into_iter().map(|attempt| (attempt.delivery_id, Arc::new(attempt)))))
                },
            ),
        }
    }
}
