//! HTTP clients for a bucket that are created for their first request. The store creates one or two
//! when it is set up, and each reads and parses all certificates that the system trusts, which
//! would delay the start of the process. Used by `storage` only.

use std::sync::OnceLock;

use futures_util::future::BoxFuture;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};

/// Creates clients that differ from the store's own ones only in when they are created.
#[derive(Debug)]
pub(super) struct LazyConnector;

#[derive(Debug)]
struct LazyClient {
    options: ClientOptions,
    client: OnceLock<HttpClient>,
}

impl HttpConnector for LazyConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(LazyClient { options: options.clone(), client: OnceLock::new() }))
    }
}

impl LazyClient {
    fn client(&self) -> Result<&HttpClient, HttpError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // Requests that are made meanwhile create one as well, and one of them is kept.
        let created = ReqwestConnector::default().connect(&self.options);
        let created = created.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        Ok(self.client.get_or_init(|| created))
    }
}

impl HttpService for LazyClient {
    // What `async fn` means in the trait, whose macro is not a dependency.
    fn call<'client, 'call>(
        &'client self,
        request: HttpRequest,
    ) -> BoxFuture<'call, Result<HttpResponse, HttpError>>
    where
        'client: 'call,
        Self: 'call,
    {
        Box::pin(async move { self.client()?.execute(request).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_created_once_it_is_needed() {
        // The app installs the provider once per process.
        rustls::crypto::ring::default_provider().install_default().ok();
        let lazy = LazyClient { options: ClientOptions::new(), client: OnceLock::new() };
        assert!(lazy.client.get().is_none());
        assert!(lazy.client().is_ok());
        assert!(lazy.client.get().is_some());
    }
}
