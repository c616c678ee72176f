//! The order of the event log, the job queue, and the retention of events.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mercato::db::{StatementCounter, Tx};
use mercato::domain::events::Topic;
use mercato::domain::ids::{Id, WorkerId};
use mercato::domain::jobs::JobStatus;
use mercato::events::{LoggedEvent, Retention, consumer};
use mercato::jobs::{Handler, Job, JobContext, JobError, JobPayload, JobResult, NewJob, Policy, Worker};
use mercato::repositories::events;
use mercato::repositories::jobs::{self, FreeCapacity};
use mercato::services::mails::{AccountNotice, SignInWarning, StaffAccess, StaffMail};
use mercato::services::payments::{DeletePaymentCustomer, DetachMethod, RetryCapture, RetryRefund};
use mercato::services::webhooks::DeliverWebhooks;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::{TestApp, both, order_input};

/// The payload of a test's job: anything.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Anything(Value);

impl JobPayload for Anything {
    const KIND: &'static str = "test";
}

/// A worker that runs a closure for each job.
fn worker(app: &TestApp, run: impl Fn(&JobContext) -> JobResult + Send + Sync + 'static) -> Arc<Worker> {
    worker_with(app, Policy::DEFAULT, run)
}

fn worker_with(
    app: &TestApp,
    policy: Policy,
    run: impl Fn(&JobContext) -> JobResult + Send + Sync + 'static,
) -> Arc<Worker> {
    let handler = Handler::new(&Arc::new(run), |run, ctx, _: Anything| async move { run(&ctx) });
    worker_of(app, handler.with_policy(policy))
}

fn worker_of(app: &TestApp, handler: Handler) -> Arc<Worker> {
    Worker::new(app.app.db.clone(), Arc::clone(&app.app.clock), &[handler])
}

async fn enqueue(app: &TestApp, new: impl IntoIterator<Item = NewJob>) {
    let (op, new) = (app.app.system(), Vec::from_iter(new));
    let enqueued = app
        .app
        .db
        .transaction(&op.statements, async |tx: &mut Tx| mercato::jobs::enqueue(tx, &op, new.clone()).await);
    enqueued.await.unwrap();
}

fn job(payload: serde_json::Value) -> NewJob {
    NewJob::new(&Anything(payload)).unwrap()
}

async fn find(app: &TestApp, new: &NewJob) -> Job {
    let mut conn = app.app.db.read(&StatementCounter::default()).await.unwrap();
    jobs::find(&mut conn, new.id).await.unwrap().unwrap()
}

async fn log(app: &TestApp) -> Vec<LoggedEvent> {
    let mut conn = app.app.db.read(&StatementCounter::default()).await.unwrap();
    events::list_after(&mut conn, &Topic::of_kinds(Vec::new()), 0, 1_000).await.unwrap()
}

both!(committed_events_get_gapless_positions_and_sequences);
async fn committed_events_get_gapless_positions_and_sequences(app: TestApp) {
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    assert!(log(&app).await.is_empty(), "events have no position before they are relayed");
    app.work().await;
    let cup = app.create_product(json!({ "title": "Cup" })).await;
    let document = "mutation($id: ID!, $product: ProductUpdateInput!) { productUpdate(id: $id, product: $product) { userErrors { message } } }";
    for title in ["Tall mug", "Wide mug"] {
        app.admin().ask_with(document, json!({ "id": mug, "product": { "title": title } })).await.assert_ok();
    }
    app.work().await;

    let log = log(&app).await;
    let positions: Vec<i64> = log.iter().map(|event| event.position).collect();
    assert_eq!(positions, (1..=i64::try_from(log.len()).unwrap()).collect::<Vec<_>>());
    let of = |gid: &str| -> Vec<i64> {
        let id = gid.rsplit('/').next().unwrap();
        let of_it = log.iter().filter(|event| event.row.aggregate_id.0.to_string() == id);
        of_it.filter(|event| event.row.aggregate_type == "Product").map(|event| event.sequence).collect()
    };
    let (mugs, cups) = (of(&mug), of(&cup));
    assert!(mugs.len() >= 3 && !cups.is_empty(), "{mugs:?} {cups:?}");
    assert_eq!(mugs, (1..=i64::try_from(mugs.len()).unwrap()).collect::<Vec<_>>());
    assert_eq!(cups, (1..=i64::try_from(cups.len()).unwrap()).collect::<Vec<_>>());
    assert!(log.iter().all(|event| event.event().is_ok_and(|read| read.kind() == event.row.kind)));
}

