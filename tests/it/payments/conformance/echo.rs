//! A server in place of a provider's, whose responses contain the secrets that it is sent.

use poem::http::StatusCode;
use poem::listener::TcpAcceptor;
use poem::{Response, Server};
use serde_json::json;
use tokio::net::TcpListener;

/// Starts a server that responds to every request with all that it contains.
pub(super) async fn start(status: u16, is_json: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let endpoint = poem::endpoint::make(move |request: poem::Request| respond(request, status, is_json));
    let acceptor = TcpAcceptor::from_tokio(listener).unwrap();
    tokio::spawn(async move { Server::new_with_acceptor(acceptor).run(endpoint).await.unwrap() });
    url
}

async fn respond(mut request: poem::Request, status: u16, is_json: bool) -> Response {
    let head = format!("{} {:?}", request.uri(), request.headers());
    let text = head + &request.take_body().into_string().await.unwrap();
    let body = if is_json { json!({ "echo": text }).to_string() } else { text };
    Response::builder().status(StatusCode::from_u16(status).unwrap()).body(body)
}
