//! `cumulet send`: one request from the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Usage, operate, print};
use crate::client::send::{self, View, Wish};
use crate::config::Config;

/// One request, and the picture that comes back.
#[derive(Debug, Args)]
pub(super) struct Send {
    /// The server, instead of the balancer of the cluster on the state folder.
    #[arg(long, global = true, value_name = "HOST:PORT")]
    to: Option<String>,
    #[command(subcommand)]
    wish: Wanted,
}

#[derive(Debug, Subcommand)]
enum Wanted {
    /// Blur a picture.
    #[command(after_help = "Example: cumulet send blur workloads/pictures/harbour.jpg -o out.jpg")]
    Blur(Picture),
    /// Bring out what is in the dark of a picture.
    #[command(after_help = "Example: cumulet send enhance workloads/pictures/night.jpg")]
    Enhance(Picture),
    /// Render a scene.
    #[command(after_help = "Example: cumulet send raytrace workloads/scenes/glass.txt \
                            --size 800x600 --antialias -o glass.png")]
    Raytrace(Scene),
}

#[derive(Debug, Args)]
struct Picture {
    /// The picture: JPEG, PNG, BMP, GIF or TIFF.
    file: PathBuf,
    /// Where the picture that comes back goes.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Scene {
    /// The scene.
    file: PathBuf,
    /// The picture for its textures.
    #[arg(long, value_name = "FILE")]
    texmap: Option<PathBuf>,
    /// Size of the whole scene in pixels.
    #[arg(long, value_name = "WxH", default_value = "400x300")]
    size: String,
    /// The part to render, instead of all of it: its size and its offset.
    #[arg(long, value_name = "WxH+X+Y")]
    window: Option<String>,
    /// Four rays a pixel instead of one.
    #[arg(long)]
    antialias: bool,
    /// Where the picture goes: PNG if its name says so, else BMP.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn send(config: &Config, send: Send) -> anyhow::Result<()> {
    let (wish, output) = match send.wish {
        Wanted::Blur(Picture { file, output }) => (filter("/blurimage", "blur", file), output),
        Wanted::Enhance(Picture { file, output }) => {
            (filter("/enhanceimage", "enhance", file), output)
        }
        Wanted::Raytrace(scene) => {
            let view = view(&scene.size, scene.window.as_deref(), scene.antialias)?;
            (Wish::Render { scene: scene.file, texmap: scene.texmap, view }, scene.output)
        }
    };
    let address = match send.to {
        Some(address) => address,
        None => address_in_force(config)?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(send::send(&address, &wish, output.as_deref()))?;
    let milliseconds = outcome.took.as_secs_f64() * 1000.0;
    let attempts = if outcome.attempts == "1" { "" } else { ", tried more than once" };
    print(&format!(
        "{} ({} bytes) by {} in {milliseconds:.1} ms{attempts}\n",
        outcome.file.display(),
        outcome.bytes,
        outcome.vm
    ))
}

fn filter(path: &'static str, word: &'static str, picture: PathBuf) -> Wish {
    Wish::Filter { path, word, picture }
}

/// Where the cluster on the state folder takes requests.
pub(super) fn address_in_force(config: &Config) -> anyhow::Result<String> {
    let folder = operate::folder(config)?;
    let file = folder.read_cluster_file()?.ok_or_else(|| {
        let path = folder.path().display();
        anyhow::anyhow!("no cluster runs on {path}: start one with `cumulet up`, or name --to")
    })?;
    Ok(file.balancer)
}

/// # Errors
/// A usage error that shows what would be right.
fn view(size: &str, window: Option<&str>, antialias: bool) -> Result<View, Usage> {
    let whole =
        pair(size).ok_or_else(|| Usage(format!("--size {size}: WxH is needed, 800x600")))?;
    let window = match window {
        None => (whole.0, whole.1, 0, 0),
        Some(text) => placed(text).ok_or_else(|| {
            Usage(format!("--window {text}: WxH+X+Y is needed, for example 200x100+40-10"))
        })?,
    };
    Ok(View { size: whole, window, antialias })
}

fn pair(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once(['x', 'X'])?;
    let number =
        |text: &str| text.parse().ok().filter(|number| (1..=i32::MAX as u32).contains(number));
    Some((number(width)?, number(height)?))
}

/// `WxH+X+Y`, where each sign may be a minus.
fn placed(text: &str) -> Option<(u32, u32, i32, i32)> {
    let sign = |from: usize| text.get(from..)?.find(['+', '-']).map(|at| at + from);
    let first = sign(0)?;
    let second = sign(first + 1)?;
    let (width, height) = pair(&text[..first])?;
    Some((width, height, text[first..second].parse().ok()?, text[second..].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_a_size_and_an_offset_of_either_sign() {
        assert_eq!(placed("200x100+40-10"), Some((200, 100, 40, -10)));
        assert_eq!(placed("200x100-40+0"), Some((200, 100, -40, 0)));
        for bad in ["200x100", "200x100+1", "x+1+1", "1x1+a+1", "", "+", "0x5+1+1", "9x9+1+"] {
            assert_eq!(placed(bad), None, "{bad}");
        }
        assert_eq!(view("8x6", None, true).unwrap().window, (8, 6, 0, 0));
        assert!(view("8", None, true).is_err());
    }
}
