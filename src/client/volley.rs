//! A few requests whose pictures are kept: what a person fires from the keyboard.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::Full;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use jiff::Zoned;

use super::load::paint;
use super::send::{View, exchange, multipart, refusal};
use crate::domain::cost::Kind;
use crate::http::X_CUMULET_VM;
use crate::operator::Volley;
use crate::workload::imaging::Format;

/// Width and height of the pictures that are filtered.
const PICTURE: (u32, u32) = (1024, 768);
/// Width and height of the pictures that are rendered.
const RENDERED: (u32, u32) = (480, 360);
/// Spheres and lights of the scene.
const SCENE: (u32, u32) = (24, 3);

/// What came of a volley.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    volley: Volley,
    /// From the first request sent to the last answer received.
    took: Duration,
    /// The answers that came, the fastest first.
    hits: Vec<Hit>,
    /// Why the first of those that failed did.
    problem: Option<String>,
    /// Where the pictures are.
    folder: PathBuf,
}

/// One request that was answered well.
#[derive(Debug, Clone, PartialEq)]
struct Hit {
    took: Duration,
    vm: String,
    file: PathBuf,
}

/// Fires `volley` at the server at `address` (`host:port`) and keeps the pictures that come back in
/// `folder`, which is made if it is not there. After each answer `progress` is told how many of them
/// have come. Requests that fail are part of what came of it.
///
/// # Errors
/// If the folder cannot be made or the request cannot be put together.
pub async fn fire(
    address: &str,
    volley: Volley,
    folder: &Path,
    progress: impl Fn(usize),
) -> anyhow::Result<Outcome> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // Painting takes some milliseconds of a core.
    let shot = tokio::task::spawn_blocking(move || Shot::of(volley.workload)).await??;
    let stamp = Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
    let start = Instant::now();
    let answers = (1..=volley.count).map(|number| {
        let name = format!("{}-{stamp}-{number}.{}", volley.workload.as_str(), shot.extension);
        shot.send(address, folder.join(name))
    });
    let at_once = usize::try_from(volley.at_once.max(1)).unwrap_or(1);
    let mut answers = stream::iter(answers).buffer_unordered(at_once);
    let (mut hits, mut problem, mut done) = (Vec::new(), None, 0);
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(hit) => hits.push(hit),
            Err(error) => problem = problem.or_else(|| Some(format!("{error:#}"))),
        }
        done += 1;
        progress(done);
    }
    hits.sort_by_key(|hit| hit.took);
    Ok(Outcome { volley, took: start.elapsed(), hits, problem, folder: folder.to_owned() })
}

/// A request, ready to be sent as often as wanted.
struct Shot {
    path: String,
    content_type: String,
    body: Bytes,
    extension: &'static str,
}

impl Shot {
    fn of(workload: Kind) -> anyhow::Result<Self> {
        let seed = fastrand::u64(..);
        let filter = |path: &str| -> anyhow::Result<Self> {
            Ok(Self {
                path: path.to_owned(),
                content_type: "application/octet-stream".to_owned(),
                body: paint::picture(PICTURE.0, PICTURE.1, Format::Jpeg, seed)?.into(),
                extension: "jpg",
            })
        };
        match workload {
            Kind::Blur => filter("/blurimage"),
            Kind::Enhance => filter("/enhanceimage"),
            Kind::Raytrace => {
                let (width, height) = RENDERED;
                let window = (width, height, 0, 0);
                let view = View { size: RENDERED, window, antialias: true };
                let scene = paint::scene(SCENE.0, SCENE.1, seed);
                let (content_type, body) = multipart(scene.as_bytes(), None);
                Ok(Self { path: view.path(), content_type, body: body.into(), extension: "png" })
            }
            Kind::Other => anyhow::bail!("there is nothing to fire but blur, enhance and raytrace"),
        }
    }

    async fn send(&self, address: &str, file: PathBuf) -> anyhow::Result<Hit> {
        let accept = if self.extension == "png" { "image/png" } else { "*/*" };
        let request = Request::post(&self.path)
            .header(HOST, address)
            .header(CONTENT_TYPE, &self.content_type)
            .header(ACCEPT, accept)
            .body(Full::new(self.body.clone()))?;
        let start = Instant::now();
        let (status, headers, body) = exchange(address, request).await?;
        let took = start.elapsed();
        anyhow::ensure!(status == StatusCode::OK, "{}", refusal(status, &headers, &body));
        std::fs::write(&file, &body).with_context(|| format!("cannot write {}", file.display()))?;
        let vm = headers.get(X_CUMULET_VM).and_then(|value| value.to_str().ok());
        Ok(Hit { took, vm: vm.unwrap_or("?").to_owned(), file })
    }
}

impl Outcome {
    /// Whether every request was answered well.
    pub fn is_good(&self) -> bool {
        self.problem.is_none()
    }
}

/// A sentence: what, by whom, how fast, where the pictures are, and what went wrong.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.volley.workload.as_str();
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        match (self.hits.as_slice(), self.volley.count) {
            ([], _) => write!(f, "no {word} was answered")?,
            ([hit], 1) => write!(
                f,
                "{word} by {} in {:.0} ms: {}",
                hit.vm,
                milliseconds(hit.took),
                hit.file.display()
            )?,
            (hits, count) => {
                let at = |share: usize| {
                    hits.get((hits.len() - 1) * share / 100)
                        .map_or(0.0, |hit| milliseconds(hit.took))
                };
                write!(
                    f,
                    "{} of {count} {word} in {:.1} s, median {:.0} ms, slowest {:.0} ms: {}",
                    hits.len(),
                    self.took.as_secs_f64(),
                    at(50),
                    at(100),
                    self.folder.join("").display()
                )?;
            }
        }
        match &self.problem {
            Some(problem) => write!(f, "; {problem}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(count: u32, answered: &[u64], problem: Option<&str>) -> String {
        let hit = |milliseconds: &u64| Hit {
            took: Duration::from_millis(*milliseconds),
            vm: "vm-2".to_owned(),
            file: PathBuf::from("pictures/blur-1.jpg"),
        };
        let outcome = Outcome {
            volley: Volley::of(Kind::Blur, count, 4),
            took: Duration::from_millis(1250),
            hits: answered.iter().map(hit).collect(),
            problem: problem.map(str::to_owned),
            folder: PathBuf::from("pictures"),
        };
        outcome.to_string()
    }

    #[test]
    fn a_sentence_says_what_came_of_a_volley() {
        assert_eq!(outcome(1, &[41], None), "blur by vm-2 in 41 ms: pictures/blur-1.jpg");
        let many = "3 of 3 blur in 1.2 s, median 41 ms, slowest 900 ms: pictures/";
        assert_eq!(outcome(3, &[40, 41, 900], None), many);
        let some = outcome(3, &[40], Some("503 Service Unavailable: no VM runs"));
        assert!(some.starts_with("1 of 3 blur in 1.2 s"), "{some}");
        assert!(some.ends_with("pictures/; 503 Service Unavailable: no VM runs"), "{some}");
        assert_eq!(outcome(1, &[], Some("nobody answers")), "no blur was answered; nobody answers");
    }

    #[test]
    fn every_workload_can_be_fired() {
        for workload in Kind::WORKLOADS {
            let shot = Shot::of(workload).unwrap();
            assert!(!shot.body.is_empty() && shot.path.starts_with('/'), "{workload:?}");
        }
    }
}
