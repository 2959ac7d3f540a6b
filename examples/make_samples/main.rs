//! Makes the sample inputs that are not written by hand: textures by formula, the two scenes with
//! hundreds of spheres, and pictures that resemble photographs, rendered from the scenes.
//!
//! `cargo run --release --example make_samples` writes them anew. What comes out depends on
//! nothing but this program and the scenes written by hand.

mod noise;
mod pictures;
mod scenes;
mod textures;

use std::fs;
use std::path::Path;

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads");
    let [textures, scenes, pictures] =
        ["textures", "scenes", "pictures"].map(|name| folder.join(name));
    for folder in [&textures, &scenes, &pictures] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    write(&textures.join("wood.bmp"), &textures::wood()?)?;
    write(&textures.join("marble.bmp"), &textures::marble()?)?;
    write(&scenes.join("crowd.txt"), scenes::crowd().as_bytes())?;
    write(&scenes.join("snowflake.txt"), scenes::snowflake().as_bytes())?;
    for picture in &pictures::ALL {
        write(&pictures.join(picture.file), &picture.make(&folder)?)?;
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
