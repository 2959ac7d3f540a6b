use super::*;

#[test]
fn the_file_is_laid_out_as_documented() {
    let mut bitmap = Bitmap::new(3, 2).unwrap();
    bitmap.write(1, 0, &[1, 2, 3, 4, 5, 6]);
    bitmap.write(0, 1, &[7, 8, 9]);
    let file = bitmap.into_file();
    #[rustfmt::skip]
    let expected = [
        b'B', b'M', 78, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0,
        40, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 24, 0,
        0, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        7, 8, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0, 0,
    ];
    assert_eq!(file, expected);
    assert_eq!(rgb_rows(&file, 3)[3..12], [3, 2, 1, 6, 5, 4, 9, 8, 7]);
}

#[test]
fn other_software_reads_it() {
    for width in 1..=9 {
        let mut bitmap = Bitmap::new(width, 4).unwrap();
        for row in 0..4_u8 {
            let pixels: Vec<u8> = (0..3 * width as u8).map(|i| i * 9 + row).collect();
            bitmap.write(0, row.into(), &pixels);
        }
        let file = bitmap.into_file();
        let read = image::load_from_memory(&file).unwrap().into_rgb8();
        assert_eq!(read.dimensions(), (width, 4));
        assert_eq!(read.into_raw(), rgb_rows(&file, width));
    }
}

#[test]
fn a_file_of_more_than_4_gib_is_refused() {
    assert!(matches!(Bitmap::new(65_536, 65_536), Err(Error::Unprocessable(_))));
    assert!(matches!(Bitmap::new(u32::MAX, u32::MAX), Err(Error::Unprocessable(_))));
}