both!(a_failed_job_is_retried_after_five_ten_and_twenty_seconds);
async fn a_failed_job_is_retried_after_five_ten_and_twenty_seconds(app: TestApp) {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let worker = worker(&app, move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        Err(JobError::Retry("no luck".to_owned()))
    });
    let new = job(json!({}));
    enqueue(&app, [new.clone()]).await;
    for (run, wait) in [5, 10, 20].into_iter().enumerate() {
        worker.run_due().await.unwrap();
        assert_eq!(find(&app, &new).await.status, JobStatus::Queued);
        app.clock.advance(Duration::from_secs(wait).saturating_sub(Duration::from_millis(1)));
        worker.run_due().await.unwrap();
        assert_eq!(runs.load(Ordering::SeqCst), run + 1, "the job was retried too early");
        app.clock.advance(Duration::from_millis(1));
    }
    assert_eq!(worker.run_due().await.unwrap().dead, 1);
    let dead = find(&app, &new).await;
    assert_eq!((dead.status, dead.attempts, dead.error.as_deref()), (JobStatus::Dead, 4, Some("no luck")));
}

both!(a_panic_fails_only_the_job_that_caused_it);
async fn a_panic_fails_only_the_job_that_caused_it(app: TestApp) {
    let worker = worker(&app, |work| {
        assert_ne!(work.job.payload.0["unlucky"], true, "this job panics");
        Ok(())
    });
    let (unlucky, lucky) = (job(json!({ "unlucky": true })), job(json!({ "unlucky": false })));
    enqueue(&app, [unlucky.clone(), lucky.clone()]).await;
    worker.run_due().await.unwrap();
    let (unlucky, lucky) = (find(&app, &unlucky).await, find(&app, &lucky).await);
    assert_eq!((unlucky.status, unlucky.attempts), (JobStatus::Queued, 1));
    assert_eq!((lucky.status, lucky.progress), (JobStatus::Completed, 100));
}

both!(a_job_that_is_given_up_is_not_retried_and_waiting_does_not_count_as_an_attempt);
async fn a_job_that_is_given_up_is_not_retried_and_waiting_does_not_count_as_an_attempt(app: TestApp) {
    let worker = worker(&app, |work| match work.job.payload.0.as_str() {
        Some("never") => Err(JobError::GiveUp("never".to_owned())),
        _ => Err(JobError::Wait { why: "not now".to_owned(), delay: Duration::from_secs(30) }),
    });
    let (never, waiting) = (job(json!("never")), job(json!("later")));
    enqueue(&app, [never.clone(), waiting.clone()]).await;
    worker.run_due().await.unwrap();
    assert_eq!(find(&app, &never).await.status, JobStatus::Dead);
    let waiting = find(&app, &waiting).await;
    assert_eq!((waiting.status, waiting.attempts), (JobStatus::Queued, 0));
    assert_eq!(waiting.run_at, app.app.system().now().plus(Duration::from_secs(30)));
}

/// The payload of a job that needs a number.
#[derive(Serialize, Deserialize)]
struct Counted {
    count: u8,
}

impl JobPayload for Counted {
    const KIND: &'static str = "test";
}

both!(a_job_with_an_invalid_payload_is_dead);
async fn a_job_with_an_invalid_payload_is_dead(app: TestApp) {
    let counted = Arc::new(AtomicUsize::new(0));
    let worker = worker_of(
        &app,
        Handler::new(&counted, |counted, _, job: Counted| async move {
            counted.fetch_add(usize::from(job.count), Ordering::SeqCst);
            Ok(())
        }),
    );
    let (good, bad) = (job(json!({ "count": 3 })), job(json!({ "number": 3 })));
    enqueue(&app, [good.clone(), bad.clone()]).await;
    assert_eq!(worker.run_due().await.unwrap().dead, 1);
    let (good, bad) = (find(&app, &good).await, find(&app, &bad).await);
    assert_eq!((good.status, counted.load(Ordering::SeqCst)), (JobStatus::Completed, 3));
    assert_eq!((bad.status, bad.attempts), (JobStatus::Dead, 1));
    assert_eq!(bad.error.as_deref(), Some("the payload can't be read: missing field `count`"));
}

