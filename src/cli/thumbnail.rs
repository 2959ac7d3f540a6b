//! A function that makes thumbnails: the events of new files in, what is known of each picture out,
//! a line each. It is a program like any user's own.

use std::fs;
use std::io::{BufRead, Cursor, Write, stdin, stdout};
use std::path::{Path, PathBuf};

use anyhow::Context;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};
use serde_json::{Value, json};

use crate::config::Config;

/// The largest file that is read, in bytes.
const LARGEST_FILE: u64 = 256 << 20;

/// How thumbnails are made.
struct Thumbnails {
    /// The longer side of a thumbnail in pixels.
    side: u32,
    /// The most pixels of a picture.
    most_pixels: u64,
}

/// Makes thumbnails of this size for whoever writes events to the input.
pub(super) fn thumbnails(config: &Config, side: u32) -> anyhow::Result<()> {
    let most_pixels = config.settings.limits.picture_pixels;
    Ok(Thumbnails { side, most_pixels }.serve(stdin().lock(), stdout().lock())?)
}

impl Thumbnails {
    /// Answers each event with a line, until there are no more.
    ///
    /// # Errors
    /// If the events cannot be read or the answers cannot be written.
    fn serve(&self, mut events: impl BufRead, mut answers: impl Write) -> std::io::Result<()> {
        let mut line = Vec::new();
        while events.read_until(b'\n', &mut line)? > 0 {
            let answer = self.answer(&line).unwrap_or_else(
                |error| json!({ "errorMessage": format!("{error:#}"), "errorType": "NoThumbnail" }),
            );
            writeln!(answers, "{answer}")?;
            answers.flush()?;
            line.clear();
        }
        Ok(())
    }

    /// Leaves a thumbnail and what is known of the picture in the output folder. Doing it again
    /// leaves the same.
    fn answer(&self, event: &[u8]) -> anyhow::Result<Value> {
        let event: Value = serde_json::from_slice(event).context("the event is not JSON")?;
        let path = |field: &str| {
            let text = event.get(field).and_then(Value::as_str);
            text.map(PathBuf::from).with_context(|| format!("the event has no `{field}`"))
        };
        let (input, output) = (path("path")?, path("output")?);
        let (picture, format) =
            self.read(&input).with_context(|| format!("no picture in {}", input.display()))?;
        let small = picture.thumbnail(self.side, self.side);
        let name = input.file_name().context("the event's `path` names no file")?;
        let (mut name, format_of_small) = (PathBuf::from(name), small_format(format, &small));
        if ImageFormat::from_path(&name).ok() != Some(format_of_small) {
            name.as_mut_os_string().push(".png");
        }
        let mut bytes = Cursor::new(Vec::new());
        let small =
            if format_of_small == ImageFormat::Jpeg { small.to_rgb8().into() } else { small };
        small.write_to(&mut bytes, format_of_small).context("the thumbnail cannot be written")?;
        let facts = json!({
            "picture": input.display().to_string(),
            "format": format.to_mime_type(),
            "width": picture.width(),
            "height": picture.height(),
            "bytes": fs::metadata(&input)?.len(),
            "thumbnail": output.join(&name).display().to_string(),
            "thumbnailWidth": small.width(),
            "thumbnailHeight": small.height(),
            "key": event.get("key"),
        });
        replace(&output.join(&name), bytes.get_ref())?;
        name.as_mut_os_string().push(".json");
        replace(&output.join(&name), format!("{facts:#}\n").as_bytes())?;
        Ok(facts)
    }

    /// The picture the way up that its camera says.
    fn read(&self, path: &Path) -> anyhow::Result<(DynamicImage, ImageFormat)> {
        let length = fs::metadata(path)?.len();
        anyhow::ensure!(length <= LARGEST_FILE, "{length} bytes; {LARGEST_FILE} are read at most");
        let reader = ImageReader::new(Cursor::new(fs::read(path)?)).with_guessed_format()?;
        let format = reader.format().context("its format is not known")?;
        let mut decoder = reader.into_decoder()?;
        let (width, height) = decoder.dimensions();
        let pixels = u64::from(width) * u64::from(height);
        let most = self.most_pixels;
        anyhow::ensure!(pixels <= most, "{width}x{height} pixels; {most} are read at most");
        let orientation = decoder.orientation()?;
        let mut picture = DynamicImage::from_decoder(decoder)?;
        picture.apply_orientation(orientation);
        Ok((picture, format))
    }
}

/// JPEG stays JPEG; anything else becomes PNG.
fn small_format(format: ImageFormat, small: &DynamicImage) -> ImageFormat {
    match format {
        ImageFormat::Jpeg if !small.color().has_alpha() => ImageFormat::Jpeg,
        _ => ImageFormat::Png,
    }
}

/// Whoever looks into the folder sees a whole file or none.
fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut temporary = path.with_file_name(".").into_os_string();
    temporary.push(path.file_name().unwrap_or_default());
    temporary.push(format!(".{}.tmp", std::process::id()));
    let written = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    written.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage};

    fn answers(events: &str, side: u32) -> Vec<Value> {
        let mut answers = Vec::new();
        let thumbnails = Thumbnails { side, most_pixels: 1_000_000 };
        thumbnails.serve(events.as_bytes(), &mut answers).unwrap();
        let answers = String::from_utf8(answers).unwrap();
        answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_picture_becomes_a_small_one_of_its_shape_and_its_facts_stand_beside_it() {
        let place = tempfile::tempdir().unwrap();
        for name in ["a.jpg", "b.png", "c.gif"] {
            let input = place.path().join(name);
            RgbImage::from_pixel(300, 200, Rgb([9, 200, 9])).save(&input).unwrap();
            let output = place.path().join("out");
            fs::create_dir_all(&output).unwrap();
            let event = json!({ "path": input, "output": output, "key": "k" });
            let found = answers(&format!("{event}\n{event}\n"), 60);
            assert_eq!(found.len(), 2);
            assert_eq!(found[0], found[1], "doing it again leaves the same");
            let made = image::open(found[0]["thumbnail"].as_str().unwrap()).unwrap();
            assert_eq!((made.width(), made.height()), (60, 40), "{name}");
            assert_eq!((&found[0]["width"], &found[0]["key"]), (&json!(300), &json!("k")));
        }
        let mut names = fs::read_dir(place.path().join("out")).unwrap();
        assert!(names.all(|name| !name.unwrap().file_name().to_string_lossy().starts_with('.')));
        assert!(place.path().join("out/c.gif.png.json").exists());
    }

    #[test]
    fn what_is_no_picture_is_a_sentence() {
        let place = tempfile::tempdir().unwrap();
        let input = place.path().join("a.jpg");
        fs::write(&input, "no picture").unwrap();
        let event = json!({ "path": input, "output": place.path() });
        let large = place.path().join("large.png");
        RgbImage::new(1_001, 1_000).save(&large).unwrap();
        let large = json!({ "path": large, "output": place.path() });
        let found = answers(&format!("{event}\n{{}}\nnonsense\n{large}\n"), 60);
        for (answer, sentence) in found.iter().zip(["a.jpg", "`path`", "not JSON", "1001x1000"]) {
            let said = answer["errorMessage"].as_str().unwrap();
            assert!(said.contains(sentence), "{said}");
        }
        assert_eq!(found.len(), 4);
    }
}
