//! One request, and the picture that comes back.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::http::{X_CUMULET_ATTEMPTS, X_CUMULET_VM};

/// What is wanted of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// A picture filtered: `/blurimage` or `/enhanceimage`.
    Filter {
        /// The path of the filter.
        path: &'static str,
        /// The word for it in the name of the picture that comes back.
        word: &'static str,
        /// The picture.
        picture: PathBuf,
    },
    /// A scene rendered.
    Render {
        /// The scene.
        scene: PathBuf,
        /// The picture for the scene's textures.
        texmap: Option<PathBuf>,
        /// What of it, and how.
        view: View,
    },
}

/// The part of a scene that is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Width and height of the whole scene, in pixels.
    pub size: (u32, u32),
    /// Width and height of the window, and its offset to the right and down.
    pub window: (u32, u32, i32, i32),
    /// Four rays a pixel instead of one.
    pub antialias: bool,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Where the picture is.
    pub file: PathBuf,
    /// Its size in bytes.
    pub bytes: usize,
    /// Which VM made it.
    pub vm: String,
    /// How many VMs were tried.
    pub attempts: String,
    /// From the first byte sent to the last byte received.
    pub took: Duration,
}

/// Sends `wish` to the server at `address` (`host:port`) and writes the picture to `output`, or
/// beside the input with the kind of request in its name.
///
/// # Errors
/// If a file cannot be read or written, the server cannot be reached, or it answers anything but
/// 200: then with its own sentence.
pub async fn send(address: &str, wish: &Wish, output: Option<&Path>) -> anyhow::Result<Outcome> {
    let file = output.map_or_else(|| wish.default_output(), Path::to_path_buf);
    let request = wish.request(address, &file)?;
    let start = Instant::now();
    let (status, headers, body) = exchange(address, request).await?;
    let took = start.elapsed();
    if status != StatusCode::OK {
        bail!("{}", refusal(status, &headers, &body));
    }
    std::fs::write(&file, &body).with_context(|| format!("cannot write {}", file.display()))?;
    let text = |name| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or("?").to_owned()
    };
    let (vm, attempts) = (text(X_CUMULET_VM), text(X_CUMULET_ATTEMPTS));
    Ok(Outcome { file, bytes: body.len(), vm, attempts, took })
}

/// What a server said, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status code.
    pub status: u16,
    /// Its headers.
    headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// The sentence of an answer that is none of success.
    pub fn refusal(&self) -> String {
        let status = StatusCode::from_u16(self.status).unwrap_or_default();
        refusal(status, &self.headers, &self.body)
    }
}

/// Sends a request to the server at `address` (`host:port`) and waits for the whole answer.
///
/// # Errors
/// If the server cannot be reached or breaks off.
pub async fn ask(address: &str, method: &str, path: &str, body: Vec<u8>) -> anyhow::Result<Answer> {
    let request = Request::builder().method(method).uri(path).header(HOST, address);
    let (status, headers, body) = exchange(address, request.body(Full::from(body))?).await?;
    Ok(Answer { status: status.as_u16(), headers, body })
}