/// Asserts that a payload is stored in the same form as before.
#[expect(clippy::needless_pass_by_value, reason = "callers make it on the spot")]
fn assert_readable<P: JobPayload>(kind: &str, stored: Value) {
    assert_eq!(P::KIND, kind);
    let read: P = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), stored);
}

#[test]
fn jobs_of_earlier_versions_stay_readable() {
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    let of_staff = json!({ "customerId": null, "staffId": id });
    assert_readable::<SignInWarning>("mail.sign_in_warning", of_staff);
    let access = json!({ "staffId": id, "isInvitation": true, "expiresMicros": 5 });
    assert_readable::<StaffAccess>("mail.staff_access", access);
    let change =
        json!({ "customerId": id, "sealedAddress": "x", "hasNewAddress": true, "hasNewPassword": false });
    assert_readable::<AccountNotice>("mail.account_change", change);
    assert_readable::<DeliverWebhooks>("webhook.deliver", json!({ "subscriptionId": id }));
    let pause = json!({ "url": "x", "topics": [], "since": "2026-01-01", "is_ownerless": false });
    assert_readable::<StaffMail>(
        "mail.staff",
        json!({ "staffId": id, "notice": { "webhook_paused": pause } }),
    );
    assert_readable::<RetryCapture>("payment.retry_capture", json!({ "orderId": id, "requestId": id }));
    assert_readable::<RetryRefund>("payment.retry_refund", json!({ "orderId": id, "failureId": id }));
    assert_readable::<DetachMethod>("payment.detach_method", json!({ "methodId": id }));
    let customer = json!({ "provider": "stripe", "reference": "cus_1" });
    assert_readable::<DeletePaymentCustomer>("payment.delete_customer", customer);
}

/// The names of all kinds: stored jobs refer to them, so they never change.
const KINDS: &[&str] = &[
    "mail.account_change",
    "mail.email_verification",
    "mail.gift_card",
    "mail.low_stock",
    "mail.new_order",
    "mail.order_cancelled",
    "mail.order_confirmation",
    "mail.password_recovery",
    "mail.payment_alert",
    "mail.payment_receipt",
    "mail.refund_notice",
    "mail.return_notice",
    "mail.shipping_notice",
    "mail.sign_in_warning",
    "mail.staff",
    "mail.staff_access",
    "mail.webhook_paused",
    "mail.welcome",
    "media.process",
    "order.money_back",
    "order.open_fulfillment",
    "payment.delete_customer",
    "payment.detach_method",
    "payment.retry_capture",
    "payment.retry_refund",
    "reports.sales",
    "reports.units_sold",
    "task.check_payments",
    "task.clean_up",
    "task.daily_report",
    "task.expire_orders",
    "webhook.deliver",
    "webhook.fan_out",
];

#[tokio::test]
async fn kinds_of_jobs_keep_their_names() {
    let app = TestApp::sqlite().await;
    let mut kinds: Vec<&str> = app.app.worker.kinds().collect();
    kinds.sort_unstable();
    assert_eq!(kinds, KINDS);
}

