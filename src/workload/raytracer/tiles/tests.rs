use super::*;

#[test]
fn bytes_are_rounded_half_up() {
    let expected = |channel: f32| (f64::from(channel * 255.0) + 0.5) as u8;
    let mut channel = 0.0_f32;
    while channel <= 1.0 {
        assert_eq!(to_bytes([channel; 3]), [expected(channel); 3], "{channel:e}");
        channel = (channel * 1.000_01).max(channel + 1e-7);
    }
    for half in 0..255_u16 {
        let channel = (f32::from(half) + 0.5) / 255.0;
        for channel in [channel.next_down(), channel, channel.next_up()] {
            assert_eq!(to_bytes([channel; 3]), [expected(channel); 3], "{channel:e}");
        }
    }
    assert_eq!(to_bytes([f32::NAN, -0.0, 1.0]), [255, 0, 0]);
}

#[test]
fn tiles_cover_the_window_once() {
    for (columns, rows) in [(1, 1), (16, 16), (17, 33), (100, 7), (5, 64)] {
        let grid = Grid { columns, rows, side: 16 };
        let mut seen = vec![0; (columns * rows) as usize];
        for [first, end] in (0..grid.tiles()).map(|tile| grid.tile(tile)) {
            let size = [0, 1].map(|axis| (end[axis] - first[axis]) as usize);
            for [column, row] in blocks(size) {
                let place = (first[1] + i32::from(row)) * columns + first[0] + i32::from(column);
                seen[place as usize] += 1;
            }
        }
        assert!(seen.iter().all(|times| *times == 1), "{columns} x {rows}");
    }
}

#[test]
fn probed_places_lie_within_the_window() {
    for length in [1, 2, 19, 20, 1600, i32::MAX] {
        for step in [1.0, 1.7, 80.0, 1e9] {
            let places: Vec<i32> = spread(length.min(4000), step).collect();
            assert!(!places.is_empty());
            assert!(places.iter().all(|place| (0..length).contains(place)));
            assert!(places.is_sorted());
        }
    }
}
