//! One POST to a server that is not ours.

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Sends JSON to `http://HOST[:PORT]/PATH`. It has no time limit of its own.
///
/// # Errors
/// A sentence if the server cannot be reached or does not answer with a 2xx status.
pub async fn json(uri: &Uri, body: String) -> Result<(), String> {
    let cannot = |error: &dyn std::fmt::Display| format!("{uri} cannot be told: {error}");
    let host = uri.host().unwrap_or_default();
    let host_alone = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host_alone, uri.port_u16().unwrap_or(80)))
        .await
        .map_err(|error| cannot(&error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| cannot(&error))?;
    let authority = uri.authority().map_or(host, |authority| authority.as_str());
    let request = Request::builder()
        .method(Method::POST)
        .uri(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(HOST, authority)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| cannot(&error))?;
    let answer = async {
        let answer = sender.send_request(request).await;
        // Ends the connection.
        drop(sender);
        answer
    };
    let (answer, _connection) = tokio::join!(answer, connection);
    let status = answer.map_err(|error| cannot(&error))?.status();
    if status.is_success() { Ok(()) } else { Err(format!("{uri} answered {status}")) }
}
