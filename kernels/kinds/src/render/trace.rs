//! What a ray meets first, and whether it meets anything.
//!
//! The answer does not depend on the order in which boxes are visited: the nearest hit wins, of several equally near the
//! one with the lowest slot, and boxes are larger than their triangles by more than any rounding.

use super::layout::{GROUP_WORDS, LEAF, NODE_CHILDREN, NODE_WORDS, NONE, ROW_BOUND, ROW_U, ROW_V, STACK};
use super::math::{V3, larger, smaller, v3};
use super::scene::Scene;

/// Whence and whither.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ray {
    pub(super) origin: V3,
    pub(super) direction: V3,
}

/// What was met: how far along the ray, and the triangle's slot; [`NONE`] if nothing was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hit {
    pub(super) distance: f32,
    pub(super) slot: u32,
}

/// Work done, by kind: what an element costs is a weighted sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Rays sent: along the way, and to lights.
    pub rays: u64,
    /// Nodes visited: eight boxes each.
    pub nodes: u64,
    /// Groups tested: eight triangles each.
    pub groups: u64,
    /// Surfaces met, of which all is read that is known of them.
    pub surfaces: u64,
    /// Those of them whose material has textures.
    pub textured: u64,
    /// Surfaces at which a light is looked for and the way on is drawn.
    pub bounces: u64,
    /// Those of them that are not matt.
    pub glossy: u64,
}

impl Cost {
    /// The counts in the order of [`OPERATIONS`], of so many paths.
    #[must_use]
    pub const fn counts(&self, paths: u64) -> [u64; OPERATIONS.len()] {
        let Self { rays, nodes, groups, surfaces, textured, bounces, glossy } = *self;
        [rays, nodes, groups, surfaces, textured, bounces, glossy, paths]
    }
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, more: Self) {
        self.rays += more.rays;
        self.nodes += more.nodes;
        self.groups += more.groups;
        self.surfaces += more.surfaces;
        self.textured += more.textured;
        self.bounces += more.bounces;
        self.glossy += more.glossy;
    }
}

/// The counters of a [`Cost`] by name, and the number of paths.
pub const OPERATIONS: [&str; 8] = ["rays", "nodes", "groups", "surfaces", "textured", "bounces", "glossy", "paths"];

/// A ray's direction as boxes need it.
struct Slopes {
    inverse: [f32; 3],
    /// `-origin * inverse`
    shift: [f32; 3],
    /// Offset of the rows, in a node, through which the ray enters and leaves.
    enter: [usize; 3],
    leave: [usize; 3],
}

impl Slopes {
    #[inline(always)]
    fn new(ray: &Ray) -> Self {
        /// Slower than this along an axis, a ray only ever stays on one side of a bound.
        const SLOW: f32 = 8.673_617_4e-19; // 2^-60
        let mut slopes = Self { inverse: [0.0; 3], shift: [0.0; 3], enter: [0; 3], leave: [0; 3] };
        let (origin, direction) = (ray.origin, ray.direction);
        let axes = [(origin.x, direction.x), (origin.y, direction.y), (origin.z, direction.z)];
        for (axis, (o, d)) in axes.into_iter().enumerate() {
            let backwards = d < 0.0;
            let d = if d.abs() < SLOW { if backwards { -SLOW } else { SLOW } } else { d };
            slopes.inverse[axis] = 1.0 / d;
            slopes.shift[axis] = -(o * slopes.inverse[axis]);
            slopes.enter[axis] = axis * 8 + if backwards { 24 } else { 0 };
            slopes.leave[axis] = axis * 8 + if backwards { 0 } else { 24 };
        }
        slopes
    }

    /// Where the ray is within each of a node's boxes: enters and leaves.
    #[inline(always)]
    fn spans(&self, scene: &Scene, node: usize) -> [(f32, f32); 8] {
        let mut spans = [(0.0, f32::MAX); 8];
        for axis in 0..3 {
            let (near, far) = (scene.eight(node + self.enter[axis]), scene.eight(node + self.leave[axis]));
            for (lane, span) in spans.iter_mut().enumerate() {
                let enters = near[lane].mul_add(self.inverse[axis], self.shift[axis]);
                let leaves = far[lane].mul_add(self.inverse[axis], self.shift[axis]);
                *span = (larger(enters, span.0), smaller(leaves, span.1));
            }
        }
        spans
    }
}

