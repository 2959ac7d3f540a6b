//! The images of a state folder.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::{StateFolder, files};
use crate::state::Error;
use crate::state::image::{Image, ImageName};

/// The folder of the images.
const FOLDER: &str = "images";
/// The largest image that is read, in bytes.
const IMAGE_BYTES: u64 = 64 << 10;

impl StateFolder {
    /// Where an image lies.
    pub fn image_path(&self, name: &ImageName) -> PathBuf {
        self.path().join(FOLDER).join(format!("{name}.toml"))
    }

    /// The names of the images there are, in order.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn images(&self) -> Result<Vec<ImageName>, Error> {
        let path = self.path().join(FOLDER);
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(Error::io("read", &path))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(Error::io("read", &path))?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(".toml"));
            names.extend(name.and_then(|name| name.parse::<ImageName>().ok()));
        }
        names.sort();
        Ok(names)
    }

    /// Reads an image.
    ///
    /// # Errors
    /// [`Error::NoImage`], [`Error::Image`] if it does not say what it should.
    pub fn read_image(&self, name: &ImageName) -> Result<Image, Error> {
        let path = self.image_path(name);
        match files::read_bounded(&path, IMAGE_BYTES)? {
            Some(bytes) => toml::from_slice(&bytes)
                .map_err(|error| Error::Image { path, source: Box::new(error) }),
            None => Err(self.no_image(name)),
        }
    }

    /// Writes an image, in the place of one of the same name.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_image(&self, name: &ImageName, image: &Image) -> Result<(), Error> {
        let path = self.image_path(name);
        let folder = self.path().join(FOLDER);
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let text = toml::to_string(image)
            .map_err(|error| Error::io("put into words", &path)(io::Error::other(error)))?;
        files::replace(&path, text.as_bytes())
    }

    /// Removes an image.
    ///
    /// # Errors
    /// [`Error::NoImage`], or if the file cannot be removed.
    pub fn delete_image(&self, name: &ImageName) -> Result<(), Error> {
        let path = self.image_path(name);
        fs::remove_file(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => self.no_image(name),
            _ => Error::io("remove", &path)(error),
        })
    }

    fn no_image(&self, name: &ImageName) -> Error {
        let known = self.images().unwrap_or_default();
        let known = known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "none".to_owned() } else { known };
        Error::NoImage { name: name.to_string(), known }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    #[test]
    fn images_are_written_listed_read_and_removed() {
        let parent = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(parent.path()).unwrap();
        let name = |name: &str| name.parse::<ImageName>().unwrap();
        let (web, batch) = (name("web"), name("batch-2"));
        assert_eq!(folder.images().unwrap(), []);
        let refused = folder.read_image(&web).unwrap_err().to_string();
        assert_eq!(refused, "there is no image called web; there is none");
        let image = Image {
            created_at: Timestamp::UNIX_EPOCH,
            from: "vm-2".to_owned(),
            instance_type: "t3.small".to_owned(),
            workloads: vec!["blur".to_owned()],
            settings: [("boot_scale".to_owned(), "0.1".to_owned())].into(),
        };
        for name in [&web, &batch] {
            folder.write_image(name, &image).unwrap();
        }
        assert_eq!(folder.images().unwrap(), [batch.clone(), web.clone()]);
        assert_eq!(folder.read_image(&web).unwrap(), image);
        folder.delete_image(&web).unwrap();
        let refused = folder.delete_image(&web).unwrap_err().to_string();
        assert_eq!(refused, "there is no image called web; there is batch-2");
        fs::write(folder.image_path(&batch), "from = 3").unwrap();
        let refused = folder.read_image(&batch).unwrap_err().to_string();
        assert!(refused.contains("batch-2.toml") && refused.contains("from"), "{refused}");
    }

    #[test]
    fn a_name_cannot_leave_the_folder() {
        for bad in ["", "../x", "a/b", "A", "a.b", "-x", &"a".repeat(65)] {
            let refused = bad.parse::<ImageName>().unwrap_err().to_string();
            assert!(refused.contains("cannot name an image"), "{refused}");
        }
    }
}
