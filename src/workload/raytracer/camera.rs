//! Which ray goes through which pixel.

use super::scene::Lens;
use super::vector::Vector;
use crate::workload::{Error, Limits};

/// The only epsilon there is: every ray starts this far along its direction.
pub(super) const OFFSET: f64 = 0.001;

/// π/180 as the double that the scene language has always used.
const RADIANS_PER_DEGREE: f64 = 0.017_453_292_519_943_295;

/// Which part of which picture is wanted, in pixels.
///
/// The scene size shapes the camera and the window is what comes out. Rows count from the bottom:
/// with both offsets 0 the window is the lower left corner of the scene, and a positive row offset
/// moves it *down*. So horizontal strips of height h, from the bottom up, have row offsets 0, −h,
/// −2h and so on. Nothing need lie within the scene; the image plane goes on without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct View {
    /// Width of the whole scene.
    pub scene_columns: i32,
    /// Height of the whole scene.
    pub scene_rows: i32,
    /// Width of the window that is rendered.
    pub window_columns: i32,
    /// Height of the window that is rendered.
    pub window_rows: i32,
    /// How far right of the scene's left edge the window begins.
    pub column_offset: i32,
    /// How far below the scene's bottom edge the window ends.
    pub row_offset: i32,
    /// Whether each pixel is the mean of four rays instead of one.
    pub antialias: bool,
}

impl View {
    /// A whole picture without anti-aliasing.
    pub const fn full(columns: i32, rows: i32) -> Self {
        Self {
            scene_columns: columns,
            scene_rows: rows,
            window_columns: columns,
            window_rows: rows,
            column_offset: 0,
            row_offset: 0,
            antialias: false,
        }
    }

    /// Width and height of the window.
    ///
    /// # Errors
    /// [`Error::Unprocessable`] if one of them is not positive, [`Error::TooLarge`] if their
    /// product exceeds `limits.window_pixels`.
    pub fn size(&self, limits: &Limits) -> Result<(u32, u32), Error> {
        let (width, height) = (self.window_columns, self.window_rows);
        let (Ok(columns @ 1..), Ok(rows @ 1..)) = (u32::try_from(width), u32::try_from(height))
        else {
            return Err(Error::Unprocessable(format!(
                "Width ({width}) and height ({height}) cannot be <= 0"
            )));
        };
        let actual = u64::from(columns) * u64::from(rows);
        let allowed = limits.window_pixels;
        if actual > allowed {
            let what = "the window's number of pixels";
            return Err(Error::TooLarge { what, actual, limit: "window_pixels", allowed });
        }
        Ok((columns, rows))
    }

    /// How many rays a pixel takes.
    pub const fn samples(&self) -> u32 {
        if self.antialias { 4 } else { 1 }
    }
}

/// Where in a pixel its rays pass, in the order in which they are averaged: 0 is the left or the
/// bottom of the pixel, 1 its middle. With four they fill the lower left quarter; they are not
/// centred.
pub(super) const fn sample_offsets(antialias: bool) -> &'static [[usize; 2]] {
    if antialias { &[[0, 0], [1, 0], [0, 1], [1, 1]] } else { &[[1, 1]] }
}

/// A scene's camera, set up for a view.
#[derive(Debug, Clone, Copy)]
pub(super) struct Camera {
    pub(super) view: View,
    pub(super) eye: Vector,
    /// Right, up, and back towards the viewer.
    pub(super) axes: [Vector; 3],
    /// Width and height of the image plane at distance 1.
    plane: [f64; 2],
}

impl Camera {
    pub(super) fn new(lens: &Lens, view: &View) -> Self {
        let (columns, rows) = (f64::from(view.scene_columns), f64::from(view.scene_rows));
        let vertical = lens.field_of_view * RADIANS_PER_DEGREE;
        // The aspect ratio scales the angle, and the plane's size is its sine, not its tangent:
        // pixels are not quite square, and that is part of every picture made so far.
        let horizontal = vertical * columns / rows;
        let back = ((lens.center - lens.eye) * -1.0).unit();
        let right = lens.up.cross(back).unit();
        let up = back.cross(right);
        Self {
            view: *view,
            eye: lens.eye,
            axes: [right, up, back],
            plane: [(horizontal / 2.0).sin() * 2.0, (vertical / 2.0).sin() * 2.0],
        }
    }

    /// How far right of the middle of the image plane a window's column lies.
    pub(super) fn across(&self, column: i32, offset: f64) -> f64 {
        let column = f64::from(column.wrapping_add(self.view.column_offset));
        let width = self.plane[0];
        (column + offset) / f64::from(self.view.scene_columns) * width - width / 2.0
    }

    /// How far above the middle of the image plane a window's row, counted from the top, lies.
    pub(super) fn above(&self, row: i32, offset: f64) -> f64 {
        let below_top = row.wrapping_add(self.view.row_offset);
        let row = f64::from((self.view.window_rows - 1).wrapping_sub(below_top));
        let height = self.plane[1];
        (row + offset) / f64::from(self.view.scene_rows) * height - height / 2.0
    }
}
