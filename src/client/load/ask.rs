//! What is asked for, and the bytes that ask for it.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bytes::Bytes;
use hyper::Method;
use hyper::header::HeaderValue;
use hyper::http::uri::PathAndQuery;

use super::mix::Workload;
use super::paint;
use crate::client::send::{View, multipart, read};
use crate::workload::imaging::{Format, PictureHeader, probe_header};

/// One of the things that a load asks for, in full: two that are equal are the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ask {
    /// What is to be done.
    pub workload: Workload,
    /// To what.
    pub input: Input,
}

/// What is worked on. Sizes are in pixels.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// A picture made here.
    Picture(PictureHeader),
    /// A picture of the user's.
    PictureFile(PathBuf),
    /// A scene.
    Scene {
        /// Where it is from.
        source: SceneSource,
        /// Width and height of what is rendered: all of it.
        size: (u32, u32),
        /// Four rays a pixel instead of one.
        antialias: bool,
    },
    /// What [`Plain`] says.
    Plain,
}

/// Where a scene is from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SceneSource {
    /// Made here.
    Made {
        /// How many shapes.
        shapes: u32,
        /// How many lights besides the ambient one.
        lights: u32,
    },
    /// A file of the user's.
    File(PathBuf),
}

/// A request given word for word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain {
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub path: PathAndQuery,
    /// Its body.
    pub body: Bytes,
}

impl Plain {
    /// Reads `METHOD PATH`, for example `GET /test`.
    ///
    /// # Errors
    /// A sentence about what would be right.
    pub fn parse(text: &str, body: Vec<u8>) -> Result<Self, String> {
        let refuse =
            || format!("`{text}` is no request: METHOD PATH is needed, for example GET /test");
        let (method, path) = text.trim().split_once(' ').ok_or_else(refuse)?;
        let method = method.parse().map_err(|_| refuse())?;
        let path: PathAndQuery = path.trim().parse().map_err(|_| refuse())?;
        if !path.as_str().starts_with('/') {
            return Err(refuse());
        }
        Ok(Self { method, path, body: body.into() })
    }
}

/// An [`Ask`] with its bytes, ready to be sent any number of times.
#[derive(Debug, Clone)]
pub(super) struct Ready {
    pub(super) workload: Workload,
    pub(super) method: Method,
    pub(super) path: PathAndQuery,
    pub(super) content_type: Option<HeaderValue>,
    pub(super) body: Bytes,
    /// The picture that is to come back.
    pub(super) expected: Option<PictureHeader>,
}

impl Ask {
    /// Reads or makes what is to be sent. `seed` is what makes one picture or scene of a size
    /// differ from another.
    pub(super) fn ready(&self, plain: Option<&Plain>, seed: u64) -> anyhow::Result<Ready> {
        let workload = self.workload;
        match &self.input {
            Input::Picture(header) => {
                let PictureHeader { width, height, format } = *header;
                let body = paint::picture(width, height, format, seed).with_context(|| {
                    format!("cannot make a {} picture of {width}x{height}", format.name())
                })?;
                Self::filtered(workload, body, *header)
            }
            Input::PictureFile(path) => {
                let body = read(path)?;
                let header = probe_header(&body).with_context(|| {
                    format!("{} is no picture that can be sent", path.display())
                })?;
                Self::filtered(workload, body, header)
            }
            Input::Scene { source, size, antialias } => {
                let (scene, texmap) = match source {
                    SceneSource::Made { shapes, lights } => {
                        (paint::scene(*shapes, *lights, seed).into_bytes(), None)
                    }
                    SceneSource::File(path) => {
                        let scene = read(path)?;
                        let texmap = texmap_of(path, &scene).as_deref().map(read).transpose()?;
                        (scene, texmap)
                    }
                };
                Self::rendered(&scene, texmap.as_deref(), *size, *antialias)
            }
            Input::Plain => {
                let plain = plain.context("a `request` is to be sent, but --request says none")?;
                let Plain { method, path, body } = plain.clone();
                Ok(Ready { workload, method, path, content_type: None, body, expected: None })
            }
        }
    }

