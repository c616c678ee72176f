//! A server without a database: poem and async-graphql over a catalog in memory. It shows what a
//! request costs at least in `benches/compare.sh`, which starts it. Loopback only.
//!
//!     hello PORT CATALOG
//!
//! CATALOG is a JSON file with an array of products.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;

use async_graphql::{EmptyMutation, EmptySubscription, Object, Schema, SimpleObject};
use async_graphql_poem::GraphQL;
use poem::listener::TcpListener;
use poem::{Route, Server, post};
use serde::Deserialize;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Deserialize, SimpleObject)]
struct Product {
    handle: String,
    title: String,
    description: String,
    variants: Vec<Variant>,
    collections: Vec<Collection>,
}

#[derive(Deserialize, SimpleObject)]
struct Variant {
    sku: String,
    title: String,
    price: f64,
    stock: i64,
}

#[derive(Deserialize, SimpleObject)]
struct Collection {
    title: String,
}

struct Query {
    products: Vec<Product>,
    /// The positions of the products.
    by_handle: HashMap<String, usize>,
}

#[Object]
impl Query {
    async fn product(&self, handle: String) -> Option<&Product> {
        self.products.get(*self.by_handle.get(&handle)?)
    }

    async fn products(&self, offset: usize, limit: usize) -> Vec<&Product> {
        self.products.iter().skip(offset).take(limit).collect()
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (Some(port), Some(catalog)) = (arguments.next(), arguments.next()) else {
        return Err("usage: hello PORT CATALOG".into());
    };
    let products: Vec<Product> = serde_json::from_reader(BufReader::new(File::open(catalog)?))?;
    let by_handle = products.iter().enumerate().map(|(at, product)| (product.handle.clone(), at)).collect();
    let schema = Schema::new(Query { products, by_handle }, EmptyMutation, EmptySubscription);
    let routes = Route::new().at("/graphql", post(GraphQL::new(schema)));
    Server::new(TcpListener::bind(format!("127.0.0.1:{port}"))).run(routes).await?;
    Ok(())
}
