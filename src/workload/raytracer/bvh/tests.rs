use super::*;
use crate::workload::raytracer::scene::{Geometry, Plane, Shape, Sphere, Triangle};
use crate::workload::{Cancelled, FullSpeed, Pacer};

fn shape(geometry: Geometry) -> Shape {
    Shape { pigment: 0, finish: 0, geometry }
}

fn sphere(x: f64, y: f64, z: f64, radius: f64) -> Shape {
    shape(Geometry::Sphere(Sphere::new(Vector::new(x, y, z), radius)))
}

fn build(shapes: &[Shape]) -> Option<Bvh<SphereBlock>> {
    Bvh::build(shapes, 1, &FullSpeed).unwrap()
}

/// How many nodes lie above each other below a node, itself included.
fn depth<B>(bvh: &Bvh<B>, node: u32) -> usize {
    let children = bvh.nodes[node as usize].children;
    let below = children.iter().filter(|child| **child & LEAF == 0).map(|c| depth(bvh, *c));
    1 + below.max().unwrap_or(0)
}

/// The numbers of all shapes found in leaves that nodes lead to.
fn members(bvh: &Bvh<SphereBlock>) -> Vec<u32> {
    let mut members = Vec::new();
    for node in &bvh.nodes {
        let used = (0..LANES).filter(|lane| node.sides[0][0][*lane] <= node.sides[0][1][*lane]);
        for child in used.map(|lane| node.children[lane]).filter(|child| child & LEAF != 0) {
            let block = &bvh.blocks[(child & !LEAF) as usize];
            members.extend(&block.numbers()[..block.len() as usize]);
        }
    }
    members.sort_unstable();
    members
}

#[test]
fn every_shape_is_in_exactly_one_leaf() {
    let mut random = fastrand::Rng::with_seed(3);
    for count in [1, 7, 8, 9, 64, 65, 1000] {
        let shapes: Vec<_> = (0..count)
            .map(|_| sphere(random.f64(), random.f64(), random.f64(), random.f64() * 0.1))
            .collect();
        let bvh = build(&shapes).unwrap();
        assert_eq!(members(&bvh), (0..count).collect::<Vec<_>>());
        assert_eq!(bvh.len(), u64::from(count));
    }
}

#[test]
fn equal_shapes_and_shapes_at_all_scales_do_not_make_it_deep() {
    let equal = vec![sphere(1.0, 2.0, 3.0, 0.5); 5000];
    assert!(depth(&build(&equal).unwrap(), 0) < 12);
    // Each cut by area would take off a single one.
    let scales: Vec<_> =
        (0..5000).map(|i| sphere(1e-30 * 1.02_f64.powi(i), 0.0, 0.0, 1e-40)).collect();
    assert!(depth(&build(&scales).unwrap(), 0) < 40);
}

#[test]
fn what_boxes_cannot_hold_is_left_out() {
    let triangle = |a, b, c| shape(Geometry::Triangle(Triangle::new([a, b, c])));
    let at = |x, y| Vector::new(x, y, 0.0);
    let shapes = [
        sphere(0.0, 0.0, 0.0, 1.0),
        sphere(1e13, 0.0, 0.0, 1.0),
        sphere(0.0, 0.0, 0.0, f64::INFINITY),
        shape(Geometry::Plane(Plane::new(Vector::new(0.0, 1.0, 0.0), 1.0))),
        triangle(at(0.0, 0.0), at(1.0, 0.0), at(0.0, 1.0)),
        triangle(at(0.0, 0.0), at(1.0, 0.0), at(2.0, 0.0)),
        triangle(at(0.0, 0.0), at(1.0, 0.0), at(2.0, 1e-5)),
    ];
    assert_eq!(build(&shapes).unwrap().len(), 1);
    assert_eq!(Bvh::<TriangleBlock>::build(&shapes, 1, &FullSpeed).unwrap().unwrap().len(), 1);
    assert!(Bvh::<SphereBlock>::build(&shapes, 2, &FullSpeed).unwrap().is_none());
}

#[test]
fn building_can_be_given_up() {
    struct Stop;
    impl Pacer for Stop {
        fn checkpoint(&self) -> Result<(), Cancelled> {
            Err(Cancelled)
        }
    }
    let shapes: Vec<_> = (0..30_000).map(|i| sphere(f64::from(i), 0.0, 0.0, 1.0)).collect();
    assert!(Bvh::<SphereBlock>::build(&shapes, 1, &Stop).is_err());
}

#[test]
fn rays_without_a_unit_direction_are_not_ordinary() {
    let ray = |origin, direction| Ray { origin, direction };
    let (here, along) = (Vector::default(), Vector::new(0.0, 0.0, 1.0));
    assert!(ray(here, along).is_ordinary());
    assert!(!ray(here, Vector::default()).is_ordinary());
    assert!(!ray(Vector::new(1e13, 0.0, 0.0), along).is_ordinary());
    let nan = Vector::new(0.0, f64::NAN, 1.0);
    assert!(!ray(here, nan).is_ordinary() && !ray(here, nan).can_hit());
    assert!(ray(here, Vector::new(f64::INFINITY, 0.0, f64::NEG_INFINITY)).can_hit());
}