    fn filtered(workload: Workload, body: Vec<u8>, header: PictureHeader) -> anyhow::Result<Ready> {
        let path = match workload {
            Workload::Blur => "/blurimage",
            Workload::Enhance => "/enhanceimage",
            Workload::Raytrace | Workload::Request => {
                bail!("{} works on no picture", workload.as_str())
            }
        };
        Ok(Ready {
            workload,
            method: Method::POST,
            path: PathAndQuery::from_static(path),
            content_type: Some(HeaderValue::from_static("application/octet-stream")),
            body: body.into(),
            expected: Some(header),
        })
    }

    fn rendered(
        scene: &[u8],
        texmap: Option<&[u8]>,
        size: (u32, u32),
        antialias: bool,
    ) -> anyhow::Result<Ready> {
        let (width, height) = size;
        let view = View { size, window: (width, height, 0, 0), antialias };
        let (content_type, body) = multipart(scene, texmap);
        Ok(Ready {
            workload: Workload::Raytrace,
            method: Method::POST,
            path: view.path().parse()?,
            content_type: Some(content_type.try_into()?),
            body: body.into(),
            expected: Some(PictureHeader { format: Format::Bmp, width, height }),
        })
    }
}

/// The file that a scene's texture pigment names, if it lies beside the scene or where the samples
/// have theirs.
fn texmap_of(path: &Path, scene: &[u8]) -> Option<PathBuf> {
    let text = String::from_utf8_lossy(scene);
    let name = text.split_ascii_whitespace().skip_while(|word| *word != "texmap").nth(1)?;
    let beside = path.parent()?;
    [beside.join(name), beside.join("../textures").join(name)].into_iter().find(|it| it.is_file())
}

/// The pictures, or the scenes, that the user's paths name: files as they are, of a folder those
/// that look like one.
///
/// # Errors
/// If a path cannot be read, or a folder has none.
pub fn files(paths: &[PathBuf], pictures: bool) -> anyhow::Result<Vec<PathBuf>> {
    let fits = |path: &Path| {
        let begins = std::fs::read(path).unwrap_or_default();
        path.is_file() && (Format::sniff(&begins).is_some() == pictures) && !begins.is_empty()
    };
    let mut found = Vec::new();
    for path in paths {
        let told = || format!("cannot read {}", path.display());
        if !std::fs::metadata(path).with_context(told)?.is_dir() {
            found.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).with_context(told)?;
        let mut inside =
            entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        inside.retain(|path| fits(path));
        inside.sort();
        if inside.is_empty() {
            let what = if pictures { "pictures" } else { "scenes" };
            bail!("there are no {what} in {}", path.display());
        }
        found.append(&mut inside);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_method_and_a_path() {
        let plain = Plain::parse("POST /echo?x=1", b"hello".to_vec()).unwrap();
        assert_eq!((plain.method, plain.path.as_str()), (Method::POST, "/echo?x=1"));
        for bad in ["", "GET", "/test", "GET test", "GET /a b", "G:T /test"] {
            assert!(Plain::parse(bad, Vec::new()).unwrap_err().contains("METHOD PATH"), "{bad}");
        }
    }

    #[test]
    fn a_scene_brings_the_texture_that_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let scene = folder.path().join("scene.txt");
        let text = b"1 texmap wood.bmp 1 0 0 0 0 1 0 0";
        assert_eq!(texmap_of(&scene, text), None);
        std::fs::write(folder.path().join("wood.bmp"), b"BM").unwrap();
        assert_eq!(texmap_of(&scene, text), Some(folder.path().join("wood.bmp")));
    }

    #[test]
    fn a_folder_gives_its_pictures_or_its_scenes() {
        let folder = tempfile::tempdir().unwrap();
        let (picture, scene) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&picture, b"GIF89a").unwrap();
        std::fs::write(&scene, b"0 0 0").unwrap();
        let named = [folder.path().to_owned()];
        assert_eq!(files(&named, true).unwrap(), [picture]);
        assert_eq!(files(&named, false).unwrap(), std::slice::from_ref(&scene));
        std::fs::remove_file(scene).unwrap();
        assert!(files(&named, false).unwrap_err().to_string().contains("no scenes in"));
        assert!(files(&[folder.path().join("none")], true).is_err());
    }
}
