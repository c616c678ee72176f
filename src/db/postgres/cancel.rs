//! Cancels a statement behind a pooler. Only [`super::server`] calls it.
//!
//! tokio-postgres closes the connection of a cancel request as soon as it has sent the request. If
//! PgBouncer 1.18 notices that before it has forwarded the request, its process exits. So here, as
//! in libpq, the other side closes the connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::TryFutureExt;
use futures_util::future::MapOk;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio_postgres::config::Host;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{CancelToken, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Sends the request to the server at a host, and waits until it closes the connection.
///
/// # Errors
/// The server can't be reached.
pub(super) async fn cancel_and_wait(
    config: &Config,
    (host, port): (&Host, u16),
    connector: &MakeRustlsConnect,
    token: &CancelToken,
) -> io::Result<()> {
    match (host, config.get_hostaddrs().first()) {
        #[cfg(unix)]
        (Host::Unix(folder), _) => {
            let socket = folder.join(format!(".s.PGSQL.{port}"));
            let stream = UnixStream::connect(socket).await?;
            send(stream, "", connector, token).await
        }
        (Host::Tcp(name), Some(address)) => {
            let stream = TcpStream::connect((*address, port)).await?;
            send(stream, name, connector, token).await
        }
        (Host::Tcp(name), None) => {
            let stream = TcpStream::connect((name.as_str(), port)).await?;
            send(stream, name, connector, token).await
        }
    }
}

/// Sends the request over a connection to a host with a name.
async fn send<S>(stream: S, name: &str, connector: &MakeRustlsConnect, token: &CancelToken) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut connector = connector.clone();
    let Ok(tls) = MakeTlsConnect::<ClosedByPeer<S>>::make_tls_connect(&mut connector, name);
    let sent = token.cancel_query_raw(ClosedByPeer(stream), ByPeer(tls)).await;
    sent.map_err(io::Error::other)
}

/// A connection that is shut down by waiting until the other side has closed it.
struct ClosedByPeer<S>(S);

impl<S: AsyncRead + Unpin> AsyncRead for ClosedByPeer<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClosedByPeer<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut bytes = [0; 64];
            let mut buffer = ReadBuf::new(&mut bytes);
            let result = ready!(Pin::new(&mut self.0).poll_read(cx, &mut buffer));
            // An error means that it is closed, too, if not in good order.
            if result.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: TlsStream + Unpin> TlsStream for ClosedByPeer<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.0.channel_binding()
    }
}

/// Makes connections with TLS that are [`ClosedByPeer`].
struct ByPeer<T>(T);

impl<S, T: TlsConnect<S>> TlsConnect<S> for ByPeer<T> {
    type Stream = ClosedByPeer<T::Stream>;
    type Error = T::Error;
    type Future = MapOk<T::Future, fn(T::Stream) -> ClosedByPeer<T::Stream>>;

    fn connect(self, stream: S) -> Self::Future {
        self.0.connect(stream).map_ok(ClosedByPeer)
    }
}