both!(one_job_of_a_unique_key_is_queued_and_one_runs);
async fn one_job_of_a_unique_key_is_queued_and_one_runs(app: TestApp) {
    let new = || job(json!({})).with_unique_key("key");
    let (first, second, third) = (new(), new(), new());
    enqueue(&app, [first.clone(), second.clone()]).await;
    let (statements, now) = (StatementCounter::default(), app.app.system().now());
    let free = FreeCapacity::from([("test", 5)]);
    let reserve = async || {
        let mut conn = app.app.db.write(&statements).await.unwrap();
        let (worker, lease) = (WorkerId::generate(), Duration::from_secs(30));
        let reserved = jobs::reserve(&mut conn, &free, worker, now, lease, 10).await.unwrap();
        conn.commit().await.unwrap();
        reserved
    };
    let reserved = reserve().await;
    assert_eq!(
        reserved.iter().map(|job| job.id).collect::<Vec<_>>(),
        [first.id],
        "the second job was not enqueued"
    );
    enqueue(&app, [third.clone()]).await;
    assert_eq!(reserve().await, [], "the third job waits for the running one");
    app.clock.advance(Duration::from_secs(31));
    let worker = worker(&app, |_| Ok(()));
    while worker.run_due().await.unwrap().attempts > 0 {}
    assert_eq!(find(&app, &first).await.status, JobStatus::Completed);
    assert_eq!(find(&app, &third).await.status, JobStatus::Completed);
}

/// The payload of a job of another kind.
#[derive(Serialize, Deserialize)]
struct Other;

impl JobPayload for Other {
    const KIND: &'static str = "other";
}

