//! Two processes write and read the same products at random: after a write is acknowledged, its
//! process answers with nothing older, and the other one does so once it has delivered the event.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::PRODUCT;
use super::processes::start_process;
use crate::support::live::{Socket, cursor};
use crate::support::{Client, TestApp, both, setting};

const PRODUCTS: usize = 4;
/// Number of writes per product; `FRESHNESS_WRITES` sets another one.
const WRITES: u64 = 30;

/// A process, and the last write of each product of which it may answer with nothing older.
struct Process {
    buyer: Client,
    staff: Client,
    known: [AtomicU64; PRODUCTS],
}

impl Process {
    fn new(buyer: Client, staff: Client) -> Arc<Self> {
        Arc::new(Self { buyer, staff, known: Default::default() })
    }

    /// Renames a product, and asks for it at once.
    async fn write(&self, at: usize, id: &str, number: u64) {
        let document = "mutation($id: ID!, $title: String!) {
            productUpdate(id: $id, product: { title: $title }) { userErrors { message } }
        }";
        self.staff.ask_with(document, json!({ "id": id, "title": number.to_string() })).await.assert_ok();
        self.known[at].fetch_max(number, Ordering::SeqCst);
        self.read(at, id).await;
    }

    /// Asks for a product in two ways.
    async fn read(&self, at: usize, id: &str) {
        let uuid = id.rsplit('/').next().unwrap();
        let single = format!("{{ product(id: \"{id}\") {{ title }} }}");
        let list = format!("{{ products(first: 1, query: \"id:{uuid}\") {{ nodes {{ title }} }} }}");
        // Its response is not kept, but the product is.
        let entity =
            format!("{{ product(id: \"{id}\") {{ title }} urlRedirects(first: 1) {{ nodes {{ path }} }} }}");
        let documents =
            [(single, "product.title"), (list, "products.nodes.0.title"), (entity, "product.title")];
        for (document, path) in documents {
            let known = self.known[at].load(Ordering::SeqCst);
            let reply = self.buyer.ask(&document).await.ok();
            let found: u64 = reply[path].as_str().unwrap().parse().unwrap();
            assert!(found >= known, "{found} is older than {known}: {document}");
        }
    }

    /// Receives a product's events: each is one write.
    async fn follow(self: Arc<Self>, at: usize, id: String, after: String, writes: u64) {
        let mut socket = Socket::connect(&self.buyer).await;
        socket.subscribe("1", PRODUCT, json!({ "id": id, "after": after })).await;
        for number in 1..=writes {
            let event: Value = socket.event().await;
            let title: u64 = event["productUpdated"]["product"]["title"].as_str().unwrap().parse().unwrap();
            assert!(title >= number, "{title} is older than event {number}");
            self.known[at].fetch_max(number, Ordering::SeqCst);
            self.read(at, &id).await;
        }
    }
}

both!(no_process_answers_with_what_it_knows_to_be_old);
async fn no_process_answers_with_what_it_knows_to_be_old(app: TestApp) {
    let writes = setting("FRESHNESS_WRITES").map_or(WRITES, |number| number.parse().unwrap());
    app.start_workers();
    let mut products = Vec::new();
    for _ in 0..PRODUCTS {
        products.push(app.create_product(json!({ "title": "0" })).await);
    }
    let after = cursor(&app.app).await;
    let (buyer, staff) = (app.anonymous(), app.admin());
    // Creates the staff's key.
    staff.ask("{ shop { name } }").await.assert_ok();
    let server = start_process(&app, &[]).await;
    let other = (Client { server, ..buyer.clone() }, Client { server, ..staff.clone() });
    let processes = [Process::new(buyer, staff), Process::new(other.0, other.1)];

    let mut tasks = JoinSet::new();
    for process in &processes {
        for (at, id) in products.iter().enumerate() {
            tasks.spawn(Arc::clone(process).follow(at, id.clone(), after.clone(), writes));
        }
    }
    let are_written = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for (at, id) in products.iter().enumerate() {
        let (processes, id) = (processes.clone(), id.clone());
        writers.spawn(async move {
            for number in 1..=writes {
                // Both processes in an order without a pattern.
                let hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(at as u64) >> 37;
                processes[usize::from(hash % 2 == 0)].write(at, &id, number).await;
            }
        });
    }
    for process in &processes {
        let (process, products, are_written) =
            (Arc::clone(process), products.clone(), Arc::clone(&are_written));
        tasks.spawn(async move {
            while !are_written.load(Ordering::SeqCst) {
                for (at, id) in products.iter().enumerate() {
                    process.read(at, id).await;
                }
            }
        });
    }
    while let Some(written) = writers.join_next().await {
        written.unwrap();
    }
    are_written.store(true, Ordering::SeqCst);
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}