/// How far along the ray each of a group's triangles is met; NaN where it is not, or not before `limit`.
#[inline(always)]
fn distances(scene: &Scene, ray: &Ray, group: usize, limit: f32) -> [f32; 8] {
    let row = |place: usize| scene.eight(group + place);
    let (nx, ny, nz, nw) = (row(0), row(8), row(16), row(24));
    let (ux, uy, uz, uw) = (row(ROW_U), row(ROW_U + 8), row(ROW_U + 16), row(ROW_U + 24));
    let (vx, vy, vz, vw) = (row(ROW_V), row(ROW_V + 8), row(ROW_V + 16), row(ROW_V + 24));
    let bound = row(ROW_BOUND);
    let (o, d) = (ray.origin, ray.direction);
    let mut met = [f32::NAN; 8];
    for k in 0..8 {
        let speed = nx[k].mul_add(d.x, ny[k].mul_add(d.y, nz[k] * d.z));
        let height = nx[k].mul_add(-o.x, ny[k].mul_add(-o.y, nz[k].mul_add(-o.z, nw[k])));
        let t = height / speed;
        let p = d.scaled_onto(t, o);
        let u = ux[k].mul_add(p.x, uy[k].mul_add(p.y, uz[k].mul_add(p.z, uw[k])));
        let v = vx[k].mul_add(p.x, vy[k].mul_add(p.y, vz[k].mul_add(p.z, vw[k])));
        if t > 0.0 && t <= limit && u >= 0.0 && v >= 0.0 && u + v <= 1.0 && speed < bound[k] {
            met[k] = t;
        }
    }
    met
}

/// The barycentric coordinates u and v of a place on the triangle in `slot`.
#[inline(always)]
pub(super) fn coordinates(scene: &Scene, slot: u32, p: V3) -> (f32, f32) {
    let place = place_of(scene, slot);
    let row = |place: usize| {
        let [x, y, z, w] = [0, 8, 16, 24].map(|column| scene.number(place + column));
        x.mul_add(p.x, y.mul_add(p.y, z.mul_add(p.z, w)))
    };
    (row(place + ROW_U), row(place + ROW_V))
}

/// The unit normal of the triangle in `slot`, on its front.
#[inline(always)]
pub(super) fn normal(scene: &Scene, slot: u32) -> V3 {
    let place = place_of(scene, slot);
    v3(scene.number(place), scene.number(place + 8), scene.number(place + 16))
}

#[inline(always)]
fn place_of(scene: &Scene, slot: u32) -> usize {
    scene.groups + (slot / 8) as usize * GROUP_WORDS + (slot % 8) as usize
}

/// What the ray meets first, no farther than `limit`.
#[inline(always)]
pub(super) fn nearest(scene: &Scene, ray: &Ray, limit: f32, cost: &mut Cost) -> Hit {
    cost.rays += 1;
    let slopes = Slopes::new(ray);
    let mut hit = Hit { distance: limit, slot: NONE };
    let mut stack = [(0_u32, 0.0_f32); STACK];
    let mut height = 1;
    while height > 0 {
        height -= 1;
        let (child, enters) = stack[height];
        if enters > hit.distance {
            continue;
        }
        if child & LEAF != 0 {
            cost.groups += 1;
            let group = child & !LEAF;
            let met = distances(scene, ray, scene.groups + group as usize * GROUP_WORDS, hit.distance);
            for (slot, distance) in (group * 8..).zip(met) {
                if distance < hit.distance || (distance == hit.distance && slot < hit.slot) {
                    hit = Hit { distance, slot };
                }
            }
            continue;
        }
        cost.nodes += 1;
        let node = scene.nodes + child as usize * NODE_WORDS;
        let bottom = height;
        for (lane, (enters, leaves)) in slopes.spans(scene, node).into_iter().enumerate() {
            let child = scene.word(node + NODE_CHILDREN + lane);
            if !(enters <= leaves && enters <= hit.distance && child != NONE) {
                continue;
            }
            // The nearest child goes on top.
            let mut place = height;
            while place > bottom && stack[place - 1].1 < enters {
                stack[place] = stack[place - 1];
                place -= 1;
            }
            stack[place] = (child, enters);
            height += 1;
        }
    }
    hit
}