both!(as_many_jobs_of_each_kind_are_reserved_as_can_run);
async fn as_many_jobs_of_each_kind_are_reserved_as_can_run(app: TestApp) {
    let of_test = ["a", "b", "c"].map(|name| job(json!(name)));
    let others = [0, 1].map(|priority| NewJob::new(&Other).unwrap().with_priority(priority));
    enqueue(&app, of_test.clone().into_iter().chain(others.clone())).await;
    let (statements, now) = (StatementCounter::default(), app.app.system().now());
    let reserve = async |free: &[(&'static str, usize)], limit| {
        let mut conn = app.app.db.write(&statements).await.unwrap();
        let free: FreeCapacity = free.iter().copied().collect();
        let (worker, lease) = (WorkerId::generate(), Duration::from_secs(30));
        let reserved = jobs::reserve(&mut conn, &free, worker, now, lease, limit).await.unwrap();
        conn.commit().await.unwrap();
        reserved.into_iter().map(|job| job.id).collect::<Vec<_>>()
    };
    assert_eq!(reserve(&[("unknown", 1)], 9).await, []);
    // Of each kind, the most urgent ones; the most urgent of all first.
    assert_eq!(reserve(&[("test", 1), ("other", 1)], 9).await, [others[1].id, of_test[0].id]);
    assert_eq!(reserve(&[("test", 5)], 1).await, [of_test[1].id]);
    assert_eq!(reserve(&[("test", 5), ("other", 5)], 9).await, [of_test[2].id, others[0].id]);
}

both!(a_job_of_a_lost_worker_is_taken_over_when_its_lease_expires);
async fn a_job_of_a_lost_worker_is_taken_over_when_its_lease_expires(app: TestApp) {
    let new = job(json!({}));
    enqueue(&app, [new.clone()]).await;
    let statements = StatementCounter::default();
    let mut conn = app.app.db.write(&statements).await.unwrap();
    let now = app.app.system().now();
    let (lost, lease) = (WorkerId::generate(), Duration::from_secs(30));
    let free = FreeCapacity::from([("test", 5)]);
    let reserved = jobs::reserve(&mut conn, &free, lost, now, lease, 1).await.unwrap().remove(0);
    conn.commit().await.unwrap();

    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let worker = worker(&app, move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    app.clock.advance(Duration::from_secs(29));
    assert_eq!(worker.run_due().await.unwrap().attempts, 0, "the lease has not expired");
    app.clock.advance(Duration::from_secs(1));
    assert_eq!(worker.run_due().await.unwrap().attempts, 1);
    assert_eq!(runs.load(Ordering::SeqCst), 1);

    // If the lost worker comes back, it can no longer change the job.
    let mut conn = app.app.db.write(&statements).await.unwrap();
    assert!(!jobs::set_progress(&mut conn, &reserved, 50).await.unwrap());
    assert!(!jobs::extend_lease(&mut conn, &reserved, now).await.unwrap());
    drop(conn);
    assert_eq!(find(&app, &new).await.status, JobStatus::Completed);
}

both!(a_job_whose_workers_are_lost_too_often_is_given_up);
async fn a_job_whose_workers_are_lost_too_often_is_given_up(app: TestApp) {
    let new = job(json!({})).with_max_retries(1);
    enqueue(&app, [new.clone()]).await;
    let (statements, free) = (StatementCounter::default(), FreeCapacity::from([("test", 5)]));
    let mut conn = app.app.db.write(&statements).await.unwrap();
    let (now, lease) = (app.app.system().now(), Duration::from_secs(30));
    jobs::reserve(&mut conn, &free, WorkerId::generate(), now, lease, 1).await.unwrap();
    app.clock.advance(lease);
    let now = app.app.system().now();
    let taken = jobs::reserve_expired(&mut conn, &free, WorkerId::generate(), now, lease, 1).await.unwrap();
    assert_eq!(taken[0].attempts, 2);
    conn.commit().await.unwrap();
    app.clock.advance(lease);
    let worker = worker(&app, |_| panic!("the job must not run again"));
    assert_eq!(worker.run_due().await.unwrap().dead, 1);
    let dead = find(&app, &new).await;
    assert_eq!(
        (dead.status, dead.error.as_deref()),
        (JobStatus::Dead, Some("its worker was lost too often"))
    );
}

both!(jobs_of_higher_priority_run_first);
async fn jobs_of_higher_priority_run_first(app: TestApp) {
    let jobs = [("low", -1), ("usual", 0), ("high", 1)].map(|(name, it)| job(json!(name)).with_priority(it));
    enqueue(&app, jobs).await;
    let done = Arc::new(Mutex::new(Vec::new()));
    let recorded = Arc::clone(&done);
    let worker = worker_with(&app, Policy { concurrency: 1, ..Policy::DEFAULT }, move |work| {
        recorded.lock().unwrap().push(work.job.payload.0.clone());
        Ok(())
    });
    while worker.run_due().await.unwrap().attempts > 0 {}
    assert_eq!(*done.lock().unwrap(), ["high", "usual", "low"]);
}

both!(a_due_task_is_enqueued_once_by_concurrent_schedulers);
async fn a_due_task_is_enqueued_once_by_concurrent_schedulers(app: TestApp) {
    let schedule = &app.app.schedule;
    let queued = async || {
        let mut conn = app.app.db.read(&StatementCounter::default()).await.unwrap();
        let kinds = vec!["task.expire_orders".to_owned()];
        let filter = jobs::JobFilter { kinds, statuses: Vec::new() };
        let request = mercato::domain::page::PageRequest::first(50);
        jobs::page(&mut conn, &filter, &request).await.unwrap().items.len()
    };
    schedule.tick().await.unwrap();
    assert_eq!(queued().await, 0, "a new shop has no overdue tasks");
    app.clock.advance(Duration::from_mins(1));
    let ticks = (0..5).map(|_| schedule.tick());
    for ticked in futures_util::future::join_all(ticks).await {
        ticked.unwrap();
    }
    assert_eq!(queued().await, 1);
    app.work().await;
    // No scheduler ran for an hour.
    app.clock.advance(Duration::from_hours(1));
    schedule.tick().await.unwrap();
    schedule.tick().await.unwrap();
    assert_eq!(queued().await, 2);
    app.work().await;
}

/// A handler that notifies when it has started, and never ends.
fn hanging_handler(started: &Arc<Notify>) -> Handler {
    Handler::new(started, |started, _, _: Anything| async move {
        started.notify_one();
        std::future::pending().await
    })
}

both!(an_attempt_that_takes_too_long_fails);
async fn an_attempt_that_takes_too_long_fails(app: TestApp) {
    let new = job(json!({}));
    enqueue(&app, [new.clone()]).await;
    let policy = Policy { timeout: Duration::from_millis(5), ..Policy::DEFAULT };
    let worker = worker_of(&app, hanging_handler(&Arc::default()).with_policy(policy));
    worker.run_due().await.unwrap();
    let failed = find(&app, &new).await;
    assert_eq!((failed.status, failed.attempts), (JobStatus::Queued, 1));
    assert_eq!(failed.error.as_deref(), Some("it took longer than 5ms"));
    assert_eq!(failed.run_at, app.app.system().now().plus(Duration::from_secs(5)));
}

both!(running_jobs_of_a_stopped_worker_are_released);
async fn running_jobs_of_a_stopped_worker_are_released(app: TestApp) {
    let (first, second) = (job(json!({})), job(json!({})).with_unique_key("key"));
    for (new, has_successor) in [(&first, false), (&second, true)] {
        enqueue(&app, [new.clone()]).await;
        let started = Arc::new(Notify::new());
        let worker = worker_of(&app, hanging_handler(&started));
        let stop = async {
            started.notified().await;
            if has_successor {
                enqueue(&app, [job(json!({})).with_unique_key("key")]).await;
            }
        };
        worker.run(stop, Duration::ZERO).await;
        let job = find(&app, new).await;
        // The job is canceled if another one with its unique key is queued.
        let expected = if has_successor { JobStatus::Cancelled } else { JobStatus::Queued };
        assert_eq!((job.status, job.attempts, job.worker), (expected, 0, None));
        if !has_successor {
            // So that it does not run together with the next job.
            let cancel =
                "mutation($id: ID!) { jobCancel(id: $id) { job { status } userErrors { message } } }";
            app.admin().ask_with(cancel, json!({ "id": gid(new) })).await.assert_ok();
        }
    }
}

fn gid(new: &NewJob) -> String {
    format!("gid://mercato/Job/{}", new.id.uuid())
}

both!(staff_list_retry_and_cancel_jobs);
async fn staff_list_retry_and_cancel_jobs(app: TestApp) {
    let new = job(json!({}));
    enqueue(&app, [new.clone()]).await;
    let change = async |what: &str| {
        let document = format!(
            "mutation($id: ID!) {{ {what}(id: $id) {{ job {{ status attemptCount }} userErrors {{ field code }} }} }}"
        );
        app.admin().ask_with(&document, json!({ "id": gid(&new) })).await
    };
    let refused = json!([{ "field": ["id"], "code": "NOT_ALLOWED" }]);
    assert_eq!(change("jobRetry").await["jobRetry.userErrors"], refused, "the job is already queued");
    assert_eq!(change("jobCancel").await.ok()["jobCancel.job.status"], "CANCELED");
    assert_eq!(change("jobCancel").await["jobCancel.userErrors"], refused);
    assert_eq!(
        change("jobRetry").await.ok()["jobRetry.job"],
        json!({ "status": "QUEUED", "attemptCount": 0 })
    );

    // A canceled job that is running can no longer be changed by its worker.
    let runs = worker(&app, |_| Err(JobError::GiveUp("no use".to_owned())));
    assert_eq!(runs.run_due().await.unwrap().dead, 1);
    let seen = async |query: &str| {
        let document =
            "query($query: String) { jobs(first: 10, query: $query) { nodes { id status error } } }";
        app.admin().ask_with(document, json!({ "query": query })).await.ok()["jobs.nodes"].clone()
    };
    let dead = json!([{ "id": gid(&new), "status": "DEAD", "error": "no use" }]);
    assert_eq!(seen("status:dead").await, dead);
    assert_eq!(seen("kind:test status:dead status:queued").await, dead);
    assert_eq!(seen("kind:other").await, json!([]));
    assert_eq!(
        app.admin().ask("{ jobs(first: 1, query: \"status:lost\") { nodes { id } } }").await.code(),
        "BAD_USER_INPUT"
    );
    change("jobRetry").await.assert_ok();
    let mut conn = app.app.db.write(&StatementCounter::default()).await.unwrap();
    let (now, lease) = (app.app.system().now(), Duration::from_secs(30));
    let reserved =
        jobs::reserve(&mut conn, &FreeCapacity::from([("test", 5)]), WorkerId::generate(), now, lease, 1)
            .await
            .unwrap();
    conn.commit().await.unwrap();
    assert_eq!(change("jobCancel").await.ok()["jobCancel.job.status"], "CANCELED");
    let mut conn = app.app.db.write(&StatementCounter::default()).await.unwrap();
    assert!(!jobs::extend_lease(&mut conn, &reserved[0], now).await.unwrap());
    drop(conn);

    let tasks = app.admin().ask("{ scheduledTasks { name cron lastDueAt nextDueAt } }").await.ok();
    let tasks = tasks["scheduledTasks"].as_array().unwrap().clone();
    let clean_up = tasks.iter().find(|task| task["name"] == "task.clean_up").unwrap();
    assert_eq!(
        (&clean_up["lastDueAt"], &clean_up["nextDueAt"]),
        (&json!(null), &json!("2026-01-01T13:00:00Z"))
    );
    let run = "mutation($name: String!) { scheduledTaskRun(name: $name) { job { id } userErrors { code } } }";
    let run = async |name: &str| app.admin().ask_with(run, json!({ "name": name })).await;
    assert_eq!(run("task.nothing").await.user_errors("scheduledTaskRun")[0].code, "NOT_FOUND");
    let first = run("task.clean_up").await.ok()["scheduledTaskRun.job.id"].clone();
    assert_eq!(
        run("task.clean_up").await.ok()["scheduledTaskRun.job.id"],
        first,
        "the task is queued only once"
    );
}

const DAY: Duration = Duration::from_hours(24);

both!(old_events_are_removed_after_all_consumers_have_read_them);
async fn old_events_are_removed_after_all_consumers_have_read_them(app: TestApp) {
    let cup = app.create_stocked("Cup", "5", 5).await;
    let cart = app.cart(&[(&cup, 1)]).await;
    app.anonymous().place(order_input(&cart, "5", "tok_ok")).await.assert_ok();
    app.work().await;
    let before = log(&app).await;
    let newest = |event: &LoggedEvent| {
        let of_it = before.iter().filter(|other| other.row.aggregate_id == event.row.aggregate_id);
        of_it.map(|other| other.sequence).max() == Some(event.sequence)
    };
    let of_order = |event: &&LoggedEvent| event.row.aggregate_type == "Order";
    let old: Vec<&LoggedEvent> = before.iter().filter(|event| !newest(event) && !of_order(event)).collect();
    assert!(old.len() >= 2 && before.iter().filter(of_order).count() >= 2, "{before:#?}");
    // An unfinished job was enqueued for one of them.
    let unfinished = job(json!({})).with_event(old[0].row.id, "a request");
    enqueue(&app, [unfinished.clone()]).await;

    let consumer_handler = Handler::consumer("test", &[], &Arc::new(()), |_, _| std::future::ready(Ok(())));
    let retention = Retention::new(app.app.db.clone(), 90 * DAY, &[consumer_handler]);
    let op = app.app.system();
    app.clock.advance(91 * DAY);
    assert_eq!(retention.prune(&op).await.unwrap(), 0, "a consumer has not read them yet");
    let consumed = app.app.db.transaction(&op.statements, async |tx: &mut Tx| {
        let batch = consumer::next_batch(tx, &op, "test", &Topic::of_kinds(Vec::new()), 1_000).await?;
        assert_eq!(batch.events, before);
        batch.acknowledge(tx).await
    });
    consumed.await.unwrap();
    assert_eq!(retention.prune(&op).await.unwrap(), old.len() - 1);
    let kept = |event: &&LoggedEvent| newest(event) || of_order(event) || event.row.id == old[0].row.id;
    assert_eq!(log(&app).await, before.iter().filter(kept).cloned().collect::<Vec<_>>());

    worker(&app, |_| Ok(())).run_due().await.unwrap();
    assert_eq!(retention.prune(&op).await.unwrap(), 1);
    // New events continue the sequences.
    let location = app.admin().ask("{ locations(first: 1) { nodes { id } } }").await.ok();
    app.add_stock(&cup, location["locations.nodes.0.id"].as_str().unwrap(), 3).await;
    app.work().await;
    let after = log(&app).await;
    let new = after.iter().find(|event| event.position > before.last().unwrap().position).unwrap();
    let last = before.iter().rfind(|event| event.row.aggregate_id == new.row.aggregate_id);
    assert_eq!(last.map(|last| last.sequence + 1), Some(new.sequence));
}
