//! Kills the server, most of the time between a request to a payment provider and the record of
//! what came of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use crate::chaos::random::Random;
use crate::chaos::server::Server;
use crate::support::Watcher;

/// The longest life of the server, in case that it makes too few requests. On a busy machine, it
/// takes a good part of a second to make the first.
const MAX_LIFE: Duration = Duration::from_millis(1_500);
/// The longest life, in milliseconds, if it ends at a random moment.
const MAX_RANDOM_LIFE_MS: u64 = 200;
/// How long after a provider's response the server may be killed, in milliseconds: recording it
/// takes about as long.
const MAX_RECORDING_MS: u64 = 12;
/// The last of its requests to providers that the server may be killed at.
const MAX_REQUESTS: u64 = 3;

/// Kills a server, and starts it again.
pub(super) struct Killer {
    pub(super) server: Server,
    random: Mutex<Random>,
    plan: Mutex<Option<Plan>>,
    killed: Notify,
    at_requests: AtomicUsize,
}

/// Kill the server at one of its requests.
struct Plan {
    /// Number of requests before.
    before: u64,
    moment: Moment,
}

/// When to kill the server.
#[derive(Clone, Copy, PartialEq)]
enum Moment {
    /// When it sends a request, which is lost.
    Sending,
    /// When the provider has done what was requested.
    Waiting,
    /// This long after the provider has responded.
    Recording(Duration),
}

impl Killer {
    pub(super) fn new(server: Server, random: Random) -> Arc<Self> {
        let (random, plan) = (Mutex::new(random), Mutex::default());
        Arc::new(Self { server, random, plan, killed: Notify::new(), at_requests: AtomicUsize::new(0) })
    }

    /// The number of times that the server was killed because of a request.
    pub(super) fn at_requests(&self) -> usize {
        self.at_requests.load(Ordering::SeqCst)
    }

    /// Learns of requests to a provider.
    pub(super) fn watcher(self: &Arc<Self>) -> Watcher {
        let killer = Arc::clone(self);
        Arc::new(move || killer.on_request())
    }

    /// Lets the server live for a while, kills it, and starts it again.
    pub(super) async fn kill_once(&self) {
        let (plan, life) = choose(&mut self.random.lock().unwrap());
        let is_random = plan.is_none();
        *self.plan.lock().unwrap() = plan;
        if tokio::time::timeout(life, self.killed.notified()).await.is_err() {
            if is_random || self.plan.lock().unwrap().take().is_some() {
                self.server.kill();
            } else {
                self.killed.notified().await;
            }
        }
        self.server.kill_and_restart().await;
    }

    /// Returns whether the request takes effect.
    fn on_request(self: &Arc<Self>) -> bool {
        let mut plan = self.plan.lock().unwrap();
        match plan.as_mut() {
            None => return true,
            Some(plan) if plan.before > 0 => {
                plan.before -= 1;
                return true;
            }
            Some(_) => {}
        }
        let Some(Plan { moment, .. }) = plan.take() else { return true };
        drop(plan);
        self.at_requests.fetch_add(1, Ordering::SeqCst);
        if let Moment::Recording(after) = moment {
            let killer = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                killer.kill();
            });
        } else {
            self.kill();
        }
        moment != Moment::Sending
    }

    fn kill(&self) {
        self.server.kill();
        self.killed.notify_one();
    }
}

/// Chooses at which request to kill the server, if at any, and when to kill it at the latest.
fn choose(random: &mut Random) -> (Option<Plan>, Duration) {
    let moment = match random.below(6) {
        0 => Moment::Sending,
        1 | 2 => Moment::Waiting,
        3 | 4 => Moment::Recording(Duration::from_millis(random.below(MAX_RECORDING_MS))),
        _ => return (None, Duration::from_millis(random.below(MAX_RANDOM_LIFE_MS))),
    };
    (Some(Plan { before: random.below(MAX_REQUESTS), moment }), MAX_LIFE)
}