/// Whether the ray meets anything before `limit`.
#[inline(always)]
pub(super) fn meets_any(scene: &Scene, ray: &Ray, limit: f32, cost: &mut Cost) -> bool {
    cost.rays += 1;
    let slopes = Slopes::new(ray);
    let mut stack = [0_u32; STACK];
    let mut height = 1;
    while height > 0 {
        height -= 1;
        let child = stack[height];
        if child & LEAF != 0 {
            cost.groups += 1;
            let group = scene.groups + (child & !LEAF) as usize * GROUP_WORDS;
            if distances(scene, ray, group, limit).iter().any(|t| *t < limit) {
                return true;
            }
            continue;
        }
        cost.nodes += 1;
        let node = scene.nodes + child as usize * NODE_WORDS;
        for (lane, (enters, leaves)) in slopes.spans(scene, node).into_iter().enumerate() {
            let child = scene.word(node + NODE_CHILDREN + lane);
            if enters <= leaves && enters <= limit && child != NONE {
                stack[height] = child;
                height += 1;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::model::{Material, Model, Triangle, Vertex};
    use super::super::rng::Sequence;
    use super::super::{build, layout::header};
    use super::*;

    fn vertex(p: V3) -> Vertex {
        Vertex { position: [p.x, p.y, p.z], ..Vertex::default() }
    }

    /// Triangles of all sizes, some of them twice, some in the planes of the axes, half of them seen from one side only.
    fn soup(rng: &mut Sequence, count: usize) -> Model {
        let materials = vec![Material::default(), Material { double_sided: true, ..Material::default() }];
        let mut model = Model { materials, ..Model::default() };
        while model.triangles.len() < count {
            let size = if rng.word().is_multiple_of(8) { 1.0 } else { 0.2 };
            let a = rng.in_cube();
            let (mut b, mut c) = (a + rng.in_cube() * size, a + rng.in_cube() * size);
            if rng.word().is_multiple_of(4) {
                (b.y, c.y) = (a.y, a.y);
            }
            let triangle = Triangle { vertices: [a, b, c].map(vertex), material: rng.word() % 2 };
            model.triangles.extend([triangle; 2].into_iter().take(if rng.word().is_multiple_of(8) { 2 } else { 1 }));
        }
        model.camera.position = [2.0; 3];
        model
    }

    #[test]
    fn the_tree_finds_what_trying_every_triangle_finds() {
        let mut rng = Sequence::new(5);
        let (mut hits, mut shadows) = (0, 0);
        for count in [1, 5, 40, 700] {
            let blob = build(&soup(&mut rng, count)).expect("a soup can be built");
            let scene = Scene::parse(&blob).expect("a scene");
            for _ in 0..1_500 {
                let origin = rng.in_cube() * 2.0;
                let mut direction = (rng.in_cube() * 0.7 + -origin).normalized();
                match rng.word() % 8 {
                    0 => direction = v3(0.0, 1.0, -0.0),
                    1 => direction = v3(0.0, direction.y, direction.z),
                    _ => {}
                }
                let ray = Ray { origin, direction };
                let mut expected = Hit { distance: f32::MAX, slot: NONE };
                for group in 0..scene.word(header::GROUP_COUNT) {
                    let met = distances(&scene, &ray, scene.groups + group as usize * GROUP_WORDS, f32::MAX);
                    for (slot, distance) in (group * 8..).zip(met) {
                        if distance < expected.distance {
                            expected = Hit { distance, slot };
                        }
                    }
                }
                let cost = &mut Cost::default();
                assert_eq!(nearest(&scene, &ray, f32::MAX, cost), expected, "{ray:?}");
                hits += u32::from(expected.slot != NONE);
                for limit in [0.5, 1.0] {
                    let met = meets_any(&scene, &ray, limit, cost);
                    assert_eq!(met, expected.distance < limit, "{ray:?} before {limit}");
                    shadows += u32::from(met);
                }
            }
        }
        assert!(hits > 1_000 && shadows > 400, "{hits} hits, {shadows} shadows");
    }

    #[test]
    fn no_ray_slips_through_between_neighbours() {
        // A closed fan of thin triangles; rays at its inner edges and its hub.
        let mut rng = Sequence::new(8);
        let mut model =
            Model { materials: vec![Material { double_sided: true, ..Material::default() }], ..Model::default() };
        let rim: Vec<V3> = (0..101_u16)
            .map(|k| super::super::math::sin_cos(f32::from(k % 100) / 100.0))
            .map(|(s, c)| v3(7.0 + c, -3.0 + s, 0.3 * s))
            .collect();
        let hub = v3(7.01, -3.02, 0.1);
        for pair in rim.windows(2) {
            model.triangles.push(Triangle { vertices: [hub, pair[0], pair[1]].map(vertex), material: 0 });
        }
        let scene = Scene::parse(&build(&model).expect("built")).expect("a scene");
        for k in 0..20_000_usize {
            let aim = hub + (rim[k % 100] + -hub) * (0.95 * rng.unit());
            let origin = v3(5.0, -2.0, 9.0) + rng.in_cube();
            let ray = Ray { origin, direction: (aim + -origin).normalized() };
            assert!(nearest(&scene, &ray, f32::MAX, &mut Cost::default()).slot != NONE, "{ray:?}");
        }
    }
}