pub(super) async fn exchange(
    address: &str,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<(StatusCode, HeaderMap, Bytes)> {
    let stream = TcpStream::connect(address).await.with_context(|| {
        format!("nobody answers at {address}: start a cluster with `cumulet up`")
    })?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.context("no answer came back")?;
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.context("the answer broke off")?.to_bytes();
    connection.abort();
    Ok((parts.status, parts.headers, body))
}

/// The server's own sentence, from the problem document or the header that stands for it.
pub(super) fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> String {
    let document = serde_json::from_slice::<serde_json::Value>(body).ok();
    let detail = document.as_ref().and_then(|problem| problem["detail"].as_str());
    let reason = headers.get("x-cumulet-reason").and_then(|value| value.to_str().ok());
    match detail.or(reason) {
        Some(sentence) => format!("{status}: {sentence}"),
        None => status.to_string(),
    }
}

impl Wish {
    fn input(&self) -> &Path {
        match self {
            Self::Filter { picture, .. } => picture,
            Self::Render { scene, .. } => scene,
        }
    }

    /// `tree.jpg` blurred is `tree-blur.jpg`; a scene `glass.txt` rendered is `glass.png`.
    fn default_output(&self) -> PathBuf {
        let input = self.input();
        match self {
            Self::Render { .. } => input.with_extension("png"),
            Self::Filter { word, .. } => {
                let mut name = input.file_stem().unwrap_or_default().to_os_string();
                name.push(format!("-{word}"));
                if let Some(extension) = input.extension() {
                    name.push(".");
                    name.push(extension);
                }
                input.with_file_name(name)
            }
        }
    }

    fn request(&self, address: &str, output: &Path) -> anyhow::Result<Request<Full<Bytes>>> {
        let (path, content_type, body) = match self {
            Self::Filter { path, picture, .. } => {
                ((*path).to_owned(), "application/octet-stream".to_owned(), read(picture)?)
            }
            Self::Render { scene, texmap, view } => {
                let texmap = texmap.as_deref().map(read).transpose()?;
                let (content_type, body) = multipart(&read(scene)?, texmap.as_deref());
                (view.path(), content_type, body)
            }
        };
        let wants_png = output.extension().is_some_and(|end| end.eq_ignore_ascii_case("png"));
        let request = Request::post(path)
            .header(HOST, address)
            .header(CONTENT_TYPE, content_type)
            .header(CONTENT_LENGTH, body.len())
            .header(ACCEPT, if wants_png { "image/png" } else { "*/*" });
        Ok(request.body(Full::new(body.into()))?)
    }
}

impl View {
    /// The path and query that ask for it.
    pub(super) fn path(&self) -> String {
        let ((scols, srows), (wcols, wrows, coff, roff)) = (self.size, self.window);
        let aa = self.antialias;
        format!(
            "/raytracer?scols={scols}&srows={srows}&wcols={wcols}&wrows={wrows}&coff={coff}\
             &roff={roff}&aa={aa}"
        )
    }
}

pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A `multipart/form-data` body (RFC 7578) with the scene and, if there is one, its texture.
pub(super) fn multipart(scene: &[u8], texmap: Option<&[u8]>) -> (String, Vec<u8>) {
    let parts = [("scene", Some(scene)), ("texmap", texmap)];
    let parts = parts.into_iter().filter_map(|(name, content)| Some((name, content?)));
    let holds = |boundary: &str| {
        let inside =
            |content: &[u8]| content.windows(boundary.len()).any(|w| w == boundary.as_bytes());
        inside(scene) || texmap.is_some_and(inside)
    };
    // A boundary must not occur in what it bounds.
    let mut boundary = "cumulet-part".to_owned();
    while holds(&boundary) {
        boundary.push('-');
    }
    let mut body = Vec::new();
    for (name, content) in parts {
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}\"\
             \r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_never_occurs_in_what_it_bounds() {
        let scene = b"x cumulet-part y cumulet-part- z";
        let (content_type, body) = multipart(scene, Some(b"texture"));
        let boundary = content_type.split_once("boundary=").unwrap().1;
        assert_eq!(boundary, "cumulet-part--");
        let text = String::from_utf8(body).unwrap();
        assert_eq!(text.matches(&format!("--{boundary}")).count(), 3, "{text}");
        assert!(text.ends_with("--\r\n"));
    }

    #[test]
    fn a_picture_comes_back_beside_what_it_was_made_from() {
        let blur =
            Wish::Filter { path: "/blurimage", word: "blur", picture: "pictures/tree.jpg".into() };
        assert_eq!(blur.default_output(), Path::new("pictures/tree-blur.jpg"));
        let bare = Wish::Filter { path: "/blurimage", word: "blur", picture: "tree".into() };
        assert_eq!(bare.default_output(), Path::new("tree-blur"));
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_own_words() {
        let body = br#"{"detail": "token 3 is not a number"}"#;
        let told = refusal(StatusCode::BAD_REQUEST, &HeaderMap::new(), body);
        assert_eq!(told, "400 Bad Request: token 3 is not a number");
        let mut headers = HeaderMap::new();
        headers.insert("x-cumulet-reason", "no VM runs".parse().unwrap());
        let told = refusal(StatusCode::SERVICE_UNAVAILABLE, &headers, b"");
        assert_eq!(told, "503 Service Unavailable: no VM runs");
    }
}
